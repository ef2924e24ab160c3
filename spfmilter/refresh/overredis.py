"""Tokens between hosts by a stream of a Redis or Valkey server, which keeps the last ones for a minute.

Knows the server's commands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from spfmilter.refresh.hosts import MAX_TOKENS, HostsError
from spfmilter.settings.urls import StateUrl
from spfmilter.state.connection import REFUSED, asked, connect

KEY = "spfmilter:refreshed"  # on the server: a contract between hosts of all versions
FIELD = "token"
_SECONDS = 5.0  # for an answer
_MOST = 256 << 10  # bytes of an answer
_KEPT = 60  # seconds
_BEGIN = b"0-0"
_T = TypeVar("_T")


class RedisHosts:
    """See ``Hosts``."""

    def __init__(self, url: StateUrl) -> None:
        self.name = str(url)
        self._server = connect(url, seconds=_SECONDS, most=_MOST)
        self._last: Any = None  # the id of the last entry that was read; None: nothing was read yet

    def send(self, token: str) -> None:
        """See ``Hosts``."""

        def add(*, anew: bool = False) -> None:
            whole = self._server.pipeline(transaction=True)
            if anew:
                whole.expire(KEY, 0)
            whole.xadd(KEY, {FIELD: token}, maxlen=MAX_TOKENS, approximate=False)
            whole.expire(KEY, _KEPT)
            whole.execute()

        def add_or_begin_anew() -> None:
            try:
                add()
            except REFUSED:  # the key holds no stream, or one with the largest id, which no entry can follow
                add(anew=True)

        self._asked(add_or_begin_anew)

    def receive(self) -> Sequence[str]:
        """See ``Hosts``."""
        if self._last is None:
            found: Any = self._asked(lambda: self._server.xrevrange(KEY, count=1))
            self._last = found[0][0] if found else _BEGIN
            return ()
        read: Any = self._asked(lambda: self._server.xread({KEY: self._last}, count=MAX_TOKENS))
        if not read:
            self._asked(self._begin_again)
            return ()
        entries = read[0][1]
        self._last = entries[-1][0]
        texts = [fields.get(FIELD.encode(), b"") for _, fields in entries if fields]
        return [text.decode("ascii", "replace") for text in texts]

    def close(self) -> None:
        """See ``Hosts``."""
        self._server.connection_pool.disconnect()

    def _begin_again(self) -> None:
        """Read from the beginning if the stream has ended since. The ids of another one may be smaller.

        The server's clock may have been set back, or the former one had an id that a stranger made up.
        """
        found: Any = self._server.xrevrange(KEY, count=1)
        if not found or _place(found[0][0]) < _place(self._last):
            self._last = _BEGIN

    def _asked(self, ask: Callable[[], _T]) -> _T:
        def failed(reason: str) -> HostsError:
            self._last = None  # it may have lost its memory
            return HostsError(f"{self.name}: {reason}")

        return asked(self._server, ask, failed)


def _place(entry: bytes) -> tuple[int, ...]:
    """Return where the id of an entry, ``MILLISECONDS-NUMBER``, is in the order of all."""
    return tuple(map(int, entry.split(b"-")))
