"""What one evaluation may cost, counted without any DNS."""

import pytest

from spfmilter.evaluation.limits import MAX_ALL_TERMS, MAX_CHARACTERS, MAX_DNS_RECORDS, Limits, Share, Usage
from spfmilter.model import ProblemKind
from spfmilter.spf.record import RecordError

LIMITS = Limits(time=20.0, lookups=2, void_lookups=1, client_time=3.0)


def usage(now: float = 100.0, *, deadline: float | None = None, share: Share | None = None) -> Usage:
    return Usage(LIMITS, "e.example", now, deadline=deadline, share=share)


def test_the_time_is_the_limit_or_what_the_message_has_left() -> None:
    assert usage().deadline == 120.0
    assert usage(deadline=105.0).deadline == 105.0


@pytest.mark.parametrize(
    ("deadline", "left", "now", "until"),
    [
        (120.0, 3.0, 100.0, 103.0),  # the share
        (120.0, 3.0, 109.0, 110.0),  # half of the time, however much of the share is left
        (104.0, 3.0, 100.0, 102.0),
        (120.0, 0.0, 100.0, 100.0),
        (120.0, -1.0, 100.0, 99.0),  # an answer that is there is used, nothing is asked
    ],
)
def test_the_zones_of_the_client_have_a_share_of_it(deadline: float, left: float, now: float, until: float) -> None:
    assert usage(deadline=deadline, share=Share(left)).deadline_of_client(now) == until


def test_the_checks_of_one_message_have_one_share() -> None:
    share = Share(3.0)
    usage(share=share).spend_of_client(2.0)
    assert usage(share=share).deadline_of_client(100.0) == 101.0
    assert usage().deadline_of_client(100.0) == 103.0


def test_terms_are_counted_up_to_the_limit() -> None:
    counted = usage()
    counted.count_term()
    counted.count_term()
    counted.top_term, counted.top_domain = "include:a.example", "r.example"
    with pytest.raises(RecordError, match="more than 2 terms that need a DNS lookup") as caught:
        counted.count_term()
    assert caught.value.kind is ProblemKind.LOOKUP_LIMIT
    assert (caught.value.term, caught.value.domain) == ("include:a.example", "r.example"), "the first record is blamed"
    assert counted.lookups == 3


def test_void_lookups_are_counted_once_for_each_term() -> None:
    counted = usage()
    counted.count_void("e.example")
    assert counted.void_lookups == 0, "before the first term nothing is counted"
    counted.void_counted = False
    counted.count_void("a.example")
    counted.count_void("b.example")
    assert counted.void_lookups == 1
    counted.void_counted = False
    with pytest.raises(RecordError, match=r"the last: c\.example") as caught:
        counted.count_void("c.example")
    assert caught.value.kind is ProblemKind.VOID_LOOKUP_LIMIT
    assert caught.value.domain == "e.example"


def test_the_text_of_all_records_is_bounded() -> None:
    counted = usage()
    counted.count_characters(MAX_CHARACTERS)
    counted.count_terms(MAX_ALL_TERMS)
    for count in (counted.count_characters, counted.count_terms):
        with pytest.raises(RecordError, match="in all") as caught:
            count(1)
        assert caught.value.kind is ProblemKind.TOO_LONG


def test_the_records_of_all_answers_are_bounded() -> None:
    counted = usage()
    counted.count_records(MAX_DNS_RECORDS)
    assert counted.counts_client_records(MAX_DNS_RECORDS), "those of the client's zones are counted apart"
    assert not counted.counts_client_records(1)
    with pytest.raises(RecordError, match=r"more DNS records than are read \(1000\)"):
        counted.count_records(1)


def test_an_answer_that_was_not_read_whole_is_too_long() -> None:
    with pytest.raises(RecordError, match=r"\(1000, and 500 in one answer\)"):
        usage().count_records(500, cut_after=500)
