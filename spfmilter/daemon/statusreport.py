"""Write down how the daemon stands, for ``spfmilter status``: every two seconds, and at each change.

Knows what the supervisor knows. Does not judge what is healthy. The supervisor never waits for a reader: it writes a
file, and a file that cannot be written costs it nothing but a line in the log (docs/decisions/0060-status.md).
"""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from spfmilter.daemon import exemptiontask, inforce, life, versions
from spfmilter.daemon.background import BackgroundProcess
from spfmilter.daemon.child import Child
from spfmilter.daemon.shared import Shared
from spfmilter.daemon.slots import Fleet, Reload, Slot
from spfmilter.daemon.snapshot import (
    ExemptionsState,
    Exits,
    JournalState,
    ReloadState,
    Snapshot,
    WorkerState,
    encode,
)
from spfmilter.daemon.statusfile import StatusFile
from spfmilter.exemptions.store import place
from spfmilter.observe import log
from spfmilter.settings import Settings
from spfmilter.settings.sockets import SocketAddress

EVERY = 2.0  # seconds between two snapshots without a change
_WARN_EVERY = 600.0  # seconds between two warnings
_Past = TypeVar("_Past", ReloadState, Exits)


class StatusReport:
    """The status file of one supervisor; times are those of its monotonic clock."""

    def __init__(
        self,
        ini: Path,
        listener: socket.socket,
        processes: Sequence[BackgroundProcess],
        shared: Shared,
        *,
        counting: bool,
    ) -> None:
        """Prepare; write nothing.

        Args:
            ini: the INI file.
            listener: the listening socket.
            processes: those beside the workers.
            shared: what all processes share.
            counting: whether the daemon has a folder for metrics.
        """
        self._shared = shared
        self._ini, self._processes, self._counting = ini, processes, counting
        self._file = StatusFile(ini)
        self._address = _address(listener)
        self._began = time.monotonic()
        self._settings, self._settings_since, self._digest = Settings(), self._began, ""
        self._reload: ReloadState | None = None
        self._exits: Counter[int] = Counter()  # by slot
        self._last_exit = Exits(number=0, age=0.0, how="")
        self._trouble = ""  # with the last file
        self._written: Hashable = None  # what the last snapshot depended on
        self._next = self._warn_next = float("-inf")

    @cached_property
    def _versions(self) -> Mapping[str, str]:
        return versions.installed()

    # -- what has happened --------------------------------------------------------------------------------------------

    def begin(self, settings: Settings, now: float) -> None:
        """Note the settings that are in force from now on."""
        self._settings, self._settings_since = settings, now
        self._digest = inforce.digest(settings, counting=self._counting)

    def reload_ended(self, now: float, *, refused: str = "") -> None:
        """Note the end of a reload: done, or refused for a reason."""
        self._reload = ReloadState(done=not refused, reason=refused, age=now)

    def worker_exited(self, slot: int, how: str, now: float) -> None:
        """Note a worker that ended without having been told to."""
        self._exits[slot] += 1
        self._last_exit = Exits(number=self._exits.total(), age=now, how=how)

    # -- the file -----------------------------------------------------------------------------------------------------

    def keep(self, fleet: Fleet, workers: Mapping[int, Child], now: float) -> None:
        """Write the file if it is time, or if anything but the figures has changed."""
        slots = tuple((slot.number, slot.phase, slot.generation) for slot in fleet.slots)
        stopping, others = fleet.stop_at is not None, tuple(process.pid for process in self._processes)
        depends = slots, fleet.serving, fleet.reload, stopping, self._last_exit, self._reload, others
        if now < self._next and depends == self._written:
            return
        self._next, self._written = now + EVERY, depends
        try:
            self._trouble = self._file.write(encode(self.snapshot(fleet, workers, now)))
        except OSError as error:
            self._failed(error, now)

    def _failed(self, error: OSError, now: float) -> None:
        if now >= self._warn_next:
            self._warn_next = now + _WARN_EVERY
            fix = "let the daemon write in its runtime folder, or make space there"
            log.warning("status file cannot be written", reason=error.strerror or str(error), fix=fix)

    def remove(self) -> None:
        """Remove the file: the daemon has stopped."""
        self._file.remove()

    # -- the snapshot -------------------------------------------------------------------------------------------------

    def snapshot(self, fleet: Fleet, workers: Mapping[int, Child], now: float) -> Snapshot:
        """Return how the daemon stands."""
        settings = self._settings
        activated = settings.milter.socket.family == "systemd"
        phase = "starting" if not fleet.serving.has_served else "serving"
        return Snapshot(
            time=time.time(),
            monotonic=now,
            pid=os.getpid(),
            started=life.start_of(os.getpid()),
            namespace=life.namespace(),
            age=now - self._began,
            versions=self._versions,
            phase="stopping" if fleet.stop_at is not None else phase,
            # A unix socket of ours was bound under another name (``listener``).
            socket=self._address if activated else str(settings.milter.socket),
            activated=activated,
            mode=settings.policy.mode,
            nameservers=tuple(map(str, settings.dns.nameservers)),
            file=os.path.abspath(self._ini),  # noqa: PTH100 - as its name in the file system
            digest=self._digest,
            kept=inforce.kept(settings, counting=self._counting),
            settings_age=now - self._settings_since,
            wanted=fleet.serving.plan.workers,
            generation=fleet.serving.number,
            reloading=fleet.reload is not Reload.IDLE or fleet.reload_requested,
            reload=_aged(self._reload, now),
            exits=_aged(self._last_exit if self._last_exit.number else None, now),
            workers=tuple(self._worker(slot, workers.get(slot.number), now) for slot in fleet.slots),
            processes=tuple(process.state(now) for process in self._processes),
            exemptions=self._exemptions(now),
            journal=self._journal(now),
            trouble=self._trouble,
        )

    def _exemptions(self, now: float) -> ExemptionsState | None:
        state = self._shared.exemptions.state()
        if not exemptiontask.is_wanted(self._settings) and not state.number:
            return None
        return ExemptionsState(
            number=state.number,
            store=place(self._settings),
            answered=bool(state.looked),
            age=now - (state.looked or self._began),
            errors=state.errors,
            reason=state.reason,
        )

    def _journal(self, now: float) -> JournalState | None:
        url = self._settings.journal.url
        if url is None:
            return None
        rows = self._shared.rows()
        return JournalState(
            url=str(url),
            written=rows.written,
            waiting=rows.waiting,
            dropped=rows.dropped,
            last=now - rows.last if rows.last else None,
            reachable=rows.reachable,
            reason=rows.reason,
            age=now - rows.since if rows.since else 0.0,
        )

    def _worker(self, slot: Slot, child: Child | None, now: float) -> WorkerState:
        return WorkerState(
            slot=slot.number,
            generation=slot.generation,
            phase=slot.phase.name.lower(),
            pid=child.pid if child is not None else None,
            age=now - slot.since,
            silent=now - slot.last_beat,
            exits=self._exits[slot.number],
            processor=child.processor if child is not None else None,
            figures=self._shared.figures.read(slot.number, child.pid) if child is not None else None,
        )


def _aged(event: _Past | None, now: float) -> _Past | None:
    """Return an event whose age was the time at which it happened with its age now."""
    return None if event is None else dataclasses.replace(event, age=now - event.age)


def _address(listener: socket.socket) -> str:
    """Return where a socket listens, as the INI file writes it; empty if the file could not say that."""
    name = listener.getsockname()
    match listener.family:
        case socket.AF_UNIX:
            return f"unix:{name}" if isinstance(name, str) and name.startswith("/") else ""
        case socket.AF_INET:
            family = "inet"
        case _:
            family = "inet6"
    host, port, *more = name
    zone = f"%{socket.if_indextoname(more[1])}" if len(more) > 1 and more[1] and "%" not in host else ""
    return str(SocketAddress(family, port=port, host=f"{host}{zone}"))
