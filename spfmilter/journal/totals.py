"""What became of the journal's rows, counted over all processes of this host, in memory that they share.

Each worker and each storage process has a record of its own, which it alone writes. The supervisor adds them up. When a
process has ended, the supervisor takes over its counts, and the rows that it still held count as dropped: so every row
is accounted for, however its process ends. Does not know what is in a row (docs/decisions/0050-journal-channel.md).
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from spfmilter.observe import log

_HEAD = struct.Struct("=II")  # length and CRC-32 of the text behind it: a record that is being written does not fit
_SPACE = 1024  # bytes from one record to the next
_STORAGES = 8  # records of storage processes: a reload leaves the old one some seconds
_MAX_RECORDS = 4096
_ATTEMPTS = 3
_MAX_REASON = 200  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one process has counted. The second half is for storage processes only; times are of the monotonic clock."""

    pid: int = 0
    waiting: int = 0  # rows that it holds
    dropped: int = 0  # rows that are in no database, whatever the reason
    written: int = 0
    last: float = 0.0  # when it last wrote a row; 0.0: not yet
    reachable: bool | None = None  # whether the database takes rows; None: that is not known yet
    reason: str = ""  # why it does not
    since: float = 0.0  # since when it does, or does not


class CountsRecord:
    """The record of one process."""

    def __init__(self, file: int | None, place: int) -> None:
        self._file, self._place = file, place
        self._written: Counts | None = None

    def write(self, counts: Counts) -> None:
        """Replace the record, if it says something else. Without memory for it, the counts are incomplete."""
        if self._file is None or self._place >= _MAX_RECORDS or counts == self._written:
            return
        short = dataclasses.replace(counts, reason=counts.reason[:_MAX_REASON])
        text = json.dumps(dataclasses.asdict(short)).encode()
        with suppress(OSError):
            os.pwrite(self._file, _HEAD.pack(len(text), zlib.crc32(text)) + text, self._place * _SPACE)
            self._written = counts


class TotalsFile:
    """The records of all processes. Make this before forking the processes that share it."""

    def __init__(self) -> None:
        self._file: int | None = None  # None if the system refuses one: mail is answered without it, too
        self._ended = Counts()  # of all processes that have ended
        try:
            self._file = os.memfd_create("spfmilter-journal", os.MFD_CLOEXEC)
        except OSError as error:
            reason, fix = error.strerror or str(error), "raise the limits of the process (ulimit -a), and restart"
            log.warning("journal counts unavailable", reason=reason, fix=fix)

    def of_worker(self, slot: int) -> CountsRecord:
        """Return the record of the worker in this slot."""
        return CountsRecord(self._file, _STORAGES + slot)

    def of_storage(self) -> CountsRecord:
        """Return a record that no other storage process has. Call this in a storage process."""
        taken = {place for place, _ in self._records()}
        return CountsRecord(self._file, next((place for place in range(_STORAGES) if place not in taken), 0))

    def ended(self, pid: int) -> int:
        """Take over the counts of a process that has ended. Return how many rows it took with it.

        Call this in the supervisor.
        """
        lost = 0
        for place, counts in self._records():
            if counts.pid == pid:
                lost += counts.waiting
                self._ended = _sum(self._ended, dataclasses.replace(counts, waiting=0))
                CountsRecord(self._file, place).write(Counts())
        self.drop(lost)
        return lost

    def drop(self, rows: int) -> None:
        """Count rows that no process holds any more. Call this in the supervisor."""
        self._ended = dataclasses.replace(self._ended, dropped=self._ended.dropped + rows)

    def totals(self) -> Counts:
        """Return the counts of all processes together. What is known of the database is the latest."""
        total = self._ended
        for _, counts in self._records():
            total = _sum(total, counts)
        return total

    def _records(self) -> Iterator[tuple[int, Counts]]:
        """Yield the records of living processes, each with its place."""
        if self._file is None:
            return
        try:
            places = -(-os.fstat(self._file).st_size // _SPACE)
        except OSError:
            return
        for place in range(places):
            counts = _read(self._file, place)
            if counts is not None and counts.pid:
                yield place, counts


def _read(file: int, place: int) -> Counts | None:
    """Return a record; None: there is none."""
    for _ in range(_ATTEMPTS):
        try:
            data = os.pread(file, _SPACE, place * _SPACE)
            length, checksum = _HEAD.unpack_from(data)
            text = data[_HEAD.size : _HEAD.size + length]
            if length and zlib.crc32(text) == checksum:
                return Counts(**json.loads(text))
        except (OSError, struct.error, ValueError, TypeError):
            continue
    return None


def _sum(one: Counts, other: Counts) -> Counts:
    known = max((each for each in (one, other) if each.reachable is not None), key=_since, default=Counts())
    return Counts(
        waiting=one.waiting + other.waiting,
        dropped=one.dropped + other.dropped,
        written=one.written + other.written,
        last=max(one.last, other.last),
        reachable=known.reachable,
        reason=known.reason,
        since=known.since,
    )


def _since(counts: Counts) -> float:
    return counts.since
