"""The time of a report: what the options take, and the steps of the trend in local time."""

from datetime import UTC

import pytest

from spfmilter.report.period import DAY, HOUR, MINUTE, Period, place, read_time
from tests.report.values import BERLIN, KATHMANDU, at

NOW = at("2026-11-29T11:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - 90 * MINUTE),
        ("24h", NOW - DAY),
        ("7d", NOW - 7 * DAY),
        (" 7d ", NOW - 7 * DAY),
        ("999999999d", 0),
        ("2026-11-20", at("2026-11-19T23:00")),
        ("2026-07-01", at("2026-06-30T22:00")),
        ("2026-11-20T14:30", at("2026-11-20T13:30")),
        ("2026-11-20T14:30Z", at("2026-11-20T14:30")),
        ("2026-11-20T14:30+05:00", at("2026-11-20T09:30")),
        ("0001-01-01", 0),
        ("9999-12-31T23:59:59", 253_402_214_400_000),
    ],
)
def test_what_a_time_may_be(text, expected) -> None:
    assert read_time(text, NOW, BERLIN) == expected


@pytest.mark.parametrize(
    "text", ["", "7", "7w", "-7d", "yesterday", "2026-13-01", "20.11.2026", "7d\x1b[31m", "1" * 5000]
)
def test_what_is_no_time(text) -> None:
    with pytest.raises(ValueError, match="is no time: write how long ago, such as 90m, 24h or 7d, or a date") as error:
        read_time(text, NOW)
    assert "\x1b" not in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize(
    ("span", "word", "steps"),
    [
        (90 * MINUTE, "5 minutes", 18),
        (24 * HOUR, "hour", 24),
        (3 * DAY, "hour", 72),
        (7 * DAY, "day", 8),
        (30 * DAY, "day", 31),
        (180 * DAY, "week", 26),
        (3650 * DAY, "month", 120),
        (NOW, "month", 683),
        (1, "5 minutes", 1),
    ],
)
def test_the_longer_the_span_the_longer_the_step(span, word, steps) -> None:
    period = Period(NOW - span, NOW, UTC)
    assert (period.unit.word, len(period.starts())) == (word, steps)
    assert period.starts()[0] <= period.since


def test_days_begin_at_local_midnight_also_where_the_clock_changes() -> None:
    period = Period(at("2026-10-24T12:00"), at("2026-10-28T12:00"), BERLIN)
    assert [period.shown(start) for start in period.starts()] == [f"2026-10-{day} 00:00" for day in range(24, 29)]
    assert [period.label(start) for start in period.starts()][:2] == ["Sat 24 Oct", "Sun 25 Oct"]
    assert period.zone_name == "CEST, UTC+02:00 and CET, UTC+01:00"


def test_hours_begin_at_the_local_hour() -> None:
    period = Period(at("2026-11-29T03:20"), at("2026-11-29T11:00"), KATHMANDU)
    assert period.label(period.starts()[0]) == "29 Nov 09:00"


def test_weeks_begin_on_monday_and_months_on_their_first_day() -> None:
    week, month = Period(NOW - 100 * DAY, NOW, BERLIN), Period(NOW - 900 * DAY, NOW, BERLIN)
    assert {week.local(start).strftime("%a %H") for start in week.starts()} == {"Mon 00"}
    assert {month.local(start).strftime("%d %H") for start in month.starts()} == {"01 00"}


def test_each_part_of_the_span_has_one_offset() -> None:
    period = Period(at("2026-03-01T00:00"), at("2026-12-01T00:00"), BERLIN)
    changes = [at("2026-03-01T00:00"), at("2026-03-29T01:00"), at("2026-10-25T01:00"), at("2026-12-01T00:00")]
    assert [(start, end, offset // HOUR) for start, end, offset in period.segments()] == [
        (changes[0], changes[1], 1),
        (changes[1], changes[2], 2),
        (changes[2], changes[3], 1),
    ]


@pytest.mark.parametrize("zone", [UTC, BERLIN, KATHMANDU])
@pytest.mark.parametrize("span", [HOUR, DAY, 5 * DAY, 40 * DAY, 200 * DAY])
def test_the_database_divides_time_as_the_trend_does(zone, span) -> None:
    """A row whose time was rounded down by its segment's offset lies in the step of the row itself."""
    period = Period(at("2026-10-27T05:07") - span, at("2026-10-27T05:07"), zone)
    starts = period.starts()
    for start, end, offset in period.segments():
        for time in range(start, end, max(1, (end - start) // 499)):
            rounded = max(start, (time + offset) // period.unit.length * period.unit.length - offset)
            assert place(starts, rounded) == place(starts, time)


def test_times_for_programs_have_the_offset() -> None:
    assert Period(0, NOW, BERLIN).iso(NOW) == "2026-11-29T12:00:00+01:00"
    assert Period(0, NOW, UTC).zone_name == "UTC"
