"""What the supervisor shares with its children: made before the first of them, it outlives each one and each reload.

Knows what there is, and what a child gets of it. Does not know what it is used for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from spfmilter.daemon.exemptionboard import ExemptionBoard, ExemptionReader
from spfmilter.daemon.figures import SharedFigures
from spfmilter.daemon.snapshot import Figures
from spfmilter.dns.reports import ReportFile, Reports
from spfmilter.settings import Settings
from spfmilter.state import Deferrals, Table, open_deferrals


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerShare:
    """What one worker has in common with the other processes."""

    deferrals: Deferrals
    reports: Reports  # of silent nameservers
    report: Callable[[Figures], None]  # stores its figures, for the status file
    exemptions: ExemptionReader


class Shared:
    """What all processes of one daemon share."""

    def __init__(self) -> None:
        self.figures, self.exemptions = SharedFigures(), ExemptionBoard()
        self._deferrals, self._reports = Table(), ReportFile()

    def of_worker(self, slot: int, settings: Settings) -> WorkerShare:
        """Return what a worker uses. Call this in the worker."""
        bound = settings.policy.defer_at_most.seconds
        return WorkerShare(
            deferrals=open_deferrals(settings.state.url, self._deferrals, bound=bound),
            reports=self._reports.of(slot),
            report=functools.partial(self.figures.write, slot),
            exemptions=ExemptionReader(self.exemptions),
        )
