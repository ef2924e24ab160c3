"""The MTAs' connections of this process: how many there are, and which of them no thread serves.

Knows Linux's /proc/self/fd and what the kernel tells of a socket. Does not know what is said on it.

Where the system refuses libmilter a thread (RLIMIT_NPROC, TasksMax=), the session that needed it is lost: libmilter
neither serves nor closes it, for as long as the process lives (docs/decisions/0029-threads.md). Nothing tells such a
session from outside but data, or the peer's end, that lies in the kernel and is not read. A connection that only says
nothing has none: a port scan, a health check, an MTA between two messages.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

_LOOK_EVERY = 5.0  # seconds between two looks for sessions without a thread
_SHORT = 10.0  # seconds without a thread after which one is sure, if the system refuses us threads at this time
_INT = struct.Struct("i")


@dataclass(slots=True)
class _Waiting:
    """A connection with something to read."""

    unread: int  # bytes; none where the peer has only closed it
    since: float  # when there were as many for the first time
    lost: bool = False  # no thread serves it


class Unserved:
    """Finds the connections to a listening socket of this name that no thread serves."""

    def __init__(self, name: object, patience: float) -> None:
        """Begin to watch.

        Args:
            name: the listening socket's, from getsockname().
            patience: seconds that a thread may take for one command, with all that it may have to wait for before.
        """
        self._name, self._patience = name, patience
        self._waiting: dict[int, _Waiting] = {}  # by the socket's inode
        self._last = -_LOOK_EVERY
        self.number = 0  # at the last look

    def is_due(self, now: float) -> bool:
        """Whether it is time for another look."""
        return now - self._last >= _LOOK_EVERY

    def look(self, now: float, longest: float) -> int:
        """Return how many sessions no thread serves, and end these connections: the MTA need not wait any longer.

        Args:
            now: the time in seconds, on a clock that never goes back.
            longest: seconds for which the oldest callback has been running. What has come in for a session while its
                own callback runs has waited for a shorter time.
        """
        frozen = now - self._last > 2 * _LOOK_EVERY  # we were, or starved, and libmilter with us: begin anew
        self._last = now
        known, self._waiting = self._waiting, {}
        numbers = {}
        for number, inode, unread in _unread(self._name):
            before = known.get(inode)
            # A thread may be waiting until the peer reads what has been sent to it. Our own end is sent, too.
            if _queued(number, termios.TIOCOUTQ) and not (before is not None and before.lost):
                continue
            if before is None or unread != before.unread or (frozen and not before.lost):
                before = _Waiting(unread, now)
            self._waiting[inode], numbers[inode] = before, number
        for inode in self._newly_lost(now, longest):
            self._waiting[inode].lost = True
            _end(numbers[inode])
        self.number = sum(waiting.lost for waiting in self._waiting.values())
        return self.number

    def _newly_lost(self, now: float, longest: float) -> list[int]:
        """The inodes of those that have waited for too long."""
        waited = {inode: now - waiting.since for inode, waiting in self._waiting.items() if not waiting.lost}
        surely = [inode for inode, seconds in waited.items() if seconds >= self._patience]
        sooner = [inode for inode, seconds in waited.items() if seconds >= max(_SHORT, longest + _LOOK_EVERY)]
        return sooner if len(sooner) > len(surely) and not can_start_threads(1) else surely


def _end(number: int) -> None:
    """Let the peer see the end. Only libmilter may close the descriptor: it would hit another of that number later."""
    with suppress(OSError):  # it is gone
        sock = socket.socket(fileno=number)
        try:
            sock.shutdown(socket.SHUT_RDWR)
        finally:
            sock.detach()


def _unread(name: object) -> Iterator[tuple[int, int, int]]:
    """The connections with something to read: their descriptors, inodes, and how many bytes."""
    poll = select.poll()
    try:
        for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - there are many, and names are enough
            poll.register(int(entry), select.POLLIN)
        ready = poll.poll(0)
    except OSError:  # no descriptor is left to list them with: another time
        return
    wanted = _comparable(name)
    for number, events in ready:
        if events & select.POLLNVAL or _local_name(number) != wanted:
            continue
        with suppress(OSError):  # libmilter has closed it under our eyes
            yield number, os.fstat(number).st_ino, _queued(number, termios.FIONREAD)


def _queued(number: int, request: int) -> int:
    """How many bytes wait in a socket's queue (tcp(7), unix(7)); none where libmilter has closed it under our eyes."""
    try:
        (size,) = _INT.unpack(fcntl.ioctl(number, request, bytes(_INT.size)))
    except OSError:
        return 0
    return int(size)


def can_start_threads(number: int) -> bool:
    """Whether the system lets this process have so many more threads at this time."""
    end, started = threading.Event(), []
    try:
        for _ in range(number):
            thread = threading.Thread(target=end.wait, daemon=True)
            thread.start()
            started.append(thread)
    except (RuntimeError, MemoryError):
        return False
    finally:
        end.set()
        for thread in started:
            thread.join()
    return True


def sockets() -> set[int]:
    """The open sockets of this process.

    Raises:
        OSError: no descriptor is left to list them with.
    """
    found = set()
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - as above
        with suppress(FileNotFoundError):  # the descriptor of this very listing, or one that libmilter has closed
            if os.readlink(f"/proc/self/fd/{entry}").startswith("socket:"):  # noqa: PTH115
                found.add(int(entry))
    return found


def count(name: object) -> int:
    """How many connections to a listening socket of that name this process holds."""
    try:
        entries = os.listdir("/proc/self/fd")  # noqa: PTH208 - as above
    except OSError:  # none is left to list them with, so that there are many
        return 1
    wanted = _comparable(name)
    return sum(_local_name(int(entry)) == wanted for entry in entries)


def _local_name(number: int) -> object:
    """A connection's own name; None for what is no connection, and where libmilter has closed it under our eyes."""
    try:
        sock = socket.socket(fileno=number)
    except OSError:
        return None
    try:
        if sock.type != socket.SOCK_STREAM or sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        return _comparable(sock.getsockname())
    except OSError:
        return None
    finally:
        sock.detach()


def _comparable(name: object) -> object:
    """The port, since a socket that listens on all addresses has another address than its connections; or the path."""
    return name[1] if isinstance(name, tuple) else name
