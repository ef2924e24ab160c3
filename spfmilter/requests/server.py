"""Requests on a Redis or Valkey server: a hash of JSON texts by case id. Knows the server's commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from spfmilter.requests.request import SenderRequest, State, row_of
from spfmilter.settings.urls import StateUrl
from spfmilter.stores.rows import Row
from spfmilter.stores.server import ServerAccess, decoded

KEY = "spfmilter:requests"  # on the server: a contract between hosts of all versions
_MOST = 16 << 20  # bytes of an answer


class ServerRequests(ServerAccess):
    """See ``RequestStore``."""

    def __init__(self, url: StateUrl) -> None:
        super().__init__(url, _MOST)

    def prepare(self) -> None:
        """See ``RequestStore``. A hash is made by its first field."""

    def find(self, case_id: str) -> Row | None:
        """See ``RequestStore``."""
        text = self._asked(lambda: self._server.hget(KEY, case_id))
        return decoded(text) if text is not None else None

    def read(self) -> Sequence[Row]:
        """See ``RequestStore``. What is no JSON object is a row without columns."""
        return list(self._rows().values())

    def add(self, request: SenderRequest) -> bool:
        """See ``RequestStore``."""
        text = json.dumps(row_of(request))
        return bool(self._asked(lambda: self._server.hsetnx(KEY, request.case_id, text)))

    def answer(self, request: SenderRequest) -> bool:
        """See ``RequestStore``."""
        text = json.dumps(row_of(request))

        def change() -> bool:
            """Write the answer, unless another command has written one since it was read (WATCH)."""

            def write(pipeline: Any) -> bool:
                before = decoded(pipeline.hget(KEY, request.case_id))
                pipeline.multi()
                if before.get("state") != State.OPEN:
                    return False
                pipeline.hset(KEY, request.case_id, text)
                return True

            return bool(self._server.transaction(cast(Any, write), KEY, value_from_callable=True))

        return self._asked(change)

    def end(self, exemptions: Sequence[str], now: int) -> None:
        """See ``RequestStore``."""
        self._change(lambda row: {**row, "until": now} if row.get("exemption") in exemptions else None)

    def note_mailed(self, case_ids: Sequence[str], now: int | None) -> None:
        """See ``RequestStore``."""
        self._change(lambda row: {**row, "mailed": now} if row.get("case_id") in case_ids else None)

    def forget(self, now: int) -> None:
        """See ``RequestStore``. What is no request is removed as well."""
        gone = [field for field, row in self._rows().items() if not _is_wanted(row, now)]
        if gone:
            self._asked(lambda: self._server.hdel(KEY, *gone))

    def _rows(self) -> Mapping[bytes, Row]:
        found: Any = self._asked(lambda: self._server.hgetall(KEY))
        return {field: decoded(text) for field, text in found.items()}

    def _change(self, change: Callable[[Row], Row | None]) -> None:
        """Write the rows that ``change`` returns, in place of those that it is given.

        Begin again if another command has written since they were read (WATCH): its answer must not be lost.
        """

        def write(pipeline: Any) -> None:
            rows = {field: decoded(text) for field, text in pipeline.hgetall(KEY).items()}
            texts = {field: json.dumps(new) for field, row in rows.items() if (new := change(row)) is not None}
            pipeline.multi()
            if texts:
                pipeline.hset(KEY, mapping=texts)

        self._asked(lambda: self._server.transaction(cast(Any, write), KEY))


def _is_wanted(row: Row, now: int) -> bool:
    ends = row.get("ends")
    return isinstance(ends, int) and ends >= now
