"""Share what the workers of this host find out about silent nameservers, through an anonymous file in memory.

Each worker has one record, by its slot: it writes that one and reads all, so it waits for no lock and for no other
worker. Does not know what a silence leads to: see ``silence``.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b

from spfmilter.dns.silence import Report
from spfmilter.settings.values import Nameserver

# The nameservers' digest; when it was written; since when they are silent (nan: they answer); when a silence was last
# announced; whether this one was. Whole words of 8 bytes, which no reader sees half written.
_RECORD = struct.Struct("=8sdddQ")
_FRESH = 5.0  # seconds for which a report of a silence counts: a worker writes it each second
_MAX_SLOTS = 2000


class ReportFile:
    """The reports of all workers. Make it before forking the processes that share it."""

    def __init__(self) -> None:
        self._file: int | None = None  # None if the system refuses one: then each worker is on its own
        with suppress(OSError):
            self._file = os.memfd_create("spfmilter-reports", os.MFD_CLOEXEC)

    def of(self, slot: int) -> Reports:
        """Return the reports as the worker in this slot tells and hears them."""
        return Reports(self._file, slot)

    def close(self) -> None:
        """Close this process's descriptor. The other processes keep theirs."""
        if self._file is not None:
            os.close(self._file)


class Reports:
    """What one worker tells, and what it hears from the others; times are those of ``time.monotonic``."""

    def __init__(self, file: int | None, slot: int) -> None:
        self._file, self._slot = file, slot
        self._has_told = False  # until then, our slot has the report of the worker before us

    def tell(self, report: Report, nameservers: Sequence[Nameserver], now: float) -> None:
        """Replace this worker's report. Without memory for it, the others do not hear of it."""
        since = math.nan if report.since is None else report.since
        record = _RECORD.pack(_digest(nameservers), now, since, report.announced, report.is_announced)
        if self._file is not None and self._slot < _MAX_SLOTS:
            with suppress(OSError):
                os.pwrite(self._file, record, self._slot * _RECORD.size)
                self._has_told = True

    def others(self, nameservers: Sequence[Nameserver], now: float) -> list[Report]:
        """Return the reports of workers that ask the same nameservers. An old one tells of no silence."""
        if self._file is None:
            return []
        try:
            data = os.pread(self._file, _MAX_SLOTS * _RECORD.size, 0)
        except OSError:
            return []
        digest, found = _digest(nameservers), []
        whole = len(data) // _RECORD.size * _RECORD.size
        for slot, (key, at, since, announced, flag) in enumerate(_RECORD.iter_unpack(data[:whole])):
            if key == digest and not (slot == self._slot and self._has_told):
                is_silent = now - at < _FRESH and not math.isnan(since)
                report = Report(since if is_silent else None, announced, is_announced=is_silent and bool(flag))
                found.append(report)
        return found


def _digest(nameservers: Sequence[Nameserver]) -> bytes:
    """Return the same bytes for the same nameservers: after a reload, old workers may ask others than new ones."""
    return blake2b("\n".join(sorted(map(str, nameservers))).encode(), digest_size=8).digest()
