"""The process that serves /metrics. It is separate because the supervisor must not wait for a slow reader.

``background`` knows how a process is started, restarted and ended, ``observe.metrics`` the metrics.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from spfmilter.daemon import hints
from spfmilter.daemon.background import Work, set_signals
from spfmilter.observe import log
from spfmilter.observe.metrics import application
from spfmilter.settings.values import nameserver

_PAUSE = 2.0  # seconds


def serving(folder: Path, listen: str) -> Work:
    """Return the work of the exporter: serve the counters in ``folder`` at the address ``listen``."""

    def work(link: socket.socket) -> int:
        address = nameserver(listen)
        set_signals()
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
            time.sleep(_PAUSE)
            return 1
        return 0

    return work
