"""A Redis or Valkey server that several hosts share; while it does not answer, this host's own memory stands in.

Knows the server's protocol through the library ``redis``, and how long it may be waited for. Loaded only where the
settings name a server.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from spfmilter.observe import log
from spfmilter.settings.urls import StateUrl

if TYPE_CHECKING:
    from spfmilter.state import Deferrals

PREFIX = "spfmilter:defer:"  # of our keys there: a contract between the hosts, whatever their version
PATIENCE = 0.25  # seconds that a question may take, whatever it waits for
REST = 10.0  # seconds for which a server that has failed is left alone
_CONNECTIONS = 4  # of a worker at most
_FAILURES = (redis.RedisError, OSError, ValueError)


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
        self._seldom = log.Seldom(clock)

    def since(self, key: str, now: float) -> float:
        """See ``Deferrals``."""
        here = self._host.since(key, now)
        if not self._is_due():
            return here
        try:
            asking = self._threads.submit(self._ask, key, here)
        except RuntimeError as error:  # the system refuses us a thread
            self._failed(str(error))
            return here
        try:
            there = asking.result(PATIENCE)
        except TimeoutError:
            asking.cancel()
            self._failed(f"no answer within {PATIENCE:g} s")
            return here
        except _FAILURES as error:
            self._failed(str(error))
            return here
        self._answered()
        if there < here:
            self._host.since(key, there)  # it keeps the earlier time
        return min(here, there)

    def _ask(self, key: str, first: float) -> float:
        """What the server knows, told of ``first`` if it knows nothing; one round trip."""
        name = PREFIX.encode() + key.encode("utf-8", "surrogatepass")
        both = self._server.pipeline(transaction=False)
        # SET with both NX and GET would do, but not before Redis 7.
        both.set(name, repr(first), nx=True, ex=self._keep)
        both.get(name)
        _, known = both.execute()
        there = first if known is None else float(known)  # it may just have ended
        if not math.isfinite(there):
            raise ValueError("the server holds something else than a time under our key")
        return there

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
        self._seldom.state_away(str(self._url), reason)

    def _answered(self) -> None:
        with self._lock:
            was_away, self._away = self._away, False
            self._next = -math.inf
        if was_away:
            log.info("state server answers again", server=str(self._url))


def _connect(url: StateUrl) -> redis.Redis:
    """The library's client, which connects at the first question."""
    tls: dict[str, Any] = {"ssl": True, "ssl_check_hostname": True, **dict(url.files)} if url.scheme == "rediss" else {}
    return redis.Redis(
        host=url.host,
        port=url.port,
        unix_socket_path=url.path or None,
        db=url.database,
        username=url.user or None,
        password=url.password or None,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # RESP3 has nothing for us, and servers before Redis 6 do not know it
        **tls,
    )
