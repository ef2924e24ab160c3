"""Snapshots of a healthy daemon, of which a test changes what it is about."""

import time
from pathlib import Path
from typing import Any

from spfmilter.daemon.inforce import digest, kept
from spfmilter.daemon.life import Life
from spfmilter.daemon.snapshot import ExemptionsState, Exits, Figures, ProcessState, Snapshot, WorkerState
from spfmilter.daemon.statusfile import Found
from spfmilter.health.known import IniFile, Known
from spfmilter.settings import Settings
from tests.values import settings as parsed

PID = 4711
INI = Path("/etc/spfmilter/spfmilter.ini")
VERSIONS = {"spfmilter": "1.0", "python": "3.13.5", "pyspf": "2.0.14"}


def figures(pid: int, **changed: Any) -> Figures:
    """The figures of a worker with three sessions and 40 MB."""
    values: dict[str, Any] = {
        "pid": pid,
        "sessions": 3,
        "memory": 40_000_000,
        "silence": 0.0,
        "errors": 0.0,
        "answers": 100,
        "answer_hits": 900,
        "answer_misses": 100,
        "verdicts": 10,
        "verdict_hits": 1,
        "verdict_misses": 3,
    }
    return Figures(**{**values, **changed})


def worker(slot: int, **changed: Any) -> WorkerState:
    """A worker that serves."""
    pid = changed.get("pid", PID + 1 + slot)
    values: dict[str, Any] = {
        "slot": slot,
        "generation": 0,
        "phase": "serving",
        "pid": pid,
        "age": 3600.0,
        "silent": 0.5,
        "exits": 0,
        "processor": slot,
        "figures": figures(pid) if pid is not None else None,
    }
    return WorkerState(**{**values, **changed})


def process(name: str, **changed: Any) -> ProcessState:
    """A process beside the workers that runs."""
    values: dict[str, Any] = {"name": name, "wanted": True, "pid": 99, "age": 60.0, "exits": 0, "how": ""}
    return ProcessState(**{**values, **changed})


def exemptions(**changed: Any) -> ExemptionsState:
    """Three exemptions, and a store that answers."""
    values: dict[str, Any] = {
        "number": 3,
        "store": "/var/lib/spfmilter/exemptions.db",
        "answered": True,
        "age": 0.4,
        "errors": 0,
        "reason": "",
    }
    return ExemptionsState(**{**values, **changed})


def snapshot(ini: str = "", *, counting: bool = False, **changed: Any) -> Snapshot:
    """A daemon with these settings and two workers that serve."""
    settings: Settings = parsed(ini)
    values: dict[str, Any] = {
        "time": time.time(),
        "monotonic": time.monotonic(),
        "pid": PID,
        "started": 1,
        "namespace": 0,
        "age": 7200.0,
        "versions": VERSIONS,
        "phase": "serving",
        "socket": str(settings.milter.socket),
        "activated": False,
        "mode": "enforce",
        "nameservers": (),
        "file": str(INI),
        "digest": digest(settings, counting=counting),
        "kept": kept(settings, counting=counting),
        "settings_age": 3600.0,
        "wanted": 2,
        "generation": 0,
        "reloading": False,
        "reload": None,
        "exits": None,
        "workers": (worker(0), worker(1)),
        "processes": (),
        "exemptions": None,
        "journal": None,
        "trouble": "",
    }
    return Snapshot(**{**values, **changed})


def exits(age: float, number: int = 1) -> Exits:
    """Workers that ended without having been told to."""
    return Exits(number=number, age=age, how="killed by SIGKILL")


def known(
    written: Snapshot | None = None,
    *,
    ini: IniFile | None = None,
    life: Life = Life.RUNS,
    age: float = 1.0,
    **found: Any,
) -> Known:
    """What the probes know."""
    path = Path("/run/spfmilter/status.json") if written is not None else None
    return Known(
        path=INI,
        ini=ini if ini is not None else IniFile(settings=parsed("")),
        found=Found(**{"snapshot": written, "path": path, **found}),
        life=life if written is not None else Life.UNKNOWN,
        age=age,
        deadline=time.monotonic() + 5,
    )
