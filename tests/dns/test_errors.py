"""Nameservers that answer nothing but errors: when they count as broken, and what the workers tell each other of it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from spfmilter.dns.answer import Answer, Status
from spfmilter.dns.errors import DOMAINS, LASTING, ErrorReport, Errors
from spfmilter.dns.reports import ReportFile
from spfmilter.dns.silence import Change
from spfmilter.settings.values import Nameserver

NOW = 1000.0
SERVFAIL, REFUSED = (Answer(Status.FAILED, failure=failure) for failure in ("SERVFAIL", "REFUSED"))
# Twice as many as needed: two domains may count as one.
MANY = [f"d{number}.example" for number in range(2 * DOMAINS)]
BEGUN = Change(over=False, seconds=LASTING, reason="SERVFAIL")


def erring(
    names: list[str] = MANY, answer: Answer = SERVFAIL, *, since: float = NOW, lasting: float = LASTING
) -> Errors:
    """The errors after one for each name, the last one so many seconds after the first."""
    errors = Errors()
    for name in names:
        errors.note(name, answer, since)
    errors.note(names[-1], answer, since + lasting)
    return errors


@pytest.mark.parametrize("failure", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "RCODE 23", "a referral"])
def test_errors_for_many_domains_over_a_minute_are_announced_once(failure: str) -> None:
    errors = erring(answer=Answer(Status.FAILED, failure=failure))
    assert errors.step([], NOW + LASTING) == Change(over=False, seconds=LASTING, reason=failure)
    assert errors.step([], NOW + 2 * LASTING) is None
    assert errors.seconds(NOW + 2 * LASTING) == 2 * LASTING


@pytest.mark.parametrize(
    "errors",
    [
        erring(lasting=LASTING - 1),  # it may be a restart
        erring(MANY[: DOMAINS - 1]),  # these domains may be broken
        erring([f"{number}.broken.example" for number in range(100)]),  # one domain, with the names that it likes
        erring([f"{number}.2.0.192.in-addr.arpa" for number in range(100)]),  # the reverse DNS of some clients
        erring(answer=Answer(Status.FAILED, failure="timeout")),  # the domains are silent
        erring(answer=Answer(Status.FAILED, failure="Connection refused", local_failure=True)),  # that is a silence
        erring(answer=Answer(Status.FAILED, failure="malformed answer: x")),
    ],
)
def test_less_than_that_is_not_the_nameservers_fault(errors: Errors) -> None:
    assert errors.step([], NOW + LASTING) is None
    assert errors.step([], NOW + 10 * LASTING) is None
    assert errors.seconds(NOW + LASTING) == 0.0


@pytest.mark.parametrize("status", [Status.DATA, Status.NO_DATA, Status.NO_NAME, Status.PRIVATE])
def test_one_good_answer_ends_it_and_all_counting_begins_anew(status: Status) -> None:
    errors = erring()
    assert errors.step([], NOW + 60) == BEGUN
    errors.note("good.example", Answer(status), NOW + 70)
    assert errors.step([], NOW + 71) == Change(over=True, seconds=71.0, reason="SERVFAIL")
    assert (errors.step([], NOW + 72), errors.seconds(NOW + 72)) == (None, 0.0)
    errors.note(MANY[0], REFUSED, NOW + 80)
    errors.note(MANY[0], REFUSED, NOW + 200)
    assert errors.step([], NOW + 200) is None


def test_an_end_without_an_announcement_is_not_mentioned() -> None:
    errors = erring(lasting=LASTING - 1)
    errors.note("good.example", Answer(Status.DATA), NOW + 70)
    assert errors.step([], NOW + 71) is None


# -- what the workers tell each other ----------------------------------------------------------------------------------


def test_workers_count_the_same_domains_and_the_same_time() -> None:
    first, second = erring(MANY[:DOMAINS], lasting=5), erring(MANY[DOMAINS:], REFUSED, since=NOW + 50, lasting=10)
    assert first.step([], NOW + 60) is None
    assert second.step([], NOW + 60) is None
    assert second.step([first.report()], NOW + 60) == Change(over=False, seconds=60.0, reason="REFUSED")
    assert first.step([second.report()], NOW + 61) is None, "the log is told once"
    assert first.seconds(NOW + 61) == 61.0


def test_a_good_answer_in_one_worker_ends_it_in_all() -> None:
    first, second = erring(), Errors()
    assert first.step([], NOW + 60) == BEGUN
    assert second.step([first.report()], NOW + 60) is None
    second.note("good.example", Answer(Status.NO_NAME), NOW + 70)
    assert second.step([first.report()], NOW + 71) == Change(over=True, seconds=71.0, reason="")
    assert second.step([first.report()], NOW + 72) is None, "what the first one still tells is old"
    assert first.step([second.report()], NOW + 72) == Change(over=True, seconds=72.0, reason="SERVFAIL")
    third = Errors()
    third.step([erring().report(), first.report()], NOW + 73)
    assert third.report() == ErrorReport(good=NOW + 70)


def test_a_worker_announces_what_its_own_question_has_met_only() -> None:
    idle = Errors()
    assert idle.step([erring().report()], NOW + 60) is None
    idle.note(MANY[0], REFUSED, NOW + 65)
    assert idle.step([], NOW + 66) == Change(over=False, seconds=66.0, reason="REFUSED")


# -- the file ----------------------------------------------------------------------------------------------------------

HERE, THERE = Nameserver("192.0.2.53"), Nameserver("192.0.2.54")
REPORT = ErrorReport(NOW - 60, NOW - 1, 1 << 63 | 5, NOW - 70, is_announced=True)


@pytest.fixture
def file() -> Iterator[ReportFile]:
    with closing(ReportFile()) as made:
        yield made


@pytest.mark.parametrize("report", [REPORT, ErrorReport(), ErrorReport(good=NOW)])
def test_a_report_is_heard_by_the_others(file: ReportFile, report: ErrorReport) -> None:
    first, second = file.of(0), file.of(7)
    second.tell_errors(report, [HERE, THERE], NOW)
    assert first.errors_of_others([THERE, HERE], NOW) == [report]
    assert second.errors_of_others([HERE, THERE], NOW) == first.errors_of_others([HERE], NOW) == []
    assert first.others([HERE, THERE], NOW) == [], "a silence is another matter"


def test_an_old_report_tells_only_of_the_last_good_answer(file: ReportFile) -> None:
    """Its worker has died, or hangs."""
    file.of(0).tell_errors(REPORT, [HERE], NOW)
    assert file.of(1).errors_of_others([HERE], NOW + 4.9) == [REPORT]
    assert file.of(1).errors_of_others([HERE], NOW + 5) == [ErrorReport(good=NOW - 70)]


def test_a_new_worker_hears_the_one_that_had_its_slot_until_it_tells_something_itself(file: ReportFile) -> None:
    file.of(0).tell_errors(REPORT, [HERE], NOW)
    new = file.of(0)
    assert new.errors_of_others([HERE], NOW + 1) == [REPORT]
    new.tell_errors(ErrorReport(), [HERE], NOW + 1)
    assert new.errors_of_others([HERE], NOW + 1) == []
