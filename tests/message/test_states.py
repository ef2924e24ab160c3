"""The table at the head of `spfmilter/message/states.py`, cell by cell."""

from collections.abc import Callable

import pytest

from spfmilter import headers
from spfmilter.message import CARRY_ON, Context, Message, begin
from spfmilter.message.states import AtEnd, AtRecipients, BehindRelay, Decided
from spfmilter.model import Check, Disposition, Result
from tests.values import CASE, Known, facts, new_case, no_extras, settings

STAGES = {Decided: "mail", AtRecipients: "rcpt", AtEnd: "message", BehindRelay: "message"}
YIELD = {Decided: "", AtRecipients: "", AtEnd: "yield_to_dmarc = yes\n", BehindRelay: "yield_to_dmarc = yes\n"}
RELAY = "[relays]\ntrusted = 198.51.100.2\n"
HOP = "from a.example (a.example [203.0.113.7]) by mail.example.com (Postfix) with ESMTP id 1; today"
RECIPIENT = "<bob@example.net>"


def result(check: Check) -> Result:
    return Result.FAIL if check.domain == "example.com" else Result.NONE


def begun(
    state: type[Message], more: str = "", found: Callable[[Check], Result] = result, **other: str
) -> tuple[Message, Known]:
    """A message that its SPF record forbids, or whose checks have ``found``, before MAIL FROM is looked at."""
    chosen = settings(f"[policy]\nreject_at = {STAGES[state]}\n{YIELD[state]}{RELAY}{more}")
    evidence = Known(found)
    address = "198.51.100.2" if state is BehindRelay else "203.0.113.7"
    context = Context(
        settings=chosen, watched=headers.watched(chosen), evidence=evidence, extras=no_extras, new_case=new_case
    )
    message = begin(facts(**{"address": address, **other}), "<user@example.com>", "Q1", context)
    assert type(message) is state
    return message, evidence


@pytest.mark.parametrize("state", [AtRecipients, AtEnd, BehindRelay])
def test_an_exempt_message_is_decided_at_every_stage(state: type[Message]) -> None:
    chosen = settings(f"[policy]\nreject_at = {STAGES[state]}")
    context = Context(settings=chosen, watched=frozenset(), evidence=Known(result), extras=no_extras, new_case=new_case)
    assert type(begin(facts(address="10.0.0.1"), "<user@example.com>", "", context)) is Decided


@pytest.mark.parametrize(
    ("state", "evaluated", "refused"),
    [(Decided, 2, True), (AtRecipients, 2, False), (AtEnd, 2, False), (BehindRelay, 0, False)],
)
def test_at_mail_from(state: type[Message], evaluated: int, *, refused: bool) -> None:
    message, evidence = begun(state)
    outcome = message.mail()
    assert (len(evidence.asked), outcome.reply is not None, outcome.ended is not None) == (evaluated, refused, refused)


@pytest.mark.parametrize(("state", "refused"), [(AtRecipients, True), (AtEnd, False), (BehindRelay, False)])
def test_at_rcpt_to(state: type[Message], *, refused: bool) -> None:
    message, _ = begun(state)
    message.mail()
    outcome = message.recipient(RECIPIENT, "")
    assert (outcome.reply is not None, outcome.ended) == (refused, None), (
        "the message goes on with its other recipients"
    )


def test_a_recipient_has_no_say_in_what_was_decided_at_mail_from() -> None:
    message, evidence = begun(Decided, "[policy.mailfrom]\nfail = tag\n")
    message.mail()
    assert message.recipient(RECIPIENT, "") is CARRY_ON
    assert len(evidence.asked) == 2


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (Decided, {"subject"}),
        (AtRecipients, {"subject"}),  # yield_to_dmarc needs reject_at = message
        (AtEnd, {"subject", "from"}),
        (BehindRelay, {"subject", "from", "received"}),
    ],
)
def test_header_fields_that_are_kept(state: type[Message], kept: set[str]) -> None:
    message, _ = begun(state, "[headers]\ntag_subject = [SPF]\n[policy.mailfrom]\nfail = tag\n")
    message.mail()
    for name in ("Subject", "From", "Received"):
        message.header(name, "a <a@example.com>")
    found = {
        "subject": message.subjects,
        "from": getattr(message, "authors", []),
        "received": getattr(message, "received", []),
    }
    assert {name for name, values in found.items() if values} == kept


@pytest.mark.parametrize(
    ("state", "more", "disposition", "refused"),
    [
        (Decided, "[policy.mailfrom]\nfail = tag\n", Disposition.TAG, False),
        (AtRecipients, "", Disposition.REJECT, True),
        (AtEnd, "", Disposition.REJECT, True),
        (BehindRelay, "", Disposition.TAG, False),
        (BehindRelay, "refuse = yes", Disposition.REJECT, True),
    ],
)
def test_at_the_end(state: type[Message], more: str, disposition: Disposition, *, refused: bool) -> None:
    message, _ = begun(state, more)
    message.mail()
    message.header("Received", HOP)
    outcome = message.end("Q2")
    assert outcome.ended is not None
    assert (outcome.ended.action.disposition, outcome.ended.queue_id) == (disposition, "Q2")
    assert (outcome.reply is not None, outcome.ended.ended == "refused") == (refused, refused)
    shown = "\n".join([*(outcome.reply.lines if outcome.reply else ()), *(f.value for f in outcome.edits.insert)])
    assert outcome.ended.case == CASE
    assert f"Case: {CASE}" in shown.replace("\n ", " ")


@pytest.mark.parametrize("state", [Decided, AtRecipients, AtEnd, BehindRelay])
@pytest.mark.parametrize(
    ("more", "found", "case"),
    [
        ("", Result.FAIL, CASE),
        ("[policy.mailfrom]\nnone = quarantine\n[policy.helo]\nnone = accept", Result.NONE, CASE),
        ("", Result.PASS, ""),
        ("", Result.NONE, ""),
    ],
)
def test_what_is_not_simply_accepted_has_one_case_id(state: type[Message], more: str, found: Result, case: str) -> None:
    """It is the same in the reply, in the header field and in the transaction, for all recipients."""
    message, _ = begun(state, more, lambda _: found)
    outcome = message.mail()
    if outcome.ended is None:
        replies = [message.recipient(f"<{name}@example.net>", "").reply for name in ("one", "two")]
        assert len({reply.lines[-1] for reply in replies if reply}) <= 1
        message.header("Received", HOP)
        outcome = message.end("Q2")
    assert outcome.ended is not None
    assert outcome.ended.case == case


@pytest.mark.parametrize(
    ("state", "recipients", "ended"),
    [
        (Decided, 1, "abandoned"),
        (AtRecipients, 0, "abandoned"),
        (AtRecipients, 1, "refused"),
        (AtEnd, 1, "abandoned"),
        (BehindRelay, 1, "abandoned"),
    ],
)
def test_given_up(state: type[Message], recipients: int, ended: str) -> None:
    message, _ = begun(state, "[policy.mailfrom]\nfail = tag\n" if state is Decided else "")
    message.mail()
    for _ in range(recipients):
        message.recipient(RECIPIENT, "")
    outcome = message.abandon()
    assert outcome.ended is not None
    assert (outcome.ended.ended, outcome.reply) == (ended, None)
