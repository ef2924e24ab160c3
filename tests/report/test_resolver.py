"""Failures of our own resolver are put together to outages, for each host."""

from spfmilter.journal.sums import MINUTES, ResolverFailure
from spfmilter.report.resolver import Outage, outages


def test_failures_that_follow_each_other_are_one_outage() -> None:
    failures = [
        ResolverFailure(slot * MINUTES, host, 2)
        for slot, host in ((5, "mx1"), (6, "mx1"), (8, "mx1"), (6, "mx2"), (7, None))
    ]
    assert outages(failures) == [
        Outage("mx1", 8 * MINUTES, 9 * MINUTES, 2),
        Outage("", 7 * MINUTES, 8 * MINUTES, 2),
        Outage("mx2", 6 * MINUTES, 7 * MINUTES, 2),
        Outage("mx1", 5 * MINUTES, 7 * MINUTES, 4),
    ]
    assert outages([]) == []
