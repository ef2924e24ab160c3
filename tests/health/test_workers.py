"""How workers, caches and the storage process stand."""

import pytest

from spfmilter.daemon.snapshot import Snapshot
from spfmilter.health.parts import Level
from spfmilter.health.workers import caches, caches_part, storage, workers, workers_part
from tests.health.snapshots import exits, figures, known, process, snapshot, worker

OK, WARNING, CRITICAL, UNKNOWN = Level


@pytest.mark.parametrize(
    ("written", "level", "text"),
    [
        (snapshot(), OK, "2 of 2 serve: 6 sessions, 80 MB"),
        (snapshot(workers=(worker(0),)), WARNING, "1 of 2 serve"),
        (snapshot(workers=()), CRITICAL, "0 of 2 serve: 0 sessions, 0 MB"),
        (snapshot(workers=(worker(0), worker(1, phase="starting", figures=None))), WARNING, "1 of 2 serve: 3 sessions"),
        (snapshot(workers=(worker(0, phase="killed"), worker(1, pid=None, phase="paused"))), CRITICAL, "0 of 2 serve"),
        (
            snapshot(workers=(worker(0), worker(1, silent=5.5))),
            WARNING,
            "1 of 2 serve: 6 sessions, 80 MB; process 4713 gives",
        ),
        (
            snapshot(workers=(worker(0, silent=9.0), worker(1, silent=5.5))),
            CRITICAL,
            "0 of 2 serve: 6 sessions, 80 MB; process 4712, process 4713 give no sign of life",
        ),
        (snapshot(workers=(worker(0), worker(1), worker(2, phase="draining"))), OK, "2 of 2 serve: 9 sessions"),
        (snapshot(exits=exits(3.0)), WARNING, "1 exited unexpectedly, the last 4 s ago: killed by SIGKILL"),
        (snapshot(exits=exits(298.0, 7)), WARNING, "7 exited unexpectedly, the last 4 min 59 s ago"),
        (snapshot(exits=exits(299.0)), OK, "1 exited unexpectedly, the last 5 min ago: killed by SIGKILL"),
    ],
)
def test_the_workers(written: Snapshot, level: Level, text: str) -> None:
    (part,) = workers(known(written))
    assert part.level is level
    assert part.text.startswith(text) or text in part.text
    assert bool(part.fix) == (level is not OK)
    assert len(part.details) == len(written.workers)


def test_a_stopped_worker_is_seen_at_once() -> None:
    part = workers_part(snapshot(), 1.0, stopped={4713}, is_old=False)
    assert part.level is WARNING
    assert "process 4713 gives no sign of life" in part.text
    assert "process 4713, stopped (SIGSTOP)" in part.details[1]


def test_an_old_state_says_how_old_it_is() -> None:
    assert workers_part(snapshot(), 40.0, stopped=set(), is_old=True).text.startswith("40 s ago: 2 of 2 serve")


def test_the_line_of_a_worker() -> None:
    written = snapshot(workers=(worker(0, exits=2, generation=3), worker(1, pid=None, figures=None, age=2.0)))
    assert workers_part(written, 1.0, stopped=set(), is_old=False).details == (
        "worker 0: process 4712, serving, started 1 h ago, generation 3, 3 sessions, 40 MB, 2 restarts, processor 0",
        "worker 1: no process for 3 s",
    )


def test_the_performance_data_of_the_workers() -> None:
    part = workers_part(snapshot(exits=exits(1.0, 4)), 1.0, stopped=set(), is_old=False)
    assert {gauge.label: gauge.value for gauge in part.gauges} == {
        "workers": 2,
        "sessions": 6,
        "memory": 80_000_000,
        "restarts": 4,
    }


def test_figures_that_are_not_yet_written_are_not_zero() -> None:
    """Within the first second of the daemon."""
    written = snapshot(workers=(worker(0, figures=None), worker(1, figures=None)))
    part = workers_part(written, 0.1, stopped=set(), is_old=False)
    assert part.text == "2 of 2 serve"
    assert [gauge.label for gauge in part.gauges] == ["workers", "restarts"]
    assert (part.data["sessions"], part.data["memory"]) == (None, None)


def test_the_caches() -> None:
    part = caches_part(snapshot())
    assert part.level is OK
    assert part.text == "200 answers, 90% of 2000 lookups found; 20 verdicts, 25% of 8 lookups found"
    assert {gauge.label: gauge.value for gauge in part.gauges}["answers_hit_rate"] == 90.0


@pytest.mark.parametrize(
    "written",
    [
        snapshot(workers=()),
        snapshot(workers=(worker(0, figures=figures(1, answers=0, answer_hits=0, answer_misses=0, verdict_misses=0)),)),
    ],
)
def test_caches_without_a_lookup(written: Snapshot) -> None:
    assert "0 answers, no lookups yet" in caches_part(written).text


def test_without_a_status_file_they_are_unknown() -> None:
    for probe in (workers, caches):
        (part,) = probe(known())
        assert part.level is UNKNOWN


@pytest.mark.parametrize(
    ("changed", "level", "text"),
    [
        ({}, OK, "process 99 has run for 1 min 1 s"),
        ({"exits": 1, "how": "killed by SIGKILL"}, OK, "1 exit before, the last: killed by SIGKILL"),
        (
            {"pid": None, "exits": 2, "how": "exit status 1"},
            WARNING,
            "storage process has not run for 1 min 1 s; 2 exits",
        ),
    ],
)
def test_the_storage_process(changed, level: Level, text: str) -> None:
    (part,) = storage(known(snapshot(processes=(process("storage process", **changed),))))
    assert part.level is level
    assert text in part.text


def test_a_storage_process_that_is_not_wanted_is_no_part() -> None:
    assert list(storage(known(snapshot(processes=(process("storage process", wanted=False, pid=None),))))) == []
    assert list(storage(known())) == []
