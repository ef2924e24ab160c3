"""The time limit of an evaluation: it is one for all lookups, of every kind (RFC 7208 section 4.6.4)."""

import time

import pytest

from lab.dnsserver import ScriptedDNS
from lab.processes import patience
from spfmilter.dns.answer import Answer, Type
from spfmilter.dns.channel import ask_once
from spfmilter.dns.resolver import Resolver
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.limits import Limits
from spfmilter.model import ProblemKind, Result
from tests.evaluation.world import check
from tests.scripted import Single

pytestmark = pytest.mark.outside


class Spending:
    """A resolver whose answer for one name comes, but only when so many seconds are gone."""

    def __init__(self, resolver: Resolver, name: str, seconds: float) -> None:
        self._resolver, self._name, self._seconds = resolver, name, seconds

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """The answer."""
        answer = ask_once(self._resolver, name, rdtype, deadline)
        end = time.monotonic() + self._seconds
        while name == self._name and time.monotonic() < end:
            pass
        return answer


REVERSE = "1.2.0.192.in-addr.arpa"
SILENT = {
    "the record": {"e.example": ["TIMEOUT"]},
    "an include": {"e.example": [{"TXT": "v=spf1 include:i.example -all"}], "i.example": ["TIMEOUT"]},
    "an address": {"e.example": [{"TXT": "v=spf1 a:h.example -all"}], "h.example": ["TIMEOUT"]},
    "a redirect": {"e.example": [{"TXT": "v=spf1 redirect=r.example"}], "r.example": ["TIMEOUT"]},
}


@pytest.mark.parametrize("zone", SILENT.values(), ids=SILENT.keys())
def test_silence_is_a_temperror_at_the_limit(
    server: ScriptedDNS, resolver: Resolver, zone: dict[str, list[object]]
) -> None:
    server.load(zone)
    limit = 0.5 * patience()
    verdict = Evaluator(Limits(time=limit)).evaluate(check(), Single(resolver))
    assert verdict.result is Result.TEMPERROR
    assert verdict.problem is not None
    assert verdict.problem.kind is ProblemKind.DNS_FAILURE
    assert limit - 0.05 < verdict.elapsed < 2.6 * limit * patience()


def test_the_limit_is_for_the_sum_of_the_lookups(server: ScriptedDNS, resolver: Resolver) -> None:
    """Each answer comes soon enough; all of them do not."""
    terms = " ".join(f"a:h{n}.example" for n in range(9))
    limit = 0.5 * patience()
    hosts = {f"h{n}.example": [{"A": "192.0.2.9"}, {"DELAY": 0.3 * limit}] for n in range(9)}
    server.load({"e.example": [{"TXT": f"v=spf1 {terms} -all"}], **hosts})
    verdict = Evaluator(Limits(time=limit)).evaluate(check(), Single(resolver))
    assert verdict.result is Result.TEMPERROR
    assert verdict.elapsed < 2 * limit
    assert 2 <= len(server.queries) < 8


def test_a_late_lookup_says_that_the_time_is_up(server: ScriptedDNS, resolver: Resolver) -> None:
    """The reverse DNS takes half of a short time, the first host the rest."""
    zone = {"e.example": [{"TXT": "v=spf1 ptr a:slow.example a -all"}], "slow.example": [{"A": "192.0.2.9"}]}
    server.load({**zone, REVERSE: ["TIMEOUT"]})
    limits = Limits(time=0.5 * patience())
    spent = Evaluator(limits).evaluate(check(), Spending(resolver, "slow.example", 1.2 * limits.time))
    assert (spent.result, spent.problem and spent.problem.kind) == (Result.TEMPERROR, ProblemKind.TIME_LIMIT)
    assert spent.problem is not None
    assert (spent.problem.domain, spent.problem.term) == ("e.example", "a")
    assert ("e.example", "A") not in server.queries


def test_an_explanation_is_charged_to_the_limit_and_changes_no_result(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [{"TXT": "v=spf1 -all exp=why.e.example"}], "why.e.example": ["TIMEOUT"]})
    limit = min(0.5 * patience(), 2.5)  # below what an explanation may take at most
    verdict = Evaluator(Limits(time=limit)).evaluate(check(), Single(resolver))
    assert (verdict.result, verdict.explanation) == (Result.FAIL, None)
    assert limit - 0.05 < verdict.elapsed < (limit + 0.8) * patience()


def test_several_checks_share_a_deadline(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": ["TIMEOUT"], "f.example": [{"TXT": "v=spf1 -all"}]})
    evaluator = Evaluator()
    deadline = time.monotonic() + 0.5 * patience()
    first, second = (
        evaluator.evaluate(check(name), Single(resolver), deadline=deadline) for name in ("e.example", "f.example")
    )
    assert (first.result, second.result) == (Result.TEMPERROR, Result.TEMPERROR)
    assert second.problem is not None
    assert second.problem.kind is ProblemKind.TIME_LIMIT
    assert ("f.example", "TXT") not in server.queries
