"""The processes beside the workers: the metrics exporter and the storage process, as far as the settings want them.

Knows what each of them is started for, and how each is ended. Mail depends on neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from spfmilter.daemon import exporter, storage
from spfmilter.daemon.background import BackgroundProcess
from spfmilter.daemon.shared import Shared
from spfmilter.settings import Settings


class Beside:
    """Both processes of one supervisor."""

    def __init__(self, metrics_folder: Path | None, shared: Shared, close: Callable[[], None]) -> None:
        """Prepare; start nothing.

        Args:
            metrics_folder: of the counters; None: there are none to show.
            shared: what all processes share.
            close: runs first in each of them: closes everything that belongs to the supervisor.
        """
        self._folder, self._shared = metrics_folder, shared
        self._exporter = BackgroundProcess("metrics exporter", lambda: _close(close, shared))
        self._storage = BackgroundProcess("storage process", close, finishes=True)

    @property
    def processes(self) -> Sequence[BackgroundProcess]:
        """Return both, for the status file."""
        return self._exporter, self._storage

    def keep_exporter(self, settings: Settings, now: float) -> None:
        """Let the exporter run as the settings want it."""
        folder, listen = self._folder, settings.metrics.listen
        if folder is not None:
            self._exporter.keep(listen or None, exporter.serving(folder, listen), now)

    def keep_storage(self, settings: Settings, now: float) -> None:
        """Let the storage process run as the settings want it."""
        self._storage.keep(storage.purpose(settings), storage.working(settings, self._shared), now)

    def ended(self, pid: int, status: int) -> None:
        """Note the end of a process, if it is one of these."""
        for process in self.processes:
            process.ended(pid, status)

    def let_go(self) -> None:
        """Close, in another child, the supervisor's ends of the links."""
        for process in self.processes:
            process.let_go()

    def finish(self, settings: Settings, now: float) -> None:
        """End both, the storage process when it has stored what is left. Call this when the workers have ended."""
        self._exporter.stop()
        self._storage.hurry()
        self.keep_storage(settings, now)  # it may have exited meanwhile
        for pid in self._storage.finish(storage.FINISH + 1):
            self._shared.ended(pid)


def _close(close: Callable[[], None], shared: Shared) -> None:
    """In the exporter, which stores nothing: let go of the rows' channel as well."""
    close()
    shared.let_go()
