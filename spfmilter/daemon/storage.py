"""The process that waits for databases, so that workers never do. It runs one thread for each of its tasks.

Knows how the tasks are started, repeated after a failure, and ended. The tasks know what is stored.
"""

from __future__ import annotations

import select
import socket
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

from spfmilter.daemon import exemptiontask
from spfmilter.daemon.background import Work, is_planned, set_signals, yield_to_mail
from spfmilter.daemon.exemptiontask import ExemptionTask
from spfmilter.daemon.shared import Shared, StorageShare
from spfmilter.journal.backlog import Backlog
from spfmilter.journal.intake import ORPHANED, Intake
from spfmilter.observe import log
from spfmilter.refresh.wanted import has_hosts, has_page
from spfmilter.settings import Settings

_FIRST_PAUSE, _MAX_PAUSE = 1.0, 60.0  # seconds after a failure, doubled each time
_FLUSH = 1.0  # seconds between two attempts to write waiting lines of the log
FINISH = 5.0  # seconds that the tasks have at the end to store what is left


class Task(Protocol):
    """Something to be done beside the mail. It may wait for a database or a server, and it may fail."""

    name: str  # for the log

    def run(self, ending: threading.Event) -> None:
        """Work until ``ending`` is set. Then store what is left, in a few seconds at most."""


_Maker = tuple[str, Callable[[], Task]]  # the name of a task, for the log, and what makes it


def purpose(settings: Settings) -> Hashable:
    """Return the settings that the process is started with; None: there is nothing to store."""
    journal = (settings.journal.url, settings.journal.keep) if settings.journal.url is not None else None
    # Both URLs are compared with their passwords.
    exemptions = (settings.state, settings.journal.url) if exemptiontask.is_wanted(settings) else None
    # With all that an evaluation depends on.
    about = (settings.state, settings.journal.url, settings.dns, settings.web, settings.reply.help_url)
    refresh = about if has_page(settings) or has_hosts(settings) else None
    return (journal, exemptions, refresh, settings.log) if journal or exemptions or refresh else None


def working(settings: Settings, shared: Shared) -> Work:
    """Return the work of the process: run the tasks that the settings ask for until the supervisor exits."""

    def work(link: socket.socket) -> int:
        set_signals()
        yield_to_mail()
        ending, orphaned = threading.Event(), threading.Event()
        tasks, at_end = _tasks(settings, shared.of_storage(), orphaned)
        threads = [
            threading.Thread(target=_repeat, args=(name, make, ending), name=name, daemon=True) for name, make in tasks
        ]
        for thread in threads:
            thread.start()
        _wait_for_end(link)
        until = time.monotonic() + FINISH
        if not is_planned(link):
            orphaned.set()
            until += ORPHANED
        ending.set()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        at_end()
        return 0

    return work


def _wait_for_end(link: socket.socket) -> None:
    """Wait until the supervisor has closed its end of the link or is gone. Until then, write what the log held back."""
    poll = select.poll()
    poll.register(link, select.POLLIN)
    while not poll.poll(_FLUSH * 1000):
        log.flush()


def _tasks(
    settings: Settings, share: StorageShare, orphaned: threading.Event
) -> tuple[Sequence[_Maker], Callable[[], None]]:
    """Return the tasks that the settings ask for, and what is done when they have ended."""
    url, keep = settings.journal.url, settings.journal.keep.seconds
    tasks: list[_Maker] = []
    if exemptiontask.is_wanted(settings):
        tasks.append((ExemptionTask.name, lambda: ExemptionTask(settings, share.exemptions)))
    if has_page(settings) or has_hosts(settings):
        from spfmilter.daemon import refreshtask  # noqa: PLC0415 - its packages are those of the help page

        tasks.extend((task.name, _made(task)) for task in refreshtask.tasks(settings, share.refreshed))
    if url is None:
        return tasks, lambda: None
    backlog = Backlog(share.counts, share.leftovers)

    def write() -> Task:
        from spfmilter.journal.writer import Writer  # noqa: PLC0415 - no other process loads the database's library

        return Writer(url, keep, backlog)

    return [
        *tasks,
        ("journal channel", lambda: Intake(share.receiver, backlog, orphaned)),
        ("journal", write),
    ], backlog.leave


def _made(task: Task) -> Callable[[], Task]:
    """Return a maker for a task that is made already."""
    return lambda: task


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
