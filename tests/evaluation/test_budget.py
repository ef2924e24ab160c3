"""The time that one message has for its lookups."""

import pytest

from spfmilter.evaluation.budget import TimeBudget


@pytest.mark.parametrize(
    ("steps", "left", "until"),
    [
        ("", 0.0, 1000.0),
        ("start 20", 20.0, 1020.0),
        ("start 20, wait 5", 15.0, 1020.0),
        ("start 20, wait 5, pause", 15.0, 1020.0),
        ("start 20, wait 5, pause, wait 100", 15.0, 1120.0),
        ("start 20, wait 5, pause, wait 100, resume, wait 4", 11.0, 1120.0),
        ("start 20, wait 30", 0.0, 1020.0),
        ("start 20, wait 30, pause, resume", 0.0, 1030.0),
        ("start 20, wait 5, resume", 15.0, 1020.0),
        ("start 20, wait 5, pause, wait 9, pause", 15.0, 1029.0),
        ("start 20, wait 5, start 20", 20.0, 1025.0),
        ("start 20, wait 30, pause, start 20", 20.0, 1050.0),
        ("resume, wait 5", 0.0, 1000.0),
        ("pause, resume", 0.0, 1000.0),
    ],
)
def test_only_the_time_between_start_or_resume_and_pause_counts(steps: str, left: float, until: float) -> None:
    now = 1000.0
    budget = TimeBudget(lambda: now)
    for step in filter(None, steps.split(", ")):
        word, _, seconds = step.partition(" ")
        if word == "wait":
            now += float(seconds)
        elif word == "start":
            budget.start(float(seconds))
        else:
            getattr(budget, word)()
    assert (budget.left, budget.until) == (left, until)
