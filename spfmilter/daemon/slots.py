"""The state of the fleet: slots, the phases of their workers, generations, and a reload. Values only.

A *slot* is the place of one worker. It goes through these phases:

| phase | READY | DRAINING | told to end | silent too long | start is due | its process ends |
| --- | --- | --- | --- | --- | --- | --- |
| PAUSED | | | removed | | STARTING | |
| STARTING | SERVING | WITHDRAWN | TERMINATING | KILLED | | PAUSED |
| SERVING | | WITHDRAWN | TERMINATING | KILLED | | PAUSED |
| WITHDRAWN | | | DRAINING | KILLED | | PAUSED |
| KILLED | | | TERMINATING | killed again | | PAUSED |
| TERMINATING | | DRAINING | | killed | | removed |
| DRAINING | | | | killed | | removed |

REPLACE changes no phase: the slot is marked, and another one is added in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from spfmilter.daemon.events import WorkerPlan
from spfmilter.daemon.link import Word

TICK = 0.5  # seconds at most between two ticks
MAX_BEAT_AGE = 5.0  # seconds for which a sign of life proves that a worker works
SHORT_LIFE = 10.0  # seconds; see Slot.is_young
MAX_BACKOFF_ALONE = 0.5  # seconds, where no other worker is left
FORK_RETRY = 5.0  # seconds until a fork is tried again that the system has refused


class Phase(Enum):
    """Where a slot stands."""

    PAUSED = "no process; the next one is started when it is due"
    STARTING = "its process does not serve yet"
    SERVING = "its process takes sessions"
    WITHDRAWN = "its process takes no new session, although it has not been told to end"
    KILLED = "its process has been killed, and its end is not known yet"
    TERMINATING = "its process has been told to end"
    DRAINING = "its process has been told to end, and takes no new session"


_TOLD = frozenset({Phase.TERMINATING, Phase.DRAINING})
_ON_WORD: Mapping[tuple[Phase, Word], Phase] = {
    (Phase.STARTING, Word.READY): Phase.SERVING,
    (Phase.STARTING, Word.DRAINING): Phase.WITHDRAWN,
    (Phase.SERVING, Word.DRAINING): Phase.WITHDRAWN,
    (Phase.TERMINATING, Word.DRAINING): Phase.DRAINING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The place of one worker."""

    number: int  # the smallest that was free; names the worker's metrics
    generation: int  # of the settings that it serves
    phase: Phase
    since: float  # when its process was started, or, if PAUSED, when the last one ended; times are the supervisor's
    last_beat: float  # when its process last gave a sign of life
    due: float = 0.0  # when the next process is started, if PAUSED
    due_alone: float = 0.0  # the same, where no other worker of its generation is left
    failures: int = 0  # processes in a row that could not serve; each makes the pause longer
    needs_replacement: bool = False  # its process has asked for it, or takes no new session
    hurried: bool = False  # its process has drain_timeout for its sessions, and no more

    @property
    def told(self) -> bool:
        """Whether its process has been told to end."""
        return self.phase in _TOLD

    def is_due(self, now: float) -> bool:
        """Return whether its worker is to be replaced now.

        A young one is not, lest a ``memory_limit`` that is too low keep the daemon forking.
        """
        return self.needs_replacement and not self.is_young(now)

    def is_young(self, now: float) -> bool:
        """Return whether its process has lived for a short time only."""
        return now - self.since <= SHORT_LIFE

    def heard(self, words: tuple[Word, ...], now: float) -> Slot:
        """Return the slot after its worker has said something."""
        phase = self.phase
        for word in words:
            phase = _ON_WORD.get((phase, word), phase)
        needs_replacement = self.needs_replacement or Word.REPLACE in words or phase is Phase.WITHDRAWN
        return replace(self, phase=phase, last_beat=now, needs_replacement=needs_replacement)

    def paused(self, now: float, *, pause: float, failures: int, urgent: bool) -> Slot:
        """Return the slot after the end of its process.

        Args:
            now: the time.
            pause: seconds until the next process.
            failures: see the field.
            urgent: whether the pause is cut short where no other worker is left.
        """
        alone = min(pause, MAX_BACKOFF_ALONE if failures else 0.0) if urgent else pause
        return Slot(
            number=self.number,
            generation=self.generation,
            phase=Phase.PAUSED,
            since=now,
            last_beat=now,
            due=now + pause,
            due_alone=now + alone,
            failures=failures,
        )

    def when_told(self, *, hurried: bool) -> Slot:
        """Return the slot after its worker has been told to end."""
        phase = Phase.DRAINING if self.phase in {Phase.WITHDRAWN, Phase.DRAINING} else Phase.TERMINATING
        return replace(self, phase=phase, hurried=self.hurried or hurried)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The workers that serve the same settings."""

    number: int
    plan: WorkerPlan
    has_served: bool  # all of its workers have served at the same time
    short_lives: int  # workers in a row that ended within SHORT_LIFE while it had not served yet


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingReload:
    """A generation that takes the place of the serving one as soon as all of its workers serve."""

    generation: Generation
    deadline: float  # when the reload is given up


class Reload(Enum):
    """How far a reload has come."""

    IDLE = "none is under way"
    READING = "the supervisor reads the settings"
    PENDING = "the workers of the new generation start"
    SWITCHING = "the new generation serves; old workers still take sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """All that the decisions depend on, but for the event and the time."""

    slots: tuple[Slot, ...]
    serving: Generation  # the one whose settings are in force
    newest: int  # the number of the last generation
    last_tick: float  # a late one shows that the supervisor itself stood still
    reload: Reload = Reload.IDLE
    pending: PendingReload | None = None  # in Reload.PENDING
    reload_requested: bool = False  # one has been asked for, and has not begun
    reload_waits: bool = False  # that has been reported
    last_reload: float = float("-inf")  # when the settings were last read
    fork_failed: float = float("-inf")  # when the system last refused a process
    restarts_until: float = float("-inf")  # until when restarts so far have used up MAX_RESTARTS
    stop_at: float | None = None  # when workers that are left are killed; None: the daemon does not stop
    listening: bool = True  # the listening socket is open

    @property
    def has_ended(self) -> bool:
        """Whether the daemon has stopped, and no process is left."""
        return self.stop_at is not None and not self.slots

    def of(self, generation: int) -> tuple[Slot, ...]:
        """Return the slots of a generation, without those whose worker has been told to end."""
        return tuple(slot for slot in self.slots if slot.generation == generation and not slot.told)

    def is_alone(self, generation: int) -> bool:
        """Return whether no worker of a generation serves, or is about to."""
        return not any(slot.phase in {Phase.STARTING, Phase.SERVING} for slot in self.of(generation))

    def is_alive(self, now: float) -> bool:
        """Return whether a worker that serves has lately given a sign of life."""
        return any(slot.phase is Phase.SERVING and now - slot.last_beat < MAX_BEAT_AGE for slot in self.slots)

    def may_start_at(self, slot: Slot) -> float:
        """Return from when on a PAUSED slot may get its next process."""
        due = slot.due_alone if self.is_alone(slot.generation) else slot.due
        return max(due, self.may_fork_at(slot.generation))

    def may_fork_at(self, generation: int) -> float:
        """Return from when on a fork may be tried, since the system refused one; sooner where no worker is left."""
        return self.fork_failed + (MAX_BACKOFF_ALONE if self.is_alone(generation) else FORK_RETRY)

    def seconds_until_due(self, now: float) -> float:
        """Return how long the supervisor may wait for an event until it has to report a tick."""
        starts = [self.may_start_at(slot) for slot in self.slots if slot.phase is Phase.PAUSED]
        return min(TICK, max(0.0, min(starts, default=now + TICK) - now))


def begin(plan: WorkerPlan, now: float) -> Fleet:
    """Return the fleet of a daemon that starts: the first tick starts its workers."""
    first = Generation(number=0, plan=plan, has_served=False, short_lives=0)
    return Fleet(slots=(), serving=first, newest=first.number, last_tick=now)
