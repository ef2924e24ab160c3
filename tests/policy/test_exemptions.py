"""Temporary exemptions: which messages they let in, before and after which other overrides, and what they ask."""

from typing import Any

import pytest

from spfmilter.exemptions.exemption import Exemption
from spfmilter.model import Action, Disposition, Identity, OverrideType, Problem, ProblemKind, Result
from spfmilter.policy import decide_at_mail, plan
from tests.exemptions.samples import NOW, exempt
from tests.values import Known, check, decide, facts, settings, verdict

ACCEPT, TAG, QUARANTINE, DEFER, REJECT = Disposition
NETWORK = exempt("203.0.113.0/24", 1)
DOMAIN = exempt("203.0.113.7", 2, domain="example.com")
BY_NAME = exempt("", 3, forwarder=".fwd.example")
BY_SPF = exempt("", 4, forwarder_spf="spf.example")
SILENT = Problem(kind=ProblemKind.OWN_RESOLVER, text="no nameserver answers")


def known(*listed: Exemption, passing: str = "", now: float = NOW, **other: Any) -> Known:
    """An Evidence with these exemptions, in which the client may send for one domain only."""
    result = lambda asked: Result.PASS if asked.domain == passing else Result.FAIL  # noqa: E731
    return Known(result, exempt=listed, now=now, **other)


def decided(result: Result, evidence: Known, ini: str = "", sender: str = "<user@example.com>", **about: Any) -> Action:
    chosen = settings(ini)
    return decide(plan(facts(sender, **about), chosen), [verdict(result)], chosen, evidence)


@pytest.mark.parametrize("word", ["tag", "quarantine", "defer", "reject"])
@pytest.mark.parametrize("result", Result)
@pytest.mark.parametrize("listed", [NETWORK, DOMAIN], ids=["network", "domain"])
def test_what_would_be_refused_held_or_tagged_for_any_result_is_taken(result, word, listed) -> None:
    action = decided(result, known(listed), f"[policy.mailfrom]\n{result} = {word}\n")
    assert (action.disposition, action.would, action.notice) == (ACCEPT, None, False)
    assert action.override is not None
    assert (action.override.type, action.override.by) == (OverrideType.EXEMPTION, listed.id)
    assert str(action.rule) == f"exemption {listed.id}: {listed.subject}, until 2026-06-04T20:26:40Z"
    assert not action.plain, "it has a case id"


@pytest.mark.parametrize("result", Result)
def test_a_message_that_is_simply_taken_stays_so(result: Result) -> None:
    evidence = known(NETWORK, DOMAIN)
    action = decided(result, evidence, f"[policy.mailfrom]\n{result} = accept\n")
    assert action.plain
    assert [note for note in evidence.notes if note[0] == "exemption"] == []


@pytest.mark.parametrize(
    ("sender", "address", "listed", "taken"),
    [
        ("<user@example.com>", "203.0.113.7", DOMAIN, True),
        ("<user@EXAMPLE.com>", "203.0.113.7", DOMAIN, True),
        ("<user@example.com>", "203.0.113.8", DOMAIN, False),
        ("<user@example.org>", "203.0.113.7", DOMAIN, False),
        ("<user@example.org>", "203.0.113.8", NETWORK, True),
        ("<user@example.org>", "203.0.114.8", NETWORK, False),
        ("<user@bücher.example>", "203.0.114.8", exempt("", domain="bücher.example"), True),
    ],
)
def test_only_for_its_clients_and_domains(sender: str, address: str, listed: Exemption, taken: bool) -> None:
    chosen = settings()
    about = check(address=address)
    evidence = known(listed)
    found = decide(plan(facts(sender, address=address), chosen), [verdict(Result.FAIL, check=about)], chosen, evidence)
    assert (found.disposition is ACCEPT) is taken
    if not taken:
        assert ("exemption", "", "none is for this client or this domain", False) in evidence.notes


def test_not_after_its_end() -> None:
    assert decided(Result.FAIL, known(NETWORK, now=NOW + 8 * 86_400)).disposition is REJECT


@pytest.mark.parametrize("listed", [NETWORK, DOMAIN])
@pytest.mark.parametrize("checked", ["helo, mailfrom", "helo"])
def test_a_refusal_for_helo_is_overridden_as_well(listed: Exemption, checked: str) -> None:
    """HELO is decided first, and the exemption is about the domain in MAIL FROM."""
    chosen = settings(f"[policy]\ncheck = {checked}\n")
    evidence = known(listed, passing="example.com")
    verdicts, action = decide_at_mail(plan(facts(), chosen), evidence, chosen)
    assert verdicts[0].result is Result.FAIL
    assert action.disposition is ACCEPT
    assert action.override is not None
    assert action.override.by == listed.id


def test_a_bounce_has_no_domain_and_can_be_let_in_by_its_client() -> None:
    chosen = settings()
    for listed, disposition in ((NETWORK, ACCEPT), (exempt("", domain="mail.example.com"), REJECT)):
        action = decide_at_mail(plan(facts("<>"), chosen), known(listed), chosen)[1]
        assert action.disposition is disposition


def test_it_helps_against_a_fault_of_our_own_too() -> None:
    chosen = settings("[milter]\non_error = tempfail\n")
    broken = verdict(Result.TEMPERROR, fault="Traceback ...")
    for listed, disposition in (([NETWORK], ACCEPT), ([], DEFER), ([BY_NAME, BY_SPF], DEFER)):
        evidence = known(*listed, names=("mx.fwd.example",), passing="spf.example")
        assert decide(plan(facts(), chosen), [broken], chosen, evidence).disposition is disposition
        assert evidence.questions == []


def test_in_monitor_mode_nothing_would_have_been_done() -> None:
    action = decided(Result.FAIL, known(NETWORK), "[policy]\nmode = monitor\n")
    assert (action.disposition, action.would) == (ACCEPT, None)


@pytest.mark.parametrize(
    ("listed", "names", "passing", "by"),
    [
        ([BY_NAME], ("mx.fwd.example",), "", BY_NAME.id),
        ([BY_NAME], ("mx.other.example",), "", None),
        ([BY_SPF], (), "spf.example", BY_SPF.id),
        ([BY_SPF], (), "other.example", None),
        ([BY_NAME, BY_SPF], ("mx.fwd.example",), "spf.example", BY_NAME.id),
        ([NETWORK, BY_NAME], ("mx.fwd.example",), "", NETWORK.id),
    ],
)
def test_a_forwarder_by_its_name_or_its_spf(listed, names, passing, by) -> None:
    action = decided(Result.FAIL, known(*listed, names=names, passing=passing))
    assert (action.override.by if action.override is not None else None) == by
    assert action.disposition is (ACCEPT if by else REJECT)


def test_a_forwarders_exemption_says_nothing_about_mail_that_passes() -> None:
    evidence = known(BY_NAME, BY_SPF, names=("mx.fwd.example",), passing="spf.example")
    assert decided(Result.PASS, evidence, "[policy.mailfrom]\npass = tag\n").disposition is TAG


def test_no_question_is_asked_in_vain() -> None:
    evidence = known(NETWORK, BY_NAME, BY_SPF)
    decided(Result.FAIL, evidence)
    assert (evidence.questions, evidence.asked) == ([], []), "a network needs no lookup"
    gone = known(BY_NAME, BY_SPF, now=NOW + 8 * 86_400)
    decided(Result.FAIL, gone)
    assert (gone.questions, gone.asked) == ([], []), "they have ended"
    silent = known(BY_NAME, BY_SPF)
    chosen = settings("[policy.mailfrom]\ntemperror = defer\n")
    found = decide(plan(facts(), chosen), [verdict(Result.TEMPERROR, problem=SILENT)], chosen, silent)
    assert found.override is not None
    assert found.override.type is OverrideType.OWN_RESOLVER
    assert (silent.questions, silent.asked) == ([], []), "our own resolver does not answer"


def test_the_first_of_all_overrides() -> None:
    ini = "[exempt]\nforwarders = .fwd.example\n[policy.mailfrom]\ntemperror = defer\n"
    evidence = known(DOMAIN, names=("mx.fwd.example",))
    chosen = settings(ini)
    found = decide(plan(facts(), chosen), [verdict(Result.TEMPERROR, problem=SILENT)], chosen, evidence)
    assert found.override is not None
    assert found.override.type is OverrideType.EXEMPTION


def test_of_two_entries_each_is_overridden() -> None:
    """HELO tags and MAIL FROM refuses: both are let in, and MAIL FROM's is named."""
    chosen = settings("[policy.helo]\nfail = tag\n")
    both = [verdict(Result.FAIL, Identity.HELO), verdict(Result.FAIL)]
    action = decide(plan(facts(), chosen), both, chosen, known(DOMAIN))
    assert (action.disposition, action.verdict) == (ACCEPT, both[1])
