"""What an evaluation depends on, and that nothing else is forgotten."""

from collections.abc import Iterator
from typing import Any

import pytest

from lab.dnsserver import ScriptedDNS
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.fresh import Fresh, digest, evaluate_afresh, forget_outdated, pack, unpack
from spfmilter.model import Result
from spfmilter.settings import parse
from tests.dns.test_cache import Clock
from tests.evaluation.world import CLIENT, check
from tests.values import settings

RIGHT, WRONG = f"v=spf1 ip4:{CLIENT} -all", "v=spf1 -all"
ONE, TWO = b"\xc0\0\2\1", b"\xc0\0\2\2"


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Answer(Status.DATA, (ONE, TWO), 300), Answer(Status.DATA, (TWO, ONE), 5), True),
        (Answer(Status.DATA, (ONE,)), Answer(Status.DATA, (ONE,), heard=(("192.0.2.53", "answered"),), took=1.0), True),
        (Answer(Status.DATA, (ONE,)), Answer(Status.DATA, (ONE, ONE)), False),
        (Answer(Status.DATA, (ONE,)), Answer(Status.DATA, (TWO,)), False),
        (Answer(Status.DATA, (ONE,)), Answer(Status.DATA, (ONE,), cut=True), False),
        (Answer(Status.NO_NAME), Answer(Status.NO_DATA), False),
        (Answer(Status.NO_NAME, ttl=60), Answer(Status.NO_NAME), True),
        (Answer(Status.FAILED, failure="timeout"), Answer(Status.NO_DATA), False),
        (Answer(Status.DATA, ((10, "a.example"), (10, "b.example"))), Answer(Status.DATA, ((10, "a.example"),)), False),
    ],
)
def test_two_answers_are_the_same_if_the_evaluation_takes_them_for_the_same(one, other, same) -> None:
    assert (digest(one) == digest(other)) is same


def fresh(domain: str, **answers: Answer) -> Fresh:
    """Fresh answers to A of these hosts of e.example."""
    return Fresh(
        domain=domain,
        digests={(Type.A, f"{name}.e.example"): digest(answer) for name, answer in answers.items()},
        until=9,
    )


def test_what_the_workers_are_given_is_what_was_written() -> None:
    two = [fresh("a.example", x=Answer(Status.NO_NAME)), fresh("b.example")]
    assert unpack(pack(two)) == two


def engine(more: str = "") -> tuple[Engine, Clock]:
    """An engine that asks nobody, and its clock."""
    clock = Clock()
    return Engine(settings(f"[dns]\nnameservers = 127.0.0.1:9\n{more}").dns, clock=clock), clock


@pytest.mark.parametrize(
    ("known", "now", "kept"),
    [
        (Answer(Status.DATA, (ONE,), 300), Answer(Status.DATA, (ONE,), 300), True),
        (Answer(Status.DATA, (ONE,), 300), Answer(Status.DATA, (TWO,), 300), False),
        (Answer(Status.NO_NAME, (), 300), Answer(Status.DATA, (ONE,), 300), False),
        (Answer(Status.DATA, (ONE,), 300), Answer(Status.NO_NAME, (), 300), False),
        (Answer(Status.FAILED, failure="SERVFAIL"), Answer(Status.DATA, (ONE,), 300), False),
    ],
)
def test_an_answer_is_forgotten_if_the_dns_gives_another_one(known: Answer, now: Answer, kept: bool) -> None:
    here, _ = engine()
    here.answers.put((Type.A, "x.e.example"), known)
    here.answers.put((Type.A, "y.e.example"), known)
    assert forget_outdated(here, [fresh("e.example", x=now)]) == (not kept)
    assert (here.answers.get((Type.A, "x.e.example")) is not None) is kept
    assert here.answers.get((Type.A, "y.e.example")) is not None, "nobody has asked for it"
    assert here.answers.counters.outdated == (not kept)
    assert forget_outdated(here, [fresh("e.example", x=now)]) == 0


def test_an_outdated_answer_is_not_served_stale() -> None:
    here, clock = engine("serve_stale = 1h")
    here.answers.put((Type.A, "x.e.example"), Answer(Status.DATA, (ONE,), 300))
    clock.now += 400
    forget_outdated(here, [fresh("e.example", x=Answer(Status.DATA, (TWO,), 300))])
    assert here.answers.stale((Type.A, "x.e.example")) is None


def test_the_room_of_what_is_forgotten_is_free_again() -> None:
    here, _ = engine()
    here.answers.put((Type.A, "x.e.example"), Answer(Status.DATA, (ONE,), 300))
    forget_outdated(here, [fresh("e.example", x=Answer(Status.NO_NAME))])
    assert (len(here.answers), here.answers._bytes, len(here.verdicts), here.verdicts._bytes) == (0, 0, 0, 0)


# -- evaluations -------------------------------------------------------------------------------------------------------

ZONE: dict[str, list[Any]] = {
    "e.example": [{"TXT": "v=spf1 include:_spf.e.example mx -all"}, {"MX": [1, "mx.e.example"]}],
    "_spf.e.example": [{"TXT": "v=spf1 a:gone.e.example ?all"}],
    "mx.e.example": [{"A": "198.51.100.1"}],
    "other.example": [{"TXT": WRONG}],
}


@pytest.fixture
def dns() -> Iterator[ScriptedDNS]:
    with ScriptedDNS(ZONE, ttl=3600, negative_ttl=3600) as running:
        yield running


def at(dns: ScriptedDNS, more: str = "") -> Engine:
    return Engine(parse(f"[dns]\nnameservers = {dns.address}\n{more}").dns)


def result(here: Engine, domain: str) -> Result:
    inquiry = here.inquiry()
    try:
        return inquiry.evaluate(check(domain)).result
    finally:
        inquiry.close()


@pytest.mark.outside
def test_an_evaluation_depends_on_its_questions_and_on_nothing_else(dns: ScriptedDNS) -> None:
    here = at(dns, "cache_entries = 0")
    verdict, found = evaluate_afresh(here, check("E.example"), here.clock() + 5)
    assert (verdict.result, found.domain) == (Result.FAIL, "e.example")
    assert set(found.digests) == {
        (Type.TXT, "e.example"),
        (Type.TXT, "_spf.e.example"),
        (Type.A, "gone.e.example"),
        (Type.MX, "e.example"),
        (Type.A, "mx.e.example"),
    }
    assert found.until > here.clock()


@pytest.mark.outside
@pytest.mark.parametrize(
    "corrected",
    [
        {"e.example": [{"TXT": RIGHT}]},
        {"_spf.e.example": [{"TXT": RIGHT}]},
        {"gone.e.example": [{"A": CLIENT}]},
        {"mx.e.example": [{"A": CLIENT}]},
        {"e.example": [{"TXT": "v=spf1 mx -all"}, {"MX": [1, "new.e.example"]}], "new.e.example": [{"A": CLIENT}]},
    ],
)
def test_who_forgets_what_is_outdated_comes_to_the_present_verdict(dns: ScriptedDNS, corrected) -> None:
    here, there = at(dns), at(dns, "cache_entries = 0")
    assert (result(here, "E.example"), result(here, "other.example")) == (Result.FAIL, Result.FAIL)
    dns.load({**ZONE, **corrected, "other.example": [{"TXT": RIGHT}]})
    assert result(here, "E.example") is Result.FAIL, "it remembers"
    _, found = evaluate_afresh(there, check("e.example"), there.clock() + 5)
    assert forget_outdated(here, [found]) > 0
    assert result(here, "E.example") is Result.PASS
    assert result(here, "other.example") is Result.FAIL, "nobody has asked for it"


@pytest.mark.outside
def test_a_failed_lookup_makes_nothing_outdated(dns: ScriptedDNS) -> None:
    here, there = at(dns), at(dns, "cache_entries = 0\ntimeout = 1s")
    result(here, "e.example")
    dns.load({**ZONE, "_spf.e.example": [{"RCODE": "SERVFAIL"}]})
    _, found = evaluate_afresh(there, check("e.example"), there.clock() + 5)
    assert (Type.TXT, "_spf.e.example") not in found.digests
