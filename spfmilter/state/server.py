"""A Redis or Valkey server that several hosts share; while it does not answer, this host's own memory stands in.

Knows the server's protocol through the library ``redis``, how long it may be waited for, and what is believed of it:
others may write there, and a wrong time would have every sender accepted. Loaded only where the settings name a server.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import redis
from redis._parsers import _RESP2Parser
from redis.backoff import NoBackoff
from redis.retry import Retry

from spfmilter.observe import log
from spfmilter.settings.urls import StateUrl
from spfmilter.state.deferrals import Deferrals
from spfmilter.state.metered import MOST, Metered

PREFIX = "spfmilter:defer:"  # of our keys there: a contract between the hosts, whatever their version
PATIENCE = 0.25  # seconds that a question may take, whatever it waits for
REST = 10.0  # seconds for which a server that has failed is left alone
_CONNECTIONS = 4  # of a worker at most
_TIME = re.compile(rb"[0-9]{1,12}(?:\.[0-9]{1,9})?")  # Unix time in seconds, as hosts write it
_LONGEST = 32  # bytes of a value that are read
_SKEW = 60.0  # seconds that another host's clock may be ahead
_REASON = 200  # characters of the server's own words that are logged


class OnAServer:
    """What several hosts remember; see ``Deferrals``.

    The host's own memory is asked each time as well, and each is told what the other knows: so the host can answer
    while the server is away, and the server again when it has lost its memory.
    """

    def __init__(
        self, url: StateUrl, host: Deferrals, keep: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._host, self._clock = url, host, clock
        self._keep = math.ceil(keep)  # whole seconds, as the server takes them
        self._server = _connect(url)
        # Threads of our own, since only a caller that waits for another thread can stop waiting: the C library looks
        # a host name up for as long as it likes, and a handshake has as many steps, each with its own time limit.
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="state")
        self._lock = threading.Lock()
        self._away = False
        self._next = -math.inf  # on our clock: when the server may be asked again
        self._rate_limited = log.RateLimitedLog(clock)

    def since(self, key: str, now: float) -> float:
        """See ``Deferrals``."""
        here = self._host.since(key, now)
        if not self._is_due():
            return here
        try:
            asking = self._threads.submit(self._ask, key, here, now)
        except RuntimeError as error:  # the system refuses us a thread
            self._failed(str(error))
            return here
        try:
            there = asking.result(PATIENCE)
        except TimeoutError:
            asking.cancel()
            self._failed(f"no answer within {PATIENCE:g} s")
            return here
        except Exception as error:  # noqa: BLE001 - a server may say anything, and the library stumble over it
            self._failed(str(error)[:_REASON] or type(error).__name__)
            return here
        self._answered()
        if there < here:
            self._host.since(key, there)  # it keeps the earlier time
        return min(here, there)

    def _ask(self, key: str, first: float, now: float) -> float:
        """What the server knows, told of ``first`` if it knows nothing that can be right; one round trip."""
        name = PREFIX.encode() + key.encode("utf-8", "surrogatepass")
        try:
            known = self._known(name, first)
            there = first if known is None else self._believed(known, now)
            if there is None:
                self._server.set(name, repr(first), ex=self._keep)
                self._rate_limited.state_wrong(str(self._url), key)
        except BaseException:
            # What the server has sent too much must not be taken for the answer to another question.
            self._server.connection_pool.disconnect(inuse_connections=False)
            raise
        return first if there is None else there

    def _known(self, name: bytes, first: float) -> object:
        """What stands there, whatever it is; None where nothing did, and ``first`` does now."""
        both = self._server.pipeline(transaction=False)
        # SET with both NX and GET would do, but not before Redis 7, and has no bound on what it returns.
        both.set(name, repr(first), nx=True, ex=self._keep)
        both.getrange(name, 0, _LONGEST - 1)
        done, known = both.execute(raise_on_error=False)
        for answer in (done, known):
            if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
                raise answer
        return None if done else known

    def _believed(self, known: object, now: float) -> float | None:
        """The time in a value, if it can be one: none from before we would have forgotten it, or to come."""
        if not isinstance(known, bytes) or not _TIME.fullmatch(known):
            return None
        there = float(known)
        return there if now - self._keep <= there <= now + _SKEW else None

    # -- whether it is well ------------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        """Whether the server is to be asked; of one that was away, one question at a time finds out whether it is."""
        with self._lock:
            now = self._clock()
            if now < self._next:
                return False
            if self._away:
                self._next = now + REST
            return True

    def _failed(self, reason: str) -> None:
        with self._lock:
            self._away, self._next = True, self._clock() + REST
        self._rate_limited.state_away(str(self._url), reason)

    def _answered(self) -> None:
        with self._lock:
            was_away, self._away = self._away, False
            self._next = -math.inf
        if was_away:
            log.info("state server responding again", server=str(self._url))


class _Bounded:
    """A connection of the library whose answers have a bound; before it in the order of the classes."""

    def _connect(self) -> Metered:
        return Metered(super()._connect(), PATIENCE)  # type: ignore[misc]  # of the connection's class


class _Tcp(_Bounded, redis.Connection):
    pass


class _Tls(_Bounded, redis.SSLConnection):
    pass


class _Unix(_Bounded, redis.UnixDomainSocketConnection):
    pass


def _connect(url: StateUrl) -> redis.Redis:
    """The library's client, which connects at the first question."""
    place: dict[str, Any] = {"host": url.host, "port": url.port}
    match url.scheme:
        case "rediss":
            kind: type[_Bounded] = _Tls
            place |= {"ssl_check_hostname": True, **dict(url.files)}
        case "unix":
            kind, place = _Unix, {"path": url.path}
        case _:
            kind = _Tcp
    pool = redis.ConnectionPool(
        connection_class=cast(Any, kind),
        parser_class=_RESP2Parser,  # whose reads go through the socket that it is given
        socket_read_size=MOST,
        db=url.database,
        username=url.user or None,
        password=url.password or None,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # RESP3 has nothing for us, and servers before Redis 6 do not know it
        **place,
    )
    return redis.Redis(connection_pool=pool)
