"""Evaluate a refused case again when its help page finds it passing, and let the workers forget what is outdated.

Two tasks of the storage process: one answers the help page of this host, one exchanges tokens with the other hosts.
Knows how tokens are verified, how many are evaluated at a time, and what to log (docs/decisions/0068-refresh.md).
"""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from spfmilter.daemon.refreshboard import RefreshBoard
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.fresh import evaluate_afresh
from spfmilter.helplink.check import check_of
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import open_signer
from spfmilter.helplink.token import Case, TokenError
from spfmilter.model import Result
from spfmilter.observe import log
from spfmilter.observe.ratelimited import RateLimitedLog
from spfmilter.refresh import pagelink
from spfmilter.refresh.hosts import MAX_TOKENS, Hosts, HostsError
from spfmilter.refresh.limits import RefreshLimits, RefreshOutcome
from spfmilter.refresh.opening import open_hosts
from spfmilter.refresh.wanted import has_hosts, has_page
from spfmilter.settings import Settings
from spfmilter.settings.values import Duration

EVERY = 0.5  # seconds between two looks for other hosts' tokens
_THREADS = 8  # evaluations at a time
_PLACES = 4 * _THREADS  # evaluated or waiting
_TIME = 10.0  # seconds for one
_PAUSE = 30.0  # seconds until another attempt to listen


class Refresher:
    """Evaluates cases afresh, for both tasks."""

    def __init__(self, settings: Settings, board: RefreshBoard) -> None:
        self._settings, self._board = settings, board
        self._time = Duration(min(_TIME, settings.dns.timeout.seconds))
        self._engine = Engine(settings.dns.uncached())
        self._lock = threading.Lock()
        self._limits = RefreshLimits()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="refresh")
        self._places = threading.BoundedSemaphore(_PLACES)

    def submit(self, work: Callable[[], object]) -> bool:
        """Run this in a thread. Return False if too much is waiting already."""
        if not self._places.acquire(blocking=False):
            return False
        self._pool.submit(_guarded, work).add_done_callback(lambda _: self._places.release())
        return True

    def refresh(self, token: str, by: str) -> RefreshOutcome:
        """Evaluate the case of a token, which is untrusted input. If it passes, let the workers forget.

        Args:
            token: as the page or another host has sent it.
            by: who has sent it, for the log.
        """
        case = self._case(token)
        if case is None:
            return RefreshOutcome.INVALID
        with self._lock:
            if (known := self._limits.known(case)) is not None:
                return known
            if not self._limits.admit(case):
                return RefreshOutcome.LIMITED
        outcome = self._evaluate(case, by)
        with self._lock:
            self._limits.note(case, outcome)
        return outcome

    def _case(self, token: str) -> Case | None:
        """Return the case of a message that was not passed; None: the token is not one of ours."""
        try:
            signer = open_signer(self._settings)  # at each token: the file of secrets may have changed
            if signer is None:
                return None
            case = signer.read(token, max_age=self._settings.web.token_lifetime.seconds, now=time.time())
        except (SecretError, TokenError):
            return None
        return case if case.result is not Result.PASS else None

    def _evaluate(self, case: Case, by: str) -> RefreshOutcome:
        verdict, fresh = evaluate_afresh(self._engine, check_of(case), self._engine.clock() + self._time.seconds)
        if verdict.fault is not None:
            log.fault("refresh", verdict.fault)
        if verdict.result is not Result.PASS:
            return RefreshOutcome.NOT_PASSING
        try:
            with self._lock:
                self._board.add(fresh, self._engine.clock())
        except OSError:  # no memory: the answers end by their TTL
            return RefreshOutcome.LIMITED
        log.info("corrected record seen", domain=case.domain, client=str(case.address), case=case.id, by=by)
        return RefreshOutcome.REFRESHED


def _guarded(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:  # noqa: BLE001 - a bug: mail does not depend on it, and the next token may be another case
        log.fault("refresh", traceback.format_exc())


class PageTask:
    """Answers the help page of this host; see ``storage.Task``."""

    name = "help page link"

    def __init__(self, settings: Settings, refresher: Refresher, hosts: HostsTask | None) -> None:
        """Prepare. ``hosts`` is given each token whose case passes; None: there are no other hosts."""
        self._folder, self._refresher, self._hosts = settings.state.folder, refresher, hosts
        self._rate_limited = RateLimitedLog()

    def run(self, ending: threading.Event) -> None:
        """Answer until ``ending`` is set."""
        while not ending.is_set():
            try:
                listener = pagelink.Listener(self._folder)
            except OSError as error:
                self._rate_limited.page_unheard(self._folder, error.strerror or str(error))
                ending.wait(_PAUSE)
                continue
            try:
                self._listen(listener, ending)
            except OSError as error:
                self._rate_limited.page_unheard(self._folder, error.strerror or str(error))
                ending.wait(EVERY)
            finally:
                listener.close()

    def _listen(self, listener: pagelink.Listener, ending: threading.Event) -> None:
        while not ending.is_set():
            connection = listener.accept(EVERY)
            if connection is not None and not self._refresher.submit(functools.partial(self._answer, connection)):
                pagelink.answer(connection, RefreshOutcome.LIMITED)

    def _answer(self, connection: pagelink.Connection) -> None:
        token = pagelink.question(connection)
        outcome = self._refresher.refresh(token, "help page") if token else RefreshOutcome.INVALID
        pagelink.answer(connection, outcome)
        if outcome is RefreshOutcome.REFRESHED and self._hosts is not None:
            self._hosts.hand_on(token)


class HostsTask:
    """Exchanges tokens with the other hosts; see ``storage.Task``."""

    name = "other hosts"

    def __init__(
        self, settings: Settings, refresher: Refresher, *, opened: Callable[[Settings], Hosts] = open_hosts
    ) -> None:
        self._settings, self._refresher, self._opened = settings, refresher, opened
        self._hosts: Hosts | None = None
        self._out: deque[str] = deque(maxlen=MAX_TOKENS)
        self._wake = threading.Event()
        self._rate_limited = RateLimitedLog()

    def hand_on(self, token: str) -> None:
        """Send a token soon. Called by other threads."""
        self._out.append(token)
        self._wake.set()

    def run(self, ending: threading.Event) -> None:
        """Exchange tokens until ``ending`` is set."""
        try:
            while not ending.is_set():
                self.step()
                self._wake.wait(EVERY)
                self._wake.clear()
        finally:
            if self._hosts is not None:
                self._hosts.close()
                self._hosts = None

    def step(self) -> None:
        """Send what waits, and look once for what has come. A server that is away costs these tokens, and no mail."""
        try:
            if self._hosts is None:
                self._hosts = self._opened(self._settings)
            while self._out:
                self._hosts.send(self._out.popleft())
            come = self._hosts.receive()
        except HostsError as error:
            self._rate_limited.hosts_unreached(str(error))
            return
        for token in dict.fromkeys(come):  # our own come back, too; what became of them is still known
            self._refresher.submit(functools.partial(self._refresher.refresh, token, "another host"))


def tasks(settings: Settings, board: RefreshBoard) -> Sequence[PageTask | HostsTask]:
    """Return the tasks that the settings ask for. Call this in the storage process."""
    refresher = Refresher(settings, board)
    hosts = HostsTask(settings, refresher) if has_hosts(settings) else None
    page = PageTask(settings, refresher, hosts) if has_page(settings) else None
    return [task for task in (page, hosts) if task is not None]
