"""Which section applies to a domain, and which conditions are looked for."""

import pytest

from spfmilter.model import Condition, Disposition, Identity, Result
from spfmilter.policy import NO_EVIDENCE, Evidence, plan
from spfmilter.policy.rules import domain_section
from tests.values import Known, check, decide, facts, settings, verdict

SECTIONS = """
[domain:example.com]
fail = tag
[domain:.example.com]
fail = quarantine
[domain:.b.example.com]
fail = defer
[domain:bücher.example]
fail = accept
"""


@pytest.mark.parametrize(
    ("domain", "section"),
    [
        ("example.com", "example.com"),
        ("EXAMPLE.com", "example.com"),
        ("a.example.com", ".example.com"),
        ("b.example.com", ".example.com"),
        ("a.b.example.com", ".b.example.com"),
        ("x.a.b.example.com", ".b.example.com"),
        ("notexample.com", None),
        ("com", None),
        ("example.com.evil.example", None),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("", None),
    ],
)
def test_the_domains_own_section_else_the_longest(domain: str, section: str | None) -> None:
    assert domain_section(domain, settings(SECTIONS)) == section


@pytest.mark.parametrize(
    ("sender", "rule"),
    [
        ("<u@example.com>", "[domain:example.com] fail = tag (line 3)"),
        ("<u@b.example.com>", "[domain:.example.com] fail = quarantine (line 5)"),
        ("<u@Bücher.example>", "[domain:xn--bcher-kva.example] fail = accept (line 9)"),
        ("<u@notexample.com>", "[policy.mailfrom] fail = reject"),
    ],
)
def test_an_entry_of_a_domain_is_named_with_its_line(sender: str, rule: str) -> None:
    chosen = settings(f"{SECTIONS}[policy]\ncheck = mailfrom\n")
    planned = plan(facts(sender), chosen)
    action = decide(planned, [verdict(Result.FAIL, check=planned.checks[0])], chosen)
    assert str(action.rule) == rule


def test_helo_does_not_ask_the_section_of_a_domain() -> None:
    chosen = settings("[domain:mail.example.com]\nfail = accept")
    planned = plan(facts(), chosen)
    action = decide(planned, [verdict(Result.FAIL, Identity.HELO)], chosen)
    assert action.disposition is Disposition.REJECT


def test_a_domain_without_a_dns_name_has_no_section() -> None:
    chosen = settings("[domain:.example]\nnone = reject")
    nameless = verdict(Result.NONE, check=check(domain="", as_sent="u@[203.0.113.7]"))
    assert decide(plan(facts(), chosen), [nameless], chosen).disposition is Disposition.ACCEPT


def test_a_pinned_record_is_evaluated_for_the_domain_in_mail_from_only() -> None:
    chosen = settings("[domain:.example.com]\nrecord = v=spf1  ip4:203.0.113.7 -all")
    helo, mailfrom = plan(facts("<u@a.example.com>"), chosen).checks
    assert (helo.record, mailfrom.record) == ("", "v=spf1 ip4:203.0.113.7 -all")
    assert plan(facts("<u@example.com>"), chosen).checks[1].record == ""
    assert plan(facts("<>", helo="a.example.com"), chosen).checks[0].record == ""


# -- conditions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ini", "result", "asked"),
    [
        ("", Result.PASS, []),
        ("[policy.mailfrom]\nwide_open = tag", Result.PASS, ["wide_open"]),
        ("[policy.mailfrom]\nwide_open = tag", Result.FAIL, []),
        ("[policy.helo]\nwide_open = tag", Result.PASS, []),
        ("[policy.mailfrom]\nunreachable = tag", Result.NONE, ["unreachable"]),
        ("[policy.mailfrom]\nno_mail = tag", Result.FAIL, ["no_mail"]),
        ("[policy.mailfrom]\nno_mail = tag\n[domain:example.com]\nfail = tag", Result.FAIL, []),
        ("[policy.mailfrom]\nno_mail = tag\n[domain:example.com]\nno_mail = reject", Result.FAIL, ["no_mail"] * 2),
    ],
)
def test_a_condition_is_looked_for_only_where_its_entry_can_apply(ini: str, result: Result, asked: list[str]) -> None:
    evidence = Known(lambda _: result)
    chosen = settings(ini)
    decide(plan(facts(), chosen), [verdict(result)], chosen, evidence)
    assert [question for question in evidence.questions if question in list(Condition)] == asked


@pytest.mark.parametrize(
    "evidence", [Known(lambda _: Result.FAIL, conditions=frozenset({Condition.NO_MAIL})), NO_EVIDENCE]
)
def test_the_action_names_the_condition_that_was_found(evidence: Evidence) -> None:
    chosen = settings("[policy.mailfrom]\nno_mail = quarantine")
    seen = None if evidence is not NO_EVIDENCE else Condition.NO_MAIL  # by the evaluation itself
    action = decide(plan(facts(), chosen), [verdict(Result.FAIL, condition=seen)], chosen, evidence)
    assert (action.disposition, str(action.rule)) == (
        Disposition.QUARANTINE,
        "[policy.mailfrom] no_mail = quarantine (line 2)",
    )
    assert action.condition is Condition.NO_MAIL
    assert action.verdict == verdict(Result.FAIL, condition=seen), (
        "the verdict is the evaluation's, and stays as it was"
    )


@pytest.mark.parametrize("given", [True, False])
def test_an_action_by_the_entry_of_a_plain_result_has_no_condition(*, given: bool) -> None:
    evidence = Known(lambda _: Result.FAIL, conditions=frozenset({Condition.NO_MAIL} if given else ()))
    chosen = settings("[policy.mailfrom]\nno_mail = tag\nfail = tag")
    action = decide(plan(facts(), chosen), [verdict(Result.FAIL)], chosen, evidence)
    assert (action.condition, action.rule.key) == ((Condition.NO_MAIL, "no_mail") if given else (None, "fail"))


def test_an_override_keeps_the_condition_of_what_it_accepts() -> None:
    evidence = Known(lambda _: Result.FAIL, conditions=frozenset({Condition.NO_MAIL}), names=("mx.fwd.example",))
    chosen = settings("[policy.mailfrom]\nno_mail = reject\n[exempt]\nforwarders = .fwd.example")
    action = decide(plan(facts(), chosen), [verdict(Result.FAIL)], chosen, evidence)
    assert (action.disposition, action.rule.key, action.condition) == (
        Disposition.ACCEPT,
        "forwarders",
        Condition.NO_MAIL,
    )
