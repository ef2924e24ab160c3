"""The way of the journal's rows from the workers to the storage process: packets on one socket pair.

The supervisor makes the pair, so what lies in it survives the storage process. A worker packs rows and sends them
without ever waiting; what the socket does not take waits in bounded memory. Knows packets, not what is in a row, and no
database (docs/decisions/0050-journal-channel.md).
"""

from __future__ import annotations

import marshal
import select
import socket
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spfmilter.journal.rows import COLUMNS, Row

MAX_PACKET = 60_000  # bytes: a packet of more needs memory in one piece, which the kernel may not have
MAX_ROWS = 64  # in a packet
_BUFFER = 1 << 20  # bytes that the socket may hold; the kernel's own limit (net.core.wmem_max) may be lower
_HEAD = struct.Struct("=4sIII")  # mark, rows, length and CRC-32 of the body
_MARK = b"SPJ1"
_CELLS = {int, str, bytes, type(None)}


@dataclass(frozen=True, slots=True)
class Packet:
    """Rows on their way."""

    rows: int
    body: bytes

    @property
    def size(self) -> int:
        """Return the bytes that it takes."""
        return len(self.body)

    def unpack(self) -> list[Row]:
        """Return the rows. A body that does not hold as many rows as it should returns those that are rows."""
        try:
            found = marshal.loads(self.body)  # noqa: S302 - from our own worker, with a correct checksum
        except (ValueError, EOFError, TypeError):
            return []
        return [row for row in found if is_row(row)] if isinstance(found, list) else []


def is_row(value: object) -> bool:
    """Return whether a value has as many cells as a row, each of a type that a database takes."""
    return isinstance(value, tuple) and len(value) == len(COLUMNS) and _CELLS.issuperset(map(type, value))


def packets(rows: Sequence[Row]) -> Iterator[Packet]:
    """Yield packets with these rows, in their order. A row that alone is too large goes without its DNS answers."""
    body = marshal.dumps(list(rows)) if len(rows) <= MAX_ROWS else None
    if body is not None and len(body) <= MAX_PACKET:
        yield Packet(len(rows), body)
    elif len(rows) > 1:
        half = len(rows) // 2
        yield from packets(rows[:half])
        yield from packets(rows[half:])
    elif rows[0][-1] is not None:
        yield from packets([(*rows[0][:-1], None)])


def encode(packet: Packet) -> bytes:
    """Return a packet as it is sent."""
    return _HEAD.pack(_MARK, packet.rows, len(packet.body), zlib.crc32(packet.body)) + packet.body


def decode(data: bytes) -> Packet | None:
    """Return the packet; None if it is not one."""
    if len(data) < _HEAD.size:
        return None
    mark, rows, length, checksum = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    if mark != _MARK or length != len(body) or not 0 < rows <= MAX_ROWS or zlib.crc32(body) != checksum:
        return None
    return Packet(rows, body)


class RowChannel:
    """The socket pair. Make it before forking the processes that share it.

    Each process keeps only the end that it uses: then a worker notices that nobody can read any more.
    """

    def __init__(self) -> None:
        """Open it.

        Raises:
            OSError: the system refuses the descriptors.
        """
        self._sending, self._receiving = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sending.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        for end in (self._sending, self._receiving):
            end.setblocking(False)  # noqa: FBT003 - the standard library's signature

    def to_send(self) -> Sender:
        """Return the workers' end. Call this in a worker."""
        self._receiving.close()
        return Sender(self._sending)

    def to_receive(self) -> Receiver:
        """Return the storage process's end. Call this there."""
        self._sending.close()
        return Receiver(self._receiving)

    def close(self) -> None:
        """Close both ends. Call this in a process that uses neither."""
        self._sending.close()
        self._receiving.close()

    def remaining(self) -> Iterator[Packet]:
        """Yield what lies in it, and take it out. Call this in the supervisor, when no reader comes any more."""
        yield from Receiver(self._receiving).read()


class Sender:
    """The end in a worker."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    def send(self, packet: Packet) -> bool:
        """Return whether the packet has been sent. This never waits."""
        try:
            self._end.send(encode(packet), socket.MSG_DONTWAIT)
        except OSError:  # it is full, or nobody reads any more
            return False
        return True

    def wait(self, seconds: float) -> None:
        """Wait until there is room, at most so long."""
        poll = select.poll()
        poll.register(self._end, select.POLLOUT)
        poll.poll(seconds * 1000)


class Receiver:
    """The end in the storage process."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self.ended, self.corrupt = end, False, 0
        self._poll = select.poll()  # of its own: a poll object is for one thread
        self._poll.register(end, select.POLLIN)

    def wait(self, seconds: float) -> None:
        """Wait until a packet is there, at most so long."""
        self._poll.poll(seconds * 1000)

    def coming(self) -> int:
        """Return how many rows the next packet has, and leave it there; 0: none is there. A corrupt one has one row."""
        head, _ = self._receive(_HEAD.size, socket.MSG_PEEK)
        if len(head) < _HEAD.size:
            return 1 if head else 0
        mark, rows, _, _ = _HEAD.unpack(head)
        return rows if mark == _MARK and 0 < rows <= MAX_ROWS else 1

    def take(self) -> Packet | None:
        """Take the next packet out, without waiting; None: none is there, or it was corrupt, which is counted."""
        data, flags = self._receive(_HEAD.size + MAX_PACKET)
        packet = None if flags & socket.MSG_TRUNC else decode(data)
        if data and packet is None:
            self.corrupt += 1
        return packet

    def read(self) -> Iterator[Packet]:
        """Take out what is there, without waiting."""
        while self.coming():
            if (packet := self.take()) is not None:
                yield packet

    def _receive(self, size: int, flags: int = 0) -> tuple[bytes, int]:
        """Return up to so many bytes of the next packet, and the flags of recvmsg(2); no bytes: none is there.

        Sets ``ended`` if all senders are gone.
        """
        try:
            data, _, found, _ = self._end.recvmsg(size, 0, flags)
        except (BlockingIOError, InterruptedError):
            return b"", 0
        self.ended = self.ended or not data
        return data, found
