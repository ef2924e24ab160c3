"""The words that all forms of the report share."""

from collections import Counter
from dataclasses import replace

import pytest

from spfmilter.report import wording
from spfmilter.report.findings import KINDS, pointers
from tests.report import traffic
from tests.report.values import DAYS, filled, report
from tests.values import settings


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [
        (0, 10, ""),
        (5, 0, ""),
        (1, 1_000_000, "<0.1 %"),
        (1, 1000, "0.1 %"),
        (1, 3, "33.3 %"),
        (999_999, 1_000_000, ">99.9 %"),
        (7, 7, "100.0 %"),
    ],
)
def test_a_share_is_neither_nothing_nor_all_by_rounding(count, total, expected) -> None:
    assert wording.share(count, total) == expected


def test_what_was_done_from_the_most_severe() -> None:
    assert wording.listed(Counter(accept=1234, reject=2, defer=0)) == "2 rejected, 1,234 accepted"


@pytest.mark.parametrize(
    ("days", "size", "expected"),
    [(0.1, 2, "10 minutes"), (1, 1, "an hour"), (3, 2, "2 hours"), (7, 1, "a day"), (90, 1, "a week")],
)
def test_how_long_a_step_is(tmp_path, days, size, expected) -> None:
    until = traffic.NOW
    made = report(filled(tmp_path, [traffic.row(until - int(days * DAYS))]), since=until - int(days * DAYS))
    assert wording.each(made, size) == expected


def test_hosts_that_share_a_journal(tmp_path) -> None:
    made = report(filled(tmp_path, [traffic.row(host=f"mx{number}") for number in range(6) for _ in range(9 - number)]))
    assert wording.host_names(made) == "mx0, mx1, mx2, mx3 and 2 more"


def test_a_journal_that_begins_later_than_was_asked(tmp_path) -> None:
    made = report(filled(tmp_path, [traffic.row(traffic.NOW - DAYS)]))
    assert wording.begins_later(made) == "The journal begins at 2026-11-28 11:00."
    assert wording.begins_later(replace(made, asked=traffic.NOW - DAYS)) == ""


def test_each_kind_of_finding_has_words_in_their_order(tmp_path) -> None:
    ini = "[exempt]\nforwarders = mx.old.example\n"
    made = report(filled(tmp_path, traffic.week(2000)), ini)
    soon = replace(made.entries[0], text="exemption 7", used=True, ends=traffic.NOW + DAYS)
    found = pointers(replace(made, entries=[*made.entries, soon]), settings(ini))
    assert [one.kind for one in found] == list(KINDS)
    assert found[3].facts == ("It ends at 2026-11-30 11:00.",)
    assert all(one.steps for one in found if one.kind != "ending")
