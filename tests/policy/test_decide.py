"""What is done with a message: the whole policy table, cell by cell."""

from collections.abc import Callable
from inspect import signature
from itertools import product

import pytest

from spfmilter import policy
from spfmilter.model import Action, Disposition, Identity, Plan, Result, SkipReason, Verdict
from spfmilter.policy import decide_at_mail, exemption, on_error, plan
from tests.values import Known, check, decide, facts, settings, verdict

HELO, MAILFROM = Identity.HELO, Identity.MAILFROM
ACCEPT, TAG, QUARANTINE, DEFER, REJECT = Disposition
CHECKED = Plan(checks=(check(HELO), check(MAILFROM)))


def decided(*verdicts: Verdict, ini: str = "") -> Action:
    """The action for these verdicts."""
    return decide(CHECKED, verdicts, settings(ini))


def table(helo: Disposition, mailfrom: Disposition, mode: str = "enforce") -> str:
    """Settings under which a fail of HELO and of MAIL FROM call for these."""
    return f"[policy]\nmode = {mode}\n[policy.helo]\nfail = {helo}\n[policy.mailfrom]\nfail = {mailfrom}"


# -- one verdict -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "helo", "mailfrom"),
    [
        (Result.NONE, ACCEPT, ACCEPT),
        (Result.NEUTRAL, ACCEPT, ACCEPT),
        (Result.PASS, ACCEPT, ACCEPT),
        (Result.SOFTFAIL, ACCEPT, TAG),
        (Result.FAIL, REJECT, REJECT),
        (Result.TEMPERROR, ACCEPT, ACCEPT),
        (Result.PERMERROR, ACCEPT, TAG),
    ],
)
def test_the_default_tables(result: Result, helo: Disposition, mailfrom: Disposition) -> None:
    assert decided(verdict(result, HELO)).disposition == helo
    assert decided(verdict(result, MAILFROM)).disposition == mailfrom


@pytest.mark.parametrize(("identity", "result", "disposition"), list(product(Identity, Result, Disposition)))
def test_every_cell_of_the_tables_is_obeyed_and_named(
    identity: Identity, result: Result, disposition: Disposition
) -> None:
    action = decided(verdict(result, identity), ini=f"[policy.{identity}]\n{result} = {disposition}")
    assert action == Action(
        disposition=disposition,
        rule=settings(f"[policy.{identity}]\n{result} = {disposition}").rule(f"policy.{identity}", result),
        verdict=verdict(result, identity),
    )
    assert str(action.rule) == f"[policy.{identity}] {result} = {disposition} (line 2)"


@pytest.mark.parametrize(("identity", "result", "disposition"), list(product(Identity, Result, Disposition)))
def test_monitor_mode_takes_everything_and_keeps_what_it_would_do(
    identity: Identity, result: Result, disposition: Disposition
) -> None:
    ini = f"[policy]\nmode = monitor\n[policy.{identity}]\n{result} = {disposition}"
    action = decided(verdict(result, identity), ini=ini)
    assert action.disposition is ACCEPT
    assert action.would == (None if disposition is ACCEPT else disposition)
    assert str(action.rule) == f"[policy.{identity}] {result} = {disposition} (line 4)"


def test_a_rule_that_is_not_written_in_the_file_has_no_line() -> None:
    assert str(decided(verdict(Result.FAIL)).rule) == "[policy.mailfrom] fail = reject"


def test_a_message_of_which_nothing_was_checked_is_taken() -> None:
    action = decide(Plan(), (), settings("[policy]\ncheck = helo"))
    assert (action.disposition, str(action.rule)) == (ACCEPT, "[policy] check = helo (line 2)")


# -- both identities ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("helo", "mailfrom"), list(product(Disposition, Disposition)))
def test_of_two_verdicts_the_more_severe_one_decides(helo: Disposition, mailfrom: Disposition) -> None:
    action = decided(verdict(Result.FAIL, HELO), verdict(Result.FAIL, MAILFROM), ini=table(helo, mailfrom))
    order = [ACCEPT, TAG, QUARANTINE, DEFER, REJECT]
    assert action.disposition == max(helo, mailfrom, key=order.index)
    # Of equals MAIL FROM is named, but where both refuse HELO, which was first.
    named = HELO if (order.index(helo), helo in {DEFER, REJECT}) > (order.index(mailfrom), False) else MAILFROM
    assert action.verdict is not None
    assert action.verdict.check.identity == named
    assert action.rule.section == f"policy.{named}"


@pytest.mark.parametrize("order", ["helo, mailfrom", "mailfrom, helo"])
@pytest.mark.parametrize(("helo", "mailfrom"), list(product(Disposition, Disposition)))
def test_a_null_sender_answers_to_both_tables(helo: Disposition, mailfrom: Disposition, order: str) -> None:
    bounce = verdict(Result.FAIL, check=check(HELO, null_sender=True))
    ini = table(helo, mailfrom).replace("mode = enforce", f"check = {order}")
    both = decide(Plan(checks=(bounce.check,)), [bounce], settings(ini))
    two = decided(verdict(Result.FAIL, HELO), verdict(Result.FAIL, MAILFROM), ini=table(helo, mailfrom))
    assert (both.disposition, both.rule.section) == (two.disposition, two.rule.section), "as two verdicts would"


@pytest.mark.parametrize(("checked", "disposition"), [("helo", TAG), ("mailfrom", QUARANTINE)])
def test_a_null_sender_answers_only_to_the_table_of_an_identity_that_is_checked(
    checked: str, disposition: Disposition
) -> None:
    bounce = verdict(Result.FAIL, check=check(HELO, null_sender=True))
    ini = f"[policy]\ncheck = {checked}\n[policy.helo]\nfail = tag\n[policy.mailfrom]\nfail = quarantine"
    assert decide(Plan(checks=(bounce.check,)), [bounce], settings(ini)).disposition == disposition


def test_the_helo_of_a_message_with_a_sender_does_not_answer_to_the_mail_from_table() -> None:
    assert decided(verdict(Result.FAIL, HELO), ini=table(ACCEPT, REJECT)).disposition is ACCEPT


# -- exemptions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skip", "rule"),
    [
        (SkipReason.NETWORK, "[exempt] networks = 127.0.0.0/8, ::1"),
        (SkipReason.PRIVATE, "[exempt] private_clients = yes"),
        (SkipReason.AUTHENTICATED, "[exempt] authenticated = yes"),
        (SkipReason.LOCAL, "built in: local-client"),
        (SkipReason.UNKNOWN_CLIENT, "built in: unknown-client"),
    ],
)
def test_an_exempt_message_is_taken_by_the_rule_that_exempts_it(skip: SkipReason, rule: str) -> None:
    action = decide(Plan(skip=skip, rule=exemption(skip, facts(), settings())), (), settings())
    assert (action.disposition, str(action.rule), action.verdict) == (ACCEPT, rule, None)


def test_an_exemption_names_its_line() -> None:
    chosen = settings("[exempt]\n\nprivate_clients = yes")
    action = decide(plan(facts(address="10.0.0.1"), chosen), (), chosen)
    assert action.rule.line == 3


# -- our own faults ----------------------------------------------------------------------------------------------------

FAULT = verdict(Result.TEMPERROR, fault="Traceback ...")


@pytest.mark.parametrize(
    ("ini", "disposition", "would", "rule"),
    [
        ("", DEFER, None, "[milter] on_error = tempfail"),
        ("[milter]\non_error = tempfail", DEFER, None, "[milter] on_error = tempfail (line 2)"),
        ("[milter]\non_error = accept", ACCEPT, None, "[milter] on_error = accept (line 2)"),
        ("[policy]\nmode = monitor", ACCEPT, DEFER, "[milter] on_error = tempfail"),
        ("[policy.mailfrom]\ntemperror = reject", DEFER, None, "[milter] on_error = tempfail"),  # not temperror's entry
    ],
)
def test_a_fault_follows_on_error_and_no_table(
    ini: str, disposition: Disposition, would: Disposition | None, rule: str
) -> None:
    action = decided(FAULT, ini=ini)
    assert (action.disposition, action.would, str(action.rule)) == (disposition, would, rule)


def test_a_refusal_by_the_other_identity_outweighs_a_fault() -> None:
    faulty = verdict(Result.TEMPERROR, HELO, fault="Traceback ...")
    assert decided(faulty, verdict(Result.FAIL)).disposition is REJECT


@pytest.mark.parametrize(
    ("ini", "disposition", "rule"),
    [
        ("", DEFER, "[milter] on_error = tempfail"),
        ("[milter]\non_error = accept", ACCEPT, "[milter] on_error = accept (line 2)"),
        ("[policy]\nmode = monitor", ACCEPT, "[policy] mode = monitor (line 2)"),
    ],
)
def test_a_message_that_could_not_be_handled_at_all_follows_on_error_but_monitor_mode_refuses_nothing(
    ini: str, disposition: Disposition, rule: str
) -> None:
    chosen, by = on_error(settings(ini))
    assert (chosen, str(by)) == (disposition, rule)


# -- at MAIL FROM: evaluation and decision together -------------------------------------------------------------------


def decided_from(results: dict[Identity, Result], ini: str) -> tuple[list[Identity], Action]:
    """The identities that were looked up, in order, and the action."""
    chosen, evidence = settings(ini), Known(lambda wanted: results[wanted.identity])
    verdicts, action = decide_at_mail(plan(facts(), chosen), evidence, chosen)
    asked = [check.identity for check in evidence.asked]
    assert [found.check.identity for found in verdicts] == asked
    return asked, action


@pytest.mark.parametrize(
    ("helo", "mode", "asked", "disposition"),
    [
        (REJECT, "enforce", [HELO], REJECT),  # RFC 7208 section 2.3
        (REJECT, "monitor", [HELO, MAILFROM], ACCEPT),
        (DEFER, "enforce", [HELO, MAILFROM], REJECT),  # MAIL FROM may yet call for worse
        (QUARANTINE, "enforce", [HELO, MAILFROM], REJECT),
        (TAG, "enforce", [HELO, MAILFROM], REJECT),
        (ACCEPT, "enforce", [HELO, MAILFROM], REJECT),
    ],
)
def test_only_a_rejection_by_helo_spares_the_lookup_of_mail_from(
    helo: Disposition, mode: str, asked: list[Identity], disposition: Disposition
) -> None:
    both_fail = {HELO: Result.FAIL, MAILFROM: Result.FAIL}
    looked_up, action = decided_from(both_fail, table(helo, REJECT, mode))
    assert (looked_up, action.disposition) == (asked, disposition)


def test_nothing_is_evaluated_for_an_exempt_message() -> None:
    evidence = Known(lambda _: Result.FAIL)
    planned = plan(facts(address="127.0.0.1"), settings())
    verdicts, action = decide_at_mail(planned, evidence, settings())
    assert (verdicts, action.disposition, evidence.asked) == ((), ACCEPT, [])


def test_an_identity_without_a_domain_is_the_result_none_and_follows_its_entry() -> None:
    nameless = check(HELO, domain="", as_sent="[203.0.113.7]")
    found = verdict(Result.NONE, check=nameless)
    assert decided(found, ini="[policy.helo]\nnone = defer").disposition is DEFER


# -- how it is asked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [found for name in policy.__all__ if callable(found := getattr(policy, name))])
def test_who_asks_the_policy_names_all_that_it_depends_on(function: Callable[..., object]) -> None:
    """With a default, a forgotten recipient or From field would be another decision, and no error."""
    assert [name for name, found in signature(function).parameters.items() if found.default is not found.empty] == []
