"""A worker process: libmilter in a side thread over the supervisor's socket, the main thread for signals and beats.

Knows how libmilter is run: how it gets our socket, how it is drained, and why it is not stopped (its own stop takes up
to five seconds and resets open sessions). Keeps the settings with which it started. Ends when the supervisor says so or
is gone.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import syslog
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING

import milter

from spfmilter.daemon import connections
from spfmilter.daemon.child import let_signals_in
from spfmilter.daemon.connections import Unserved
from spfmilter.daemon.handover import CannotServeError, dead_end, hand_over
from spfmilter.daemon.link import Word
from spfmilter.daemon.nameservers import NameserverWatch
from spfmilter.daemon.ownfigures import OwnFigures
from spfmilter.daemon.refreshboard import RefreshReader
from spfmilter.daemon.shared import WorkerShare
from spfmilter.daemon.snapshot import Figures
from spfmilter.dns.answer import Answer
from spfmilter.dns.cache import Key
from spfmilter.evaluation.engine import Engine
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import open_signer
from spfmilter.journal.recorder import Recorder
from spfmilter.milter.callbacks import Callbacks
from spfmilter.observe import log
from spfmilter.observe.metrics import Metrics
from spfmilter.settings import Settings
from spfmilter.settings.schema import LogLevel

if TYPE_CHECKING:
    from spfmilter.helplink.token import Signer

_BEAT = 1.0  # seconds between heartbeats
_STUCK_AFTER = 30.0  # seconds beyond the time limit after which a callback counts as hung
_LONG_DRAIN = 3600.0  # seconds that sessions may go on after a reload: longer than any active SMTP session
_FIRST_PAUSE = 0.05  # seconds between the first checks for open sessions; doubled each time, up to a beat
# The threads that libmilter starts in an idle process: its main thread, one for signals, one that waits for the MTAs,
# and two that serve them.
_THREADS = 5
_FIX_THREADS = "raise TasksMax= and LimitNPROC= of the service, or ulimit -u"


class Worker:
    """Run a worker's main thread: signals, heartbeats, drain."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        link: socket.socket,
        metrics: Metrics,
        hostname: str,
        share: WorkerShare,
    ) -> None:
        """Open all that is needed to serve.

        Args:
            settings: those of this worker's generation.
            listener: the supervisor's listening socket.
            link: this worker's end of the link to the supervisor.
            metrics: of this worker's slot.
            hostname: of this host.
            share: what it has in common with the other processes.
        """
        self._settings, self._listener, self._link = settings, listener, link
        receiver = settings.headers.own_id or hostname
        self._metrics = metrics
        observe = self._observe_and_log if settings.log.level is LogLevel.DEBUG else self._observe
        self._engine = Engine(settings.dns, receiver=receiver, observe=observe)
        self._nameservers = NameserverWatch(self._engine.resolver, share.reports)
        self._journal = _recorder(settings, share, receiver)
        signer = _signer(settings)
        self._exemptions = share.exemptions
        self._refreshed = RefreshReader(share.refreshed, self._engine)
        self._callbacks = Callbacks(
            settings,
            self._engine,
            receiver,
            metrics,
            deferrals=share.deferrals,
            exemptions=share.exemptions.current,
            signer=signer,
            journal=self._journal,
        )
        self._libmilter = threading.Thread(target=self._run_libmilter, name="libmilter", daemon=True)
        self._ended: list[str] = []  # why libmilter returned, if it has
        self._signals: list[int] = []
        self._alone = False  # the supervisor is gone
        self._replace = False  # the supervisor has been asked for a replacement
        self._unserved = Unserved(listener.getsockname(), settings.dns.timeout.seconds + _STUCK_AFTER)
        self._lost = False  # sessions that no thread serves have been found
        self._unsaid = b""  # words that the supervisor has not taken yet
        # Open everything that is needed to watch and to end now: once descriptors have run out, it is too late.
        self._wakeup, self._wake = socket.socketpair()
        self._dead_end = dead_end()
        self._own = OwnFigures(self._engine, self._callbacks)
        self._report = share.report
        self._poll = select.poll()
        for end in (self._wakeup, self._link):
            self._poll.register(end, select.POLLIN)

    def _observe(self, _key: Key, answer: Answer, _seconds: float) -> None:
        self._metrics.dns_query(_outcome(answer))

    def _observe_and_log(self, key: Key, answer: Answer, seconds: float) -> None:
        self._observe(key, answer, seconds)
        rdtype, name = key
        texts = answer.texts(rdtype)
        log.lookup(name, rdtype.name, _outcome(answer), texts, reason=answer.failure, ttl=answer.ttl, seconds=seconds)

    def serve(self) -> int:
        """Serve until told to stop. Return the exit status."""
        for end in (self._wakeup, self._wake):
            end.setblocking(False)  # noqa: FBT003 - the standard library's signature
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGUSR2, _wake_up)
        for number in (signal.SIGHUP, signal.SIGINT):  # these are for the supervisor; libmilter would stop on them
            signal.signal(number, signal.SIG_IGN)
        let_signals_in()
        # Loaded objects stay for good. So the collector need not visit them again and again, and the pages that it does
        # not touch stay shared with the supervisor.
        gc.freeze()
        _silence_syslog()
        self._callbacks.register()
        try:
            descriptor = self._start_libmilter()
        except CannotServeError as error:
            log.error("worker cannot serve", reason=str(error), fix=error.fix)
            return os.EX_OSERR
        self._tell(Word.READY)
        self._wait()
        self._drain(descriptor)
        self._nameservers.withdraw()
        if self._journal is not None:
            self._journal.close()
        return 1 if self._ended else 0

    def _start_libmilter(self) -> int:
        """Let libmilter serve our socket. Return the descriptor that libmilter uses for it.

        Raises:
            CannotServeError: the system lacks what it needs.
        """
        # libmilter would notice a missing thread only later, after we have reported that we serve.
        if not connections.can_start_threads(_THREADS):
            raise CannotServeError("the system refuses the threads that a worker needs", _FIX_THREADS)
        descriptor = hand_over(self._listener)
        try:
            self._libmilter.start()
        except (RuntimeError, MemoryError) as error:
            raise CannotServeError(str(error) or "out of memory", _FIX_THREADS) from None
        return descriptor

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _run_libmilter(self) -> None:
        try:
            milter.main()
            self._ended.append("libmilter returned")
        except milter.error as error:
            self._ended.append(str(error))
        self._wake.send(b"\0")

    def _wait(self) -> None:
        """Send heartbeats until a signal comes, libmilter ends, or the supervisor is gone."""
        while not (self._signals or self._ended or self._alone):
            self._hear(_BEAT)
            self._callbacks.running.settle()
            self._beat()
        if self._ended:
            fix = "report it, if it happens again; another worker takes the place of this one"
            log.error("libmilter returned", reason=self._ended[0], fix=fix)
            self._tell(Word.REPLACE)

    def _hear(self, seconds: float) -> None:
        """Wait at most ``seconds`` for a signal, libmilter's end or the supervisor's end."""
        log.flush()
        self._metrics.log_lines_lost(log.lost())
        self._nameservers.look()
        self._exemptions.refresh()
        self._refreshed.look()
        ready = dict(self._poll.poll(seconds * 1000))
        if self._wakeup.fileno() in ready:
            self._wakeup.recv(4096)
        if self._link.fileno() in ready and self._is_alone():
            fix = "find out what killed it (journalctl -k); systemd starts the daemon again"
            log.warning("supervisor exited, worker terminating", fix=fix)
            self._poll.unregister(self._link)
            self._alone = True

    def _is_alone(self) -> bool:
        try:
            return not self._link.recv(64)
        except ConnectionResetError:  # the supervisor was killed before it had read everything that we sent
            return True

    def _beat(self) -> None:
        """Send a heartbeat, unless a callback hangs. Ask to be replaced when we use too much memory."""
        limit = self._settings.dns.timeout.seconds + _STUCK_AFTER
        if self._callbacks.running.longest() > limit:
            return
        self._tell(Word.BEAT)
        for name, counters in self._engine.counters().items():
            self._metrics.cache(name, counters)
        own = self._report_figures()
        if not self._replace and (size := own.memory) > self._settings.milter.memory_limit.bytes:
            self._replace = True
            limit_of = self._settings.milter.memory_limit
            log.warning(
                "worker memory limit exceeded, replacing worker",
                memory=size,
                memory_limit=str(limit_of),
                fix="if this goes on, raise [milter] memory_limit, or lower [dns] cache_entries",
            )
            self._tell(Word.REPLACE)
        self._find_unserved()

    def _report_figures(self) -> Figures:
        """Send the rows of the journal, and report how this worker stands."""
        if self._journal is not None:
            self._journal.flush()
        self._report(own := self._own.now())
        return own

    def _find_unserved(self) -> None:
        """Ask to be replaced when there are sessions that no thread serves: only the end of this process frees them."""
        now = time.monotonic()
        if not self._unserved.is_due(now):
            return
        if (number := self._unserved.look(now, self._callbacks.running.longest())) and not self._lost:
            self._lost = self._replace = True
            log.error(
                "threads refused by the system, sessions not served, replacing worker",
                pid=os.getpid(),
                sessions=number,
                threads=_threads(),
                fix=_FIX_THREADS,
            )
            self._tell(Word.REPLACE)

    def _tell(self, word: Word) -> None:
        """Send a word without waiting for a supervisor that does not read. An unsent word is sent with the next one."""
        self._unsaid = self._unsaid.replace(Word.BEAT.value, b"") + word.value
        try:
            self._unsaid = self._unsaid[self._link.send(self._unsaid, socket.MSG_DONTWAIT) :]
        except OSError:  # the supervisor does not read, or is gone, which the next poll sees
            return

    def _drain(self, descriptor: int) -> None:
        """Accept no new session, and let the open ones finish.

        An unreachable socket replaces the listening one. libmilter then waits for connections that never come, and
        serves the open ones.
        """
        name = self._listener.getsockname()
        os.dup2(self._dead_end.fileno(), descriptor, inheritable=False)
        self._listener.close()
        # A running poll(2) keeps the old socket for up to five seconds. In this time no process serves its queue, and
        # no other process can listen there. A signal makes libmilter call poll(2) again.
        if self._libmilter.is_alive() and self._libmilter.ident is not None:
            signal.pthread_kill(self._libmilter.ident, signal.SIGUSR2)
        self._tell(Word.DRAINING)
        if left := self._let_finish(name):
            fix = "if they need longer, raise [milter] drain_timeout"
            log.warning("sessions disconnected after drain_timeout", sessions=left, fix=fix)
        if self._unserved.number:
            log.warning("sessions without a thread disconnected", sessions=self._unserved.number, fix=_FIX_THREADS)

    def _let_finish(self, name: object) -> int:
        """Wait until no connection to ``name`` is open. Return how many still are when the time is over.

        Counts sockets, not the callbacks' sessions: a connection exists before its first command and between two SMTP
        sessions of the MTA. Connections that no thread serves would stay forever, so they do not count.
        """
        hurried, deadline = False, time.monotonic() + _LONG_DRAIN
        pause, idle = _FIRST_PAUSE, 0
        while True:
            left = self._left(name)
            idle = 0 if left else idle + 1
            # Look twice, since libmilter may have been about to accept when the listening socket was replaced.
            if idle >= 2 or time.monotonic() >= deadline:
                return left
            if not hurried and (self._alone or self._ended or signal.SIGTERM in self._signals):
                hurried = True
                deadline = min(deadline, time.monotonic() + self._settings.milter.drain_timeout.seconds)
            self._hear(pause if left else _FIRST_PAUSE)
            self._callbacks.running.settle()
            self._tell(Word.BEAT)
            self._report_figures()
            pause = min(2 * pause, _BEAT)

    def _left(self, name: object) -> int:
        """Return how many connections a thread serves or may still serve."""
        left, now = connections.count(name), time.monotonic()
        if left and (self._unserved.is_due(now) or left <= self._unserved.number):
            self._unserved.look(now, self._callbacks.running.longest())
        return max(0, left - self._unserved.number)


def _outcome(answer: Answer) -> str:
    """Return how a lookup ended, in the words of the metrics."""
    return "own resolver" if answer.local_failure else answer.status.value


def _threads() -> int:
    """Return how many threads this process has, libmilter's included (proc(5))."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - the number is enough
    except OSError:
        return 0


def _signer(settings: Settings) -> Signer | None:
    """Return the signer of help page links; None if its secrets have gone since the start, since mail must go on."""
    try:
        return open_signer(settings)
    except SecretError as error:
        fix = "correct what the reason names, then systemctl reload spfmilter"
        log.error("help page links disabled", reason=str(error), fix=fix)
        return None


def _recorder(settings: Settings, share: WorkerShare, host: str) -> Recorder | None:
    """Return what records decisions in the journal; None: the settings want none."""
    if settings.journal.url is None:
        return None
    return Recorder(share.sender, share.counts, host=host, local_parts=settings.journal.local_parts)


def _silence_syslog() -> None:
    """Stop libmilter from calling syslog(3), which waits for a syslog daemon that hangs, so all mail would wait.

    A client whose address the MTA calls "unknown" is enough for a message. Our own log does not use syslog(3).
    """
    syslog.setlogmask(syslog.LOG_MASK(syslog.LOG_EMERG))


def _wake_up(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the signal only has to interrupt a system call."""
