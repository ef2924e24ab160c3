"""Connect with a Redis or Valkey server, whose answers are untrusted input: bounded in bytes and in time.

Knows the library ``redis``. Knows no keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import redis
from redis._parsers import _RESP2Parser
from redis.backoff import NoBackoff
from redis.retry import Retry

from spfmilter.settings.urls import StateUrl
from spfmilter.state.metered import MAX_ANSWER, Metered
from spfmilter.text import unicode_line

REFUSED = redis.ResponseError  # the server has taken the command and says that it cannot be done
_READ = 64 * 1024  # bytes that are read at a time, at most
_T = TypeVar("_T")


class _Bounded:
    """Limit the answers of a connection of the library. Comes before the library's class in the base classes."""

    most = MAX_ANSWER  # bytes of the answers to one write
    seconds = 1.0  # for a whole answer

    def _connect(self) -> Metered:
        return Metered(super()._connect(), self.seconds, self.most)  # type: ignore[misc]  # the connection's class has it


class _Tcp(_Bounded, redis.Connection):
    pass


class _Tls(_Bounded, redis.SSLConnection):
    pass


class _Unix(_Bounded, redis.UnixDomainSocketConnection):
    pass


def connect(url: StateUrl, *, seconds: float, most: int = MAX_ANSWER) -> redis.Redis:
    """Return the library's client. It connects at the first question.

    Args:
        url: the server.
        seconds: for a connection, and for a whole answer.
        most: bytes of the answers to one write.
    """
    place: dict[str, Any] = {"host": url.host, "port": url.port}
    match url.scheme:
        case "rediss":
            kind: type[_Bounded] = _Tls
            place |= {"ssl_check_hostname": True, **dict(url.files)}
        case "unix":
            kind, place = _Unix, {"path": url.path}
        case _:
            kind = _Tcp
    bounded = type(kind.__name__, (kind,), {"most": most, "seconds": seconds})
    pool = redis.ConnectionPool(
        connection_class=cast(Any, bounded),
        parser_class=_RESP2Parser,  # it reads through the socket that we give it
        socket_read_size=min(most, _READ),
        db=url.database,
        username=url.user or None,
        password=url.password or None,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # servers before Redis 6 do not know RESP3, and we do not need it
        **place,
    )
    return redis.Redis(connection_pool=pool)


def asked(server: redis.Redis, ask: Callable[[], _T], failed: Callable[[str], Exception]) -> _T:
    """Return what ``ask`` returns, which asks the server. Raise what ``failed`` makes of the reason of a failure."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - a server may send anything, and the library may fail on it
        # Surplus bytes from the server must not be taken for the answer to the next question.
        server.connection_pool.disconnect()
        raise failed(reason_of(error)) from None


def reason_of(error: Exception) -> str:
    """Return what a server or the library says: one line, sanitized and shortened. A server may send anything."""
    return unicode_line(str(error), _REASON) or type(error).__name__


_REASON = 200  # characters
