"""What the supervisor shares with its children: made before the first of them, it outlives each one and each reload.

Knows what there is, and what a child gets of it. Does not know what it is used for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from spfmilter.daemon.exemptionboard import ExemptionBoard, ExemptionReader
from spfmilter.daemon.figures import SharedFigures
from spfmilter.daemon.refreshboard import RefreshBoard
from spfmilter.daemon.snapshot import Figures
from spfmilter.dns.reports import ReportFile, Reports
from spfmilter.journal.backlog import Leftovers
from spfmilter.journal.channel import Receiver, RowChannel, Sender
from spfmilter.journal.totals import Counts, CountsRecord, TotalsFile
from spfmilter.observe import log
from spfmilter.settings import Settings
from spfmilter.state import Deferrals, Table, open_deferrals


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerShare:
    """What one worker has in common with the other processes."""

    deferrals: Deferrals
    reports: Reports  # of silent nameservers
    report: Callable[[Figures], None]  # stores its figures, for the status file
    exemptions: ExemptionReader
    refreshed: RefreshBoard
    sender: Sender  # of the journal's rows
    counts: CountsRecord  # of those rows


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageShare:
    """What the storage process has in common with the other processes."""

    receiver: Receiver  # of the journal's rows
    counts: CountsRecord  # of those rows
    leftovers: Leftovers  # rows that one storage process leaves to the next
    exemptions: ExemptionBoard
    refreshed: RefreshBoard


class Shared:
    """What all processes of one daemon share."""

    def __init__(self) -> None:
        """Make it.

        Raises:
            OSError: the system refuses the descriptors.
        """
        self.figures, self.exemptions, self._refreshed = SharedFigures(), ExemptionBoard(), RefreshBoard()
        self._deferrals, self._reports = Table(), ReportFile()
        self._channel, self._totals, self._leftovers = RowChannel(), TotalsFile(), Leftovers()

    def of_worker(self, slot: int, settings: Settings) -> WorkerShare:
        """Return what a worker uses. Call this in the worker."""
        bound = settings.policy.defer_at_most.seconds
        return WorkerShare(
            deferrals=open_deferrals(settings.state.url, self._deferrals, bound=bound),
            reports=self._reports.of(slot),
            report=functools.partial(self.figures.write, slot),
            exemptions=ExemptionReader(self.exemptions),
            refreshed=self._refreshed,
            sender=self._channel.to_send(),
            counts=self._totals.of_worker(slot),
        )

    def of_storage(self) -> StorageShare:
        """Return what the storage process uses. Call this there."""
        return StorageShare(
            receiver=self._channel.to_receive(),
            counts=self._totals.of_storage(),
            leftovers=self._leftovers,
            exemptions=self.exemptions,
            refreshed=self._refreshed,
        )

    def let_go(self) -> None:
        """Close the rows' channel in a process that uses neither end."""
        self._channel.close()

    # -- the journal's rows, as the supervisor counts them -------------------------------------------------------------

    def rows(self) -> Counts:
        """Return what has become of the journal's rows since the start."""
        return self._totals.totals()

    def ended(self, pid: int) -> None:
        """Note that a process has ended. The rows that it held are lost."""
        if lost := self._totals.ended(pid):
            log.error("journal rows lost with a process", pid=pid, rows=lost)

    def close(self) -> None:
        """Log how many rows no process has taken any more. Call this when all have ended."""
        with self._leftovers.taken() as left:
            lost = sum(packet.rows for packet in (*self._channel.remaining(), *left))
        if lost:
            self._totals.drop(lost)
            log.error("journal rows lost at the end", rows=lost, fix="see why the database was not available")
