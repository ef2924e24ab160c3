"""What happens to the fleet of workers, and what the supervisor does about it: values only.

The supervisor reports events; ``fleet.step`` answers with commands. Neither side calls the other in any other way.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from spfmilter.daemon.link import Word
from spfmilter.value import value


@value
class WorkerPlan:
    """What the fleet has to know of a generation's settings."""

    workers: int  # how many serve at the same time
    drain_timeout: float  # seconds that open sessions have at a stop


# -- events: what the supervisor reports -------------------------------------------------------------------------------


@value
class Tick:
    """Time has passed. Reported at least every ``TICK`` seconds."""


@value(kw_only=False)
class Heard:
    """A worker has said something; without a word it is a sign of life."""

    slot: int
    words: tuple[Word, ...]


@value(kw_only=False)
class Ended:
    """A worker's process has ended."""

    slot: int
    pid: int
    how: str  # the signal or the exit status, in words


@value(kw_only=False)
class StartFailed:
    """The system has refused the process that ``Start`` asked for."""

    slot: int


@value
class ReloadRequested:
    """The administrator wants the settings to be read again."""


@value(kw_only=False)
class SettingsRead:
    """The settings that ``ReadSettings`` asked for can be used."""

    plan: WorkerPlan


@value(kw_only=False)
class SettingsRefused:
    """The settings that ``ReadSettings`` asked for cannot be used."""

    reason: str


@value(kw_only=False)
class StopRequested:
    """The daemon has to end. The second time, it does not wait for open sessions."""

    why: str


Event: TypeAlias = Tick | Heard | Ended | StartFailed | ReloadRequested | SettingsRead | SettingsRefused | StopRequested


# -- commands: what the supervisor has to do ---------------------------------------------------------------------------


@value(kw_only=False)
class Start:
    """Fork a worker that serves the settings of a generation. If that fails, report ``StartFailed``."""

    slot: int
    generation: int


@value(kw_only=False)
class Dismiss:
    """Tell a worker to take no new session, and to end with its last one."""

    slot: int


@value(kw_only=False)
class Hurry:
    """Tell a worker to take no new session, and to end after ``drain_timeout`` at the latest."""

    slot: int


@value(kw_only=False)
class Kill:
    """Kill a worker: it has been silent for so many seconds, or (None) the time for the stop is over."""

    slot: int
    silent: float | None


@value(kw_only=False)
class LogDeath:
    """Report the death of a worker that had not been told to end."""

    pid: int
    how: str
    seconds: float  # that it lived
    restart_in: float  # seconds until its slot has a worker again, at the latest


@value(kw_only=False)
class LogEnd:
    """Report the end of a worker that had been told to end."""

    pid: int
    how: str


@value(kw_only=False)
class ReadSettings:
    """Read the settings of a new generation; report ``SettingsRead`` or ``SettingsRefused``."""

    generation: int


@value(kw_only=False)
class LogWaitingReload:
    """Report that a reload waiting until old generations have drained."""

    draining: int  # generations


@value(kw_only=False)
class Switch:
    """Take the settings of this generation as those in force, and forget the old ones."""

    generation: int


@value(kw_only=False)
class RefuseReload:
    """Drop the settings that were read; those in force stay."""

    reason: str


class News(Enum):
    """What is announced to the log and the service manager, in the log's words."""

    SERVING = "serving"
    RELOADED = "reloaded"
    NOT_RELOADED = "not reloaded"


@value(kw_only=False)
class Announce:
    """Tell the log and the service manager how the daemon stands."""

    news: News


@value
class GiveUp:
    """Report that the daemon cannot serve; its exit status says so, too."""


@value(kw_only=False)
class AnnounceStop:
    """Tell the log and the service manager that the daemon stops."""

    why: str


@value
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
