"""The rows that wait for the database, in the memory of the storage process, and what becomes of them.

Bounded: the oldest rows give way. Rows stay packed until they are written, which takes an eighth of the memory. What
cannot be written before the process ends goes to the next one, through memory that both share. Knows no database.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import struct
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from spfmilter.journal.channel import Packet, decode, encode, packets
from spfmilter.journal.rows import Row
from spfmilter.journal.totals import Counts, CountsRecord
from spfmilter.observe import log
from spfmilter.observe.ratelimited import RateLimitedLog

MAX_BYTES = 32 << 20  # some 200 000 rows without DNS answers
_LENGTH = struct.Struct("=I")


class Leftovers:
    """Packets that an ending storage process leaves to the next. Make this before forking the processes."""

    def __init__(self) -> None:
        self._file: int | None = None  # None if the system refuses one: then they are lost
        with suppress(OSError):
            self._file = os.memfd_create("spfmilter-rows", os.MFD_CLOEXEC)

    def put(self, left: Iterable[Packet]) -> int:
        """Add packets behind those that are there. Return how many rows there was no memory for."""
        lost = 0
        if self._file is None:
            return sum(packet.rows for packet in left)
        with self._locked():
            for packet in left:
                data = encode(packet)
                try:
                    os.pwrite(self._file, _LENGTH.pack(len(data)) + data, os.fstat(self._file).st_size)
                except OSError:
                    lost += packet.rows
        return lost

    @contextmanager
    def taken(self) -> Iterator[list[Packet]]:
        """Yield the packets. They are removed at the end: so they can be counted before."""
        if self._file is None or not os.fstat(self._file).st_size:
            yield []
            return
        with self._locked():
            yield list(_split(os.pread(self._file, os.fstat(self._file).st_size, 0)))
            os.ftruncate(self._file, 0)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude other processes. The kernel releases the lock of one that dies."""
        assert self._file is not None  # noqa: S101 - for mypy
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def _split(data: bytes) -> Iterator[Packet]:
    place = 0
    while place + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        if (packet := decode(data[place : place + length])) is not None:
            yield packet
        place += length


class Backlog:
    """The rows that one storage process holds. Safe for use by several threads at once."""

    def __init__(self, record: CountsRecord, leftovers: Leftovers, max_bytes: int | None = None) -> None:
        """Begin with what the storage process before has left.

        Args:
            record: of the counts of this process.
            leftovers: from and to other storage processes.
            max_bytes: of packets that wait at most; None: ``MAX_BYTES``.
        """
        self._record, self._leftovers = record, leftovers
        self._max_bytes = MAX_BYTES if max_bytes is None else max_bytes
        self._lock = threading.Lock()
        self._packets: deque[Packet] = deque()
        self._size = self._rows = 0  # of the packets
        self._in_hand: Sequence[Row] = ()  # taken out, and not settled
        self._expected = 0  # rows that are about to come
        self._counts = Counts(pid=os.getpid())
        self._rate_limited = RateLimitedLog()
        self.enough = threading.Event()  # there is a whole transaction, or there will be no more
        self.complete = False  # no more rows come

    @property
    def waiting(self) -> int:
        """Return how many rows wait."""
        return self._rows + len(self._in_hand)

    # -- coming in -----------------------------------------------------------------------------------------------------

    def expect(self, rows: int) -> None:
        """Count rows that are about to be taken out of the channel. If this process is killed then, they are lost."""
        with self._lock:
            self._expected = rows
            self._show()

    def add(self, arrived: Packet | None, enough: int) -> None:
        """Add the packet that was expected; None: there was none. Set ``enough`` if so many rows wait."""
        self._take_in([] if arrived is None else [arrived], enough)

    def take_over(self, enough: int) -> None:
        """Add what another storage process has left. Set ``enough`` if so many rows wait."""
        with self._leftovers.taken() as left:
            if left:
                self._take_in(left, enough)  # counted once for all, before they are removed

    def corrupt(self, number: int) -> None:
        """Count packets that could not be read, each as one row."""
        with self._lock:
            self._drop(number, "corrupt")
            self._show()

    # -- going out -----------------------------------------------------------------------------------------------------

    def take(self, limit: int) -> Sequence[Row]:
        """Return rows for a transaction: about ``limit``. They count as waiting until ``settle``."""
        with self._lock:
            if not self._in_hand:
                rows: list[Row] = []
                while self._packets and len(rows) < limit:
                    packet = self._pop()
                    found = packet.unpack()
                    rows += found
                    if packet.rows > len(found):
                        self._drop(packet.rows - len(found), "corrupt")
                self._in_hand = rows
            if self._rows < limit and not self.complete:
                self.enough.clear()
            return self._in_hand

    def settle(self, written: int, now: float) -> None:
        """Note that the rows that were taken are written, but for those that the database refuses for good."""
        with self._lock:
            refused, self._in_hand = len(self._in_hand) - written, ()
            last = now if written else self._counts.last
            self._counts = dataclasses.replace(self._counts, written=self._counts.written + written, last=last)
            if refused:
                self._drop(refused, "refused by the database")
            self._show()

    def database(self, *, reachable: bool, reason: str, now: float) -> None:
        """Note how the database stands."""
        with self._lock:
            since = self._counts.since if reachable is self._counts.reachable else now
            self._counts = dataclasses.replace(self._counts, reachable=reachable, reason=reason, since=since)
            self._show()

    def leave(self) -> None:
        """Leave what is not written to the next storage process, since this one ends."""
        with self._lock:
            rows = self.waiting
            if not rows:
                return
            left = [*packets(self._in_hand), *self._packets] if self._in_hand else list(self._packets)
            lost = self._leftovers.put(left)
            self._packets.clear()
            self._size = self._rows = 0
            self._in_hand = ()
            if lost:
                self._drop(lost, "the storage process ends")
            self._show()
        log.info("journal rows left to the next storage process", rows=rows - lost)

    def _take_in(self, arrived: Iterable[Packet], enough: int) -> None:
        with self._lock:
            self._expected = 0
            for packet in arrived:
                self._append(packet)
            self._show()
        if self._rows >= enough:
            self.enough.set()

    def _append(self, packet: Packet) -> None:
        self._packets.append(packet)
        self._size, self._rows = self._size + packet.size, self._rows + packet.rows
        while self._size > self._max_bytes:
            self._drop(self._pop().rows, "the database does not take them")

    def _pop(self) -> Packet:
        packet = self._packets.popleft()
        self._size, self._rows = self._size - packet.size, self._rows - packet.rows
        return packet

    def _drop(self, rows: int, reason: str) -> None:
        self._counts = dataclasses.replace(self._counts, dropped=self._counts.dropped + rows)
        self._rate_limited.rows_dropped(self._counts.dropped, reason)

    def _show(self) -> None:
        self._record.write(dataclasses.replace(self._counts, waiting=self.waiting + self._expected))
