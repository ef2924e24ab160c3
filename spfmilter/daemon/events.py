"""What happens to the fleet of workers, and what the supervisor does about it: values only.

The supervisor reports events; ``fleet.step`` answers with commands. Neither side calls the other in any other way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from spfmilter.daemon.link import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What the fleet has to know of a generation's settings."""

    workers: int  # how many serve at the same time
    drain_timeout: float  # seconds that open sessions have at a stop


# -- events: what the supervisor reports -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed. Reported at least every ``TICK`` seconds."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A worker has said something; without a word it is a sign of life."""

    slot: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker's process has ended."""

    slot: int
    pid: int
    how: str  # the signal or the exit status, in words


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The system has refused the process that ``Start`` asked for."""

    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadRequested:
    """The administrator wants the settings to be read again."""


@dataclass(frozen=True, slots=True)
class SettingsRead:
    """The settings that ``ReadSettings`` asked for can be used."""

    plan: WorkerPlan


@dataclass(frozen=True, slots=True)
class SettingsRefused:
    """The settings that ``ReadSettings`` asked for cannot be used."""

    reason: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """The daemon has to end. The second time, it does not wait for open sessions."""

    why: str


Event: TypeAlias = Tick | Heard | Ended | StartFailed | ReloadRequested | SettingsRead | SettingsRefused | StopRequested


# -- commands: what the supervisor has to do ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Fork a worker that serves the settings of a generation. If that fails, report ``StartFailed``."""

    slot: int
    generation: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Tell a worker to take no new session, and to end with its last one."""

    slot: int


@dataclass(frozen=True, slots=True)
class Hurry:
    """Tell a worker to take no new session, and to end after ``drain_timeout`` at the latest."""

    slot: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill a worker: it has been silent for so many seconds, or (None) the time for the stop is over."""

    slot: int
    silent: float | None


@dataclass(frozen=True, slots=True)
class LogDeath:
    """Report the death of a worker that had not been told to end."""

    slot: int
    pid: int
    how: str
    seconds: float  # that it lived
    restart_in: float  # seconds until its slot has a worker again, at the latest


@dataclass(frozen=True, slots=True)
class LogEnd:
    """Report the end of a worker that had been told to end."""

    pid: int
    how: str


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """Read the settings of a new generation; report ``SettingsRead`` or ``SettingsRefused``."""

    generation: int


@dataclass(frozen=True, slots=True)
class LogWaitingReload:
    """Report that a reload waits until old generations have drained."""

    draining: int  # generations


@dataclass(frozen=True, slots=True)
class Switch:
    """Take the settings of this generation as those in force, and forget the old ones."""

    generation: int


@dataclass(frozen=True, slots=True)
class RefuseReload:
    """Drop the settings that were read; those in force stay."""

    reason: str


class News(Enum):
    """What is announced to the log and the service manager, in the log's words."""

    SERVING = "serving"
    RELOADED = "reloaded"
    NOT_RELOADED = "not reloaded"


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the log and the service manager how the daemon stands."""

    news: News


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Report that the daemon cannot serve; its exit status says so, too."""


@dataclass(frozen=True, slots=True)
class AnnounceStop:
    """Tell the log and the service manager that the daemon stops."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseListener:
    """Close the listening socket: no worker takes new sessions any more."""


Command: TypeAlias = (
    Start
    | Dismiss
    | Hurry
    | Kill
    | LogDeath
    | LogEnd
    | ReadSettings
    | LogWaitingReload
    | Switch
    | RefuseReload
    | Announce
    | GiveUp
    | AnnounceStop
    | CloseListener
)
