"""Sparklines and bars begin at zero, and do not hide a small number."""

import pytest

from spfmilter.report.chart import ASCII, bars, merged, round_top, sparkline


def test_a_sparkline_shows_zero_as_nothing_and_one_as_something() -> None:
    assert sparkline([0, 1, 500, 1000]) == " ▁▄█"
    assert sparkline([0, 1, 500, 1000], ASCII) == " .=@"
    assert sparkline([0, 0]) == "  "
    assert sparkline([]) == ""
    assert sparkline([5], top=1000) == "▁"


@pytest.mark.parametrize(
    ("count", "width", "expected"), [(7, 60, (7, 1)), (72, 60, (36, 2)), (683, 60, (57, 12)), (0, 60, (0, 1))]
)
def test_values_are_added_up_until_they_fit(count, width, expected) -> None:
    values, size = merged([1] * count, width)
    assert (len(values), size) == expected
    assert sum(values) == count


def test_bars_stand_on_the_ground_or_on_those_below() -> None:
    low, high = bars([50, 0], 200), bars([50, 100], 200, [50, 0])
    assert low[0] is not None
    assert (low[0].y, low[0].height) == (75, 25)
    assert low[1] is None, "nothing is drawn for zero"
    assert high[0] is not None
    assert (high[0].y, high[0].height) == (50, 25)


def test_one_message_among_many_is_seen() -> None:
    (bar,) = bars([1], 1_000_000)
    assert bar is not None
    assert bar.height >= 1


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (7, 7), (11, 15), (99, 100), (101, 150), (3_776, 4_000), (8_001, 10_000)]
)
def test_the_axis_ends_at_a_round_number(value, top) -> None:
    assert round_top(value) == top
    assert top >= value
