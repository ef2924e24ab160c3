"""What a verdict says of how it came about: the deciding term, the counts, the life, the problem, and the tree."""

from dataclasses import replace
from typing import Any

import pytest

from spfmilter.evaluation.limits import Limits
from spfmilter.model import ProblemKind, RecordStep, Result, TermStep, Verdict
from tests.evaluation.world import CLIENT, World, check, ours

Zone = dict[str, list[Any]]
FAR = {"A": "198.51.100.1"}


def zone(record: str, *here: Any, **beside: list[Any]) -> Zone:
    """e.example with its record and further entries, and other names, written with _ for the dot."""
    return {"e.example": [{"TXT": f"v=spf1 {record}"}, *here], **{k.replace("_", "."): v for k, v in beside.items()}}


def spf(record: str, *others: Any) -> list[Any]:
    return [{"TXT": f"v=spf1 {record}"}, *others]


# -- the term that decided --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "result", "term", "domain"),
    [
        (zone("+ip4:192.0.2.0/24 -all"), Result.PASS, "+ip4:192.0.2.0/24", "e.example"),
        (zone("a ~ALL", FAR), Result.SOFTFAIL, "~ALL", "e.example"),
        (zone("redirect=r.example", r_example=spf("-all")), Result.FAIL, "-all", "r.example"),
        (
            zone("redirect=r.example", r_example=spf("redirect=s.example"), s_example=spf("?all")),
            Result.NEUTRAL,
            "?all",
            "s.example",
        ),
        (zone("include:i.example -all", i_example=spf("ip4:192.0.2.1")), Result.PASS, "include:i.example", "e.example"),
        (
            zone("?include:i.example -all", i_example=spf("redirect=j.example"), j_example=spf("all")),
            Result.NEUTRAL,
            "?include:i.example",
            "e.example",
        ),
        (zone("include:i.example -all", i_example=spf("-all")), Result.FAIL, "-all", "e.example"),
        (zone("ip4:198.51.100.1"), Result.NEUTRAL, None, None),
        (zone(""), Result.NEUTRAL, None, None),
        ({"e.example": [{"TXT": "hello"}]}, Result.NONE, None, None),
        (zone("foo"), Result.PERMERROR, None, None),
        (zone("include:i.example", i_example=["TIMEOUT"]), Result.TEMPERROR, None, None),
    ],
)
def test_the_deciding_term_and_its_record_are_told(
    records: Zone, result: Result, term: str | None, domain: str | None
) -> None:
    verdict = ours(records)
    assert (verdict.result, verdict.term, verdict.term_domain) == (result, term, domain)


def test_a_record_of_a_domain_made_of_a_local_part_is_safe_to_show() -> None:
    verdict = ours(zone("redirect=%{l}.r.example", **{"\x1b[1m_r_example": spf("-all")}), check(local="\x1b[1m"))
    assert (verdict.result, verdict.term_domain) == (Result.FAIL, "?[1m.r.example")


# -- problems ---------------------------------------------------------------------------------------------------------

ELEVEN = "include:i1.example " + " ".join(f"a:h{n}.example" for n in range(10))
PROBLEMS: dict[ProblemKind, tuple[Zone, str | None, str | None]] = {
    # what is wrong: the record, the term at fault, the domain whose record or name it is
    ProblemKind.SYNTAX: (zone("all:x"), "all:x", "e.example"),
    ProblemKind.UNKNOWN_MECHANISM: (zone("include:i.example", i_example=spf("foo:bar")), "foo:bar", "i.example"),
    ProblemKind.BAD_DOMAIN: (zone("redirect=r.example", r_example=spf("a:localhost")), "a:localhost", "r.example"),
    ProblemKind.BAD_MACRO: (zone("exists:%{z}"), "exists:%{z}", "e.example"),
    ProblemKind.BAD_ADDRESS: (zone("ip4:1.2.3"), "ip4:1.2.3", "e.example"),
    ProblemKind.BAD_PREFIX: (zone("a/33"), "a/33", "e.example"),
    ProblemKind.DUPLICATE_MODIFIER: (zone("exp=a.b exp=a.b"), "exp=a.b", "e.example"),
    ProblemKind.TOO_LONG: (zone("x=" + "y" * 5000), "x=" + "y" * 115 + "...", "e.example"),
    ProblemKind.SEVERAL_RECORDS: (zone("a", {"TXT": "v=spf1 mx"}), None, "e.example"),
    ProblemKind.MISSING_RECORD: (zone("include:i.example"), "include:i.example", "e.example"),
    ProblemKind.NOT_ASCII: ({"e.example": [{"TXT": "v=spf1 a:ü.example"}]}, None, "e.example"),
    ProblemKind.LOOKUP_LIMIT: (
        zone(ELEVEN, i1_example=spf("?all"), **{f"h{n}_example": [FAR] for n in range(10)}),
        "a:h9.example",
        "e.example",
    ),
    ProblemKind.VOID_LOOKUP_LIMIT: (zone("a:x.example a:y.example a:z.example"), "a:z.example", "e.example"),
    ProblemKind.HOST_LIMIT: (zone("mx", *({"MX": (n, f"h{n}.example")} for n in range(11))), "mx", "e.example"),
    ProblemKind.DNS_FAILURE: (zone("a:h.example", h_example=[{"RCODE": "SERVFAIL"}]), "a:h.example", "h.example"),
}


@pytest.mark.parametrize(
    ("kind", "mine", "theirs"),
    [
        (ProblemKind.LOOKUP_LIMIT, "a mx a mx a mx a mx include:i.example ~all", "a a -all"),
        (ProblemKind.VOID_LOOKUP_LIMIT, "a:x.example a:y.example include:i.example ~all", "a:z.example -all"),
        (
            ProblemKind.TOO_LONG,
            "x=" + "y" * 1000 + " include:i.example ~all",
            "ip4:203.0.113.1 " * 999 + "include:j.example",
        ),
    ],
)
@pytest.mark.parametrize("moved", [False, True])
def test_what_is_too_much_in_all_is_a_matter_of_the_first_record(
    kind: ProblemKind, mine: str, theirs: str, *, moved: bool
) -> None:
    """Not of the one that was being read: a provider's, perhaps, which is in order."""
    others = {"i_example": [*spf(theirs), FAR], "j_example": spf("ip4:203.0.113.1 " * 999 + "ip4:203.0.113.2 -all")}
    mx = {"MX": (10, "m.example")}
    here = zone(mine, FAR, mx, m_example=[FAR], **others)
    if moved:
        here = zone("redirect=r.example", r_example=[*spf(mine), FAR, mx], m_example=[FAR], **others)
    verdict = ours(here)
    assert verdict.problem is not None
    assert verdict.problem.kind is kind
    assert verdict.problem.term == "include:i.example"
    assert verdict.problem.domain == ("r.example" if moved else "e.example")


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (zone("include:e.example -all"), ": e.example includes itself"),
        (zone("redirect=e.example"), ": e.example redirects to itself"),
        (zone("include:i.example -all", i_example=spf("include:i.example -all")), ": i.example includes itself"),
        (
            zone("include:i.example -all", i_example=spf("include:j.example"), j_example=spf("redirect=e.example")),
            ": e.example includes itself, by way of i.example, j.example",
        ),
        (
            zone("a:x.example include:e.example -all"),
            "more than 2 terms whose lookup finds nothing (the last: x.example): e.example includes itself",
        ),
        (zone(" ".join(f"x{n}=" + "y" * 900 for n in range(4)) + " include:e.example"), ": e.example includes itself"),
        (zone(ELEVEN, i1_example=spf("?all"), **{f"h{n}_example": [FAR] for n in range(10)}), "need a DNS lookup"),
    ],
)
def test_a_record_that_leads_back_to_itself_is_named(records: Zone, said: str) -> None:
    verdict = ours(records)
    assert verdict.result is Result.PERMERROR
    assert verdict.problem is not None
    assert verdict.problem.text.endswith(said)


def test_a_record_in_the_settings_may_include_the_published_one() -> None:
    hosts = " ".join(f"a:h{n}.example" for n in range(10))
    published = zone(hosts, **{f"h{n}_example": [FAR] for n in range(10)})
    verdict = ours(published, replace(check(), record="v=spf1 include:e.example -all"))
    assert verdict.problem is not None
    assert "itself" not in verdict.problem.text


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_problem_has_its_kind_its_term_and_its_domain(kind: ProblemKind) -> None:
    records, term, domain = PROBLEMS[kind]
    verdict = ours(records)
    assert verdict.result is (Result.TEMPERROR if kind is ProblemKind.DNS_FAILURE else Result.PERMERROR)
    assert verdict.problem is not None
    assert (verdict.problem.kind, verdict.problem.term, verdict.problem.domain) == (kind, term, domain)
    assert not verdict.problem.text.endswith(".")


def test_every_kind_of_problem_has_a_test() -> None:
    elsewhere = {
        ProblemKind.NO_DOMAIN,  # test_deviations
        ProblemKind.TIME_LIMIT,  # test_time_limit
        ProblemKind.OWN_RESOLVER,  # test_channel
        ProblemKind.INTERNAL,  # test_hostile_input
    }
    assert set(PROBLEMS) | elsewhere == set(ProblemKind)


@pytest.mark.parametrize("result", ["none", "neutral", "pass", "fail", "softfail"])
def test_a_plain_result_has_no_problem(result: str) -> None:
    qualifier = {"neutral": "?", "pass": "+", "fail": "-", "softfail": "~"}.get(result)
    verdict = ours(zone(f"{qualifier}all") if qualifier else {"e.example": [FAR]})
    assert (verdict.result, verdict.problem) == (result, None)


# -- counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "lookups", "void"),
    [
        (zone("ip4:198.51.100.1 -all"), 0, 0),
        (zone("a -all", FAR), 1, 0),
        (zone("a +all"), 1, 0),  # the name exists, which is all that the record can see to
        (zone("a:x.example +all"), 1, 1),
        (zone("a:x.example exists:y.example -all"), 2, 2),
        (zone("mx -all", {"MX": (1, "h1.example")}, {"MX": (2, "h2.example")}), 1, 1),
        (zone("include:i.example -all", i_example=spf("a:x.example ?all")), 2, 1),
        (zone("redirect=r.example", r_example=spf("a -all", FAR)), 2, 0),
        (zone("ptr -all"), 1, 0),
        (zone("ip4:192.0.2.1 a mx ptr"), 0, 0),
        (zone("-all exp=why.e.example"), 0, 0),
        (zone("a:a..example -all"), 1, 0),
    ],
)
def test_lookups_and_void_lookups_are_counted_by_terms(records: Zone, lookups: int, void: int) -> None:
    verdict = ours(records)
    assert (verdict.lookups, verdict.void_lookups) == (lookups, void)


@pytest.mark.parametrize(("lookups", "result"), [(10, Result.PASS), (9, Result.PERMERROR)])
def test_as_many_terms_as_the_limit_may_look_up(lookups: int, result: Result) -> None:
    assert ours(zone("a " * 10 + "+all", FAR), limits=Limits(lookups=lookups)).result is result


@pytest.mark.parametrize(("void", "result"), [(3, Result.PASS), (2, Result.PERMERROR), (0, Result.PERMERROR)])
def test_as_many_terms_as_the_limit_may_find_nothing(void: int, result: Result) -> None:
    assert ours(zone("a:x.example " * 3 + "+all"), limits=Limits(void_lookups=void)).result is result


def test_a_hundred_lookups_fit_the_stack() -> None:
    """As deep as the settings let a chain of includes be."""
    chain = {f"i{n}.example": spf(f"include:i{n + 1}.example ?all") for n in range(1, 100)} | {
        "i100.example": spf("+all")
    }
    verdict = ours(
        zone("include:i1.example -all", **{k.replace(".", "_"): v for k, v in chain.items()}),
        limits=Limits(lookups=100),
    )
    assert (verdict.result, verdict.lookups) == (Result.PASS, 100)


def test_a_loop_of_includes_ends_at_the_limit() -> None:
    verdict = ours(zone("include:e.example -all"))
    assert (verdict.result, verdict.problem and verdict.problem.kind) == (Result.PERMERROR, ProblemKind.LOOKUP_LIMIT)


# -- the life of a verdict --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "ttl"),
    [
        (zone("-all", {"TTL": 40}), 40),
        (zone("a:h.example -all", {"TTL": 40}, h_example=[FAR, {"TTL": 20}]), 20),
        (zone("a:h.example -all", {"TTL": 40}, h_example=[FAR, {"TTL": 60}]), 40),
        (zone("include:i.example -all", i_example=spf("?all", {"TTL": 7})), 7),
        (zone("ip4:192.0.2.1 a:h.example", {"TTL": 40}, h_example=[FAR, {"TTL": 1}]), 40),
        (zone("-all exp=why.e.example", {"TTL": 40}, why_e_example=[{"TXT": "no"}, {"TTL": 5}]), 5),
        (zone("a:x..example -all", {"TTL": 40}), 40),
        (zone("a:x.example -all", {"TTL": 400}), 300),
        ({}, 300),
        ({"e.example": [{"RCODE": "SERVFAIL"}]}, None),
        (zone("ptr -all", **{"1_2_0_192_in-addr_arpa": ["TIMEOUT"]}), 0),
    ],
)
def test_a_verdict_lives_as_long_as_the_shortest_answer(records: Zone, ttl: int | None) -> None:
    assert ours(records).ttl == ttl


def test_a_verdict_on_no_domain_has_no_life() -> None:
    assert ours({}, check("")).ttl is None


# -- the tree ---------------------------------------------------------------------------------------------------------


def tree(records: Zone | World, **details: Any) -> RecordStep:
    verdict: Verdict = ours(records, check(**details), trace=True)
    assert verdict.trace is not None
    return verdict.trace


def seen(step: RecordStep | TermStep) -> list[tuple[str, str, str]]:
    return [(lookup.type, lookup.name, lookup.outcome) for lookup in step.lookups]


def test_without_being_asked_for_there_is_no_tree() -> None:
    assert ours(zone("-all")).trace is None


def test_terms_stand_in_order_with_what_they_looked_up() -> None:
    found = tree(
        zone(
            "ip4:198.51.100.1 a mx -all",
            FAR,
            {"A": "198.51.100.2"},
            {"MX": (5, "h.example")},
            h_example=[{"A": CLIENT}],
        )
    )
    assert (found.domain, found.text) == ("e.example", "v=spf1 ip4:198.51.100.1 a mx -all")
    assert seen(found) == [("TXT", "e.example", "1 answer")]
    assert found.lookups[0].answers == ("v=spf1 ip4:198.51.100.1 a mx -all",)
    ip4, a, mx = found.terms  # -all was not looked at
    assert (ip4.text, ip4.matched, seen(ip4)) == ("ip4:198.51.100.1", False, [])
    assert (a.text, a.matched, seen(a)) == ("a", False, [("A", "e.example", "2 answers")])
    assert a.lookups[0].answers == ("198.51.100.1", "198.51.100.2")
    assert (mx.text, mx.matched) == ("mx", True)
    assert seen(mx) == [("MX", "e.example", "1 answer"), ("A", "h.example", "1 answer")]
    assert mx.lookups[0].answers == ("5 h.example",)


def test_an_include_holds_the_record_that_it_led_to() -> None:
    found = tree(zone("include:i.example -all", i_example=spf("a:h.example -all"), h_example=[FAR]))
    include, rest = found.terms
    assert (include.text, include.matched, seen(include)) == (
        "include:i.example",
        False,
        [("TXT", "i.example", "1 answer")],
    )
    assert include.record is not None
    assert (include.record.domain, include.record.text) == ("i.example", "v=spf1 a:h.example -all")
    assert [(term.text, term.matched) for term in include.record.terms] == [("a:h.example", False), ("-all", True)]
    assert seen(include.record.terms[0]) == [("A", "h.example", "1 answer")]
    assert (rest.text, rest.matched) == ("-all", True)


def test_a_redirect_holds_the_record_that_it_led_to() -> None:
    found = tree(zone("redirect=%{d1r}.r.example", e_r_example=spf("-all")))
    (redirect,) = found.terms
    assert (redirect.text, redirect.target, redirect.matched) == ("redirect=%{d1r}.r.example", "e.r.example", None)
    assert redirect.record is not None
    assert [(term.text, term.matched) for term in redirect.record.terms] == [("-all", True)]


def test_a_target_is_told_where_it_differs_from_what_is_written() -> None:
    found = tree(zone("exists:%{ir}.x.example a:h.example ptr +all", h_example=[FAR]))
    assert [term.target for term in found.terms] == ["1.2.0.192.x.example", None, None, None]


@pytest.mark.parametrize(
    ("records", "outcome"),
    [
        (zone("a:h.example -all"), "no such name"),
        (zone("a:h.example -all", h_example=[{"MX": (1, "x.example")}]), "no data"),
        (zone("a:h..example -all"), "not a DNS name"),
        (zone("a:h.example -all", h_example=["TIMEOUT"]), "timeout"),
        (zone("a:h.example -all", h_example=[{"RCODE": "REFUSED"}]), "REFUSED"),
    ],
)
def test_the_outcome_of_a_lookup_is_told(records: Zone, outcome: str) -> None:
    assert tree(records).terms[0].lookups[0].outcome == outcome


def test_a_record_that_cannot_be_read_has_no_terms() -> None:
    found = tree(zone("a foo", FAR))
    assert (found.text, found.terms, seen(found)) == ("v=spf1 a foo", (), [("TXT", "e.example", "1 answer")])


def test_a_problem_inside_an_include_leaves_the_way_to_it_open() -> None:
    found = tree(
        zone("a include:i.example -all", FAR, i_example=spf("exists:x.example include:j.example"), j_example=spf("foo"))
    )
    assert [(term.text, term.matched) for term in found.terms] == [("a", False), ("include:i.example", None)]
    inner = found.terms[1].record
    assert inner is not None
    assert [(term.text, term.matched) for term in inner.terms] == [
        ("exists:x.example", False),
        ("include:j.example", None),
    ]
    innermost = inner.terms[1].record
    assert innermost is not None
    assert (innermost.domain, innermost.text, innermost.terms) == ("j.example", "v=spf1 foo", ())


def test_the_term_that_hits_a_limit_is_the_last() -> None:
    found = tree(zone("a:x.example a:y.example a:z.example -all"))
    assert [term.matched for term in found.terms] == [False, False, None]
    assert seen(found.terms[-1]) == [("A", "z.example", "no such name")]


@pytest.mark.parametrize(
    ("records", "outcome"),
    [({}, "no such name"), ({"e.example": [FAR]}, "no data"), ({"e.example": [{"TXT": "hello"}]}, "1 answer")],
)
def test_without_a_record_there_is_the_lookup_alone(records: Zone, outcome: str) -> None:
    found = tree(records)
    assert (found.domain, found.text, found.unread, found.terms) == ("e.example", None, None, ())
    assert seen(found) == [("TXT", "e.example", outcome)]


def test_a_lookup_that_failed_is_there_too() -> None:
    found = tree({"e.example": ["TIMEOUT"]})
    assert (found.text, seen(found)) == (None, [("TXT", "e.example", "timeout")])
    assert found.unread is ProblemKind.DNS_FAILURE


def test_several_records_are_shown_as_answers() -> None:
    found = tree(zone("a", {"TXT": "v=spf1 mx"}))
    assert (found.text, found.unread) == (None, ProblemKind.SEVERAL_RECORDS)
    assert found.lookups[0].answers == ("v=spf1 a", "v=spf1 mx")


def test_only_a_record_that_could_not_be_read_has_the_reason() -> None:
    broken = tree(zone("include:i.example -all", i_example=spf("a", {"TXT": "v=spf1 mx"})))
    assert (broken.text, broken.unread) == ("v=spf1 include:i.example -all", None)
    assert tree({"e.example": [{"TXT": "v=spf1 a:ü.example"}]}).unread is ProblemKind.NOT_ASCII


def test_the_lookup_of_an_explanation_is_shown() -> None:
    found = tree(zone("-all exp=why.e.example", why_e_example=[{"TXT": "no"}]))
    assert seen(found) == [("TXT", "e.example", "1 answer"), ("TXT", "why.e.example", "1 answer")]


def test_a_verdict_on_no_domain_has_no_tree() -> None:
    assert ours({}, check(""), trace=True).trace is None
