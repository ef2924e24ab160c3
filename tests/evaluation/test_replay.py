"""An evaluation is repeated from its recorded answers alone, and comes to the same verdict."""

from dataclasses import fields
from typing import Any

import pytest

from lab.rfcsuite import Case, Scenario
from spfmilter.dns.answer import Answer, Asked, Status, Type
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.limits import Limits
from spfmilter.evaluation.replay import NOT_RECORDED, replay
from spfmilter.journal.answers import packed, unpack
from spfmilter.model import Check, Disposition, Plan, ProblemKind, Result, Transaction, Verdict
from tests.evaluation.test_rfc_suites import check_of, suite
from tests.evaluation.test_trace import PROBLEMS
from tests.evaluation.world import World, check
from tests.values import action, facts

TIMED = {"elapsed", "asked", "asked_size", "trace"}  # differ, or are compared by other tests


def told(verdict: Verdict) -> dict[str, Any]:
    """What a verdict says, but for the times."""
    return {one.name: getattr(verdict, one.name) for one in fields(verdict) if one.name not in TIMED}


def again(verdict: Verdict, asked: tuple[Asked, ...] | None = None) -> Verdict:
    kept = verdict.asked if asked is None else asked
    assert kept is not None
    return replay(verdict.check, kept, limits=Limits())


def stored(verdict: Verdict) -> Verdict:
    """The verdict with its lookups as they come back from the journal."""
    done = action(Disposition.REJECT, verdict)
    ended = Transaction(facts=facts(), plan=Plan(), verdicts=(verdict,), action=done)
    (found,) = unpack(packed(ended, local_parts=True))
    return again(verdict, found.asked)


@pytest.mark.outside
@pytest.mark.parametrize(("scenario", "case"), [*suite("rfc7208-tests"), *suite("rfc4408-tests"), *suite("test")])
def test_a_case_of_the_suite_has_the_same_verdict_again(scenario: Scenario, case: Case) -> None:
    world = World(scenario.zonedata)
    verdict = Evaluator().evaluate(check_of(case), world, trace=True)
    for repeated in (again(verdict), stored(verdict)):
        assert told(repeated) == told(verdict)
        assert repeated.trace is not None or not verdict.check.domain
        assert NOT_RECORDED not in repr(repeated.trace)
    assert again(verdict).trace == verdict.trace or verdict.elapsed


@pytest.mark.parametrize("kind", PROBLEMS)
def test_each_kind_of_problem_comes_again(kind: ProblemKind) -> None:
    verdict = Evaluator().evaluate(check(), World(PROBLEMS[kind][0]))
    assert verdict.problem is not None
    assert verdict.problem.kind is kind
    if verdict.asked is not None:
        assert told(stored(verdict)) == told(verdict)


class Slow(World):
    """A world in which each lookup takes a second."""

    now = 0.0

    def clock(self) -> float:
        """The time, in seconds."""
        return self.now

    def ask(self, name: str, rdtype: Type, deadline: float = 0.0) -> Answer:
        """The answer, a second later."""
        self.now += 1.0
        return super().ask(name, rdtype, deadline).told(300, (("192.0.2.53", "answered"),), 1.0)


def test_the_tree_has_the_times_and_the_nameservers_of_that_moment() -> None:
    slow = Slow({"e.example": [{"TXT": "v=spf1 a:h.example -all"}], "h.example": [{"A": "198.51.100.1"}]})
    verdict = Evaluator(clock=slow.clock).evaluate(check(), slow)
    repeated = stored(verdict)
    assert repeated.trace is not None
    first, second = repeated.trace.lookups[0], repeated.trace.terms[0].lookups[0]
    assert [(one.elapsed, one.heard) for one in (first, second)] == [(1.0, (("192.0.2.53", "answered"),))] * 2
    assert repeated.elapsed == verdict.elapsed == 2.0


class Late(Slow):
    """A world in which a lookup in the client's zone takes all the time, and the next one has none left."""

    def ask(self, name: str, rdtype: Type, deadline: float = 0.0) -> Answer:
        """The answer, by the time of which none is left."""
        if rdtype is Type.PTR:
            self.now += 60.0
            return Answer(Status.FAILED, failure="timeout", took=60.0, heard=(("192.0.2.53", ""),))
        return World.ask(self, name, rdtype, deadline) if self.now < 20 else Answer(Status.FAILED, failure="timeout")


def test_a_time_limit_comes_again_as_a_time_limit() -> None:
    late = Late({"e.example": [{"TXT": "v=spf1 ptr a:h.example -all"}], "h.example": [{"A": "198.51.100.1"}]})
    verdict = Evaluator(clock=late.clock).evaluate(check(), late)
    assert verdict.problem is not None
    assert verdict.problem.kind is ProblemKind.TIME_LIMIT
    assert told(stored(verdict)) == told(verdict)


def test_a_failure_of_our_own_nameservers_comes_again() -> None:
    lost: Asked = ("e.example", Type.TXT, Answer(Status.FAILED, failure="timeout", local_failure=True, took=20.0))
    repeated = replay(check(), [lost], limits=Limits())
    assert repeated.result is Result.TEMPERROR
    assert repeated.problem is not None
    assert repeated.problem.kind is ProblemKind.OWN_RESOLVER


def test_a_question_that_is_not_recorded_says_so() -> None:
    record: Asked = ("e.example", Type.TXT, Answer(Status.DATA, (b"v=spf1 a:h.example -all",)))
    repeated = replay(check(), [record], limits=Limits())
    assert repeated.result is Result.TEMPERROR
    assert repeated.trace is not None
    assert repeated.trace.terms[0].lookups[0].outcome == NOT_RECORDED


def test_a_question_that_was_asked_twice_has_both_answers_in_their_order() -> None:
    """Under a name of the client's choice the first time, with little time; then as a name of the record."""
    record: Asked = ("e.example", Type.TXT, Answer(Status.DATA, (b"v=spf1 a:h.example a:h.example -all",)))
    one: Asked = ("h.example", Type.A, Answer(Status.NO_DATA))
    two: Asked = ("H.Example.", Type.A, Answer(Status.DATA, (b"\xc0\0\2\1",)))
    assert replay(check(), [record, one, two], limits=Limits()).result is Result.PASS
    assert replay(check(), [record, two, one], limits=Limits()).result is Result.PASS
    assert replay(check(), [record, one], limits=Limits()).result is Result.FAIL


def test_a_verdict_keeps_its_lookups_and_none_if_they_are_large() -> None:
    small = Evaluator().evaluate(check(), World({"e.example": [{"TXT": "v=spf1 -all"}]}))
    assert small.asked is not None
    assert [(name, rdtype) for name, rdtype, _ in small.asked] == [("e.example", Type.TXT)]
    assert small.asked_size > 0
    texts = [{"TXT": "x" * 4000 + str(n)} for n in range(10)]
    large = Evaluator().evaluate(check(), World({"e.example": [{"TXT": "v=spf1 -all"}, *texts]}))
    assert (large.result, large.asked, large.asked_size) == (Result.FAIL, None, 0)


def test_a_verdict_without_a_domain_has_no_lookups() -> None:
    nothing: Check = check("")
    assert Evaluator().evaluate(nothing, World({})).asked == ()
