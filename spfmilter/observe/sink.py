"""Where the log's lines go, without ever waiting for a reader, a disk or a service.

Knows descriptors and sockets. Does not know what a line says. A line that cannot be written now waits in a bounded
buffer, and is written with the next line or at the next ``flush``. If the buffer is full, lines are dropped and
counted. Once writing works again, one line in their place reports their number (docs/decisions/0028-output.md).
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

MAX_LINES = 4096  # that wait, in each process
MAX_BYTES = 1 << 20
_STDERR = 2
_PASSING = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EMSGSIZE})  # the service is there
# Shared by all processes that are forked later. The first number is the pid of a process that has written the beginning
# of a line but not its end (0: none). So every process knows whether the last line in the common file or pipe is
# incomplete. Two numbers for each child follow, since a dead child cannot report them: how many of its lines wait, and
# how many are lost but not reported.
_shared = memoryview(mmap.mmap(-1, 1 << 16)).cast("i")
_torn_by = _shared[:1]


class Outlet(Protocol):
    """A place that takes lines at once or refuses them. It never waits."""

    torn_by: memoryview  # see above; not shared if the outlet takes a line whole or not at all

    def write(self, data: bytes) -> int:
        """Write what can be written at once. Return the number of bytes.

        Raises:
            OSError: nothing was written; BlockingIOError: there is no room now.
        """
        ...

    def close(self) -> None:
        """Close the descriptor."""
        ...


class Sink:
    """Write lines to an outlet, and keep those that it does not take now. For one thread at a time."""

    def __init__(self, outlet: Outlet, report: Callable[[int], bytes]) -> None:
        """Args: report: returns the line that says how many lines were lost."""
        self._outlet, self._report = outlet, report
        self._waiting: deque[bytes] = deque()
        self._bytes = 0  # of all waiting lines
        self._begun = 0  # bytes of the first waiting line that are written already
        self._unreported = 0
        self._gap = False  # lines are being lost
        self._account: memoryview | None = None
        self.lost = 0  # lines so far

    def put(self, line: bytes) -> None:
        """Write a line after the waiting ones. If it cannot be written now, keep it or count it as lost."""
        if self._waiting or self._unreported:
            self.flush()
        # Once there is no room, drop all lines until the report is written in their place: so the log has one gap.
        if self._gap or len(self._waiting) >= MAX_LINES or self._bytes + len(line) > MAX_BYTES:
            self._gap = True
            self.lose(1)
            return
        if not self._waiting and self._is_done_with(line):
            return
        self._waiting.append(line)
        self._bytes += len(line)
        self._keep_account()

    def flush(self) -> None:
        """Write the waiting lines, as many as the outlet takes now. Then report how many lines were lost."""
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
        """Drop, in the forked process of this number, all waiting and lost lines: the parent reports them."""
        self._waiting.clear()
        self._bytes = self._begun = self._unreported = self.lost = 0
        self._gap = False
        place = 2 * child + 1
        self._account = _shared[place : place + 2] if 0 < place < len(_shared) - 1 else None
        self._keep_account()

    def bury(self, child: int) -> None:
        """Count, in the parent of an ended process, the lines that it could not write as lost."""
        place = 2 * child + 1
        if place < len(_shared) - 1:
            waiting, unreported = _shared[place], _shared[place + 1]
            _shared[place] = _shared[place + 1] = 0
            self.lost += waiting  # the child has counted the unreported ones itself
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
        """Take over the lost lines of a closed sink, to report them."""
        self.lost += other.lost
        self._unreported += other._unreported

    def _is_done_with(self, line: bytes) -> bool:
        """Write a line. Return whether it is finished: written, or lost for good."""
        try:
            return self._write(line)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:  # a datagram that is too long can never be sent
                return False
            self.lose(1)
            return True

    def _write(self, line: bytes) -> bool:
        """Write a line. Return whether it is complete.

        Continue our own incomplete line. After the incomplete line of another process, begin a new line.
        """
        owner = self._outlet.torn_by[0]
        if owner == 0:
            start, data = 0, line
        elif self._begun and owner == os.getpid():
            start, data = self._begun, line[self._begun :]
        else:  # end the incomplete line first, or two lines would become one
            start, data = -1, b"\n" + line
        written = self._outlet.write(data)
        whole = written == len(data)
        if owner or not whole:
            self._begun = 0 if whole else max(start + written, 0)
            if written:
                self._outlet.torn_by[0] = os.getpid() if self._begun else 0
        return whole


# -- standard streams --------------------------------------------------------------------------------------------------


def hold_standard_descriptors() -> None:
    """Open closed standard descriptors on /dev/null.

    Otherwise a socket would get their numbers, and C libraries would write their messages to it. Also ignore SIGTTOU:
    with ``stty tostop`` a terminal stops a background process that writes to it.
    """
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    number = os.open(os.devnull, os.O_RDWR)
    while number <= _STDERR:
        number = os.dup(number)
    os.close(number)


def standard_stream(number: int) -> Outlet:
    """Return an outlet for a standard stream of this process, 1 or 2, that never waits.

    We share its descriptor with the process that started us, and must not make it non-blocking. A pipe or a terminal is
    opened once more, which gives us our own descriptor. A file needs none: it never blocks a write, and its position
    must stay the common one.
    """
    try:
        mode = os.fstat(number).st_mode
    except OSError:  # closed
        return _Nowhere()
    if stat.S_ISREG(mode):
        return _Descriptor(number)
    try:
        if stat.S_ISSOCK(mode):
            return _Stream(socket.socket(fileno=os.dup(number)))
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return _Descriptor(os.open(f"/proc/self/fd/{number}", flags))
    except OSError:  # it belongs to another user, its reader is gone, there is no /proc, or no descriptor is left
        return _Shared(number)


class _Nowhere:
    """Discard all lines, for a process without that stream."""

    torn_by = memoryview(bytearray(4)).cast("i")

    def write(self, data: bytes) -> int:
        return len(data)

    def close(self) -> None:
        pass


class _Descriptor:
    """Write to a descriptor that does not block."""

    torn_by = _torn_by

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> int:
        return os.write(self._descriptor, data)

    def close(self) -> None:
        if self._descriptor > _STDERR:
            os.close(self._descriptor)


class _Shared:
    """Write to a descriptor that could block: ask first whether there is room, and write at most PIPE_BUF bytes.

    A lock keeps our other processes from using that room in between. A process that does not get the lock at once does
    not wait. A terminal only tells that there is some room. So it is made non-blocking during the write. A program that
    reads from it at this moment may get EAGAIN.
    """

    torn_by = _torn_by

    def __init__(self, number: int) -> None:
        self._number = number
        self._poll = select.poll()
        self._poll.register(number, select.POLLOUT)
        self._terminal = os.isatty(number)
        self._lock: int | None = None
        with suppress(OSError):
            self._lock = os.memfd_create("spfmilter-log", os.MFD_CLOEXEC)

    def write(self, data: bytes) -> int:
        written = 0
        if self._lock is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        blocking = False
        try:
            if blocking := self._terminal and os.get_blocking(self._number):
                os.set_blocking(self._number, False)
            while written < len(data) and self._poll.poll(0):
                written += os.write(self._number, data[written : written + select.PIPE_BUF])
        except OSError:
            if not written:
                raise
        finally:
            if blocking:
                os.set_blocking(self._number, True)
            if self._lock is not None:
                fcntl.lockf(self._lock, fcntl.LOCK_UN)
        if not written:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return written

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)


class _Stream:
    """Write to a stream socket, such as the journal's for a unit's standard error."""

    torn_by = _torn_by

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def write(self, data: bytes) -> int:
        return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def close(self) -> None:
        self._socket.close()


# -- services ----------------------------------------------------------------------------------------------------------


class Datagrams:
    """Send each line as a datagram to a log service's socket. Connect again after the service was restarted."""

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
