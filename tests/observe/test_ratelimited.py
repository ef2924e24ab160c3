"""Warnings that could repeat for every message: at most one in ten minutes."""

from spfmilter.observe.ratelimited import RateLimitedLog
from tests.observe.test_log import logged


def test_a_warning_is_logged_once_in_ten_minutes_with_the_number_of_suppressed_ones() -> None:
    now = [1000.0]
    rate_limited = RateLimitedLog(lambda: now[0])

    def warnings(at: float) -> list[str]:
        now[0] = at
        return logged(lambda: rate_limited.private_client("10.0.0.1"))

    (first,) = warnings(1000.0)
    assert "warning: private client address" in first
    assert "client=10.0.0.1" in first
    assert "suppressed=" not in first
    assert warnings(1000.1) == warnings(1300.0) == warnings(1599.9) == []
    (second,) = warnings(1600.0)
    assert second.endswith(" suppressed=3")
    (third,) = warnings(2200.0)
    assert "suppressed=" not in third, "the count began again"
