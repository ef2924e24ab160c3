"""How the exemptions stand, as a table."""

from typing import Any

import pytest

from spfmilter.health.exemptions import exemptions as probe
from spfmilter.health.exemptions import exemptions_part
from spfmilter.health.parts import Level
from tests.health.snapshots import exemptions, known, snapshot

DB = "/var/lib/spfmilter/exemptions.db"


@pytest.mark.parametrize(
    ("changed", "age", "level", "text"),
    [
        ({}, 1.0, Level.OK, f"3 in force, {DB} answers"),
        ({"number": 0}, 1.0, Level.OK, f"none in force, {DB} answers"),
        ({"answered": False}, 1.0, Level.OK, f"3 in force, {DB} is being asked"),
        ({"answered": False, "age": 60.0}, 1.0, Level.WARNING, f"3 in force, {DB} has not answered for 1 min 1 s"),
        ({"age": 20.0}, 1.0, Level.WARNING, f"3 in force, {DB} was last asked 21 s ago: changes wait"),
        (
            {"reason": "connection refused", "age": 90.0},
            2.0,
            Level.WARNING,
            f"3 in force, {DB} cannot be used for 1 min 32 s: connection refused; those in force stay so, and changes",
        ),
        ({"reason": "x", "answered": False}, 1.0, Level.WARNING, f"3 in force, {DB} cannot be used since the start: x"),
    ],
)
def test_the_exemptions(changed: dict[str, Any], age: float, level: Level, text: str) -> None:
    part = exemptions_part(exemptions(**changed), age)
    assert (part.level, bool(part.fix)) == (level, level is not Level.OK)
    assert part.text.startswith(text)
    assert part.data["answers"] is (level is Level.OK and bool(changed.get("answered", True)))
    assert part.gauges[0].value == part.data["number"]


def test_a_daemon_without_a_store_has_no_such_part() -> None:
    assert list(probe(known(snapshot()))) == []
    assert [part.level for part in probe(known(snapshot(exemptions=exemptions())))] == [Level.OK]
    assert [part.level for part in probe(known())] == [Level.UNKNOWN]
