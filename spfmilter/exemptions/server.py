"""Exemptions on a Redis or Valkey server: a hash of JSON texts by id, and a number that each change counts up.

Knows the server's commands. A server may lose its memory: the daemons then give it back what they know.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from spfmilter.exemptions.exemption import Exemption, exemption_of, row_of
from spfmilter.exemptions.store import KEPT
from spfmilter.settings.urls import StateUrl
from spfmilter.stores.rows import Row
from spfmilter.stores.server import ServerAccess, decoded

KEY = "spfmilter:exemptions"  # on the server: a contract between hosts of all versions
VERSION = "spfmilter:exemptions:version"
_MOST = 64 << 20  # bytes of an answer
_FIRST = 1 << 40  # a version begins at a random number below, so that one of before a loss differs


class ServerStore(ServerAccess):
    """See ``Store``."""

    forgets = True

    def __init__(self, url: StateUrl) -> None:
        super().__init__(url, _MOST)

    def version(self) -> Hashable:
        """See ``Store``."""
        return self._asked(lambda: self._server.get(VERSION))

    def read(self) -> Sequence[Row]:
        """See ``Store``. What is no JSON object is a row without columns."""
        found: Any = self._asked(lambda: self._server.hgetall(KEY))
        return [decoded(text) for text in found.values()]

    def add(self, exemption: Exemption) -> None:
        """See ``Store``."""
        long_ago = exemption.added - KEPT
        old = [field for field, text in self._fields().items() if _ended_before(decoded(text), long_ago)]
        self._change({exemption.id: json.dumps(row_of(exemption))}, old)

    def remove(self, ids: Sequence[str], now: int, who: str) -> None:
        """See ``Store``."""
        rows = {_id(field): decoded(text) for field, text in self._fields().items()}
        changed = {
            identity: json.dumps({**rows[identity], "removed": now, "removed_by": who})
            for identity in ids
            if identity in rows and rows[identity].get("removed") is None
        }
        if changed:
            self._change(changed, ())

    def give_back(self, exemptions: Sequence[Exemption]) -> None:
        """See ``Store``. What the server has by now stays."""

        def write() -> None:
            whole = self._server.pipeline(transaction=True)
            whole.set(VERSION, secrets.randbelow(_FIRST), nx=True)
            whole.incr(VERSION)
            for one in exemptions:
                whole.hsetnx(KEY, one.id, json.dumps(row_of(one)))
            whole.execute()

        self._asked(write)

    def _fields(self) -> Mapping[bytes, bytes]:
        found: Any = self._asked(lambda: self._server.hgetall(KEY))
        return dict(found)

    def _change(self, texts: Mapping[str, str], gone: Sequence[bytes]) -> None:
        """Write fields and remove others, at once (MULTI)."""

        def change() -> None:
            whole = self._server.pipeline(transaction=True)
            whole.set(VERSION, secrets.randbelow(_FIRST), nx=True)
            whole.incr(VERSION)
            if gone:
                whole.hdel(KEY, *gone)
            for identity, text in texts.items():
                whole.hset(KEY, identity, text)
            whole.execute()

        self._asked(change)


def _id(field: bytes) -> str:
    return field.decode("ascii", "replace")


def _ended_before(row: Row, moment: int) -> bool:
    """Return whether a row of ours ended, or was removed, before then."""
    try:
        one = exemption_of(row)
    except ValueError:
        return False
    end = one.removed if one.removed is not None else one.until
    return end is not None and end < moment
