"""The worker's part of the journal: each decision becomes a row, which goes to the storage process in a packet of many.

Never waits, and never fails: a row that cannot be kept is dropped and counted. Knows no database.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence

from spfmilter.journal.answers import packed
from spfmilter.journal.channel import MAX_ROWS, Packet, Sender, packets
from spfmilter.journal.rows import Row, row_of
from spfmilter.journal.totals import Counts, CountsRecord
from spfmilter.model import Transaction
from spfmilter.observe.ratelimited import RateLimitedLog

MAX_WAITING = 8 << 20  # bytes of packets that the channel does not take: some 50 000 rows
_LAST = 2.0  # seconds at the end of the worker in which the channel may take the last packets
_PAUSE = 0.1  # seconds between two attempts then
_Ended = tuple[float, Transaction]  # a transaction, and the Unix time at which it ended


class Recorder:
    """Record the decisions of one worker. ``record`` may be called by several threads at once."""

    def __init__(
        self,
        sender: Sender,
        counts: CountsRecord,
        *,
        host: str,
        local_parts: bool,
        max_waiting: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare.

        Args:
            sender: this worker's end of the channel.
            counts: this worker's record of counts.
            host: the MTA's name where a transaction does not tell.
            local_parts: see ``row_of``.
            max_waiting: bytes of packets that wait at most; None: ``MAX_WAITING``.
            clock: returns the Unix time.
        """
        self._sender, self._counts, self._clock = sender, counts, clock
        self._host, self._local_parts = host, local_parts
        self._max_waiting = MAX_WAITING if max_waiting is None else max_waiting
        self._lock = threading.Lock()
        self._ended: list[_Ended] = []  # those that are not rows yet
        self._packets: deque[Packet] = deque()  # that the channel has not taken yet
        self._size = 0  # their bytes
        self._dropped = 0
        self._rate_limited = RateLimitedLog()

    def record(self, ended: Transaction) -> None:
        """Keep the transaction until there are enough for a packet. What goes wrong here does not concern the message.

        Many rows at a time take half as long as one by one: the code for them is then in the processor's cache.
        """
        try:
            with self._lock:
                self._ended.append((self._clock(), ended))
                if len(self._ended) < MAX_ROWS:
                    return
                batch, self._ended = self._ended, []
            self._send(batch)
        except Exception:  # noqa: BLE001 - a bug, or no memory
            self._rate_limited.row_lost(traceback.format_exc())

    def flush(self) -> None:
        """Send what is there, and show the counts. Call this once a second."""
        with self._lock:
            batch, self._ended = self._ended, []
        self._send(batch)
        self._counts.write(Counts(pid=os.getpid(), waiting=self._waiting(), dropped=self._dropped))

    def close(self) -> None:
        """Send the last rows, and drop those that the channel does not take. No session is open any more."""
        until = time.monotonic() + _LAST
        self.flush()
        while self._packets and time.monotonic() < until:
            self._sender.wait(_PAUSE)
            self.flush()
        with self._lock:
            if lost := sum(packet.rows for packet in self._packets):
                self._drop(lost, "the storage process does not take them, and the worker ends")
            self._packets.clear()
            self._size = 0
        self.flush()

    def _waiting(self) -> int:
        with self._lock:
            return len(self._ended) + sum(packet.rows for packet in self._packets)

    def _send(self, batch: Sequence[_Ended]) -> None:
        """Pack these rows, and send what the channel takes. Then drop the oldest packets if too many wait."""
        made = self._pack(batch)
        with self._lock:
            if lost := len(batch) - sum(packet.rows for packet in made):
                self._drop(lost, "no row could be made")
            self._packets += made
            self._size += sum(packet.size for packet in made)
            while self._packets and self._sender.send(self._packets[0]):
                self._size -= self._packets.popleft().size
            while self._size > self._max_waiting:
                oldest = self._packets.popleft()
                self._size -= oldest.size
                self._drop(oldest.rows, "the storage process does not take them")

    def _pack(self, batch: Sequence[_Ended]) -> Sequence[Packet]:
        """Return packets with a row for each transaction for which one can be made."""
        rows = [row for each in batch if (row := self._row(*each)) is not None]
        try:
            return list(packets(rows)) if rows else ()
        except MemoryError:
            return ()

    def _row(self, seconds: float, ended: Transaction) -> Row | None:
        try:
            keep = self._local_parts
            answers = packed(ended, local_parts=keep)
            return row_of(ended, time=int(seconds * 1000), host=self._host, local_parts=keep, answers=answers)
        except Exception:  # noqa: BLE001 - a bug, or no memory
            self._rate_limited.row_lost(traceback.format_exc())
            return None

    def _drop(self, rows: int, reason: str) -> None:
        self._dropped += rows
        self._rate_limited.rows_dropped(self._dropped, reason)
