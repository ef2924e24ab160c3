"""What all probes share: the INI file, and the daemon's status file, read within a time limit."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from spfmilter.daemon import life, statusfile
from spfmilter.daemon.life import Life
from spfmilter.daemon.snapshot import Snapshot
from spfmilter.daemon.statusfile import Found
from spfmilter.settings import Settings, SettingsError, load

OLD = 10.0  # seconds: a supervisor that works writes every two
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class IniFile:
    """What became of reading the INI file."""

    settings: Settings | None = None
    problems: tuple[str, ...] = ()  # why there are none
    readable: bool = True  # False: whether it has problems is unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known before the probes begin."""

    path: Path  # of the INI file
    ini: IniFile
    found: Found  # the status file
    life: Life  # of the supervisor that wrote it
    age: float  # seconds of what the file says
    deadline: float  # on the monotonic clock: when the probes have to end

    @property
    def settings(self) -> Settings | None:
        """Return the settings of the INI file, if they can be used."""
        return self.ini.settings

    @property
    def snapshot(self) -> Snapshot | None:
        """Return what the daemon has written; None if it is not there any more, or never was."""
        return self.found.snapshot if self.life is not Life.GONE else None

    @property
    def is_old(self) -> bool:
        """Return whether the daemon should have written again since."""
        return self.age > OLD

    def time_left(self, limit: float) -> float:
        """Return the seconds that a probe may take, its own limit at most."""
        return max(0.01, min(limit, self.deadline - time.monotonic()))


def gather(path: Path, until: float, deadline: float) -> Known:
    """Return what is known.

    Args:
        path: of the INI file.
        until: on the monotonic clock: when to go on without the files.
        deadline: for the probes.
    """
    late = IniFile(problems=("it could not be read in time",), readable=False)
    ini, found = Asked(lambda: read_ini(path), late), Asked(lambda: statusfile.find(path), Found(trouble="no time"))
    wait_for([ini, found], until)
    return known_from(path, ini.value, found.value, deadline)


def known_from(path: Path, ini: IniFile, found: Found, deadline: float) -> Known:
    """Return what is known from the two files."""
    snapshot = found.snapshot
    if snapshot is None:
        return Known(path=path, ini=ini, found=found, life=Life.UNKNOWN, age=0.0, deadline=deadline)
    age = time.monotonic() - snapshot.monotonic
    alive = life.life(snapshot.pid, snapshot.namespace, snapshot.started)
    if age < 0:  # it was written before this host was started
        age, alive = max(0.0, time.time() - snapshot.time), Life.GONE
    return Known(path=path, ini=ini, found=found, life=alive, age=age, deadline=deadline)


def read_ini(path: Path) -> IniFile:
    """Return the settings of the INI file, or its problems."""
    try:
        return IniFile(settings=load(path))
    except SettingsError as error:
        readable = os.access(path, os.R_OK)
        return IniFile(problems=tuple(map(error.named, error.problems)), readable=readable)


# -- asking several at the same time -----------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Asked(Generic[_T]):
    """The value of a function that runs in a thread; until it returns, a stand-in."""

    ask: Callable[[], _T]
    value: _T
    failure: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the thread. It is left behind if it does not end in time."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            self.value = self.ask()
        except Exception as error:  # noqa: BLE001 - a bug in one probe must not hide what the others say
            self.failure = error
        finally:
            self.ended.set()


def wait_for(asked: Sequence[Asked[Any]], until: float) -> None:
    """Start all, and wait until they have ended, or until then."""
    for answer in asked:
        answer.start()
    for answer in asked:
        answer.ended.wait(max(0.0, until - time.monotonic()))
