"""Share what the workers of this host find out about nameservers, through anonymous files in memory.

Each worker has one record in each file, by its slot: it writes that one and reads all, so it waits for no lock and for
no other worker. Does not know what a silence leads to, nor errors: see ``silence`` and ``errors``.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any

from spfmilter.dns.errors import ErrorReport
from spfmilter.dns.silence import Report
from spfmilter.settings.values import Nameserver

# Whole words of 8 bytes, which no reader sees half written. Each record begins with the nameservers' digest, and when
# it was written.
# Since when they are silent (nan: they answer); when a silence was last announced; whether this one was.
_SILENCE = struct.Struct("=8sdddQ")
# Since when they answer nothing but errors (nan: they do not); the time of the last error; the domains; the time of the
# last good answer; whether it is announced.
_ERRORS = struct.Struct("=8sdddQdQ")
_FRESH = 5.0  # seconds for which a report of a silence, or of errors, counts: a worker writes it each second
_MAX_SLOTS = 2000


class _Records:
    """One file: a record for each slot."""

    def __init__(self, name: str, record: struct.Struct) -> None:
        self.record = record
        self._file: int | None = None  # None if the system refuses one: then each worker is on its own
        with suppress(OSError):
            self._file = os.memfd_create(name, os.MFD_CLOEXEC)

    def write(self, slot: int, data: bytes) -> bool:
        """Replace the record of a slot. Return whether there was memory for it."""
        if self._file is not None and slot < _MAX_SLOTS:
            with suppress(OSError):
                os.pwrite(self._file, data, slot * self.record.size)
                return True
        return False

    def read(self) -> Iterable[tuple[Any, ...]]:
        """Return the fields of all records, in the order of the slots."""
        if self._file is None:
            return []
        try:
            data = os.pread(self._file, _MAX_SLOTS * self.record.size, 0)
        except OSError:
            return []
        return self.record.iter_unpack(data[: len(data) // self.record.size * self.record.size])

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)


class ReportFile:
    """The reports of all workers. Make it before forking the processes that share it."""

    def __init__(self) -> None:
        self._silences = _Records("spfmilter-reports", _SILENCE)
        self._errors = _Records("spfmilter-errors", _ERRORS)

    def of(self, slot: int) -> Reports:
        """Return the reports as the worker in this slot tells and hears them."""
        return Reports(self._silences, self._errors, slot)

    def close(self) -> None:
        """Close this process's descriptors. The other processes keep theirs."""
        self._silences.close()
        self._errors.close()


class Reports:
    """What one worker tells, and what it hears from the others; times are those of ``time.monotonic``.

    Without memory for what it tells, the others do not hear of it.
    """

    def __init__(self, silences: _Records, errors: _Records, slot: int) -> None:
        self._silences, self._errors, self._slot = silences, errors, slot
        # Until it has told something, our slot has the report of the worker before us.
        self._has_told = self._has_told_errors = False

    def tell(self, report: Report, nameservers: Sequence[Nameserver], now: float) -> None:
        """Replace this worker's report of a silence."""
        fields = _or_nan(report.since), report.announced, report.is_announced
        record = _SILENCE.pack(_digest(nameservers), now, *fields)
        self._has_told = self._silences.write(self._slot, record) or self._has_told

    def others(self, nameservers: Sequence[Nameserver], now: float) -> list[Report]:
        """Return the reports of workers that ask the same nameservers. An old one tells of no silence."""
        digest, found = _digest(nameservers), []
        for slot, (key, at, since, announced, flag) in enumerate(self._silences.read()):
            if key == digest and not (slot == self._slot and self._has_told):
                is_silent = now - at < _FRESH and not math.isnan(since)
                report = Report(since if is_silent else None, announced, is_announced=is_silent and bool(flag))
                found.append(report)
        return found

    def tell_errors(self, report: ErrorReport, nameservers: Sequence[Nameserver], now: float) -> None:
        """Replace this worker's report of errors."""
        fields = _or_nan(report.since), report.latest, report.domains, report.good, report.is_announced
        record = _ERRORS.pack(_digest(nameservers), now, *fields)
        self._has_told_errors = self._errors.write(self._slot, record) or self._has_told_errors

    def errors_of_others(self, nameservers: Sequence[Nameserver], now: float) -> list[ErrorReport]:
        """Return the reports of workers with the same nameservers. An old one tells of the last good answer only."""
        digest, found = _digest(nameservers), []
        for slot, (key, at, since, latest, domains, good, flag) in enumerate(self._errors.read()):
            if key == digest and not (slot == self._slot and self._has_told_errors):
                if now - at < _FRESH and not math.isnan(since):
                    found.append(ErrorReport(since, latest, domains, good, is_announced=bool(flag)))
                else:
                    found.append(ErrorReport(good=good))
        return found


def _or_nan(since: float | None) -> float:
    return math.nan if since is None else since


def _digest(nameservers: Sequence[Nameserver]) -> bytes:
    """Return the same bytes for the same nameservers: after a reload, old workers may ask others than new ones."""
    return blake2b("\n".join(sorted(map(str, nameservers))).encode(), digest_size=8).digest()
