"""The overrides of the policy, and that each is looked for only where it matters."""

from ipaddress import ip_address
from itertools import product

import pytest

from spfmilter.model import (
    Action,
    Check,
    Condition,
    Disposition,
    DmarcPolicy,
    Identity,
    Problem,
    ProblemKind,
    Result,
    Verdict,
)
from spfmilter.policy import decide_at_mail, plan
from spfmilter.policy.overrides import deferral_key, forwarder_check, may_yield
from spfmilter.policy.senders import may_be_exempt_by_pass
from spfmilter.spf.checks import helo_check
from tests.values import Known, check, decide, facts, settings, verdict

ACCEPT, TAG, QUARANTINE, DEFER, REJECT = Disposition
FORWARDERS = "[exempt]\nforwarders = mx.fwd.example, .lists.example\nforwarder_spf = spf.example, b.example\n"
STRICT = {"example.com": DmarcPolicy(domain="example.com", policy="quarantine")}


def world(*passing: str, **other: object) -> Known:
    """An Evidence in which the client may send for these domains only."""
    return Known(lambda asked: Result.PASS if asked.domain in passing else Result.FAIL, **other)  # type: ignore[arg-type]


def decided(found: Verdict, ini: str, evidence: Known, author: str = "") -> Action:
    chosen = settings(ini)
    return decide(plan(facts(), chosen), [found], chosen, evidence, author=author)


# -- nothing is asked in vain ------------------------------------------------------------------------------------------

EVERYTHING = f"{FORWARDERS}[policy]\nreject_at = message\nyield_to_dmarc = yes\n[policy.mailfrom]\ntemperror = defer\n"


@pytest.mark.parametrize("result", Result)
def test_a_message_that_is_accepted_anyway_is_asked_nothing(result: Result) -> None:
    evidence = world(dmarc=STRICT)
    accepting = EVERYTHING.replace("temperror = defer", f"{result} = accept")
    action = decided(verdict(result), accepting, evidence, "example.com")
    assert (action.disposition, evidence.questions, evidence.asked) == (ACCEPT, [], [])


def test_with_the_shipped_settings_nothing_is_asked_of_a_refused_one_either() -> None:
    evidence = world(dmarc=STRICT)
    assert decided(verdict(Result.FAIL), "", evidence, "example.com").disposition is REJECT
    assert (evidence.questions, evidence.asked) == ([], [])


# -- senders that are exempt if SPF passes -----------------------------------------------------------------------------

SENDERS = "[exempt]\nsenders = example.com if pass from 203.0.113.0/24\n"


def at_mail(ini: str, mailfrom: Result, helo: Result = Result.FAIL, sender: str = "<u@example.com>") -> Action:
    """What is done at MAIL FROM, with these results."""
    results = {Identity.HELO: helo, Identity.MAILFROM: mailfrom}
    chosen = settings(ini)
    return decide_at_mail(plan(facts(sender), chosen), Known(lambda asked: results[asked.identity]), chosen)[1]


@pytest.mark.parametrize("result", Result)
def test_a_sender_is_exempt_if_spf_passes_although_helo_alone_would_be_refused(result: Result) -> None:
    action = at_mail(SENDERS, result)
    assert action.disposition is (ACCEPT if result is Result.PASS else REJECT)
    if result is Result.PASS:
        assert action.override is not None
        assert (action.override.type, action.override.by) == ("exempt_sender", "example.com")
        assert str(action.rule) == "[exempt] senders = example.com if pass from 203.0.113.0/24 (line 2)"
        assert not action.notice


@pytest.mark.parametrize(
    ("ini", "sender", "disposition"),
    [
        (SENDERS.replace("203.0.113.0", "192.0.2.0"), "<u@example.com>", REJECT),
        (SENDERS.replace("example.com", ".example.com"), "<u@example.com>", REJECT),
        (SENDERS.replace("example.com", ".example.com"), "<u@a.example.com>", ACCEPT),
        (SENDERS, "<u@other.example>", REJECT),
        (SENDERS, "<>", REJECT),
        (f"{SENDERS}[policy.mailfrom]\npass = quarantine\n[policy.helo]\nfail = tag\n", "<u@example.com>", ACCEPT),
        (f"{SENDERS}[milter]\non_error = tempfail\n", "<u@example.com>", ACCEPT),
    ],
)
def test_a_pass_exempts_the_listed_domain_from_the_listed_networks(
    ini: str, sender: str, disposition: Disposition
) -> None:
    assert at_mail(ini, Result.PASS, sender=sender).disposition is disposition


def test_the_pass_of_a_record_that_allows_every_host_exempts_nobody_where_such_records_are_looked_for() -> None:
    ini = f"{SENDERS}[policy.mailfrom]\nwide_open = tag\n"
    chosen, passed = settings(ini), verdict(Result.PASS)
    for conditions, disposition in ((frozenset({Condition.WIDE_OPEN}), TAG), (frozenset(), ACCEPT)):
        evidence = Known(lambda _: Result.PASS, conditions=conditions)
        assert decide(plan(facts(), chosen), [passed], chosen, evidence).disposition is disposition


def test_mail_from_is_evaluated_behind_a_refused_helo_only_where_its_pass_can_matter() -> None:
    for senders, asked in (("example.com if pass", 2), ("example.com if pass from 192.0.2.1", 1), ("a.test", 1)):
        chosen, evidence = settings(f"[exempt]\nsenders = {senders}\n"), Known(lambda _: Result.FAIL)
        assert decide_at_mail(plan(facts(), chosen), evidence, chosen)[1].disposition is REJECT
        assert len(evidence.asked) == asked


def test_a_pass_of_helo_exempts_no_sender() -> None:
    """Its name may be in the list as well: the entry is about the domain in MAIL FROM."""
    ini = f"{SENDERS.replace('example.com', 'mail.example.com')}[policy.mailfrom]\nneutral = reject\n"
    assert at_mail(ini, Result.NEUTRAL, helo=Result.PASS).disposition is REJECT
    chosen = settings(SENDERS)
    assert not may_be_exempt_by_pass([helo_check(ip_address("203.0.113.7"), "example.com")], chosen)


def test_an_entry_for_networks_does_not_cover_a_client_without_address() -> None:
    anywhere, there = (
        settings(f"[exempt]\nsenders = a.test{where}").exempt.senders for where in ("", " from 192.0.2.1")
    )
    assert (anywhere[0].covers(None), there[0].covers(None)) == (True, False)


def test_the_pass_that_exempts_is_noted_with_its_entry() -> None:
    notes = []

    class Noting(Known):
        def note(self, section: str, key: str, why: str, *, applied: bool) -> None:
            """Keep it."""
            notes.append((section, key, why, applied))

    chosen = settings(SENDERS)
    evidence = Noting(lambda asked: Result.FAIL if asked.identity is Identity.HELO else Result.PASS)
    decide_at_mail(plan(facts("<u@example.com>"), chosen), evidence, chosen)
    why = "MAIL FROM has a pass, and example.com if pass from 203.0.113.0/24 is among them"
    assert ("exempt", "senders", why, True) in notes


# -- forwarders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("mx.fwd.example", True),
        ("a.lists.example", True),
        ("a.b.lists.example", True),
        ("lists.example", False),
        ("sub.mx.fwd.example", False),
        ("evillists.example", False),
        ("lists.example.evil.test", False),
    ],
)
def test_a_forwarder_by_name_has_a_dot_for_a_boundary(name: str, *, known: bool) -> None:
    action = decided(verdict(Result.FAIL), FORWARDERS, world(names=(name,)))
    assert action.disposition is (ACCEPT if known else REJECT)
    if known:
        assert action.override is not None
        assert (action.override.type, action.override.by) == ("trusted_forwarder", name)
        assert str(action.rule) == "[exempt] forwarders = mx.fwd.example, .lists.example (line 2)"
        assert action.verdict is not None
        assert action.verdict.result is Result.FAIL, "the header fields keep it"
        assert not action.notice


def test_a_forwarder_by_spf_passes_for_one_of_the_domains() -> None:
    evidence = world("b.example")
    action = decided(verdict(Result.FAIL), FORWARDERS, evidence)
    assert action.override is not None
    assert (action.disposition, action.override.by) == (ACCEPT, "b.example")
    assert str(action.rule) == "[exempt] forwarder_spf = spf.example, b.example (line 3)"
    assert [(asked.domain, asked.sender, str(asked.address)) for asked in evidence.asked] == [
        ("spf.example", "postmaster@spf.example", "203.0.113.7"),
        ("b.example", "postmaster@b.example", "203.0.113.7"),
    ]


def test_a_name_is_asked_for_before_any_record() -> None:
    evidence = world("spf.example", names=("mx.fwd.example",))
    decided(verdict(Result.FAIL), FORWARDERS, evidence)
    assert evidence.asked == []


def test_a_forwarders_record_can_be_pinned_as_well() -> None:
    chosen = settings("[domain:spf.example]\nrecord = v=spf1 ip4:203.0.113.7 -all\n")
    assert forwarder_check("spf.example", ip_address("203.0.113.7"), chosen).record.startswith("v=spf1 ip4")


@pytest.mark.parametrize(("result", "disposition"), list(product(Result, [TAG, QUARANTINE, DEFER, REJECT])))
def test_a_forwarder_overrides_everything_but_a_pass(result: Result, disposition: Disposition) -> None:
    ini = f"{FORWARDERS}[policy.mailfrom]\n{result} = {disposition}"
    action = decided(verdict(result), ini, world(names=("mx.fwd.example",)))
    assert action.disposition is (disposition if result is Result.PASS else ACCEPT)


def test_an_override_of_one_identity_does_not_accept_the_pass_of_the_other() -> None:
    chosen = settings(f"{FORWARDERS}[policy.mailfrom]\npass = quarantine")
    both = [verdict(Result.FAIL, Identity.HELO), verdict(Result.PASS)]
    action = decide(plan(facts(), chosen), both, chosen, world(names=("mx.fwd.example",)))
    assert (action.disposition, action.rule.key, action.override) == (QUARANTINE, "pass", None)


# -- DMARC -------------------------------------------------------------------------------------------------------------

YIELD = "[policy]\nreject_at = message\nyield_to_dmarc = yes\n"


@pytest.mark.parametrize(
    ("policy", "author", "disposition"),
    [
        ("reject", "example.com", ACCEPT),
        ("quarantine", "example.com", ACCEPT),
        ("none", "example.com", REJECT),
        ("reject", "other.example", REJECT),
        ("reject", "", REJECT),
    ],
)
def test_a_fail_is_left_to_a_strict_dmarc_policy(policy: str, author: str, disposition: Disposition) -> None:
    evidence = world(dmarc={"example.com": DmarcPolicy(domain="example.com", policy=policy)})
    action = decided(verdict(Result.FAIL), YIELD, evidence, author)
    assert action.disposition is disposition
    if disposition is ACCEPT:
        assert action.override is not None
        assert (action.override.type, action.override.by) == ("dmarc", f"example.com p={policy}")
        assert str(action.rule) == "[policy] yield_to_dmarc = yes (line 3)"


def test_a_milder_reading_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    found = DmarcPolicy(domain="example.com", policy="none", reason="pct=0")
    evidence, notes = world(dmarc={"example.com": found}), []
    monkeypatch.setattr(evidence, "note", lambda *args, **_: notes.append(args))
    assert decided(verdict(Result.FAIL), YIELD, evidence, "example.com").disposition is REJECT
    assert notes[-1][2] == "not every DMARC filter acts on the policy of example.com, because of pct=0"


BOUNCE = check(Identity.HELO, null_sender=True)


@pytest.mark.parametrize(
    ("found", "yields"),
    [
        (verdict(Result.FAIL), True),
        (verdict(Result.FAIL, check=BOUNCE), True),
        (verdict(Result.FAIL, Identity.HELO), False),  # DMARC does not look at it
        (verdict(Result.SOFTFAIL), False),
        (verdict(Result.PERMERROR), False),
    ],
)
def test_only_a_fail_that_dmarc_evaluates_too_is_left_to_it(found: Verdict, *, yields: bool) -> None:
    chosen = settings(YIELD)
    assert may_yield([found], chosen) is yields
    assert not may_yield([found], settings())
    action = decide(plan(facts(), chosen), [found], chosen, world(dmarc=STRICT), author="example.com")
    assert (action.override is not None) is yields


# -- deferrals ---------------------------------------------------------------------------------------------------------

BOUND = "[policy]\ndefer_at_most = 4h\n[policy.mailfrom]\ntemperror = defer\n"


def temperror(kind: ProblemKind = ProblemKind.DNS_FAILURE) -> Verdict:
    return verdict(Result.TEMPERROR, problem=Problem(kind=kind, text="no answer"))


@pytest.mark.parametrize(
    ("seconds", "disposition"), [(0.0, DEFER), (4 * 3600 - 1, DEFER), (4 * 3600, ACCEPT), (90000, ACCEPT)]
)
def test_a_temperror_is_deferred_for_so_long_only(seconds: float, disposition: Disposition) -> None:
    action = decided(temperror(), BOUND, world(deferred_for=seconds))
    entry, bound = "[policy.mailfrom] temperror = defer (line 4)", "[policy] defer_at_most = 4h (line 2)"
    assert (action.disposition, str(action.rule)) == (disposition, bound if disposition is ACCEPT else entry)


@pytest.mark.parametrize(
    ("ini", "found"),
    [
        (BOUND.replace("4h", "0s"), temperror()),
        (BOUND.replace("[policy]", "[policy]\nmode = monitor"), temperror()),
        (BOUND.replace("temperror = defer", "temperror = reject"), temperror()),
        (BOUND.replace("4h", "0s").replace("temperror", "softfail"), verdict(Result.SOFTFAIL)),
        (BOUND, verdict(Result.TEMPERROR, fault="Traceback")),
    ],
)
def test_what_has_no_bound_is_not_remembered(ini: str, found: Verdict) -> None:
    evidence = world(deferred_for=1e9)
    assert decided(found, ini, evidence).disposition in {DEFER, REJECT, ACCEPT}
    assert evidence.questions == []


@pytest.mark.parametrize("result", Result)
@pytest.mark.parametrize(
    ("words", "after"),
    [("defer", ACCEPT), ("defer, accept", ACCEPT), ("defer, tag", TAG), ("defer, quarantine", QUARANTINE)],
)
def test_every_deferral_ends_as_its_entry_says(result: Result, words: str, after: Disposition) -> None:
    ini = f"[policy]\ndefer_at_most = 4h\n[policy.mailfrom]\n{result} = {words}\n"
    assert decided(verdict(result), ini, world(deferred_for=60.0)).disposition is DEFER
    action = decided(verdict(result), ini, world(deferred_for=4 * 3600))
    assert (action.disposition, str(action.rule)) == (after, "[policy] defer_at_most = 4h (line 2)")
    assert action.override is not None
    assert action.override.type == "defer_at_most"
    assert action.notice is (after is not ACCEPT)


def test_the_deferral_of_a_condition_ends_as_its_own_entry_says() -> None:
    ini = "[policy]\ndefer_at_most = 4h\n[policy.mailfrom]\nfail = defer\nno_mail = defer, quarantine\n"
    for conditions, after in ((frozenset({Condition.NO_MAIL}), QUARANTINE), (frozenset(), ACCEPT)):
        evidence = world(conditions=conditions, deferred_for=4 * 3600)
        assert decided(verdict(Result.FAIL), ini, evidence).disposition is after


@pytest.mark.parametrize(
    ("helo", "mailfrom", "done", "whose"),
    [
        ("tag", "defer", TAG, "policy.helo"),
        ("tag", "defer, tag", TAG, "policy"),
        ("tag", "defer, quarantine", QUARANTINE, "policy"),
        ("quarantine", "defer, tag", QUARANTINE, "policy.helo"),
        ("defer, tag", "accept", TAG, "policy"),
        ("defer, tag", "tag", TAG, "policy.mailfrom"),
        ("defer, tag", "defer, quarantine", QUARANTINE, "policy"),
        ("defer, tag", "reject", REJECT, "policy.mailfrom"),
    ],
)
def test_what_follows_a_deferral_is_compared_with_the_other_identity(
    helo: str, mailfrom: str, done: Disposition, whose: str
) -> None:
    chosen = settings(f"[policy.helo]\nsoftfail = {helo}\n[policy.mailfrom]\nsoftfail = {mailfrom}\n")
    verdicts = [verdict(Result.SOFTFAIL, Identity.HELO), verdict(Result.SOFTFAIL)]
    action = decide(plan(facts(), chosen), verdicts, chosen, world(deferred_for=90000))
    assert (action.disposition, action.rule.section) == (done, whose)


@pytest.mark.parametrize("word", [DEFER, REJECT])
def test_nothing_is_refused_because_our_own_resolver_fails(word: Disposition) -> None:
    evidence = world()
    ini = f"{FORWARDERS}[policy.mailfrom]\ntemperror = {word}"
    action = decided(temperror(ProblemKind.OWN_RESOLVER), ini, evidence)
    assert action.disposition is ACCEPT
    assert str(action.rule) == (f"[policy.mailfrom] temperror = {word} (line 5), but our own resolver does not answer")
    assert (evidence.questions, evidence.asked) == ([], []), "it would not answer these either"


def test_neighbours_are_one_sender_and_domains_are_not() -> None:
    def key(address: str, domain: str = "Example.com") -> str:
        asked: Check = check(address=address, domain=domain)
        return deferral_key(asked)

    assert key("203.0.113.7") == key("203.0.113.250") == "example.com 203.0.113.0/24"
    assert key("203.0.113.7") != key("203.0.112.7")
    assert key("203.0.113.7") != key("203.0.113.7", "other.example")
    assert key("2001:db8:1:2::7") == key("2001:db8:1:2:ffff::1") == "example.com 2001:db8:1:2::/64"
    assert key("2001:db8:1:2::7") != key("2001:db8:1:3::7")
