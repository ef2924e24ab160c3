"""Decisions later than at MAIL FROM, by the real daemon: at RCPT TO, at the end of the message, and behind relays."""

import re
import secrets
from collections.abc import Iterator

import pytest

from lab.dnsserver import ScriptedDNS
from lab.milterclient import MilterClient, Outcome
from lab.milterwire import HEADER, RCPT, Options
from spfmilter import caseid
from tests.wire.running import CLIENT, Running, running

J = {"j": "mx.example.net"}
POSTMASTER, OTHER, LENIENT = "<postmaster@example.net>", "<other@example.net>", "<lenient@example.net>"
AT_RCPT = """
[policy]
reject_at = rcpt
[recipient:lenient@example.net]
fail = tag
"""
AT_END = """
[policy]
reject_at = message
yield_to_dmarc = yes
[headers]
tag_subject = [SPF]
[relays]
trusted = 198.51.100.20
"""


@pytest.fixture(scope="module")
def at_rcpt(dns: ScriptedDNS) -> Iterator[Running]:
    with running(dns, AT_RCPT) as serving:
        yield serving
    assert "internal error" not in serving.daemon.log()


@pytest.fixture(scope="module")
def at_end(dns: ScriptedDNS) -> Iterator[Running]:
    with running(dns, AT_END) as serving:
        yield serving
    assert "internal error" not in serving.daemon.log()


def negotiated(serving: Running) -> Options:
    with serving.client() as mta:
        options = mta.negotiate()
        mta.quit()
    return options


def unique() -> str:
    return f"Q{secrets.token_hex(4)}"


def codes(outcome: Outcome) -> list[str]:
    return [reply.code for reply in outcome.rcpt_replies]


def inserted(outcome: Outcome, name: str) -> list[str]:
    return [re.sub(r"\n", "", field.value) for field in outcome.inserted if field.name == name]


# -- what is asked of the MTA ------------------------------------------------------------------------------------------


def test_recipients_and_header_are_asked_for_as_far_as_they_are_needed(at_rcpt: Running, at_end: Running) -> None:
    rcpt, message = negotiated(at_rcpt), negotiated(at_end)
    assert (rcpt.wants(RCPT), rcpt.answers(RCPT), rcpt.wants(HEADER)) == (True, True, True)
    assert (message.wants(RCPT), message.answers(RCPT), message.wants(HEADER)) == (True, True, True)


def test_without_removal_the_header_is_still_asked_for_where_it_is_read(dns: ScriptedDNS) -> None:
    for more in ("[relays]\ntrusted = 192.0.2.0/24\n", "[headers]\ntag_subject = x\n"):
        text = more + ("" if "[headers]" in more else "[headers]\n") + "remove_forged = no\n"
        with running(dns, text) as serving:
            assert negotiated(serving).wants(HEADER)


# -- rcpt --------------------------------------------------------------------------------------------------------------


def without_case(reply: bytes) -> bytes:
    """The reply without its case id, which each message has for itself."""
    return re.sub(caseid.FORM.encode(), b"(case)", reply)


def test_recipients_are_refused_one_by_one_and_byte_for_byte_as_at_mail(at_rcpt: Running, usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        notice = mta.mail("<u@fail.example>").raw
        mta.quit()
    with at_rcpt.client() as mta:
        mta.greet(CLIENT, macros=J)
        queue_id = unique()
        outcome = mta.deliver("<u@fail.example>", [OTHER, POSTMASTER, LENIENT, OTHER], macros={"i": queue_id})
        mta.quit()
    assert codes(outcome) == ["550", "", "", "550"]
    assert without_case(outcome.rcpt_replies[0].raw) == without_case(notice)
    assert outcome.rcpt_replies[0].raw == outcome.rcpt_replies[3].raw
    assert (outcome.stage, outcome.reply.kind) == ("eom", "continue")
    assert inserted(outcome, "X-SPF-Notice")[0].startswith("tag; 192.0.2.1 is not in")
    line = at_rcpt.line(queue_id)
    assert " action=tag rcpt=<postmaster@example.net>,<lenient@example.net> refused=2 " in line
    assert 'rule="[recipient:lenient@example.net] fail = tag (line ' in line
    assert "other@example.net" not in line


def test_a_message_without_any_recipient_left_is_logged_as_refused(at_rcpt: Running) -> None:
    with at_rcpt.client() as mta:
        mta.greet(CLIENT, macros=J)
        queue_id = unique()
        outcome = mta.deliver("<u@fail.example>", [OTHER, OTHER], macros={"i": queue_id})
        mta.quit()
    assert (outcome.stage, codes(outcome)) == ("rcpt", ["550", "550"])
    line = at_rcpt.line(queue_id)
    assert " action=reject refused=2 " in line
    assert " ended=refused " in line
    assert "rcpt=" not in line
    one, other = (re.findall(rf"Case: ({caseid.FORM})", "\n".join(reply.lines)) for reply in outcome.rcpt_replies)
    assert one == other == re.findall(r" case=(\S+)", line)


def test_two_messages_have_two_case_ids_and_an_accepted_one_has_none(at_rcpt: Running) -> None:
    cases = []
    with at_rcpt.client() as mta:
        mta.greet(CLIENT, macros=J)
        for sender in ("<u@fail.example>", "<u@fail.example>", "<u@pass.example>"):
            queue_id = unique()
            mta.deliver(sender, [OTHER], macros={"i": queue_id})
            mta.abort()
            cases += [re.findall(r" case=(\S+)", at_rcpt.line(queue_id))]
        mta.quit()
    (one,), (other,), none = cases
    assert (caseid.read(one), caseid.read(other), none) == (one, other, [])
    assert one != other


def test_in_monitor_mode_a_recipient_who_would_have_been_refused_is_seen_in_the_log(dns: ScriptedDNS) -> None:
    with running(dns, AT_RCPT.replace("[policy]", "[policy]\nmode = monitor")) as serving, serving.client() as mta:
        mta.greet(CLIENT, macros=J)
        outcome = mta.deliver("<u@fail.example>", [OTHER, POSTMASTER], macros={"i": "QMON"})
        mta.quit()
        line = serving.line("QMON")
    assert (codes(outcome), outcome.reply.kind) == (["", ""], "continue")
    assert " action=accept would=reject rcpt=<postmaster@example.net> " in line


def test_messages_and_resets_on_one_connection_do_not_mix(at_rcpt: Running) -> None:
    with at_rcpt.client() as mta:
        mta.greet(CLIENT, macros=J)
        assert mta.mail("<u@fail.example>").proceeds
        assert mta.rcpt(OTHER).code == "550"
        mta.abort()
        assert codes(mta.deliver("<u@pass.example>", [OTHER, POSTMASTER])) == ["", ""]
        assert mta.mail("<u@fail.example>").proceeds
        assert mta.mail("<u@pass.example>").proceeds, "without a reset in between"
        assert mta.rcpt(OTHER).proceeds
        mta.abort()
        assert codes(mta.deliver("<u@fail.example>", [OTHER])) == ["550"]
        mta.quit()


def test_an_mta_that_skips_nothing_is_served(at_rcpt: Running) -> None:
    with at_rcpt.client() as mta:
        mta.negotiate(2, 0x3F, 0x7F)
        mta.connect("host.example", "inet", CLIENT, macros=J)
        mta.helo("mail.example")
        assert mta.mail("<u@fail.example>").proceeds
        assert [mta.rcpt(OTHER).code, mta.rcpt(POSTMASTER).code] == ["550", ""]
        mta.quit()


# -- message -----------------------------------------------------------------------------------------------------------


def content(*fields: tuple[str, str]) -> list[tuple[str, str]]:
    return [("Subject", "hello"), *fields]


@pytest.mark.parametrize(
    ("recipients", "refused"), [([OTHER, OTHER], True), ([OTHER, POSTMASTER], True), ([POSTMASTER], False)]
)
def test_the_end_of_the_message_has_one_answer(at_end: Running, recipients: list[str], *, refused: bool) -> None:
    with at_end.client() as mta:
        mta.greet(CLIENT, macros=J)
        outcome = mta.deliver("<u@fail.example>", recipients, content(), "body")
        again = mta.deliver("<u@pass.example>", recipients, content(), "body")
        mta.quit()
    assert outcome.stage == "eom"
    if refused:
        assert outcome.reply.lines[0].startswith(
            "550-5.7.23 Message refused: 192.0.2.1 is not in the trusted sender list of fail.example"
        )
        assert outcome.inserted == ()
    else:
        assert outcome.reply.kind == "continue"
        assert (outcome.changed, inserted(outcome, "X-SPF-Notice")) == ((), [])
    assert (again.reply.kind, again.changed) == ("continue", ())
    assert [reply.code for reply in again.rcpt_replies] == [""] * len(recipients)


@pytest.mark.parametrize("order", [(POSTMASTER, OTHER), (OTHER, POSTMASTER)])
def test_recipients_who_would_part_ways_are_not_taken_into_one_message(at_end: Running, order: list[str]) -> None:
    with at_end.client() as mta:
        mta.greet(CLIENT, macros=J)
        queue_id = unique()
        outcome = mta.deliver("<u@fail.example>", [*order, *order], content(), "body", macros={"i": queue_id})
        alone = mta.deliver("<u@fail.example>", [order[1]], content(), "body")
        passing = mta.deliver("<u@pass.example>", order, content(), "body")
        mta.quit()
    assert codes(outcome) == ["", "452", "", "452"]
    assert outcome.rcpt_replies[1].lines[0].startswith("452 4.5.3 Not accepted yet: this recipient has other rules")
    refused = order[0] == OTHER
    assert (outcome.reply.code, alone.reply.code) == (("550", "") if refused else ("", "550"))
    assert (codes(passing), passing.reply.kind) == (["", ""], "continue")
    line = at_end.line(queue_id)
    assert " separated=2 " in line
    assert (" action=reject " in line) is refused


def test_a_fail_is_left_to_a_strict_dmarc_policy(at_end: Running) -> None:
    with at_end.client() as mta:
        mta.greet(CLIENT, macros=J)
        queue_id = unique()
        macros = {"i": queue_id}
        kept = mta.deliver("<u@fail.example>", [OTHER], content(("From", "A <a@x.strict.example>")), macros=macros)
        lost = mta.deliver("<u@fail.example>", [OTHER], content(("From", "A <a@fail.example>")))
        two = mta.deliver(
            "<u@fail.example>", [OTHER], content(("From", "a@strict.example"), ("From", "a@strict.example"))
        )
        mta.quit()
    assert kept.reply.kind == "continue"
    assert "spf=fail" in inserted(kept, "Authentication-Results")[-1]  # the topmost
    assert (inserted(kept, "X-SPF-Notice"), kept.changed) == ([], ())
    assert [lost.reply.code, two.reply.code] == ["550", "550"]
    line = at_end.line(queue_id)
    assert ' override=dmarc override_by="strict.example p=reject" action=accept ' in line
    assert 'rule="[policy] yield_to_dmarc = yes (line ' in line


def test_a_message_without_subject_that_is_tagged_gets_one(at_end: Running) -> None:
    with at_end.client() as mta:
        mta.greet(CLIENT, macros=J)
        outcome = mta.deliver("<u@soft.example>", [OTHER], [("X", "y")])
        mta.quit()
    assert inserted(outcome, "Subject") == ["[SPF]"]


# -- relays ------------------------------------------------------------------------------------------------------------


def through_relay(mta: MilterClient, sender: str, *received: str, queue_id: str = "") -> Outcome:
    fields = [("Received", field) for field in received]
    return mta.deliver(sender, [OTHER], [*fields, ("Subject", "hello")], macros={"i": queue_id} if queue_id else {})


def hop(client: str, helo: str = "client.example") -> str:
    return (
        f"from {helo} ({helo} [{client}])\n\tby relay.example.net (Postfix) with ESMTPS id 4X1;\n"
        "\tTue, 24 Nov 2026 10:00:00 +0000 (UTC)"
    )


def test_behind_a_relay_the_client_is_checked_and_nothing_is_refused(at_end: Running) -> None:
    with at_end.client() as mta:
        mta.greet("198.51.100.20", "relay.example.net", name="relay.example.net", macros=J)
        queue_id = unique()
        passed = through_relay(mta, "<u@pass.example>", hop(CLIENT), hop("203.0.113.66"), queue_id=queue_id)
        failed = through_relay(mta, "<u@fail.example>", hop(CLIENT))
        lost = through_relay(mta, "<u@fail.example>", "from nowhere by nobody")
        mta.quit()
    assert "spf=pass" in inserted(passed, "Authentication-Results")[-1]
    received_spf = inserted(passed, "Received-SPF")[0]
    assert "received through 198.51.100.20) client-ip=192.0.2.1;" in received_spf
    line = at_end.line(queue_id)
    assert " client=192.0.2.1 " in line
    assert " relay=198.51.100.20 helo=client.example " in line
    assert failed.reply.kind == "continue"
    assert inserted(failed, "X-SPF-Notice")[0].startswith("tag; 192.0.2.1 is not in the trusted sender list")
    assert (lost.reply.kind, lost.inserted) == ("continue", ())
    assert "skip=relay" in at_end.daemon.log()


def test_a_relay_whose_name_only_the_dns_confirms(dns: ScriptedDNS) -> None:
    """`mx.hosts.example` has the address 198.51.100.7, and greets with another name."""
    with running(dns, "[relays]\ntrusted = 198.51.100.7\nrefuse = yes\n") as serving, serving.client() as mta:
        mta.greet("198.51.100.7", "internal", macros=J)
        field = hop(CLIENT).replace("relay.example.net", "mx.hosts.example")
        outcome = through_relay(mta, "<u@fail.example>", field)
        mta.quit()
    assert outcome.reply.lines[0].startswith(
        "550-5.7.23 Message refused: 192.0.2.1 is not in the trusted sender list of fail.example"
    )
