"""A verdict that is known is used where a fresh one would be the same, and only there."""

import gc
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import ip_address
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.dnsserver import ScriptedDNS
from spfmilter.dns.resolver import Resolver
from spfmilter.evaluation.engine import Engine, Inquiry
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.verdicts import VerdictCache
from spfmilter.model import Check, Identity, Problem, ProblemKind, Result, Verdict
from spfmilter.settings.values import nameserver
from tests.dns.test_cache import Clock
from tests.evaluation.test_prefetch import BROAD, CLIENTS, outcome, worlds
from tests.evaluation.world import CLIENT6, World, check, ours
from tests.scripted import Single
from tests.values import settings as ini

Zone = dict[str, list[Any]]
OTHERS: Mapping[str, Check] = {
    "the same": check(),
    "local part": check(local="other"),
    "HELO": check(helo="other.example"),
    "both": check(local="other", helo="other.example"),
    "said": replace(check(), as_sent="<User@E.example>"),
    "null sender": replace(check(), null_sender=True),
    "address": check(client="192.0.2.2"),
    "address family": check(client=CLIENT6),
    "domain": check("f.example"),
    "identity": replace(check(), identity=Identity.HELO),
}
WHATEVER = {"the same", "said", "null sender"}


def zone(text: str) -> Zone:
    return {
        "e.example": [{"TXT": f"v=spf1 {text}"}],
        "why.e.example": [{"TXT": "%{l} %{h} %{i} %{d}"}],
        "plain.e.example": [{"TXT": "no"}],
        "time.e.example": [{"TXT": "%{t}"}],
        "l.e.example": [{"TXT": "%{l}"}],
        "h.e.example": [{"TXT": "%{h}"}],
    }


@pytest.fixture
def clock() -> Clock:
    return Clock()


# -- the key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("-all", {"local part", "HELO", "both"}),
        ("ip4:192.0.2.0/24", {"local part", "HELO", "both"}),
        ("exists:%{i}.%{d}.%{o}.%{v}.x.example -all", {"local part", "HELO", "both"}),
        ("exists:%{l}.x.example -all", {"HELO"}),
        ("exists:%{s}.x.example -all", {"HELO"}),
        ("exists:%{L1r+}.x.example -all", {"HELO"}),
        ("exists:%{h}.x.example -all", {"local part"}),
        ("exists:%{h}.%{l}.x.example -all", set()),
        ("ip4:192.0.2.1 exists:%{h}.%{l}.x.example -all", {"local part", "HELO", "both"}),  # not reached
        ("include:%{l}.example ?all", {"HELO"}),
        ("redirect=%{h}.x.example", {"local part"}),
        ("-all exp=plain.e.example", {"local part", "HELO", "both"}),
        ("-all exp=l.e.example", {"HELO"}),
        ("-all exp=h.e.example", {"local part"}),
        ("-all exp=why.e.example", set()),
        ("-all exp=%{l}.x.e.example", {"HELO"}),
    ],
)
@pytest.mark.parametrize("other", OTHERS)
def test_the_key_is_what_the_verdict_has_depended_on(text: str, known: set[str], other: str) -> None:
    cache = VerdictCache()
    cache.put(ours(zone(text)))
    found = cache.get(OTHERS[other])
    assert (found is not None) == (other in known | WHATEVER)
    assert found is None or found.check == OTHERS[other]


@pytest.mark.parametrize("other", OTHERS)
def test_a_verdict_that_tells_the_time_is_not_kept(other: str) -> None:
    cache = VerdictCache()
    cache.put(ours(zone("-all exp=time.e.example")))
    assert cache.get(OTHERS[other]) is None


def test_a_dependence_that_turns_up_late_is_heeded() -> None:
    """The first local part matches before the macro is reached by another: here the record has changed."""
    cache = VerdictCache()
    cache.put(ours(zone("-all")))
    cache.put(ours(zone("exists:%{l}.x.example -all"), check(local="other")))
    assert cache.get(check()) is None
    assert cache.get(check(local="other")) is not None


def test_a_local_part_that_stands_for_no_name_matters_too() -> None:
    """RFC 8616 section 4: the term matches nothing, which another local part would have made it do."""
    cache = VerdictCache()
    world = {**zone("exists:%{l}.x.example -all"), "user.x.example": [{"A": "127.0.0.2"}]}
    cache.put(ours(world, check(local="caf\xe9")))
    assert cache.get(check()) is None


checks = st.builds(
    check,
    st.sampled_from(["e.example", "d1.example"]),
    local=st.sampled_from(["d1", "d2", "user", "caf\xe9"]),
    client=st.sampled_from(CLIENTS),
    helo=st.sampled_from(["mail.e.example", "d3.example"]),
)


@BROAD
@given(zone=worlds(), asked=st.lists(checks, min_size=2, max_size=12))
def test_a_known_verdict_is_what_a_fresh_one_would_be(zone: Zone, asked: list[Check]) -> None:
    world, cache = World(zone), VerdictCache(clock=Clock())
    evaluator = Evaluator()
    for one in asked:
        fresh, known = evaluator.evaluate(one, world), cache.get(one)
        if known is None:
            cache.put(fresh)
        else:
            assert known.check == one
            assert outcome(known)[:-1] == outcome(fresh)[:-1]


@pytest.mark.outside
@BROAD
@given(zone=worlds(), asked=st.lists(checks, min_size=2, max_size=12))
def test_the_engine_with_its_caches_says_what_one_without_does(
    server: ScriptedDNS, zone: Zone, asked: list[Check]
) -> None:
    """Answers, verdicts and lookups sent ahead together; a new engine for each world, whose names are the same."""
    server.load(zone)
    caching = Engine(ini(f"[dns]\nnameservers = {server.address}").dns, clock=Clock())
    evaluator, lookups = Evaluator(), Single(Resolver([nameserver(server.address)]))
    for one in asked:
        inquiry = caching.inquiry()
        inquiry.expect([one])
        found = inquiry.evaluate(one)
        inquiry.close()
        assert outcome(found)[:-1] == outcome(evaluator.evaluate(one, lookups))[:-1]


# -- lifetimes --------------------------------------------------------------------------------------------------------


def verdict(result: Result = Result.PASS, ttl: int | None = 300, **other: Any) -> Verdict:
    return Verdict(check=other.pop("check", check()), result=result, ttl=ttl, **other)


def trouble(kind: ProblemKind) -> Problem:
    return Problem(kind=kind, text="trouble")


@pytest.mark.parametrize(
    ("made", "life"),
    [
        (verdict(), 300),
        (verdict(ttl=7), 7),
        (verdict(ttl=7, elapsed=3.0), 4),  # its first answer is as old as the evaluation took
        (verdict(ttl=10**6), 3600),
        (verdict(Result.NONE, 60), 60),
        (verdict(Result.PERMERROR, 60, problem=trouble(ProblemKind.SYNTAX)), 60),
        (verdict(Result.TEMPERROR, 300, problem=trouble(ProblemKind.DNS_FAILURE)), 5),
        (verdict(Result.TEMPERROR, None, problem=trouble(ProblemKind.DNS_FAILURE)), 5),
        (verdict(Result.TEMPERROR, None, problem=trouble(ProblemKind.OWN_RESOLVER)), 1),
    ],
)
def test_a_verdict_holds_as_long_as_its_answers(clock: Clock, made: Verdict, life: int) -> None:
    cache = VerdictCache(clock=clock)
    cache.put(made)
    clock.now += life - 0.001
    assert cache.get(check()) is not None
    assert cache.knows(check())
    clock.now += 0.001
    assert cache.get(check()) is None
    assert not cache.knows(check())


@pytest.mark.parametrize(
    "made",
    [
        verdict(ttl=0),
        verdict(ttl=None),
        verdict(ttl=3, elapsed=3.0),
        verdict(Result.TEMPERROR, fault="Traceback"),
        verdict(Result.FAIL, explanation="x" * 513),  # untrusted: it could take any amount of memory
    ],
)
def test_what_may_not_be_kept_is_not(made: Verdict) -> None:
    cache = VerdictCache()
    cache.put(made)
    assert cache.get(check()) is None


@pytest.mark.outside
def test_a_verdict_over_an_answer_from_the_cache_holds_for_what_is_left_of_it(server: ScriptedDNS) -> None:
    """The record has lived 200 of its 300 seconds when another client asks for it."""
    server.load({"e.example": [{"TXT": "v=spf1 ip4:192.0.2.1 -all"}]})
    clock = Clock()
    engine = Engine(ini(f"[dns]\nnameservers = {server.address}").dns, clock=clock)
    inquiry = engine.inquiry()
    inquiry.evaluate(check())
    inquiry.done()
    clock.now += 200
    other = check(client="192.0.2.2")
    assert inquiry.evaluate(other).ttl == 100
    inquiry.done()
    clock.now += 99
    assert (engine.verdicts.knows(check()), engine.verdicts.knows(other)) == (True, True)
    clock.now += 1
    assert (engine.verdicts.knows(check()), engine.verdicts.knows(other)) == (False, False)
    inquiry.close()


def test_a_known_verdict_has_cost_no_time_and_has_no_tree() -> None:
    cache = VerdictCache()
    cache.put(ours(zone("-all"), trace=True))
    found = cache.get(check())
    assert found is not None
    assert (found.elapsed, found.trace) == (0.0, None)


@pytest.mark.outside
def test_a_tree_is_made_anew(server: ScriptedDNS) -> None:
    server.load(zone("-all"))
    inquiry = Engine(ini(f"[dns]\nnameservers = {server.address}").dns).inquiry()
    inquiry.evaluate(check())
    assert inquiry.evaluate(check(), trace=True).trace is not None
    inquiry.close()


@pytest.mark.outside
def test_who_can_do_without_an_answer_leaves_no_temperror_behind(server: ScriptedDNS) -> None:
    """The hurry was theirs: the next message gets all of its time."""
    server.load({**zone("ip4:192.0.2.1 -all"), "f.example": [{"RCODE": "SERVFAIL"}]})
    engine = Engine(ini(f"[dns]\nnameservers = {server.address}").dns)
    inquiry = engine.inquiry()
    until = inquiry.clock() + 5
    assert inquiry.evaluate_best_effort(check(), until).result == "pass"
    assert inquiry.evaluate_best_effort(check(client="192.0.2.2"), until).result == "fail"
    assert inquiry.evaluate_best_effort(check("f.example"), until).result == "temperror"
    assert [engine.verdicts.knows(c) for c in (check(), check(client="192.0.2.2"), check("f.example"))] == [
        True, True, False,
    ]  # fmt: skip
    server.reset_counts()
    assert inquiry.evaluate_best_effort(check(), until).result == "pass"
    assert not server.queries
    inquiry.close()


# -- bounds and counters ----------------------------------------------------------------------------------------------


def test_the_number_of_verdicts_is_bounded_and_the_oldest_go(clock: Clock) -> None:
    cache = VerdictCache(entries=3, clock=clock)
    asked = [check(client=str(ip_address("198.51.100.0") + n)) for n in range(5)]
    for one in asked[:3]:
        cache.put(verdict(check=one))
    cache.get(asked[0])
    for one in asked[3:]:
        cache.put(verdict(check=one))
    assert [cache.knows(one) for one in asked] == [True, False, False, True, True]
    assert cache.counters.numbers() == {"hit": 1, "miss": 0, "eviction": 2, "stale": 0, "outdated": 0}


def test_local_parts_without_number_do_not_fill_it(clock: Clock) -> None:
    """An untrusted record asks for the local part, and each message has another."""
    cache = VerdictCache(entries=100, clock=clock)
    for n in range(5000):
        one = check(f"d{n % 20}.example", local=f"l{n}")
        cache.put(verdict(check=one, letters=frozenset("l")))
        kept = sum(len(known.verdicts) for known in cache._known.values())
        assert kept == cache._count <= 100


def test_no_entries_mean_no_verdicts() -> None:
    cache = VerdictCache(entries=0)
    cache.put(verdict())
    assert cache.get(check()) is None


@pytest.mark.outside
def test_what_is_only_expected_is_not_counted(server: ScriptedDNS) -> None:
    """A message counts once for each check, however often one looks."""
    server.load(zone("-all"))
    engine = Engine(ini(f"[dns]\nnameservers = {server.address}").dns)
    for _ in range(3):
        inquiry: Inquiry = engine.inquiry()
        inquiry.expect([check()])
        inquiry.expect([check()])
        inquiry.evaluate(check())
        inquiry.close()
    assert (engine.verdicts.counters.hits, engine.verdicts.counters.misses) == (2, 1)
    assert set(engine.counters()) == {"answers", "verdicts"}


def test_what_a_client_says_at_length_is_not_kept(clock: Clock) -> None:
    """The number of verdicts is bounded, and so is the size of each."""
    cache = VerdictCache(clock=clock)
    for local, kept in (("u" * 200, True), ("\u5783" * 1900, False)):
        asked = check(local=local)
        cache.put(Verdict(check=asked, result=Result.PASS, ttl=300))
        assert cache.knows(asked) is kept
        cache = VerdictCache(clock=clock)


def long(n: int) -> Verdict:
    """One of the largest that are kept."""
    one = check(f"{n:07d}.{'d' * 60}.example", local=f"{n:07d}" + "l" * 200, helo=f"{n:07d}" + "h" * 200)
    problem = Problem(kind=ProblemKind.SYNTAX, text=text(n, 500), term=text(n, 120), domain=text(n, 250))
    found: dict[str, Any] = {"term": text(n, 1024), "explanation": text(n, 512), "problem": problem}
    return verdict(Result.FAIL, check=one, letters=frozenset([text(n, 1)]), **found)


def text(n: int, length: int) -> str:
    """A text of its own for each verdict: equal ones would share their memory."""
    return f"{n:0{length}d}"[:length]


def test_the_bytes_of_verdicts_are_bounded_and_the_oldest_go(clock: Clock) -> None:
    cache = VerdictCache(entries=1_000_000, size=100_000, clock=clock)
    made = [long(n) for n in range(100)]
    for one in made:
        cache.put(one)
        assert cache._bytes <= 100_000
    kept = [cache.knows(one.check) for one in made]
    assert kept == sorted(kept), "the oldest went"
    assert 15 < sum(kept) < 40
    assert cache.counters.evictions == 100 - sum(kept)


def test_the_answers_that_a_verdict_keeps_count(clock: Clock) -> None:
    """And a cached verdict gives them back as they are, not a copy."""
    cache = VerdictCache(entries=1_000_000, size=100_000, clock=clock)
    texts = [{"TXT": text(n, 900)} for n in range(9)]
    made = [ours({f"d{n}.example": [{"TXT": "v=spf1 -all"}, *texts]}, check(f"d{n}.example")) for n in range(40)]
    for one in made:
        assert one.asked_size > 8000
        cache.put(one)
        assert cache._bytes <= 100_000
    assert 5 < sum(cache.knows(one.check) for one in made) < 12
    last = cache.get(made[-1].check)
    assert last is not None
    assert last.asked is made[-1].asked


def test_what_is_counted_is_what_is_there(clock: Clock) -> None:
    """However verdicts go: replaced, one too many of their pair, by a letter that turns out to matter, evicted."""
    cache = VerdictCache(entries=30, clock=clock)
    for n in range(2000):
        one = check(f"d{n % 7}.example", local=f"l{n % 40}" * (n % 5), helo=f"h{n % 3}")
        letters = frozenset("lh"[: n % 3])
        cache.put(verdict(check=one, letters=letters))
        there = [kept for known in cache._known.values() for kept in known.verdicts.values()]
        assert (cache._count, cache._bytes) == (len(there), sum(kept.size for kept in there))
        assert cache._count <= 30


def traced(make: Callable[[int], Verdict], clock: Clock) -> tuple[int, int]:
    """Return what a cache of 500 verdicts counts, and what Python has allocated meanwhile."""
    cache = VerdictCache(entries=10_000, clock=clock)
    gc.collect()
    tracemalloc.start()
    for n in range(500):
        cache.put(make(n))
    gc.collect()
    real, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cache._count == 500
    return cache._bytes, real


def test_the_count_of_bytes_is_an_honest_one(clock: Clock) -> None:
    """By Python's own count of what it has allocated. Other threads, such as those of pytest, can only add to it."""
    for make in (lambda n: verdict(check=check(f"d{n:07d}.example")), long):
        counted, real = min((traced(make, clock) for _ in range(4)), key=itemgetter(1))
        assert 0.75 < counted / real < 1.35, (counted / 500, real / 500)
