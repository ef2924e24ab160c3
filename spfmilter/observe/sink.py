"""Where the log's lines go, without ever waiting for a reader, a disk or a service.

Knows descriptors and sockets; does not know what a line says. What cannot be written now waits in a bounded memory and
is written with the next line or at the next ``flush``. Beyond the bound lines are dropped, counted, and reported in
their place once writing works again (docs/decisions/0028-output.md).
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import select
import signal
import socket
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

MOST_LINES = 4096  # that wait, in each process
MOST_BYTES = 1 << 20
_STDERR = 2
_PASSING = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMSGSIZE})  # the service is there
# Shared by all processes that are forked later. First, which process has written the beginning of a line and not its
# end (0: none), so that each of them knows that a line of the common file or pipe is broken off. Then two numbers for
# each child, which it cannot say once it is dead: of its lines, how many wait, and how many are lost and not reported.
_shared = memoryview(mmap.mmap(-1, 1 << 16)).cast("i")
_torn_by = _shared[:1]


class Outlet(Protocol):
    """A place that takes lines, at once or not at all."""

    torn_by: memoryview  # see above; of one process alone where a line is taken whole or not at all

    def write(self, data: bytes) -> int:
        """Write what can be written at once; the number of bytes.

        Raises:
            OSError: nothing was written; BlockingIOError: there is no room now.
        """
        ...

    def close(self) -> None:
        """Let go of the descriptor."""
        ...


class Sink:
    """Writes lines to an outlet, and keeps some that it does not take now; one thread at a time."""

    def __init__(self, outlet: Outlet, report: Callable[[int], bytes]) -> None:
        """``report`` makes the line that says how many lines were lost."""
        self._outlet, self._report = outlet, report
        self._waiting: deque[bytes] = deque()
        self._bytes = 0  # of all that waits
        self._begun = 0  # bytes of the first waiting line that are written already
        self._unreported = 0
        self._gap = False  # lines are being lost
        self._account: memoryview | None = None
        self.lost = 0  # lines so far

    def put(self, line: bytes) -> None:
        """Write a line, behind those that wait; where that cannot be done now, keep it or count it as lost."""
        if self._waiting or self._unreported:
            self.flush()
        # Once there is no room, all lines are lost until the report stands in their place: the log has one gap.
        if self._gap or len(self._waiting) >= MOST_LINES or self._bytes + len(line) > MOST_BYTES:
            self._gap = True
            self.lose(1)
            return
        if not self._waiting and self._is_done_with(line):
            return
        self._waiting.append(line)
        self._bytes += len(line)
        self._keep_account()

    def flush(self) -> None:
        """Write what waits, as far as that can be done now, and then how many lines were lost behind it."""
        if not (self._waiting or self._unreported):
            return
        self._write_waiting()
        if self._unreported and not self._waiting:
            self._waiting.append(self._report(self._unreported))
            self._bytes, self._unreported, self._gap = len(self._waiting[0]), 0, False
            self._write_waiting()
        self._keep_account()

    def _write_waiting(self) -> None:
        while self._waiting and self._is_done_with(self._waiting[0]):
            self._bytes -= len(self._waiting.popleft())

    def lose(self, lines: int) -> None:
        """Count lines that cannot be written."""
        self.lost += lines
        self._unreported += lines
        self._keep_account()

    def forget(self, child: int) -> None:
        """In the forked process of this number: what waits and what was lost is the parent's to write and to report."""
        self._waiting.clear()
        self._bytes = self._begun = self._unreported = self.lost = 0
        self._gap = False
        place = 2 * child + 1
        self._account = _shared[place : place + 2] if 0 < place < len(_shared) - 1 else None
        self._keep_account()

    def bury(self, child: int) -> None:
        """In the parent of a process that has ended: what it could not write is lost, and to be reported."""
        place = 2 * child + 1
        if place < len(_shared) - 1:
            waiting, unreported = _shared[place], _shared[place + 1]
            _shared[place] = _shared[place + 1] = 0
            self.lost += waiting  # the others it has counted itself
            self._unreported += waiting + unreported

    def _keep_account(self) -> None:
        if self._account is not None:
            self._account[0], self._account[1] = len(self._waiting), self._unreported

    def close(self) -> None:
        """Write what can be written, count the rest as lost, and close."""
        self.flush()
        self.lose(len(self._waiting))
        self._waiting.clear()
        self._outlet.close()

    def inherit(self, other: Sink) -> None:
        """Report what a sink that is closed could not."""
        self.lost += other.lost
        self._unreported += other._unreported

    def _is_done_with(self, line: bytes) -> bool:
        """Whether a line is written, or will never be."""
        try:
            return self._write(line)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:  # a datagram that is too long stays so
                return False
            self.lose(1)
            return True

    def _write(self, line: bytes) -> bool:
        """Whether a line is written to its end. One that is broken off is continued, or written again below it."""
        owner = self._outlet.torn_by[0]
        if owner == 0:
            start, data = 0, line
        elif self._begun and owner == os.getpid():
            start, data = self._begun, line[self._begun :]
        else:  # the break is closed first, so that no two lines become one
            start, data = -1, b"\n" + line
        written = self._outlet.write(data)
        whole = written == len(data)
        if owner or not whole:
            self._begun = 0 if whole else max(start + written, 0)
            if written:
                self._outlet.torn_by[0] = os.getpid() if self._begun else 0
        return whole


# -- standard error ----------------------------------------------------------------------------------------------------


def hold_standard_descriptors() -> None:
    """Open those that are closed, so that no socket gets their numbers, which C libraries, too, write to.

    They may be a terminal. With ``stty tostop`` it would stop a process in the background that writes to it.
    """
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    number = os.open(os.devnull, os.O_RDWR)
    while number <= _STDERR:
        number = os.dup(number)
    os.close(number)


def standard_error() -> Outlet:
    """The process's standard error, whatever it is, so that a write to it never waits.

    Its descriptor is shared with whoever has started us and must not be made non-blocking. A pipe or a terminal is
    opened once more, which gives us a descriptor of our own. A file needs none: it never blocks a write, and its
    position must stay the common one.
    """
    try:
        mode = os.fstat(_STDERR).st_mode
    except OSError:  # closed
        return _Nowhere()
    if stat.S_ISREG(mode):
        return _Descriptor(_STDERR)
    try:
        if stat.S_ISSOCK(mode):
            return _Stream(socket.socket(fileno=os.dup(_STDERR)))
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return _Descriptor(os.open(f"/proc/self/fd/{_STDERR}", flags))
    except OSError:  # it is another user's, its reader is gone, there is no /proc, or no descriptor is left
        return _Shared()


class _Nowhere:
    """Takes all, for a process without standard error."""

    torn_by = memoryview(bytearray(4)).cast("i")

    def write(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        pass


class _Descriptor:
    """A descriptor that does not block."""

    torn_by = _torn_by

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> int:
        return os.write(self._descriptor, data)

    def close(self) -> None:
        if self._descriptor != _STDERR:
            os.close(self._descriptor)


class _Shared:
    """A descriptor that would block: we ask first whether there is room, and write no more than there must be then.

    A lock keeps our other processes from taking that room in between. A process that cannot have it at once does not
    wait for it, either. Of a terminal we learn only that there is some room, so it is made non-blocking for the moment
    of the write. A program that reads from it in this moment may be told to try again.
    """

    torn_by = _torn_by

    def __init__(self) -> None:
        self._poll = select.poll()
        self._poll.register(_STDERR, select.POLLOUT)
        self._terminal = os.isatty(_STDERR)
        self._lock: int | None = None
        with suppress(OSError):
            self._lock = os.memfd_create("spfmilter-log", os.MFD_CLOEXEC)

    def write(self, data: bytes) -> int:
        written = 0
        if self._lock is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        blocking = False
        try:
            if blocking := self._terminal and os.get_blocking(_STDERR):
                os.set_blocking(_STDERR, False)
            while written < len(data) and self._poll.poll(0):
                written += os.write(_STDERR, data[written : written + select.PIPE_BUF])
        except OSError:
            if not written:
                raise
        finally:
            if blocking:
                os.set_blocking(_STDERR, True)
            if self._lock is not None:
                fcntl.lockf(self._lock, fcntl.LOCK_UN)
        if not written:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return written

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)


class _Stream:
    """A socket, such as the journal's for a unit's standard error."""

    torn_by = _torn_by

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def write(self, data: bytes) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def close(self) -> None:
        self._socket.close()


# -- services ----------------------------------------------------------------------------------------------------------


class Datagrams:
    """A log service's socket: a datagram for each line. It is looked up again where the service has been restarted."""

    def __init__(self, path: str) -> None:
        """Connect.

        Raises:
            OSError: there is no such service.
        """
        self.torn_by = memoryview(bytearray(4)).cast("i")
        self._path = path
        self._socket = self._connected()

    def _connected(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        return sock

    def write(self, data: bytes) -> int:
        """Send one line."""
        try:
            return self._socket.send(data)
        except OSError as error:
            if error.errno in _PASSING:
                raise
            fresh = self._connected()
        self._socket.close()
        self._socket = fresh
        return self._socket.send(data)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
