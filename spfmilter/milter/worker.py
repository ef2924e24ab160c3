"""A worker process: libmilter in a side thread over the supervisor's socket, the main thread for signals and beats.

Knows libmilter's life: how our socket is put under it, how it is drained, why it is not stopped (its own stop takes up
to five seconds and resets open sessions). Serves the settings with which it began, and ends when the supervisor says so
or is gone.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import milter

from spfmilter.evaluation.answer import Answer
from spfmilter.evaluation.engine import Engine
from spfmilter.milter.callbacks import Callbacks
from spfmilter.milter.child import let_signals_in
from spfmilter.milter.link import Word
from spfmilter.observe import log
from spfmilter.observe.metrics import Metrics
from spfmilter.refusal import open_signer
from spfmilter.secretfile import SecretError
from spfmilter.settings import Settings
from spfmilter.state import Deferrals

if TYPE_CHECKING:
    from spfmilter.token import Signer

_MTA_PATIENCE = 7210  # seconds without a word from the MTA: libmilter's default, an SMTP session's longest pause
_BEAT = 1.0  # seconds between heartbeats
_STUCK_AFTER = 30.0  # seconds beyond the time limit after which a callback is taken to hang
_PATIENT_DRAIN = 3600.0  # seconds that sessions may go on after a reload: longer than any SMTP session at work
_FIRST_PAUSE = 0.05  # seconds between the first looks at whether sessions are open; then doubled up to a beat
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Seconds after which a thread that waits for Python's lock asks for it (docs/decisions/0025-one-question.md). It wakes
# up for that: with Python's own 5 ms, a thousand threads that wait leave no processor time to the one that works.
_SWITCH_INTERVAL = 0.1


class Worker:
    """The main thread's view of a worker."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        link: socket.socket,
        metrics: Metrics,
        hostname: str,
        *,
        deferrals: Deferrals,
    ) -> None:
        self._settings, self._listener, self._link = settings, listener, link
        receiver = settings.headers.authserv_id or hostname
        self._metrics = metrics
        own_addresses = settings.policy.own_addresses
        self._engine = Engine(settings.dns, receiver=receiver, own_addresses=own_addresses, observe=self._observe)
        signer = _signer(settings)
        self._callbacks = Callbacks(settings, self._engine, receiver, metrics, deferrals=deferrals, signer=signer)
        self._libmilter = threading.Thread(target=self._run_libmilter, name="libmilter", daemon=True)
        self._ended: list[str] = []  # why libmilter has ended, if it has
        self._signals: list[int] = []
        self._alone = False  # the supervisor is gone
        self._replace = False  # the supervisor has been asked for a replacement
        # All that is needed to watch and to end is opened now: when descriptors have run out, it is too late.
        self._wakeup, self._wake = socket.socketpair()
        self._dead_end = _dead_end()
        self._memory = Memory()
        self._poll = select.poll()
        for end in (self._wakeup, self._link):
            self._poll.register(end, select.POLLIN)

    def _observe(self, answer: Answer) -> None:
        self._metrics.dns_query("own resolver" if answer.ours else answer.status.value)

    def serve(self) -> int:
        """Serve until told to stop; the exit status."""
        for end in (self._wakeup, self._wake):
            end.setblocking(False)  # noqa: FBT003 - the standard library's signature
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGUSR2, _wake_up)
        for number in (signal.SIGHUP, signal.SIGINT):  # the supervisor's; libmilter would stop on them
            signal.signal(number, signal.SIG_IGN)
        let_signals_in()
        # What has been loaded is there for good: the collector need not walk through it again and again, and pages that
        # it does not touch stay shared with the supervisor.
        gc.freeze()
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._callbacks.register()
        descriptor = _hand_over(self._listener)
        self._libmilter.start()
        self._tell(Word.READY)
        self._wait()
        self._drain(descriptor)
        return 1 if self._ended else 0

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
        """Beat until a signal comes, libmilter ends, or the supervisor is gone."""
        while not (self._signals or self._ended or self._alone):
            self._hear(_BEAT)
            self._beat()
        if self._ended:
            log.error("libmilter has ended", reason=self._ended[0])
            self._tell(Word.REPLACE)

    def _hear(self, seconds: float) -> None:
        """Wait for a signal, libmilter's end or the supervisor's, so many seconds at most."""
        ready = dict(self._poll.poll(seconds * 1000))
        if self._wakeup.fileno() in ready:
            self._wakeup.recv(4096)
        if self._link.fileno() in ready and self._is_alone():
            log.warning("the supervisor is gone, this worker ends")
            self._poll.unregister(self._link)
            self._alone = True

    def _is_alone(self) -> bool:
        try:
            return not self._link.recv(64)
        except ConnectionResetError:  # it was killed before it had read all that we said
            return True

    def _beat(self) -> None:
        """Say that we are alive, unless a callback hangs; ask to be replaced when we have grown too large."""
        limit = self._settings.dns.timeout.seconds + _STUCK_AFTER
        if self._callbacks.longest_running() > limit:
            return
        self._tell(Word.BEAT)
        for name, counters in self._engine.counters().items():
            self._metrics.cache(name, counters)
        if not self._replace and (size := self._memory.resident()) > self._settings.milter.memory_limit.bytes:
            self._replace = True
            limit_of = self._settings.milter.memory_limit
            log.warning("worker is to be replaced, it has grown", memory=size, memory_limit=str(limit_of))
            self._tell(Word.REPLACE)

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
        name = self._listener.getsockname()
        os.dup2(self._dead_end.fileno(), descriptor, inheritable=False)
        self._listener.close()
        # A poll(2) that has begun holds on to the old socket, for up to five seconds, in which nobody serves its queue
        # and nobody else can listen there. A signal makes libmilter begin another one.
        if self._libmilter.is_alive() and self._libmilter.ident is not None:
            signal.pthread_kill(self._libmilter.ident, signal.SIGUSR2)
        self._tell(Word.DRAINING)
        if left := self._let_finish(name):
            log.warning("sessions cut at the end of drain_timeout", sessions=left)

    def _let_finish(self, name: object) -> int:
        """Wait until no connection to ``name`` is open; the number of those that still are when the time is over.

        Not the callbacks' sessions are counted but the sockets: a connection is there before its first word, and stays
        between two SMTP sessions of the MTA.
        """
        hurried, deadline = False, time.monotonic() + _PATIENT_DRAIN
        pause, idle = _FIRST_PAUSE, 0
        while True:
            left = _connections(name)
            idle = 0 if left else idle + 1
            # Twice, since libmilter may have been about to accept when the listening socket was taken away.
            if idle >= 2 or time.monotonic() >= deadline:
                return left
            if not hurried and (self._alone or self._ended or signal.SIGTERM in self._signals):
                hurried = True
                deadline = min(deadline, time.monotonic() + self._settings.milter.drain_timeout.seconds)
            self._hear(pause if left else _FIRST_PAUSE)
            self._tell(Word.BEAT)
            pause = min(2 * pause, _BEAT)


class Memory:
    """The resident memory of this process."""

    def __init__(self) -> None:
        self._file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def resident(self) -> int:
        """In bytes (proc(5))."""
        return int(os.pread(self._file, 256, 0).split()[1]) * _PAGE


def _signer(settings: Settings) -> Signer | None:
    """Who signs links to the help page; none where its secrets have gone since the start: mail is not to suffer."""
    try:
        return open_signer(settings)
    except SecretError as error:
        log.error("no links to the help page", reason=str(error))
        return None


def _wake_up(_number: int, _frame: FrameType | None) -> None:
    """A system call has been interrupted: that is all."""


def _dead_end() -> socket.socket:
    """A listening socket that nobody can reach: it is bound to an abstract name that the kernel chooses."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.bind("")
    sock.listen(1)
    return sock


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
        except FileNotFoundError:  # the descriptor of this very listing, or one that libmilter has closed
            continue
    return found


def _connections(name: object) -> int:
    """How many connections to a listening socket of that name this process holds."""
    try:
        descriptors = _descriptors()
    except OSError:  # none is left to list them with, so that there are many
        return 1
    return sum(_local_name(descriptor) == _comparable(name) for descriptor in descriptors)


def _local_name(descriptor: int) -> object:
    """A connection's own name; None for a listening socket, and where libmilter has closed it under our eyes."""
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return None if listens else _comparable(sock.getsockname())
    except OSError:
        return None
    finally:
        sock.detach()


def _comparable(name: object) -> object:
    """The port, since a socket that listens on all addresses has another address than its connections; or the path."""
    return name[1] if isinstance(name, tuple) else name
