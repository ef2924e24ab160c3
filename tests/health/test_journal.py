"""The journal, as the status file shows it."""

from typing import Any

import pytest

from spfmilter.daemon.snapshot import JournalState, decode, encode
from spfmilter.health.journal import journal
from spfmilter.health.parts import Level
from tests.health.snapshots import known, snapshot


def state(**changed: Any) -> JournalState:
    values: dict[str, Any] = {
        "url": "sqlite:////var/lib/spfmilter/journal.db",
        "written": 1000,
        "waiting": 0,
        "dropped": 0,
        "last": 1.0,
        "reachable": True,
        "reason": "",
        "age": 59.0,
    }
    return JournalState(**{**values, **changed})


AWAY = {"reachable": False, "reason": "connection refused", "waiting": 7, "dropped": 1}


@pytest.mark.parametrize(
    ("changed", "level", "text"),
    [
        ({}, Level.OK, "/journal.db: 1000 rows written, the last 2 s ago"),
        ({"written": 0, "last": None}, Level.OK, "/journal.db: 0 rows written"),
        ({"dropped": 2, "waiting": 5}, Level.OK, "; 5 waiting; 2 rows lost"),
        ({"reachable": None, "written": 0, "last": None}, Level.OK, "has not been opened yet: 0 rows written"),
        (AWAY, Level.WARNING, "has taken no rows for 1 min: connection refused; 1000 rows written"),
    ],
)
def test_the_journal(changed: dict[str, Any], level: Level, text: str) -> None:
    written = decode(encode(snapshot(journal=state(**changed))))
    (part,) = journal(known(written))
    assert part.level is level
    assert text in part.text
    assert bool(part.fix) is (level is not Level.OK)
    assert {gauge.label: gauge.value for gauge in part.gauges} == {
        "journal_written": part.data["written"],
        "journal_waiting": part.data["waiting"],
        "journal_dropped": part.data["dropped"],
    }


def test_without_a_journal_there_is_no_part() -> None:
    assert list(journal(known(snapshot()))) == []
    assert list(journal(known())) == []
