"""The worker's part of the journal: each decision becomes a row, which goes to the storage process in a packet of many.

Never waits, and never fails: a row that cannot be kept is dropped and counted. Knows no database.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

from spfmilter.journal.channel import MAX_ROWS, Packet, Sender, packets
from spfmilter.journal.rows import Row, row_of
from spfmilter.journal.totals import Counts, CountsRecord
from spfmilter.model import Transaction
from spfmilter.observe.ratelimited import RateLimitedLog

MAX_WAITING = 8 << 20  # bytes of packets that the channel does not take: some 50 000 rows
_LAST = 2.0  # seconds at the end of the worker in which the channel may take the last packets
_PAUSE = 0.1  # seconds between two attempts then


class Recorder:
    """CountsRecord the decisions of one worker. ``record`` may be called by several threads at once."""

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
        self._rows: list[Row] = []  # of the packet that is being filled
        self._packets: deque[Packet] = deque()  # that the channel has not taken yet
        self._size = 0  # their bytes
        self._dropped = 0
        self._shown: tuple[int, int] | None = None  # what the record says
        self._rate_limited = RateLimitedLog()

    def record(self, ended: Transaction) -> None:
        """Make a row for the transaction. Nothing that goes wrong here concerns the message."""
        try:
            time_ms = int(self._clock() * 1000)
            row = row_of(ended, time=time_ms, host=self._host, local_parts=self._local_parts)
            with self._lock:
                self._rows.append(row)
                if len(self._rows) >= MAX_ROWS:
                    self._send()
        except Exception:  # noqa: BLE001 - a bug, or no memory
            self._dropped += 1
            self._rate_limited.row_lost(traceback.format_exc())

    def flush(self) -> None:
        """Send what is there, and show the counts. Call this once a second."""
        with self._lock:
            self._send()
            shown = self._waiting(), self._dropped
        if shown != self._shown:
            self._shown = shown
            self._counts.write(Counts(pid=os.getpid(), waiting=shown[0], dropped=shown[1]))

    def close(self) -> None:
        """Send the last rows, and drop those that the channel does not take. No session is open any more."""
        until = time.monotonic() + _LAST
        self.flush()
        while self._packets and time.monotonic() < until:
            self._sender.wait(_PAUSE)
            self.flush()
        with self._lock:
            if lost := self._waiting():
                self._drop(lost, "the storage process does not take them, and the worker ends")
            self._packets.clear()
            self._size = 0
        self.flush()

    def _waiting(self) -> int:
        return len(self._rows) + sum(packet.rows for packet in self._packets)

    def _send(self) -> None:
        """Pack the rows, and send what the channel takes. Then drop the oldest packets if too many wait."""
        if self._rows:
            rows, self._rows = self._rows, []
            made = list(packets(rows))
            self._packets += made
            self._size += sum(packet.size for packet in made)
            if lost := len(rows) - sum(packet.rows for packet in made):
                self._drop(lost, "larger than a packet")
        while self._packets and self._sender.send(self._packets[0]):
            self._size -= self._packets.popleft().size
        while self._size > self._max_waiting:
            oldest = self._packets.popleft()
            self._size -= oldest.size
            self._drop(oldest.rows, "the storage process does not take them")

    def _drop(self, rows: int, reason: str) -> None:
        self._dropped += rows
        self._rate_limited.rows_dropped(self._dropped, reason)
