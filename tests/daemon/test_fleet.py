"""The supervisor's decisions, as tables of what happens and what has to be done then. No process, no clock."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from spfmilter.daemon import fleet as decisions
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
from spfmilter.daemon.fleet import backoff, step
from spfmilter.daemon.link import Word
from spfmilter.daemon.slots import Fleet, Phase, Reload, begin

Line = tuple[float, Event, list[Command]]  # when, what happens, what has to be done then
KILLED, BROKEN, CLEAN = "killed by SIGKILL", "exit status 71", "exit status 0"
NOTHING: list[Command] = []


def plan(workers: int = 2) -> WorkerPlan:
    return WorkerPlan(workers=workers, drain_timeout=30.0)


def ready(slot: int) -> Heard:
    return Heard(slot, (Word.READY,))


def draining(slot: int) -> Heard:
    return Heard(slot, (Word.DRAINING,))


def ended(slot: int, how: str = KILLED) -> Ended:
    return Ended(slot, 100 + slot, how)


def death(slot: int, seconds: float, restart_in: float = 0.0, how: str = KILLED) -> LogDeath:
    return LogDeath(slot, 100 + slot, how, seconds, restart_in)


def end(slot: int, how: str = CLEAN) -> LogEnd:
    return LogEnd(100 + slot, how)


def rounded(command: Command) -> Command:
    """A command whose times can be compared."""
    match command:
        case LogDeath(seconds=seconds, restart_in=restart_in):
            return replace(command, seconds=round(seconds, 6), restart_in=round(restart_in, 6))
        case Kill(silent=float(silent)):
            return replace(command, silent=round(silent, 6))
        case _:
            return command


def play(fleet: Fleet, lines: Iterable[Line]) -> Fleet:
    """Check each line of a table; the fleet after the last one."""
    for number, (now, event, expected) in enumerate(lines):
        fleet, commands = step(fleet, event, now)
        assert [rounded(command) for command in commands] == expected, f"line {number}: {now} {event}"
    return fleet


def after(fleet: Fleet, *happened: tuple[float, Event]) -> Fleet:
    """The fleet after events whose commands another test looks at."""
    for now, event in happened:
        fleet, _ = step(fleet, event, now)
    return fleet


def starting(workers: int = 2) -> Fleet:
    return after(begin(plan(workers), 0.0), (0.0, Tick()))


def serving(workers: int = 2) -> Fleet:
    """A daemon whose workers, started at 0, serve since 1; it is 20 now, and all have just beaten."""
    beats = [(20.0, Heard(slot, (Word.BEAT,))) for slot in range(workers)]
    fleet = after(starting(workers), *[(1.0, ready(slot)) for slot in range(workers)], *beats)
    return replace(fleet, last_tick=20.0)


def pending(workers: int = 2) -> Fleet:
    """The same, with the new workers of a reload just started, at 20."""
    return after(serving(workers), (20.0, ReloadRequested()), (20.0, SettingsRead(plan(workers))))


def draining_since(generations: int) -> Fleet:
    """A daemon with one worker, after so many reloads a minute apart; each old generation has sessions that stay."""
    fleet, now = serving(1), 20.0
    for _ in range(generations):
        now += 60.0
        new = min(set(range(20)) - {slot.number for slot in fleet.slots})
        old = next(slot.number for slot in fleet.slots if slot.phase is Phase.SERVING)
        reload: list[Event] = [ReloadRequested(), SettingsRead(plan(1)), ready(new), draining(old)]
        fleet = after(fleet, *[(now, event) for event in reload])
        fleet = replace(fleet, slots=tuple(replace(slot, last_beat=1e9) for slot in fleet.slots))
    return fleet


TABLES: dict[str, tuple[Fleet, list[Line]]] = {
    "the start": (
        begin(plan(), 0.0),
        [
            (0.0, Tick(), [Start(0, 0), Start(1, 0)]),
            (0.3, Tick(), NOTHING),
            (0.4, ready(1), NOTHING),
            (0.5, ready(0), [Announce(News.SERVING)]),
            (0.6, ready(0), NOTHING),
        ],
    ),
    "a dead worker is replaced at once": (
        serving(),
        [(20.0, ended(1), [death(1, 20.0), Start(1, 0)]), (20.1, ready(1), NOTHING)],
    ),
    "all of them, when all are dead": (
        serving(3),
        [
            (20.0, ended(0), [death(0, 20.0), Start(0, 0)]),
            (20.0, ended(1), [death(1, 20.0), Start(1, 0)]),
            (20.0, ended(2), [death(2, 20.0), Start(2, 0)]),
        ],
    ),
    "also one that lived for a moment, if it has served": (
        serving(),
        [
            line
            for now in (21.0, 21.5, 22.0, 22.5, 23.0, 23.5, 24.0)
            for line in (
                (now, ended(1), [death(1, 0.5 if now > 21 else 21.0), Start(1, 0)]),
                (now + 0.1, ready(1), NOTHING),
            )
        ],
    ),
    "a slot whose workers cannot serve has a pause of its own": (
        serving(),
        [
            (20.0, ended(0), [death(0, 20.0), Start(0, 0)]),
            (20.1, ended(0, BROKEN), [death(0, 0.1, 0.0, BROKEN), Start(0, 0)]),
            (20.2, ended(0, BROKEN), [death(0, 0.1, 0.1, BROKEN)]),
            (20.25, ended(1), [death(1, 20.25), Start(1, 0)]),
            (20.29, Tick(), NOTHING),
            (20.31, Tick(), [Start(0, 0)]),
            (20.4, ended(0, BROKEN), [death(0, 0.09, 0.2, BROKEN)]),
            (20.41, ready(1), NOTHING),
            (20.61, Tick(), [Start(0, 0)]),
            (20.7, ready(0), NOTHING),
            (20.8, ended(0), [death(0, 0.19), Start(0, 0)]),
        ],
    ),
    "where no other worker is left, the pause is half a second at most": (
        serving(1),
        [
            (20.0, ended(0), [death(0, 20.0), Start(0, 0)]),
            (21.0, ended(0, BROKEN), [death(0, 1.0, 0.0, BROKEN), Start(0, 0)]),
            (22.0, ended(0, BROKEN), [death(0, 1.0, 0.1, BROKEN)]),
            (22.1, Tick(), [Start(0, 0)]),
            (23.0, ended(0, BROKEN), [death(0, 0.9, 0.2, BROKEN)]),
            (23.2, Tick(), [Start(0, 0)]),
            (24.0, ended(0, BROKEN), [death(0, 0.8, 0.4, BROKEN)]),
            (24.4, Tick(), [Start(0, 0)]),
            (25.0, ended(0, BROKEN), [death(0, 0.6, 0.5, BROKEN)]),
            (25.49, Tick(), NOTHING),
            (25.51, Tick(), [Start(0, 0)]),
        ],
    ),
    "one slot's pause is cut short when the last worker dies": (
        after(serving(), (20.0, ended(0)), *[(20.0, ended(0, BROKEN))] * 2, (20.1, Tick()), (20.1, ended(0, BROKEN))),
        [
            (20.15, Tick(), NOTHING),
            (20.2, ended(1), [death(1, 20.2), Start(1, 0)]),
            (20.25, ended(1, BROKEN), [death(1, 0.05, 0.0, BROKEN), Start(1, 0)]),
            (20.31, Tick(), [Start(0, 0)]),
        ],
    ),
    "a generation that has never served: a pause for each slot, and the end after five": (
        starting(),
        [
            (0.1, ended(0, BROKEN), [death(0, 0.1, 0.0, BROKEN), Start(0, 0)]),
            (0.1, ended(1, BROKEN), [death(1, 0.1, 0.0, BROKEN), Start(1, 0)]),
            (0.2, ended(0, BROKEN), [death(0, 0.1, 0.1, BROKEN)]),
            (0.31, Tick(), [Start(0, 0)]),
            (0.4, ended(0, BROKEN), [death(0, 0.09, 0.2, BROKEN)]),
            (
                0.5,
                ended(1, BROKEN),
                [death(1, 0.4, 0.1, BROKEN), GiveUp(), AnnounceStop("failure"), CloseListener()],
            ),
        ],
    ),
    "also when they have been ready, one after the other": (
        starting(),
        [
            (0.1, ready(0), NOTHING),
            (0.2, ended(0), [death(0, 0.2), Start(0, 0)]),
            (0.3, ready(0), NOTHING),
            (0.4, ended(0), [death(0, 0.2, 0.1)]),
            (0.5, Tick(), [Start(0, 0)]),
        ],
    ),
    "a system that refuses processes is asked again": (
        serving(),
        [
            (20.0, ended(0), [death(0, 20.0), Start(0, 0)]),
            (20.0, StartFailed(0), NOTHING),
            (24.0, Heard(1, ()), NOTHING),
            (24.9, Tick(), NOTHING),
            (25.0, Tick(), [Start(0, 0)]),
            (25.0, StartFailed(0), NOTHING),
            (30.0, Tick(), [Start(0, 0)]),
        ],
    ),
    "sooner where no worker is left": (
        serving(),
        [
            (20.0, ended(0), [death(0, 20.0), Start(0, 0)]),
            (20.0, StartFailed(0), NOTHING),
            (20.1, ended(1), [death(1, 20.1, 0.4)]),
            (20.49, Tick(), NOTHING),
            (20.5, Tick(), [Start(0, 0)]),
            (20.5, StartFailed(0), NOTHING),
            (20.8, Tick(), NOTHING),
            (21.0, Tick(), [Start(1, 0)]),
        ],
    ),
    "a reload": (
        serving(),
        [
            (20.0, ReloadRequested(), [ReadSettings(1)]),
            (20.0, SettingsRead(plan(3)), [Start(2, 1), Start(3, 1), Start(4, 1)]),
            (20.1, ready(2), NOTHING),
            (20.1, ready(3), NOTHING),
            (20.2, ready(4), [Switch(1), Dismiss(0), Dismiss(1)]),
            (20.3, draining(0), NOTHING),
            (20.4, draining(1), [Announce(News.RELOADED)]),
            (20.5, ended(1, CLEAN), [end(1)]),
            (25.0, ended(0, BROKEN), [end(0, BROKEN)]),
            (25.1, ended(4), [death(4, 5.1), Start(4, 1)]),
        ],
    ),
    "a reload with bad settings": (
        serving(),
        [
            (20.0, ReloadRequested(), [ReadSettings(1)]),
            (20.0, SettingsRefused("2 problems"), [RefuseReload("2 problems"), Announce(News.NOT_RELOADED)]),
            (20.1, ReloadRequested(), [ReadSettings(2)]),
        ],
    ),
    "a reload whose workers cannot serve is refused after five, which do not come at once": (
        pending(),
        [
            (20.1, ended(2, BROKEN), [death(2, 0.1, 0.0, BROKEN), Start(2, 1)]),
            (20.2, ended(2, BROKEN), [death(2, 0.1, 0.1, BROKEN)]),
            (20.29, Tick(), NOTHING),
            (20.31, Tick(), [Start(2, 1)]),
            (20.4, ended(2, BROKEN), [death(2, 0.09, 0.2, BROKEN)]),
            (20.61, Tick(), [Start(2, 1)]),
            (20.7, ended(2, BROKEN), [death(2, 0.09, 0.4, BROKEN)]),
            (21.11, Tick(), [Start(2, 1)]),
            (
                21.2,
                ended(2, BROKEN),
                [
                    death(2, 0.09, 0.8, BROKEN),
                    Hurry(3),
                    RefuseReload(f"the workers with the new settings end as soon as they start: {BROKEN}"),
                    Announce(News.NOT_RELOADED),
                ],
            ),
            (21.3, ended(3, CLEAN), [end(3)]),
            (30.0, Tick(), NOTHING),
        ],
    ),
    "one death does not end a reload": (
        pending(),
        [
            (20.1, ready(2), NOTHING),
            (20.2, ended(2), [death(2, 0.2), Start(2, 1)]),
            (20.3, ready(2), NOTHING),
            (20.3, ready(3), [Switch(1), Dismiss(0), Dismiss(1)]),
        ],
    ),
    "a reload whose workers take too long": (
        pending(1),
        [
            (34.0, Heard(0, ()), NOTHING),
            (49.0, Heard(1, ()), NOTHING),
            (50.0, Heard(0, ()), NOTHING),
            (
                50.1,
                Heard(1, ()),
                [
                    Hurry(1),
                    RefuseReload("workers with the new settings did not serve within 30 s"),
                    Announce(News.NOT_RELOADED),
                ],
            ),
        ],
    ),
    "old workers that die during a reload are replaced": (
        pending(),
        [(20.1, ended(0), [death(0, 20.1), Start(0, 0)]), (20.2, ready(0), NOTHING)],
    ),
    "a reload that is asked for during another one": (
        pending(1),
        [
            (20.1, ReloadRequested(), NOTHING),
            (20.2, ready(1), [Switch(1), Dismiss(0)]),
            (20.3, draining(0), [Announce(News.RELOADED)]),
            (20.4, Tick(), [LogWaitingReload(1)]),
            (20.5, Tick(), NOTHING),
            (24.9, ReloadRequested(), NOTHING),
            (25.0, Tick(), [ReadSettings(2)]),
        ],
    ),
    "it waits no longer than old workers drain": (
        pending(1),
        [
            (20.1, ReloadRequested(), NOTHING),
            (20.2, ready(1), [Switch(1), Dismiss(0)]),
            (20.3, draining(0), [Announce(News.RELOADED)]),
            (20.4, ended(0, CLEAN), [end(0), ReadSettings(2)]),
        ],
    ),
    "the oldest of too many generations must hurry": (
        draining_since(8),
        [
            (600.0, ReloadRequested(), [Hurry(0), LogWaitingReload(8)]),
            (601.0, Tick(), NOTHING),
            (602.0, ended(0, CLEAN), [end(0), ReadSettings(9)]),
        ],
    ),
    "a worker that has grown is replaced without loss": (
        after(starting(), (1.0, ready(0)), (1.0, ready(1))),
        [
            (9.0, Heard(1, (Word.BEAT, Word.REPLACE)), NOTHING),
            (9.9, Heard(0, (Word.BEAT,)), NOTHING),
            (10.1, Tick(), [Start(2, 0)]),
            (10.2, ready(2), [Dismiss(1)]),
            (10.3, draining(1), NOTHING),
            (11.0, ended(1, CLEAN), [end(1)]),
            (11.1, Tick(), NOTHING),
        ],
    ),
    "one that has grown and dies by itself is not replaced twice": (
        after(serving(), (20.0, Heard(1, (Word.REPLACE,)))),
        [(20.1, ended(1), [death(1, 20.1)]), (20.2, ready(2), NOTHING), (20.3, Tick(), NOTHING)],
    ),
    "where no process is to be had, one that is to be replaced goes first, and no other before its end": (
        serving(3),
        [
            (20.0, Heard(0, (Word.REPLACE,)), [Start(3, 0)]),
            (20.0, StartFailed(3), [Dismiss(0)]),
            (20.1, Heard(1, (Word.REPLACE,)), NOTHING),
            (20.2, draining(0), NOTHING),
            (20.3, ended(0, CLEAN), [end(0), Dismiss(1)]),
            (25.0, Tick(), [Start(3, 0), Start(4, 0)]),
        ],
    ),
    "a start that fails when its worker has been told to end": (
        serving(),
        [
            (20.0, ended(0), [death(0, 20.0), Start(0, 0)]),
            (20.0, StopRequested("SIGTERM"), [AnnounceStop("SIGTERM"), Hurry(0), Hurry(1)]),
            (20.0, StartFailed(0), NOTHING),
            (20.1, draining(1), [CloseListener()]),
            (20.2, ended(1, CLEAN), [end(1)]),
        ],
    ),
    "a worker that takes no session any more, untold": (
        serving(),
        [
            (20.0, Heard(1, (Word.REPLACE, Word.DRAINING)), [Start(2, 0)]),
            (20.1, ready(2), [Dismiss(1)]),
            (20.2, ended(1, BROKEN), [end(1, BROKEN)]),
        ],
    ),
    "one that ends before its replacement is due": (
        after(starting(), (1.0, ready(0)), (1.0, ready(1))),
        [
            (2.0, draining(1), NOTHING),
            (3.0, ended(1, CLEAN), [death(1, 3.0, how=CLEAN), Start(1, 0)]),
        ],
    ),
    "silence": (
        serving(),
        [
            *[(second, Heard(0, ()), NOTHING) for second in (24.0, 29.0, 34.0)],
            *[(20.0 + half / 2, Tick(), NOTHING) for half in range(1, 31)],
            (35.1, Tick(), [Kill(1, 15.1)]),
            (35.2, ended(1), [death(1, 35.2), Start(1, 0)]),
        ],
    ),
    "one that survives SIGKILL for a while": (
        after(serving(1), *[(20.0 + half / 2, Tick()) for half in range(1, 32)]),
        [
            *[(35.5 + half / 2, Tick(), NOTHING) for half in range(1, 61)],
            (66.0, Tick(), [Kill(0, 30.5)]),
            (67.0, ended(0), [death(0, 67.0), Start(0, 0)]),
        ],
    ),
    "a supervisor that stood still blames no worker": (
        serving(),
        [(120.0, Tick(), NOTHING), (120.0, Heard(0, ()), NOTHING), (120.5, Tick(), NOTHING)],
    ),
    "a worker may take longer to start": (
        starting(1),
        [
            *[(half / 2, Tick(), NOTHING) for half in range(1, 61)],
            (30.5, Tick(), [Kill(0, 30.5)]),
        ],
    ),
    "the stop": (
        serving(),
        [
            (20.0, StopRequested("SIGTERM"), [AnnounceStop("SIGTERM"), Hurry(0), Hurry(1)]),
            (20.1, draining(0), NOTHING),
            (20.2, draining(1), [CloseListener()]),
            (20.2, ReloadRequested(), NOTHING),
            (20.3, ended(0, CLEAN), [end(0)]),
            (20.4, ended(1, CLEAN), [end(1)]),
        ],
    ),
    "a stop whose time is over": (
        serving(),
        [
            (20.0, StopRequested("SIGTERM"), [AnnounceStop("SIGTERM"), Hurry(0), Hurry(1)]),
            (20.1, draining(0), NOTHING),
            (20.1, ended(0, CLEAN), [end(0)]),
            *[(20.0 + half / 2, Heard(1, ()), NOTHING) for half in range(1, 70)],
            (54.9, Tick(), NOTHING),
            (55.0, Tick(), [Kill(1, None), CloseListener()]),
            (55.1, Tick(), NOTHING),
            (55.2, ended(1), [end(1, KILLED)]),
        ],
    ),
    "two stops": (
        serving(),
        [
            (20.0, StopRequested("SIGTERM"), [AnnounceStop("SIGTERM"), Hurry(0), Hurry(1)]),
            (20.1, StopRequested("SIGTERM"), [Kill(0, None), Kill(1, None), CloseListener()]),
            (20.2, ended(1), [end(1, KILLED)]),
            (20.2, ended(0), [end(0, KILLED)]),
        ],
    ),
    "a stop during a reload: old and new workers, and none that waits for its start": (
        after(pending(1), (20.1, ended(1, BROKEN)), (20.2, ended(1, BROKEN))),
        [
            (20.21, StopRequested("SIGINT"), [AnnounceStop("SIGINT"), Hurry(0)]),
            (20.3, Tick(), NOTHING),
            (21.0, draining(0), [CloseListener()]),
            (21.0, ended(0, CLEAN), [end(0)]),
        ],
    ),
    "what is said of a worker that is gone": (
        serving(),
        [(20.0, ready(7), NOTHING), (20.0, ended(7), NOTHING), (20.0, StartFailed(7), NOTHING)],
    ),
}
ENDED = {
    "a generation that has never served: a pause for each slot, and the end after five",
    "the stop",
    "a stop whose time is over",
    "two stops",
    "a start that fails when its worker has been told to end",
    "a stop during a reload: old and new workers, and none that waits for its start",
}


@pytest.mark.parametrize("name", TABLES)
def test_what_is_done_when_this_happens(name: str) -> None:
    fleet, lines = TABLES[name]
    assert play(fleet, lines).has_ended is (name in ENDED)


def test_the_pause_grows_up_to_its_bound() -> None:
    assert [backoff(failures) for failures in range(9)] == [0.0, 0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert backoff(10_000) == 5.0


def starts(fleet: Fleet, events: Iterable[tuple[float, Event]]) -> tuple[Fleet, list[float]]:
    """When workers were started; each serves a hundredth of a second later."""
    times: list[float] = []
    for now, event in events:
        fleet, commands = step(fleet, event, now)
        for command in commands:
            if isinstance(command, Start):
                times.append(now)
                fleet = after(fleet, (now + 0.01, ready(command.slot)))
    return fleet, times


def test_restarts_are_bounded_while_another_worker_serves() -> None:
    """A worker that is killed again and again, as fast as can be; the other seven are left alone."""
    events = [(20.0 + number / 50, ended(3)) for number in range(500)]
    fleet, times = starts(serving(8), events)
    assert times[:10] == [now for now, _ in events[:10]], "the first ones come at once"
    for second in range(20, 30):
        assert sum(second <= now < second + 1 for now in times) <= 10 + 10
    assert len(times) <= 10 + 10 * 10
    assert sum(slot.phase is Phase.SERVING for slot in fleet.slots) >= 7


def test_the_last_worker_is_restarted_after_any_events() -> None:
    """All are killed as fast as can be: there is never none."""
    fleet, now = serving(4), 20.0
    for number in range(1, 500):
        now = 20.0 + number / 50
        for slot in fleet.slots:
            fleet, _ = step(fleet, ended(slot.number), now)
        assert not fleet.is_alone(0)
        fleet = after(fleet, *[(now + 0.01, ready(slot.number)) for slot in fleet.slots])
    waiting = [slot.due - now for slot in fleet.slots if slot.phase is Phase.PAUSED]
    assert max(waiting) <= decisions.MAX_BACKOFF, "the others come back when it is over"


def test_a_start_that_is_due_is_not_postponed_by_other_deaths() -> None:
    fleet = after(serving(3), (20.0, ended(0)), *[(20.0, ended(0, BROKEN))] * 4)
    due = next(slot.due for slot in fleet.slots if slot.phase is Phase.PAUSED)
    for number in range(100):
        fleet = after(
            fleet, (20.0 + number / 1000, ended(1 + number % 2)), (20.0 + number / 1000, ready(1 + number % 2))
        )
    assert next(slot.due for slot in fleet.slots if slot.number == 0) == due


def test_a_worker_that_lived_long_does_not_count_towards_giving_up() -> None:
    fleet = starting(1)
    for number in range(20):
        fleet = after(fleet, (12.0 * (number + 1), ended(0, BROKEN)), (12.0 * (number + 1) + 1, Tick()))
    assert fleet.stop_at is None


def test_of_workers_that_were_replaced_the_oldest_must_hurry() -> None:
    """Each has sessions that stay; the newest may keep theirs."""
    fleet, told = serving(1), list[Command]()
    for number in range(12):
        now = 40.0 + 20 * number
        serves = next(slot.number for slot in fleet.slots if slot.phase is Phase.SERVING)
        for event in (Heard(serves, (Word.REPLACE,)), ready(number + 1), draining(serves)):
            fleet, commands = step(fleet, event, now)
            told += commands
    assert [command for command in told if isinstance(command, Hurry)] == [Hurry(0), Hurry(1), Hurry(2), Hurry(3)]
    assert len([command for command in told if isinstance(command, Dismiss)]) == 12


def test_a_sign_of_life_counts_for_some_seconds() -> None:
    fleet = serving()
    assert fleet.is_alive(24.9)
    assert not fleet.is_alive(25.1)
    assert not starting().is_alive(0.0), "none of them serves"


def test_the_supervisor_waits_for_what_is_due_next() -> None:
    assert serving().seconds_until_due(20.0) == 0.5
    paused = after(serving(), (20.0, ended(0)), *[(20.0, ended(0, BROKEN))] * 2)
    assert paused.seconds_until_due(20.0) == pytest.approx(0.1)
    assert paused.seconds_until_due(30.0) == 0.0
    refused = after(serving(), (20.0, ended(0)), (20.0, StartFailed(0)))
    assert refused.seconds_until_due(21.0) == 0.5
    assert refused.seconds_until_due(24.8) == pytest.approx(0.2)


class World:
    """Processes that do what they like; it checks that each command makes sense."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a test's dice
        self.now = 0.0
        self.fleet = begin(plan(self.chance.randint(1, 4)), 0.0)
        self.alive: dict[int, int] = {}  # by slot: the generation
        self.generations = {0}

    def report(self, event: Event) -> None:
        """Report an event, and what the commands lead to."""
        events = [event]
        while events:
            self.fleet, commands = step(self.fleet, events.pop(0), self.now)
            numbers = [slot.number for slot in self.fleet.slots]
            assert numbers == sorted(set(numbers))
            for command in commands:
                events += self.perform(command)

    def perform(self, command: Command) -> list[Event]:
        """Do what a command says; what comes of it."""
        match command:
            case Start(slot=slot, generation=generation):
                assert slot not in self.alive
                assert generation in self.generations
                if self.chance.random() < 0.05:
                    return [StartFailed(slot)]
                self.alive[slot] = generation
            case Dismiss(slot=slot) | Hurry(slot=slot) | Kill(slot=slot):
                assert slot in self.alive
            case ReadSettings(generation=generation):
                self.generations.add(generation)
                if self.chance.random() < 0.2:
                    return [SettingsRefused("for a reason")]
                return [SettingsRead(plan(self.chance.randint(1, 4)))]
        return []

    def live(self) -> None:
        """Let time pass, and something happen."""
        self.now += self.chance.choice((0.0, 0.01, 0.1, 0.5, 3.0))
        slots = list(self.alive)
        if slots and self.chance.random() < 0.8:
            slot = self.chance.choice(slots)
            if self.chance.random() < 0.25:
                del self.alive[slot]
                self.report(ended(slot, self.chance.choice((KILLED, CLEAN))))
            else:
                self.report(Heard(slot, (self.chance.choice(list(Word)),)))
        else:
            self.report(ReloadRequested() if self.chance.random() < 0.1 else Tick())


@pytest.mark.parametrize("seed", range(12))
def test_any_life_makes_sense_and_comes_to_its_end(seed: int) -> None:
    """Commands reach processes that exist, slots are not taken twice, and the number of processes has a bound."""
    world = World(seed)
    for _ in range(300):
        world.live()
        if world.fleet.stop_at is not None:  # it has given up
            break
        known = {slot.number for slot in world.fleet.slots if slot.phase is not Phase.PAUSED}
        assert known == set(world.alive)
        assert (world.fleet.pending is not None) is (world.fleet.reload is Reload.PENDING)
    world.report(StopRequested("SIGTERM"))
    world.report(StopRequested("SIGTERM"))
    for slot in list(world.alive):
        del world.alive[slot]
        world.report(ended(slot))
    assert world.fleet.has_ended


def test_a_step_changes_no_fleet() -> None:
    """The same fleet can be asked again what to do if something else happens."""
    fleet = serving()
    before = repr(fleet)
    events: Sequence[Event] = (Tick(), ended(0), ReloadRequested(), StopRequested("SIGTERM"))
    for event in events:
        step(fleet, event, 30.0)
    assert repr(fleet) == before
