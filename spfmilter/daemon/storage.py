"""The process that waits for databases, so that workers never do. It runs one thread for each of its tasks.

Knows how the tasks are started, repeated after a failure, and ended. The tasks know what is stored.
"""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from spfmilter.daemon import exemptiontask
from spfmilter.daemon.background import Work, set_signals
from spfmilter.daemon.exemptiontask import ExemptionTask
from spfmilter.daemon.shared import Shared
from spfmilter.observe import log
from spfmilter.settings import Settings

_FIRST_PAUSE, _MAX_PAUSE = 1.0, 60.0  # seconds after a failure, doubled each time
FINISH = 5.0  # seconds that the tasks have at the end to store what is left


class Task(Protocol):
    """Something to be done beside the mail. It may wait for a database or a server, and it may fail."""

    name: str  # for the log

    def run(self, ending: threading.Event) -> None:
        """Work until ``ending`` is set. Then store what is left, in a few seconds at most."""


def purpose(settings: Settings, shared: Shared) -> Hashable:
    """Return the settings that the process is started with; None: there is nothing to store."""
    names = tuple(name for name, _ in _tasks(settings, shared))
    # A StateUrl and a JournalUrl are compared with their passwords.
    return (names, settings.state, settings.journal, settings.log) if names else None


def working(settings: Settings, shared: Shared) -> Work:
    """Return the work of the process: run the tasks that the settings ask for until the supervisor exits."""

    def work(link: socket.socket) -> int:
        set_signals()
        ending = threading.Event()
        threads = [
            threading.Thread(target=_repeat, args=(name, make, ending), name=name, daemon=True)
            for name, make in _tasks(settings, shared)
        ]
        for thread in threads:
            thread.start()
        link.recv(1)  # readable when the supervisor has closed its end, or is gone
        ending.set()
        for thread in threads:
            thread.join(FINISH)
        return 0

    return work


def _tasks(settings: Settings, shared: Shared) -> Sequence[tuple[str, Callable[[], Task]]]:
    """Return the tasks that the settings ask for: each its purpose, and what makes it."""
    tasks: list[tuple[str, Callable[[], Task]]] = []
    if exemptiontask.is_wanted(settings):
        tasks.append((ExemptionTask.name, lambda: ExemptionTask(settings, shared.exemptions)))
    return tasks


def _repeat(name: str, make: Callable[[], Task], ending: threading.Event) -> None:
    """Run a task until the end, anew after each failure."""
    pause = _FIRST_PAUSE
    while not ending.is_set():
        try:
            make().run(ending)
        except Exception:  # noqa: BLE001 - a bug, or a library's: mail does not depend on it
            log.fault(f"storage: {name}", traceback.format_exc())
            ending.wait(pause)
            pause = min(2 * pause, _MAX_PAUSE)
