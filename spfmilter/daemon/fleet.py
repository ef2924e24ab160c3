"""The supervisor's decisions about its workers: a pure table of state, event and time.

``step(fleet, event, now)`` returns the fleet after an event, and the commands that follow from it. It knows no process,
clock or socket. The phases of a worker are in ``slots``; docs/decisions/0031-fleet.md has the reasons.
"""

from __future__ import annotations

from dataclasses import replace

from spfmilter.daemon.events import (
    Announce,
    AnnounceStop,
    CloseListener,
    Command,
    Dismiss,
    Ended,
    Event,
    GiveUp,
    Heard,
    Hurry,
    Kill,
    LogDeath,
    LogEnd,
    LogWaitingReload,
    News,
    ReadSettings,
    RefuseReload,
    ReloadRequested,
    SettingsRead,
    SettingsRefused,
    Start,
    StartFailed,
    StopRequested,
    Switch,
    Tick,
    WorkerPlan,
)
from spfmilter.daemon.slots import TICK, Fleet, Generation, PendingReload, Phase, Reload, Slot

MAX_SILENCE = 15.0  # seconds without a sign of life, after which a worker is killed
MAX_START = 30.0  # seconds that a worker may take until it serves
MAX_SHORT_LIVES = 5  # after so many, a generation that has never served is given up
FIRST_BACKOFF = 0.1  # seconds; the first restart after a failure has none
MAX_BACKOFF = 5.0  # seconds
MAX_RESTARTS = 10  # workers a second that are restarted, after as many at once
STOP_GRACE = 5.0  # seconds beyond drain_timeout until workers are killed at a stop
MAX_OLD = 8  # generations that drain at the same time
RELOAD_INTERVAL = 5.0  # seconds at least between two reloads while an old generation drains


def step(fleet: Fleet, event: Event, now: float) -> tuple[Fleet, tuple[Command, ...]]:
    """Return the fleet after an event, and what the supervisor has to do, in this order."""
    turn = _Turn(fleet, now)
    turn.take(event)
    if turn.fleet.stop_at is None:
        turn.begin_reload()
        turn.announce_service()
        turn.advance_reload()
        turn.replace_workers()
        turn.start_workers()  # last: what is started now is not told to end by the same step
    else:
        turn.advance_stop(turn.fleet.stop_at)
    return turn.fleet, tuple(turn.commands)


def backoff(failures: int) -> float:
    """Return the seconds before a slot's next start, after so many processes in a row that could not serve."""
    return min(FIRST_BACKOFF * 2 ** min(failures - 2, 10), MAX_BACKOFF) if failures > 1 else 0.0


class _Turn:
    """One step under way: the fleet as it has become so far, and the commands."""

    def __init__(self, fleet: Fleet, now: float) -> None:
        self.fleet, self._now = fleet, now
        self.commands: list[Command] = []

    # -- events --------------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> None:  # noqa: C901 - one case for each event
        """Note what has happened."""
        match event:
            case Tick():
                self._kill_silent()
            case Heard(slot=number, words=words):
                if slot := self._process(number):
                    self._put(slot.heard(words, self._now))
            case Ended(slot=number):
                if slot := self._process(number):
                    self._end(slot, event)
            case StartFailed(slot=number):
                self.fleet = replace(self.fleet, fork_failed=self._now)
                if slot := self._process(number):
                    self._put(slot.paused(self._now, pause=0.0, failures=slot.failures, urgent=True))
                    if slot.told or self.fleet.stop_at is not None:
                        self._remove(slot)
            case ReloadRequested():
                self.fleet = replace(self.fleet, reload_requested=True)
            case SettingsRead(plan=plan):
                self._expect(plan)
            case SettingsRefused(reason=reason):
                self._refuse_reload(reason)
            case StopRequested(why=why):
                self._stop(why)

    def _kill_silent(self) -> None:
        """Kill what gives no sign of life; its end is reported like any other."""
        late = self._now - self.fleet.last_tick - TICK
        # The supervisor was frozen or starved: what its workers said meanwhile has still to be read.
        delay = late if late > TICK else 0.0
        self.fleet = replace(
            self.fleet, last_tick=self._now, slots=tuple(self._watched(slot, delay) for slot in self.fleet.slots)
        )

    def _watched(self, slot: Slot, delay: float) -> Slot:
        """Return the slot, whose process is killed if it has been silent too long, not counting ``delay`` seconds."""
        silent = self._now - slot.last_beat - delay
        limit = MAX_START if slot.phase in {Phase.STARTING, Phase.KILLED} else MAX_SILENCE
        if slot.phase is not Phase.PAUSED and silent > limit:
            self.commands.append(Kill(slot.number, silent))
            return replace(slot, phase=slot.phase if slot.told else Phase.KILLED, last_beat=self._now)
        return replace(slot, last_beat=slot.last_beat + delay) if delay else slot

    def _end(self, slot: Slot, event: Ended) -> None:
        """Note the end of a process: one that was told to end leaves no slot, any other is replaced."""
        generation = self._generation(slot.generation)
        if slot.told or generation is None or self.fleet.stop_at is not None:
            self._remove(slot)
            self.commands.append(LogEnd(event.pid, event.how))
            return
        failed = slot.phase is Phase.STARTING
        if not generation.has_served:
            failed = failed or slot.is_young(self._now)
            short_lives = generation.short_lives + 1 if slot.is_young(self._now) else 0
            generation = self._note_generation(replace(generation, short_lives=short_lives))
        failures = slot.failures + 1 if failed else 0
        pause = max(backoff(failures), self._wait_for_restart(generation))
        paused = slot.paused(self._now, pause=pause, failures=failures, urgent=generation.has_served)
        self._put(paused)
        restart_in = max(0.0, self.fleet.may_start_at(paused) - self._now)
        if self._missing(generation) < 0:  # it was to be replaced, and another one has its place already
            self._remove(slot)
            restart_in = 0.0
        self.commands.append(LogDeath(slot.number, event.pid, event.how, self._now - slot.since, restart_in))
        if generation.short_lives >= MAX_SHORT_LIVES:
            self._give_up(generation, event.how)

    def _wait_for_restart(self, generation: Generation) -> float:
        """Return the seconds until MAX_RESTARTS allow one more restart, and count that one."""
        interval = 1 / MAX_RESTARTS
        at_once = max(MAX_RESTARTS, generation.plan.workers) * interval
        until = max(self.fleet.restarts_until, self._now) + interval
        # Bounded, since a worker that is the only one is restarted in any case, and must not keep the others waiting.
        until = min(until, self._now + at_once + MAX_BACKOFF)
        self.fleet = replace(self.fleet, restarts_until=until)
        return max(0.0, until - at_once - self._now)

    def _give_up(self, generation: Generation, how: str) -> None:
        """End a generation whose workers end as soon as they start."""
        if generation.number != self.fleet.serving.number:
            self._refuse_reload(f"the workers with the new settings end as soon as they start: {how}")
            return
        self.commands.append(GiveUp())
        self._stop("failure")

    def _stop(self, why: str) -> None:
        """Let the workers finish. The second time, do not wait for them."""
        if self.fleet.stop_at is not None:
            self.fleet = replace(self.fleet, stop_at=self._now)
            return
        stop_at = self._now + self.fleet.serving.plan.drain_timeout + STOP_GRACE
        self.fleet = replace(self.fleet, stop_at=stop_at)
        self.commands.append(AnnounceStop(why))
        self._tell(self.fleet.slots, hurry=True)

    # -- what is due ---------------------------------------------------------------------------------------------------

    def begin_reload(self) -> None:
        """Have the settings read, if that was asked for and does not have to wait (docs/decisions/0028-output.md).

        Sessions that stay open keep their generation alive, and each reload adds one. The first is done at once. While
        old ones drain, the next waits for some seconds after the last, and for the oldest where there are too many.
        """
        if not self.fleet.reload_requested or self.fleet.reload is not Reload.IDLE:
            return
        old = [slot for slot in self.fleet.slots if slot.generation != self.fleet.serving.number]
        draining = sorted({slot.generation for slot in old})
        if not draining or (len(draining) < MAX_OLD and self._now >= self.fleet.last_reload + RELOAD_INTERVAL):
            self.fleet = replace(
                self.fleet,
                reload=Reload.READING,
                reload_requested=False,
                reload_waits=False,
                last_reload=self._now,
                newest=self.fleet.newest + 1,
            )
            self.commands.append(ReadSettings(self.fleet.newest))
            return
        if len(draining) >= MAX_OLD:
            self._tell([slot for slot in old if slot.generation <= draining[-MAX_OLD]], hurry=True)
        if not self.fleet.reload_waits:
            self.fleet = replace(self.fleet, reload_waits=True)
            self.commands.append(LogWaitingReload(len(draining)))

    def start_workers(self) -> None:
        """Add the slots that are missing, in the serving generation and in a pending one; start what is due."""
        pending = self.fleet.pending
        for generation in (self.fleet.serving, *([pending.generation] if pending else [])):
            for _ in range(self._missing(generation)):
                self._add(generation)
        paused = [slot for slot in self.fleet.slots if slot.phase is Phase.PAUSED]
        # The one that is due first goes first: where no worker is left, it alone is started before its time.
        for slot in sorted(paused, key=lambda slot: (slot.due_alone, slot.due)):
            if self._now >= self.fleet.may_start_at(slot):
                self._put(replace(slot, phase=Phase.STARTING, since=self._now, last_beat=self._now))
                self.commands.append(Start(slot.number, slot.generation))

    def announce_service(self) -> None:
        """Announce the first generation when it serves."""
        serving = self.fleet.serving
        if not serving.has_served and self._serves(serving):
            self._note_generation(replace(serving, has_served=True, short_lives=0))
            self.commands.append(Announce(News.SERVING))

    def advance_reload(self) -> None:
        """Switch to the new generation when it serves, and end the reload when no old one takes sessions."""
        pending = self.fleet.pending
        if pending is not None and self._serves(pending.generation):
            self._switch(pending.generation)
        elif pending is not None and self._now > pending.deadline:
            self._refuse_reload(f"workers with the new settings did not serve within {MAX_START:g} s")
        elif self.fleet.reload is Reload.SWITCHING:
            old = [slot for slot in self.fleet.slots if slot.generation != self.fleet.serving.number]
            if all(slot.phase is Phase.DRAINING for slot in old):
                self.fleet = replace(self.fleet, reload=Reload.IDLE)
                self.commands.append(Announce(News.RELOADED))

    def replace_workers(self) -> None:
        """Dismiss workers that are to be replaced, once others serve in their place; too many of those must hurry.

        Where no other can be started, perhaps for want of what these hold (processes, threads), one goes before that,
        as long as another is left to serve.
        """
        serving = self.fleet.serving
        slots = self.fleet.of(serving.number)
        due = [slot for slot in slots if slot.is_due(self._now) and slot.phase is not Phase.PAUSED]
        ready = [slot for slot in slots if slot.phase is Phase.SERVING]
        if sum(slot not in due for slot in ready) >= serving.plan.workers:
            self._tell(due)
        elif due and len(ready) > 1 and self._forks_are_refused() and not any(slot.told for slot in self.fleet.slots):
            self._tell(due[:1])
        old = [slot for slot in self.fleet.slots if slot.generation == serving.number and slot.told]
        oldest = sorted(old, key=lambda slot: slot.since)[: -MAX_OLD * serving.plan.workers]
        self._tell(oldest, hurry=True)

    def advance_stop(self, stop_at: float) -> None:
        """Close the listening socket when no worker needs it, and kill the workers when their time is over.

        The socket is not kept until the end. An MTA that is refused tempfails at once; it would wait in the queue of a
        socket that no worker serves.
        """
        if self._now >= stop_at:
            for slot in self.fleet.slots:
                if slot.phase is not Phase.KILLED:
                    self._put(replace(slot, phase=Phase.KILLED, last_beat=self._now))
                    self.commands.append(Kill(slot.number, None))
        if self.fleet.listening and all(slot.phase in {Phase.DRAINING, Phase.KILLED} for slot in self.fleet.slots):
            self.fleet = replace(self.fleet, listening=False)
            self.commands.append(CloseListener())

    # -- steps that several of them take -------------------------------------------------------------------------------

    def _expect(self, plan: WorkerPlan) -> None:
        """Begin to start the workers of a new generation."""
        if self.fleet.reload is Reload.READING and self.fleet.stop_at is None:
            generation = Generation(number=self.fleet.newest, plan=plan, has_served=False, short_lives=0)
            pending = PendingReload(generation=generation, deadline=self._now + MAX_START)
            self.fleet = replace(self.fleet, reload=Reload.PENDING, pending=pending)

    def _switch(self, generation: Generation) -> None:
        """Let the new generation serve alone."""
        serving = replace(generation, has_served=True, short_lives=0)
        self.fleet = replace(self.fleet, serving=serving, pending=None, reload=Reload.SWITCHING)
        self.commands.append(Switch(serving.number))
        self._tell([slot for slot in self.fleet.slots if slot.generation != serving.number])

    def _refuse_reload(self, reason: str) -> None:
        """Keep the old settings, and end the workers with the new ones."""
        pending = self.fleet.pending
        self.fleet = replace(self.fleet, pending=None, reload=Reload.IDLE)
        if pending is not None:
            self._tell(self.fleet.of(pending.generation.number), hurry=True)
        self.commands += [RefuseReload(reason), Announce(News.NOT_RELOADED)]

    def _tell(self, slots: list[Slot] | tuple[Slot, ...], *, hurry: bool = False) -> None:
        """Tell workers to end, unless they have been told so; a PAUSED slot has none, and goes."""
        for slot in slots:
            if slot.phase is Phase.PAUSED:
                self._remove(slot)
            elif not slot.told or (hurry and not slot.hurried):
                self._put(slot.when_told(hurried=hurry))
                self.commands.append(Hurry(slot.number) if hurry else Dismiss(slot.number))

    def _forks_are_refused(self) -> bool:
        return self._now < self.fleet.may_fork_at(self.fleet.serving.number)

    def _serves(self, generation: Generation) -> bool:
        ready = sum(slot.phase is Phase.SERVING for slot in self.fleet.of(generation.number))
        return ready >= generation.plan.workers

    def _missing(self, generation: Generation) -> int:
        """Return how many slots a generation lacks."""
        return generation.plan.workers - sum(not slot.is_due(self._now) for slot in self.fleet.of(generation.number))

    def _add(self, generation: Generation) -> None:
        taken = {slot.number for slot in self.fleet.slots}
        number = next(number for number in range(len(taken) + 1) if number not in taken)
        self._put(
            Slot(
                number=number,
                generation=generation.number,
                phase=Phase.PAUSED,
                since=self._now,
                last_beat=self._now,
                due=self._now,
                due_alone=self._now,
            )
        )

    def _process(self, number: int) -> Slot | None:
        """Return the slot of this number, if it has a process."""
        found = (slot for slot in self.fleet.slots if slot.number == number and slot.phase is not Phase.PAUSED)
        return next(found, None)

    def _generation(self, number: int) -> Generation | None:
        """Return a generation that starts workers."""
        if number == self.fleet.serving.number:
            return self.fleet.serving
        pending = self.fleet.pending
        return pending.generation if pending is not None and pending.generation.number == number else None

    def _note_generation(self, generation: Generation) -> Generation:
        if self.fleet.pending is not None and generation.number != self.fleet.serving.number:
            self.fleet = replace(self.fleet, pending=replace(self.fleet.pending, generation=generation))
        else:
            self.fleet = replace(self.fleet, serving=generation)
        return generation

    def _put(self, slot: Slot) -> None:
        """Note a slot as it is now; a new one has its place by its number."""
        slots = {**{other.number: other for other in self.fleet.slots}, slot.number: slot}
        if len(slots) > len(self.fleet.slots):
            slots = dict(sorted(slots.items()))
        self.fleet = replace(self.fleet, slots=tuple(slots.values()))

    def _remove(self, slot: Slot) -> None:
        self.fleet = replace(self.fleet, slots=tuple(o for o in self.fleet.slots if o.number != slot.number))
