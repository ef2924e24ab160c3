"""A process beside the workers, whose end never concerns mail: started, restarted with a growing pause, moved, ended.

Knows one process, what it has been started for, and when it may be started again. Does not know what it does.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Hashable
from contextlib import suppress

from spfmilter.daemon import child as children
from spfmilter.daemon.child import Child
from spfmilter.daemon.snapshot import ProcessState
from spfmilter.observe import log

_RESTART_AFTER = 2.0  # seconds; twice as long each time
_MAX_PAUSE = 300.0
_NICE = 10
_LEAST = 2.0  # seconds that the process has for its work, however long those before it took
_POLL = 0.02  # seconds between two looks whether it has ended

_PLANNED = b"E"  # over the link before it is closed: the supervisor ends the process

Work = Callable[[socket.socket], int]


class BackgroundProcess:
    """Keep one process running for a purpose, or none."""

    def __init__(self, name: str, close: Callable[[], None], *, finishes: bool = False) -> None:
        """Prepare; start nothing.

        Args:
            name: of the process, for the log.
            close: runs first in the process: closes everything that belongs to the supervisor.
            finishes: it has work to finish when it is replaced.
        """
        self._name, self._close, self._finishes = name, close, finishes
        self._child: Child | None = None
        self._leaving: list[Child] = []  # replaced, and still at their work
        self._purpose: Hashable = None
        self._not_before, self._pause = 0.0, _RESTART_AFTER
        self._wanted = False
        self._since = 0.0  # when it was started, or when it ended
        self._exits, self._how = 0, ""

    @property
    def pid(self) -> int | None:
        """Return its pid; None: there is no process."""
        return self._child.pid if self._child is not None else None

    def state(self, now: float) -> ProcessState:
        """Return how it stands, for the status file."""
        age = now - self._since if self._since else 0.0
        return ProcessState(
            name=self._name, wanted=self._wanted, pid=self.pid, age=age, exits=self._exits, how=self._how
        )

    def keep(self, purpose: Hashable, work: Work, now: float) -> None:
        """Start, stop or replace the process, so that one runs for this purpose.

        Args:
            purpose: the settings that the process is started with; None: no process is wanted.
            work: what it does with its end of the link, which becomes readable when the supervisor exits.
            now: the time, in seconds.
        """
        self._wanted = purpose is not None
        if self._child is not None and purpose != self._purpose:
            self.stop()
        if self._child is None and purpose is not None and now >= self._not_before:
            self._pause = min(2 * self._pause, _MAX_PAUSE) if purpose == self._purpose else _RESTART_AFTER
            self._purpose, self._not_before, self._since = purpose, now + self._pause, now
            try:
                self._child = children.fork(work, -1, self._close)
            except OSError as error:
                reason, fix = error.strerror or str(error), "raise the limits of the process (ulimit -a)"
                log.error(f"{self._name} cannot be started", reason=reason, fix=fix)

    def ended(self, pid: int, status: int) -> None:
        """Log the process's end and forget it, if the ended process is this one."""
        self._leaving = [child for child in self._leaving if child.pid != pid]
        if self._child is not None and self._child.pid == pid:
            self._exits, self._how, self._since = self._exits + 1, children.ending(status), time.monotonic()
            fix = "it is started again; if this goes on, correct what the lines before name, or report it"
            log.error(f"{self._name} exited", pid=pid, how=self._how, fix=fix)
            self._child.link.close()
            self._child = None

    def stop(self) -> None:
        """End the process: kill it, unless it has work to finish. It then ends by itself, as its link is closed."""
        if self._child is not None:
            child, self._child = self._child, None
            if self._finishes:
                self._leaving.append(child)
            else:
                child.signal(signal.SIGKILL)
            _end(child)

    def finish(self, seconds: float) -> list[int]:
        """Let the process finish its work, and before it those that it has replaced. Kill what takes too long.

        Call this when the workers have ended. What a replaced one leaves is taken by the one that runs.

        Args:
            seconds: that all of them have together; but the one that runs has ``_LEAST`` of its own.

        Returns:
            The pids of those that have ended.
        """
        until, last = time.monotonic() + seconds, self._child
        ended = [self._wait(child, until) for child in self._leaving]
        if last is not None:
            _end(last)
            ended.append(self._wait(last, max(until, time.monotonic() + _LEAST)))
        self._leaving, self._child = [], None
        return ended

    def _wait(self, child: Child, until: float) -> int:
        """Wait for a process's end, and kill it at that time. Return its pid."""
        with suppress(ChildProcessError):
            while os.waitpid(child.pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > until:
                    log.warning(f"{self._name} not finished, killed", pid=child.pid)
                    child.signal(signal.SIGKILL)
                    break
                time.sleep(_POLL)
        return child.pid

    def hurry(self) -> None:
        """Let the next ``keep`` start the process at once, however short the last one has lived."""
        self._not_before = 0.0

    def let_go(self) -> None:
        """Close, in another child, the supervisor's end of the link."""
        if self._child is not None:
            self._child.link.close()


def _end(child: Child) -> None:
    """Tell the process to end, and that the supervisor wants it so."""
    with suppress(OSError):  # it has ended already
        child.link.send(_PLANNED, socket.MSG_DONTWAIT)
    child.link.close()


def is_planned(link: socket.socket) -> bool:
    """Return, in the process, whether the supervisor has ended it. Call this when the link is readable.

    False: the supervisor was killed. The kernel closes its end of the link before the process gets another parent, so
    the parent tells nothing in that moment.
    """
    with suppress(OSError):
        return link.recv(1) == _PLANNED
    return False


def set_signals() -> None:
    """Set the signals of the process itself: only SIGTERM ends it, those for the supervisor do nothing."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    children.let_signals_in()


def yield_to_mail() -> None:
    """Let the MTA and the workers go first: what this process does can wait."""
    with suppress(OSError):  # a system call filter forbids it
        os.nice(_NICE)
