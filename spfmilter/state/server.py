"""A Redis or Valkey server that several hosts share. While it does not answer, this host uses its own memory.

Knows the server's protocol through the library ``redis``, how long to wait for an answer, and which answers are
plausible: others may write to the server, and a wrong time would accept every sender. Loaded only if the settings name
a server.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from spfmilter.observe import log
from spfmilter.observe.ratelimited import RateLimitedLog
from spfmilter.settings.urls import StateUrl
from spfmilter.state.connection import connect, reason_of
from spfmilter.state.deferrals import Deferrals

PREFIX = "spfmilter:defer:"  # of our keys on the server: a contract between hosts of all versions
TIMEOUT = 0.25  # seconds that a question may take, name lookup and handshake included
BACKOFF = 10.0  # seconds for which a failed server is not asked
_CONNECTIONS = 4  # of one worker, at most
_TIME = re.compile(rb"[0-9]{1,12}(?:\.[0-9]{1,9})?")  # Unix time in seconds, as hosts write it
_MAX_LENGTH = 32  # bytes that are read of a value
_SKEW = 60.0  # seconds that another host's clock may be ahead


class OnAServer:
    """Deferrals that several hosts share; see ``Deferrals``.

    Each question goes to this host's own memory as well, and each store learns what the other knows. So the host can
    answer while the server is away. The server gets its data back after it has lost its memory.
    """

    def __init__(
        self, url: StateUrl, host: Deferrals, keep: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self._host, self._clock = url, host, clock
        self._keep = math.ceil(keep)  # whole seconds, as the server takes them
        self._server = connect(url, seconds=TIMEOUT)
        # Separate threads, since a caller can stop waiting only for another thread. The C library sets no limit for a
        # name lookup, and a handshake has several steps, each with its own time limit.
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="state")
        self._lock = threading.Lock()
        self._away = False
        self._next = -math.inf  # on our clock: when we may ask the server again
        self._rate_limited = RateLimitedLog(clock)

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
            there = asking.result(TIMEOUT)
        except TimeoutError:
            asking.cancel()
            self._failed(f"no answer within {TIMEOUT:g} s")
            return here
        except Exception as error:  # noqa: BLE001 - a server may send anything, and the library may fail on it
            self._failed(reason_of(error))
            return here
        self._answered()
        if there < here:
            self._host.since(key, there)  # the host keeps the earlier time
        return min(here, there)

    def _ask(self, key: str, first: float, now: float) -> float:
        """Return the server's time for the key, in Unix seconds.

        If the server has none, or not a plausible one, write ``first`` there and return it. Takes one round trip; a
        second one to correct a wrong value.
        """
        name = PREFIX.encode() + key.encode("utf-8", "surrogatepass")
        try:
            known = self._known(name, first)
            there = first if known is None else self._believed(known, now)
            if there is None:
                self._server.set(name, repr(first), ex=self._keep)
                self._rate_limited.state_wrong(str(self._url), key)
        except BaseException:
            # Surplus bytes from the server must not be taken for the answer to the next question.
            self._server.connection_pool.disconnect(inuse_connections=False)
            raise
        return first if there is None else there

    def _known(self, name: bytes, first: float) -> object:
        """Return the unchecked value of the key; None if there was none, and ``first`` was written."""
        both = self._server.pipeline(transaction=False)
        # SET with both NX and GET would be enough, but needs Redis 7, and its answer has no size limit.
        both.set(name, repr(first), nx=True, ex=self._keep)
        both.getrange(name, 0, _MAX_LENGTH - 1)
        done, known = both.execute(raise_on_error=False)
        for answer in (done, known):
            if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
                raise answer
        return None if done else known

    def _believed(self, known: object, now: float) -> float | None:
        """Return the time in a value; None if it is not plausible.

        A plausible time is neither in the future nor older than ``keep``.
        """
        if not isinstance(known, bytes) or not _TIME.fullmatch(known):
            return None
        there = float(known)
        return there if now - self._keep <= there <= now + _SKEW else None

    # -- the server's health -----------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        """Return whether to ask the server. While it is away, only one question each ``BACKOFF`` seconds probes it."""
        with self._lock:
            now = self._clock()
            if now < self._next:
                return False
            if self._away:
                self._next = now + BACKOFF
            return True

    def _failed(self, reason: str) -> None:
        with self._lock:
            self._away, self._next = True, self._clock() + BACKOFF
        self._rate_limited.state_away(str(self._url), reason)

    def _answered(self) -> None:
        with self._lock:
            was_away, self._away = self._away, False
            self._next = -math.inf
        if was_away:
            log.info("state server responding again", server=str(self._url))


def ping(url: StateUrl) -> str:
    """Return why the server does not answer within the usual time; empty if it does. For a person, not for mail."""
    server = connect(url, seconds=TIMEOUT)
    try:
        server.ping()
    except Exception as error:  # noqa: BLE001 - a server may send anything, and the library may fail on it
        return reason_of(error)
    finally:
        server.close()
    return ""
