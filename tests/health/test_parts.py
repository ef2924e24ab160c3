"""Levels together, and words for times and sizes."""

import pytest

from spfmilter.health.parts import NAMES, Level, ago, counted, size, span, worst
from spfmilter.health.probes import PROBES

OK, WARNING, CRITICAL, UNKNOWN = Level


@pytest.mark.parametrize(
    ("levels", "together"),
    [
        ([OK, OK], OK),
        ([OK, UNKNOWN], UNKNOWN),
        ([UNKNOWN, WARNING, OK], WARNING),
        ([WARNING, CRITICAL, UNKNOWN], CRITICAL),
        ([], UNKNOWN),
    ],
)
def test_the_worst_level_counts(levels: list[Level], together: Level) -> None:
    assert worst(levels) is together


def test_the_levels_are_the_exit_statuses_of_plugins() -> None:
    assert [level.value for level in (OK, WARNING, CRITICAL, UNKNOWN)] == [0, 1, 2, 3]


def test_each_part_has_its_probe_in_the_same_order() -> None:
    assert tuple(name for probe in PROBES for name in probe.parts) == NAMES


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (0.00213, "2.13 ms"),
        (0.5, "500 ms"),
        (1.0, "1 s"),
        (2.25, "2.25 s"),
        (60.0, "1 min"),
        (725.0, "12 min 5 s"),
        (3600.0, "1 h"),
        (2 * 86400 + 7300.0, "2 d 2 h"),
        (-3.0, "-3 s"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_words() -> None:
    assert (ago(0.2), ago(90.4)) == ("1 s ago", "1 min 30 s ago")
    assert size(36_500_000) == "36 MB"
    assert [counted(number, "session") for number in (0, 1, 2)] == ["0 sessions", "1 session", "2 sessions"]
