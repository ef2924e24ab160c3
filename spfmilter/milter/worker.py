"""A worker process: libmilter in a side thread over the supervisor's socket, the main thread for signals and beats.

Knows libmilter's life: how our socket is put under it, how it is drained, why it is not stopped (its own stop takes up
to five seconds and resets open sessions). Serves the settings with which it began, and ends when the supervisor says so
or is gone.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType

import milter

from spfmilter.evaluation.answer import Answer
from spfmilter.evaluation.engine import Engine
from spfmilter.milter.callbacks import Callbacks
from spfmilter.milter.child import let_signals_in
from spfmilter.milter.link import Word
from spfmilter.observe import log
from spfmilter.observe.metrics import Metrics
from spfmilter.settings import Settings

_MTA_PATIENCE = 7210  # seconds without a word from the MTA: libmilter's default, an SMTP session's longest pause
_BEAT = 1.0  # seconds between heartbeats
_STUCK_AFTER = 30.0  # seconds beyond the time limit after which a callback is taken to hang
_PATIENT_DRAIN = 3600.0  # seconds that sessions may go on after a reload: longer than any SMTP session at work
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Worker:
    """The main thread's view of a worker."""

    def __init__(self, settings: Settings, listener: socket.socket, link: socket.socket, metrics: Metrics) -> None:
        self._settings, self._listener, self._link = settings, listener, link
        hostname = settings.headers.authserv_id or socket.gethostname()
        self._metrics = metrics
        self._engine = Engine(settings.dns, receiver=hostname, observe=self._observe)
        self._callbacks = Callbacks(settings, self._engine, hostname, metrics)
        self._ended: list[str] = []  # why libmilter has ended, if it has
        self._signals: list[int] = []
        self._heavy = False  # the supervisor has been asked for a replacement

    def _observe(self, answer: Answer) -> None:
        self._metrics.dns_query("own resolver" if answer.ours else answer.status.value)

    def serve(self) -> int:
        """Serve until told to stop; the exit status."""
        wakeup, wake = socket.socketpair()
        for end in (wakeup, wake):
            end.setblocking(False)  # noqa: FBT003 - the standard library's signature
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._on_signal)
        for number in (signal.SIGHUP, signal.SIGINT):  # the supervisor's; libmilter would stop on them
            signal.signal(number, signal.SIG_IGN)
        let_signals_in()
        self._callbacks.register()
        descriptor = _hand_over(self._listener)
        threading.Thread(target=self._run_libmilter, args=(wake,), name="libmilter", daemon=True).start()
        self._tell(Word.READY)
        self._wait(wakeup)
        self._drain(descriptor)
        return 1 if self._ended else 0

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _run_libmilter(self, wake: socket.socket) -> None:
        try:
            milter.main()
            self._ended.append("libmilter returned")
        except milter.error as error:
            self._ended.append(str(error))
        wake.send(b"\0")

    def _wait(self, wakeup: socket.socket) -> None:
        """Beat until a signal comes, libmilter ends, or the supervisor is gone."""
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        poll.register(self._link, select.POLLIN)
        while not (self._signals or self._ended):
            events = dict(poll.poll(_BEAT * 1000))
            if self._link.fileno() in events and not self._link.recv(64):
                log.warning("the supervisor is gone, this worker ends")
                return
            self._beat()
        if self._ended:
            log.error("libmilter has ended", reason=self._ended[0])

    def _beat(self) -> None:
        """Say that we are alive, unless a callback hangs; ask to be replaced when we have grown too large."""
        limit = self._settings.dns.timeout.seconds + _STUCK_AFTER
        if self._callbacks.longest_running() > limit:
            return
        self._tell(Word.BEAT)
        for name, counters in self._engine.counters().items():
            self._metrics.cache(name, counters)
        if not self._heavy and resident_memory() > self._settings.milter.memory_limit.bytes:
            self._heavy = True
            log.warning("worker is to be replaced, it has grown", memory=resident_memory())
            self._tell(Word.HEAVY)

    def _tell(self, word: Word) -> None:
        try:
            self._link.send(word.value)
        except OSError:  # the supervisor is gone, which the next poll sees
            return

    def _drain(self, descriptor: int) -> None:
        """Take no new session, and let the open ones finish.

        A socket that nobody can reach takes the place of the listening one: libmilter goes on to wait for connections
        on it, which never come, and serves those that it has.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as dead_end:
            dead_end.bind("")  # an abstract name that the kernel chooses
            dead_end.listen(1)
            os.dup2(dead_end.fileno(), descriptor, inheritable=False)
        self._listener.close()
        self._tell(Word.DRAINING)
        start, limit = time.monotonic(), self._settings.milter.drain_timeout.seconds
        if self._ended:
            limit = 0.0
        elif self._signals and signal.SIGTERM not in self._signals:
            limit = _PATIENT_DRAIN
        while (left := self._callbacks.wait_until_idle(0.2)) and time.monotonic() - start < limit:
            self._tell(Word.BEAT)
            if signal.SIGTERM in self._signals:
                limit = min(limit, self._settings.milter.drain_timeout.seconds)
        if left:
            log.warning("sessions cut at the end of drain_timeout", sessions=left)


def _hand_over(listener: socket.socket) -> int:
    """Put our socket in the place of the one that libmilter opens; the descriptor that libmilter knows.

    libmilter takes no descriptor, so it opens a socket of the same family somewhere harmless, which is then replaced
    (dup2). Its address family must be that of ours.
    """
    with tempfile.TemporaryDirectory(prefix="spfmilter-") as folder:
        names = {
            socket.AF_INET: "inet:0@127.0.0.1",
            socket.AF_INET6: "inet6:0@::1",
            socket.AF_UNIX: f"unix:{folder}/socket",
        }
        milter.setconn(names[socket.AddressFamily(listener.family)])
        milter.settimeout(_MTA_PATIENCE)
        before = _descriptors()
        milter.opensocket(False)  # noqa: FBT003 - pymilter's signature; nothing of this name can be there
        (descriptor,) = _descriptors() - before
    os.dup2(listener.fileno(), descriptor, inheritable=False)
    return descriptor


def _descriptors() -> set[int]:
    """The open sockets of this process."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if str(entry.readlink()).startswith("socket:"):
                found.add(int(entry.name))
        except FileNotFoundError:  # the descriptor of this very listing
            continue
    return found


def resident_memory() -> int:
    """The resident memory of this process, in bytes (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_bytes().split()[1]) * _PAGE
