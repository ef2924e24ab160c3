"""How many callbacks are at work, and how impatiently threads wait for Python's lock meanwhile."""

import sys
import time
from collections.abc import Iterator

import pytest

from spfmilter.milter import running
from spfmilter.milter.running import Running

_FEW, _MANY = running._MANY, running._MANY + 1


@pytest.fixture(autouse=True)
def usual() -> Iterator[float]:
    """Python's own interval, which each test finds and leaves."""
    before = sys.getswitchinterval()
    yield before
    sys.setswitchinterval(before)


def _begin(count: int) -> Running:
    found = Running()
    for number in range(count):
        found.begin(number, time.monotonic())
    return found


def test_few_callbacks_leave_the_interval_alone(usual: float) -> None:
    _begin(_FEW)
    assert sys.getswitchinterval() == usual


def test_many_callbacks_make_threads_patient_at_once(usual: float) -> None:
    _begin(_MANY)
    assert sys.getswitchinterval() == pytest.approx(running._LONG_INTERVAL)
    assert usual < running._LONG_INTERVAL


def test_threads_stay_patient_while_many_callbacks_end_and_until_few_are_left(usual: float) -> None:
    found = _begin(_MANY)
    for number in range(_MANY):
        found.end(number)
        assert sys.getswitchinterval() > usual
        if number + 1 < _MANY - _FEW // 2:
            found.settle()
            assert sys.getswitchinterval() > usual, "too many are left"
    found.settle()
    assert sys.getswitchinterval() == usual


def test_threads_become_patient_again(usual: float) -> None:
    found = _begin(_MANY)
    for number in range(_MANY):
        found.end(number)
    found.settle()
    for number in range(_MANY):
        found.begin(number, time.monotonic())
    assert sys.getswitchinterval() > usual


def test_the_oldest_callback_tells_how_long_one_has_run() -> None:
    found = Running()
    assert found.longest() == pytest.approx(0.0, abs=0.001)
    now = time.monotonic()
    found.begin(1, now - 20)
    found.begin(2, now - 10)
    assert found.longest() == pytest.approx(20, abs=5)
    found.end(1)
    assert found.longest() == pytest.approx(10, abs=5)
