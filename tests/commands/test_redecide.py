"""Decide again: a row as the daemon records it under one INI text, and what another one makes of it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter import policy
from spfmilter.commands.against import Comparison, as_json, as_text, compared
from spfmilter.commands.redecide import Recorded, Redecision, Unjudged, redecide
from spfmilter.exemptions.exemption import Exemption
from spfmilter.journal.rows import COLUMNS, row_of
from spfmilter.model import (
    CONDITIONS,
    NO_OWN_RULES,
    Check,
    Condition,
    Disposition,
    DmarcPolicy,
    Identity,
    Result,
    Transaction,
)
from tests.values import Known, facts, settings

ACCEPT, TAG, QUARANTINE, DEFER, REJECT = Disposition
LEFT = ("helo", "hostname")


def recorded(
    ini: str,
    results: str = "fail",
    *,
    conditions: frozenset[Condition] = frozenset(),
    recipient: str = "",
    author: str = "",
    changed: dict[str, Any] | None = None,
    evidence: dict[str, Any] | None = None,
    **about: Any,
) -> Recorded:
    """The row of a message under an INI text.

    `results` is that of MAIL FROM, and perhaps that of HELO before it. `changed` replaces cells.
    """
    helo, _, mailfrom = results.rpartition(" ")
    by_identity = {Identity.HELO: Result(helo or "none"), Identity.MAILFROM: Result(mailfrom)}

    def result(check: Check) -> Result:
        if check.helo == check.domain and check.identity is Identity.MAILFROM:
            return Result.PASS if check.domain == "forwarder.example" else Result.FAIL
        return by_identity[check.identity]

    chosen, known = settings(ini), Known(result, conditions=conditions, **(evidence or {}))
    said = facts(**about)
    planned = policy.plan(said, chosen)
    if chosen.policy.reject_at == "mail":
        verdicts, action = policy.decide_at_mail(planned, known, chosen)
    else:
        verdicts = tuple(known.verdict(check) for check in planned.checks)
        kind = policy.addressee(recipient, chosen, "") if recipient else NO_OWN_RULES
        action = policy.decide(planned, verdicts, chosen, known, kind, author)
    ended = Transaction(facts=said, plan=planned, verdicts=verdicts, action=action)
    cells = dict(zip(COLUMNS, row_of(ended, time=0, host="mx"), strict=True)) | (changed or {})
    return Recorded(**{name: cells[name] for name in Recorded._fields})


def outcome(row: Recorded, ini: str) -> tuple[Disposition, Disposition] | str:
    try:
        change = redecide(row, settings(ini))
    except Unjudged as reason:
        return str(reason)
    return change.before, change.now


FAIL = "[policy.mailfrom]\nfail = {}\n"
MAIL = "[policy]\nreject_at = mail\n"
YIELD = "[policy]\nreject_at = message\nyield_to_dmarc = yes\n"
BY_SPF = "[exempt]\nforwarder_spf = forwarder.example\n"
BOTH_TAG = f"[policy.helo]\nfail = tag\n{FAIL.format('tag')}"
DMARC = {
    "author": "a.example",
    "evidence": {"dmarc": {"a.example": DmarcPolicy(domain="a.example", policy="reject")}},
}
WAITED = {"evidence": {"deferred_for": 1e6}}
EXEMPTED = {"evidence": {"exempt": [Exemption(id="A1B2C3", domain="example.com", added=0, until=9)]}}
RECIPIENTS = "rules of recipients took part, and recipients are not recorded"
HEADERS = "header fields decided, which are not recorded"
NOW_A_RELAY = "its client is in [relays] trusted now, and Received fields are not recorded"
NO_RELAY = "its relay is not in [relays] trusted any more"
PINNED = "its domain has a pinned record, which would have to be evaluated"
UNREACHABLE = "whether it is unreachable is not recorded"


@pytest.mark.parametrize(
    ("old", "about", "new", "expected"),
    [
        ("", {}, "", (REJECT, REJECT)),
        ("", {}, FAIL.format("tag"), (REJECT, TAG)),
        ("", {"results": "softfail"}, "[policy.mailfrom]\nsoftfail = reject\n", (TAG, REJECT)),
        ("", {"results": "pass"}, FAIL.format("tag"), (ACCEPT, ACCEPT)),
        ("", {"results": "fail pass"}, "[policy.helo]\nfail = accept\n", (REJECT, ACCEPT)),
        ("", {"sender": "<>", "results": "fail pass"}, "[policy.helo]\nfail = tag\n", (REJECT, REJECT)),
        ("", {"sender": "<>", "results": "fail pass"}, BOTH_TAG, (REJECT, TAG)),
        ("", {"sender": "<alice>", "results": "none"}, "[policy.mailfrom]\nnone = reject\n", (ACCEPT, REJECT)),
        # modes
        ("[policy]\nmode = monitor\n", {}, "", (ACCEPT, REJECT)),
        ("", {}, "[policy]\nmode = monitor\n", (REJECT, REJECT)),
        ("[policy]\nmode = monitor\n", {}, f"[policy]\nmode = monitor\n{FAIL.format('tag')}", (REJECT, TAG)),
        # exemptions
        ("", {}, "[exempt]\nnetworks = 203.0.113.0/24\n", (REJECT, ACCEPT)),
        ("", {}, "[exempt]\nsenders = example.com from 203.0.113.7\n", (REJECT, ACCEPT)),
        ("", {}, "[domain:example.com]\ntrust = 203.0.113.7\n", (REJECT, ACCEPT)),
        ("", {}, "[domain:.com]\nfail = quarantine\n", (REJECT, QUARANTINE)),
        ("[exempt]\nnetworks = 203.0.113.0/24\n", {}, "", "it was not checked (exempt-network)"),
        ("", {"authenticated": "bob"}, "", (ACCEPT, ACCEPT)),
        ("", {"authenticated": "bob"}, "[exempt]\nauthenticated = no\n", "it was not checked (authenticated)"),
        ("", {"address": None}, "", (ACCEPT, ACCEPT)),
        ("", {"address": None, "local": True}, "", (ACCEPT, ACCEPT)),
        ("", {"address": "10.1.2.3"}, "", (ACCEPT, ACCEPT)),
        ("", {"results": "fail pass"}, "[exempt]\nsenders = example.com if pass\n", (REJECT, ACCEPT)),
        # what was not evaluated
        ("[policy]\ncheck = helo\n", {}, "", "mailfrom was not evaluated"),
        (MAIL, {"results": "fail pass"}, "", (REJECT, REJECT)),
        (MAIL, {"results": "fail pass"}, "[policy.helo]\nfail = tag\n", "mailfrom was not evaluated"),
        (MAIL, {"results": "fail pass"}, "[exempt]\nsenders = b.example if pass\n", "mailfrom was not evaluated"),
        ("", {}, "[domain:example.com]\nrecord = v=spf1 -all\n", PINNED),
        # conditions
        ("", {"results": "none"}, "[policy.mailfrom]\nunreachable = reject\n", UNREACHABLE),
        ("", {"results": "none"}, "[policy.mailfrom]\nunreachable = accept\n", (ACCEPT, ACCEPT)),
        (
            "[policy.mailfrom]\nunreachable = tag\n",
            {"results": "none", "conditions": frozenset({Condition.UNREACHABLE})},
            "[policy.mailfrom]\nunreachable = reject\n",
            (TAG, REJECT),
        ),
        ("", {"sender": "<alice>", "results": "none", "changed": {"mailfrom_problem": "no-domain"}},
         "[policy.mailfrom]\nunreachable = reject\n", (ACCEPT, ACCEPT)),
        ("", {}, "[policy.mailfrom]\nno_mail = accept\n", (REJECT, REJECT)),
        # overrides
        ("[exempt]\nforwarders = a.example\n", {"evidence": {"names": ("a.example",)}}, "", (ACCEPT, REJECT)),
        ("[exempt]\nforwarders = a.example\n", {"evidence": {"names": ("a.example",)}},
         "[exempt]\nforwarders = a.example, b.example\n", (ACCEPT, ACCEPT)),
        ("", {"changed": {"client_name": "mx.a.example"}}, "[exempt]\nforwarders = .a.example\n", (REJECT, ACCEPT)),
        ("", {"changed": {"client_name": "mx.c.example"}}, "[exempt]\nforwarders = .a.example\n", (REJECT, REJECT)),
        (BY_SPF, {}, BY_SPF, (ACCEPT, ACCEPT)),
        (BY_SPF, {}, "[exempt]\nforwarder_spf = b.example\n", (ACCEPT, REJECT)),
        (YIELD, DMARC,
         YIELD, (ACCEPT, ACCEPT)),
        (YIELD, DMARC,
         "", (ACCEPT, REJECT)),
        ("", EXEMPTED, "", (ACCEPT, ACCEPT)),
        ("", EXEMPTED, f"{FAIL.format('defer')}[policy.helo]\nfail = reject\n", (ACCEPT, ACCEPT)),
        ("", {**EXEMPTED, "changed": {"client": "<script>"}}, "", (ACCEPT, ACCEPT)),
        (FAIL.format("defer, tag"), WAITED, FAIL.format("defer, quarantine"), (TAG, QUARANTINE)),
        (FAIL.format("defer"), {}, FAIL.format("defer"), (DEFER, DEFER)),
        ("", {"results": "temperror", "changed": {"mailfrom_problem": "own-resolver"}},
         "[policy.mailfrom]\ntemperror = defer\n", (ACCEPT, ACCEPT)),
        # relays
        ("", {"changed": {"relay": "192.0.2.1", "action": "tag"}}, "[relays]\ntrusted = 192.0.2.1\n", (TAG, TAG)),
        ("", {"changed": {"relay": "192.0.2.1"}}, "[relays]\ntrusted = 192.0.2.1\nrefuse = yes\n", (REJECT, REJECT)),
        ("", {"changed": {"relay": "192.0.2.1"}}, "", NO_RELAY),
        ("", {}, "[relays]\ntrusted = 203.0.113.7\n", NOW_A_RELAY),
        ("", {"changed": {"skip": "relay", "action": "accept"}}, "[relays]\ntrusted = 203.0.113.7\n", (ACCEPT, ACCEPT)),
        ("", {"changed": {"skip": "relay", "action": "accept"}}, "", NO_RELAY),
        # what the journal does not have
        ("", {"recipient": "postmaster@example.net"}, FAIL.format("tag"), RECIPIENTS),
        ("", {"changed": {"recipient_rules": 1}}, "", RECIPIENTS),
        ("", {"changed": {"rule": "[headers] remove_forged = yes (line 3)"}}, "", HEADERS),
        ("", {"changed": {"rule": "[milter] on_error = tempfail"}}, "", "spfmilter itself failed"),
        ("", {"changed": {"mailfrom_result": "perhaps"}}, "", "the row cannot be read by this version"),
        ("", {"changed": {"action": "\x1b[31m"}}, "", "the row cannot be read by this version"),
    ],
)  # fmt: skip
def test_a_row_under_other_settings(old: str, about: dict[str, Any], new: str, expected: object) -> None:
    assert outcome(recorded(old, **about), new) == expected


INIS = st.sampled_from([
    "",
    MAIL,
    "[policy]\nmode = monitor\nreject_at = message\n",
    "[policy.mailfrom]\nnone = tag\nunreachable = reject\nwide_open = tag\nno_mail = quarantine\nfail = defer, tag\n",
    "[policy]\ncheck = mailfrom\n[policy.mailfrom]\npermerror = reject\n[domain:.com]\nfail = tag\nno_mail = reject\n",
    "[exempt]\nsenders = example.com if pass\nforwarders = .forwarder.example\nforwarder_spf = forwarder.example\n",
])  # fmt: skip
RESULTS = st.sampled_from(Result)


@given(
    INIS,
    st.tuples(RESULTS, RESULTS),
    st.sampled_from(["<user@example.com>", "<>", "<user@example.org>", "<user>"]),
    st.sets(st.sampled_from(Condition)),
    st.sampled_from([(), ("mx.forwarder.example",)]),
    st.sampled_from([0.0, 1e6]),
)
def test_the_same_settings_change_nothing(ini, results, sender, conditions, names, deferred) -> None:
    """What can be judged comes to what was done. Everything can, but for conditions that were not met."""
    (helo, mailfrom), met = results, frozenset(conditions)
    evidence = {"names": names, "deferred_for": deferred}
    row = recorded(ini, f"{helo} {mailfrom}", sender=sender, conditions=met, evidence=evidence)
    found = outcome(row, ini)
    if isinstance(found, str):
        assert "is not recorded" in found
        assert {CONDITIONS.get(helo), CONDITIONS.get(mailfrom)} - met
    else:
        assert found[0] == found[1]


def test_a_change_names_the_line_that_decides_now_and_what_was_assumed() -> None:
    new = f"{YIELD}[exempt]\nforwarders = a.example\nforwarder_spf = b.example\n"
    change = redecide(recorded(""), settings(new))
    assert change == Redecision(
        before=REJECT,
        now=REJECT,
        rule="[policy.mailfrom] fail = reject",
        assumed=frozenset({
            "a client has no other confirmed name than the MTA's",
            "no domain of forwarder_spf lets the client send, unless recorded",
            "no From domain has a strict DMARC policy, unless recorded",
        }),
    )  # fmt: skip


# -- all together ------------------------------------------------------------------------------------------------------


def comparison() -> Comparison:
    soft = [recorded("", "softfail", sender=f"<a@{name}.example>") for name in ("one", "two")]
    rows = [
        (soft[0], 3),
        (soft[1], 1),
        (recorded("", sender="<a@three.example>"), 2),
        (recorded("", "permerror", sender="<a@four.example>"), 5),
        (recorded("", "pass"), 100),
        (recorded("", changed={"recipient_rules": 1}), 7),
        (recorded("", "softfail", changed={"ended": "abandoned"}), 9),
        (recorded("", "softfail", sender="<a@x\x1b[31m.example>"), 1),
    ]
    new = "[policy.mailfrom]\nsoftfail = reject\npermerror = quarantine\n[domain:three.example]\nfail = accept\n"
    return compared(rows, settings(new))


def test_the_comparison_as_text() -> None:
    assert (
        "\n".join(as_text(comparison()))
        == """\
119 recorded messages, 112 of them judged
would refuse 3 more domains, 5 messages:
  one.example  3 messages  by [policy.mailfrom] softfail = reject (line 2)
  two.example  1 message  by [policy.mailfrom] softfail = reject (line 2)
  x?[31m.example  1 message  by [policy.mailfrom] softfail = reject (line 2)
would release 1 domain, 2 messages:
  three.example  2 messages  by [domain:three.example] fail = accept (line 5)
would quarantine instead of tag: 5 messages
not judged: 7 messages: rules of recipients took part, and recipients are not recorded"""
    )


def test_the_comparison_as_json() -> None:
    found = as_json(comparison())
    assert (found["messages"], found["unjudged"]) == (
        119,
        [{"reason": "rules of recipients took part, and recipients are not recorded", "messages": 7}],
    )
    assert found["would_release"] == [
        {"domain": "three.example", "messages": 2, "rule": "[domain:three.example] fail = accept (line 5)"}
    ]
    assert found["changes"] == [
        {"before": "tag", "now": "quarantine", "messages": 5},
        {"before": "tag", "now": "reject", "messages": 5},
        {"before": "reject", "now": "accept", "messages": 2},
    ]


def test_nothing_changes() -> None:
    assert list(as_text(compared([(recorded("", "pass"), 1)], settings("")))) == [
        "1 recorded message, 1 of them judged",
        "would refuse 0 more domains, 0 messages",
        "would release 0 domains, 0 messages",
        "nothing would change",
    ]
