"""The process that serves /metrics. It is separate because the supervisor must not wait for a slow reader.

Knows how the process is started, restarted and ended. ``observe.metrics`` knows the metrics.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from spfmilter.daemon import child as children
from spfmilter.daemon import hints
from spfmilter.daemon.child import Child
from spfmilter.observe import log
from spfmilter.observe.metrics import application
from spfmilter.settings.values import nameserver

_RESTART_AFTER = 2.0  # seconds; twice as long each time
_MAX_PAUSE = 300.0


class ExporterProcess:
    """Keep one exporter running at the configured address, or none."""

    def __init__(self, folder: Path | None, close: Callable[[], None]) -> None:
        self._folder = folder
        self._close = close  # runs first in the exporter: closes everything that belongs to the supervisor
        self._child: Child | None = None
        self._listen = ""
        self._not_before, self._pause = 0.0, _RESTART_AFTER

    def keep(self, listen: str, now: float) -> None:
        """Start, stop or move the exporter, as the current settings require."""
        if self._child is not None and listen != self._listen:
            self.stop()
        if self._child is None and listen and self._folder is not None and now >= self._not_before:
            self._pause = min(2 * self._pause, _MAX_PAUSE) if listen == self._listen else _RESTART_AFTER
            self._listen, self._not_before = listen, now + self._pause
            try:
                self._child = children.fork(_work(self._folder, listen), -1, self._close)
            except OSError as error:
                reason, fix = error.strerror or str(error), "raise the limits of the process (ulimit -a)"
                log.error("metrics exporter cannot be started", reason=reason, fix=fix)

    def ended(self, pid: int, status: int) -> None:
        """Log the exporter's end and forget it, if the ended process is the exporter."""
        if self._child is not None and self._child.pid == pid:
            log.error("metrics exporter exited", pid=pid, how=children.ending(status))
            self._child.link.close()
            self._child = None

    def stop(self) -> None:
        """Kill the exporter. It has nothing to finish."""
        if self._child is not None:
            child, self._child = self._child, None
            child.signal(signal.SIGKILL)
            child.link.close()

    def let_go(self) -> None:
        """Close, in another child, the supervisor's end of the link."""
        if self._child is not None:
            self._child.link.close()


def _work(folder: Path, listen: str) -> Callable[[socket.socket], int]:
    address = nameserver(listen)

    def work(link: socket.socket) -> int:
        for number in (signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        children.let_signals_in()
        # Loaded here, since the supervisor and its workers do not need it.
        from spfmilter.observe import scrape  # noqa: PLC0415

        try:
            sock = scrape.listen(address.address, address.port)
            log.info("metrics served", listen=listen)
            scrape.serve(application(folder), sock, link)  # the link becomes readable when the supervisor exits
        except OSError as error:
            log.error(
                "metrics cannot be served",
                listen=listen,
                reason=error.strerror or str(error),
                fix=hints.for_address(error, address.address, address.port) or "[metrics] listen",
            )
            time.sleep(_RESTART_AFTER)
            return 1
        return 0

    return work
