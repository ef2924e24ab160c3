"""Count the MTAs' connections of this process, and find those that no thread serves.

Knows Linux's /proc/self/fd and what the kernel tells about a socket. Does not know what is sent on it.

If the system refuses libmilter a thread (RLIMIT_NPROC, TasksMax=), the session that needed it is lost. libmilter
neither serves nor closes it while the process lives (docs/decisions/0029-threads.md). Such a session has one visible
sign: data, or the peer's end of connection, stays unread in the kernel. An idle connection (a port scan, a health
check, an MTA between two messages) has no unread data.
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
_SHORT = 10.0  # seconds without a thread after which a session is lost, if the system refuses us threads just now
_INT = struct.Struct("i")


@dataclass(slots=True)
class _Waiting:
    """A connection with something to read."""

    unread: int  # bytes; 0 if the peer has only closed the connection
    since: float  # when this number was first seen
    lost: bool = False  # no thread serves the connection


class Unserved:
    """Find the connections to a listening socket of this name that no thread serves."""

    def __init__(self, name: object, timeout: float) -> None:
        """Begin to watch.

        Args:
            name: of the listening socket, from getsockname().
            timeout: seconds that a thread may take for one command, with all waiting included.
        """
        self._name, self._timeout = name, timeout
        self._waiting: dict[int, _Waiting] = {}  # by the socket's inode
        self._last = -_LOOK_EVERY
        self.number = 0  # at the last look

    def is_due(self, now: float) -> bool:
        """Return whether it is time for another look."""
        return now - self._last >= _LOOK_EVERY

    def look(self, now: float, longest: float) -> int:
        """Return how many sessions no thread serves. End their connections, so the MTA does not wait any longer.

        Args:
            now: the time in seconds, on a monotonic clock.
            longest: seconds for which the oldest callback has been running. Data that arrives during a session's own
                callback has waited for a shorter time.
        """
        frozen = now - self._last > 2 * _LOOK_EVERY  # we were stopped or starved, libmilter as well: start over
        self._last = now
        known, self._waiting = self._waiting, {}
        numbers = {}
        for number, inode, unread in _unread(self._name):
            before = known.get(inode)
            # With unsent data, a thread may be waiting for the peer to read. The end that we sent counts as data, too.
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
        """Return the inodes of the connections that have waited too long."""
        waited = {inode: now - waiting.since for inode, waiting in self._waiting.items() if not waiting.lost}
        surely = [inode for inode, seconds in waited.items() if seconds >= self._timeout]
        sooner = [inode for inode, seconds in waited.items() if seconds >= max(_SHORT, longest + _LOOK_EVERY)]
        return sooner if len(sooner) > len(surely) and not can_start_threads(1) else surely


def _end(number: int) -> None:
    """Shut the connection down, so the peer sees its end.

    Only libmilter may close the descriptor. If we closed it, libmilter would later close another one of that number.
    """
    with suppress(OSError):  # the connection is gone
        sock = socket.socket(fileno=number)
        try:
            sock.shutdown(socket.SHUT_RDWR)
        finally:
            sock.detach()


def _unread(name: object) -> Iterator[tuple[int, int, int]]:
    """Yield the connections with something to read: descriptor, inode, number of bytes."""
    poll = select.poll()
    try:
        for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - there are many, and names are enough
            poll.register(int(entry), select.POLLIN)
        ready = poll.poll(0)
    except OSError:  # no descriptor is left to list them: try at the next look
        return
    wanted = _comparable(name)
    for number, events in ready:
        if events & select.POLLNVAL or _local_name(number) != wanted:
            continue
        with suppress(OSError):  # libmilter has closed it in the meantime
            yield number, os.fstat(number).st_ino, _queued(number, termios.FIONREAD)


def _queued(number: int, request: int) -> int:
    """Return the bytes in a socket's queue (tcp(7), unix(7)); 0 if libmilter has closed it in the meantime."""
    try:
        (size,) = _INT.unpack(fcntl.ioctl(number, request, bytes(_INT.size)))
    except OSError:
        return 0
    return int(size)


def can_start_threads(number: int) -> bool:
    """Return whether the system allows this process ``number`` more threads now."""
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
    """Return the descriptors of this process's open sockets.

    Raises:
        OSError: no descriptor is left to list them.
    """
    found = set()
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208 - as above
        with suppress(FileNotFoundError):  # the descriptor of this listing, or one that libmilter has closed
            if os.readlink(f"/proc/self/fd/{entry}").startswith("socket:"):  # noqa: PTH115
                found.add(int(entry))
    return found


def count(name: object) -> int:
    """Return how many connections to a listening socket of that name this process has.

    Returns 1 if they cannot be counted: no descriptor is left, so at least one connection is open.
    """
    try:
        entries = os.listdir("/proc/self/fd")  # noqa: PTH208 - as above
    except OSError:  # no descriptor is left to list them, so there are many connections
        return 1
    wanted = _comparable(name)
    return sum(_local_name(int(entry)) == wanted for entry in entries)


def _local_name(number: int) -> object:
    """Return a connection's local name; None if it is not a connection, or if libmilter has closed it meanwhile."""
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
    """Return the port or the path of a socket name, for comparison.

    The address is left out: a socket that listens on all addresses has another address than its connections.
    """
    return name[1] if isinstance(name, tuple) else name
