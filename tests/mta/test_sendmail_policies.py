"""Decisions after MAIL FROM, and the finer ones, as clients and recipients of a real Sendmail see them."""

from collections.abc import Iterator

import pytest

from lab import sendmail
from lab.nsd import Nsd
from lab.processes import until
from tests.mta.neighbour import Neighbour
from tests.mta.site import HELO, MESSAGE, SendmailSite, Sent
from tests.mta.zones import LISTED, LOCAL_LISTED, LOCAL_UNLISTED, RELAY, UNLISTED, UNREACHABLE
from tests.values import without_case

pytestmark = pytest.mark.skipif(bool(sendmail.unavailable()), reason=sendmail.unavailable() or "available")

DOMAINS = ("example.net", "strict.example")
OVERRIDES = """
[recipient:lenient@example.net]
fail = tag
softfail = accept
[recipient:@strict.example]
softfail = reject
[domain:pinned.example.com]
record = v=spf1 ip4:127.0.113.0/24 -all
"""
AT_RCPT = f"""
[policy]
reject_at = rcpt
[policy.mailfrom]
softfail = quarantine
temperror = defer
{OVERRIDES}
"""
AT_MESSAGE = f"""
[policy]
reject_at = message
defer_at_most = 1s
[policy.mailfrom]
temperror = defer
[headers]
tag_subject = [SPF]
[relays]
trusted = {RELAY}
{OVERRIDES}
"""
NOTICE = f"Message refused: {LOCAL_UNLISTED} is not in the trusted sender list of mail163.test (SPF check: fail"


@pytest.fixture(scope="module")
def at_rcpt(name_server: Nsd) -> Iterator[SendmailSite]:
    with SendmailSite(name_server, AT_RCPT, domains=DOMAINS) as running:
        yield running


@pytest.fixture(scope="module")
def at_message(name_server: Nsd) -> Iterator[SendmailSite]:
    with SendmailSite(name_server, AT_MESSAGE, domains=DOMAINS) as running:
        yield running


def rcpt(*recipients: str) -> list[str]:
    """The commands."""
    return [f"RCPT TO:<{recipient}>" for recipient in recipients]


# -- at RCPT TO --------------------------------------------------------------------------------------------------------


def test_each_recipient_is_answered_by_itself_and_the_exempt_one_gets_the_mail(at_rcpt: SendmailSite) -> None:
    with at_rcpt.connect() as smtp:
        assert smtp.mail("mixed@mail163.test").code == 250
        refused, taken, again = smtp.send_many(*rcpt("bob@example.net", "Postmaster@example.net", "eve@example.net"))
        assert (refused.code, taken.code, again.code) == (550, 250, 550)
        assert refused.lines[0].startswith(f"5.7.23 <bob@example.net>... {NOTICE}")
        assert len(without_case(refused.lines)) == 4
        sent = Sent(answer=smtp.data(MESSAGE), recipient="Postmaster@example.net")
    assert at_rcpt.field(sent, "Received-SPF")[0].startswith("fail (")
    at_rcpt.sendmail.wait_for_log(rf"{sent.queue_id}: from=<mixed@mail163\.test>, .* nrcpts=1,")
    line = at_rcpt.logged(queue_id=sent.queue_id)
    assert (line["action"], line["refused"], line["rule"]) == (
        "accept",
        2,
        "[exempt] recipients = postmaster@, abuse@",
    )


def test_where_every_recipient_is_refused_the_log_says_reject(at_rcpt: SendmailSite) -> None:
    with at_rcpt.connect() as smtp:
        answers = smtp.send_many("MAIL FROM:<all@mail163.test>", *rcpt("a@example.net", "b@example.net"), "DATA")
        assert [answer.code for answer in answers] == [250, 550, 550, 503]
        smtp.rset()
        assert at_rcpt.deliver(smtp, "next@www.example.com").accepted
    line = at_rcpt.logged(**{"from": "<all@mail163.test>"})
    assert (line["action"], line["ended"]) == ("reject", "refused")


def test_of_the_recipients_that_are_taken_the_most_severe_disposition_holds_for_the_one_copy(
    at_rcpt: SendmailSite,
) -> None:
    with at_rcpt.connect() as smtp:
        smtp.mail("held@soft.mail163.test")
        answers = smtp.send_many(*rcpt("lenient@example.net", "bob@example.net", "joe@strict.example"))
        assert [answer.code for answer in answers] == [250, 250, 550]
        held = Sent(answer=smtp.data(MESSAGE), recipient="bob@example.net")
        smtp.mail("taken@soft.mail163.test")
        smtp.rcpt("lenient@example.net")
        taken = Sent(answer=smtp.data(MESSAGE), recipient="lenient@example.net")
    [entry] = [entry for entry in at_rcpt.sendmail.queue() if entry["queue_id"] == held.queue_id]
    assert (entry["queue_name"], len(entry["recipients"])) == ("hold", 2)
    assert not at_rcpt.field(taken, "X-SPF-Notice")


@pytest.mark.parametrize(
    "recipient",
    [
        '"joe"@strict.example',
        "joe%strict.example",
        "strict.example!joe",
        "@example.net:joe@strict.example",
        # As written, these are exempt: for postmaster@, and for a user of the host itself.
        "@x(:postmaster@):joe%strict.example",
        "joe%strict.example@mx.example.net",
    ],
)
def test_a_recipients_rules_hold_however_sendmail_lets_the_address_be_written(
    at_rcpt: SendmailSite, recipient: str
) -> None:
    with at_rcpt.connect() as smtp:
        smtp.mail("somebody@soft.mail163.test")
        assert smtp.rcpt(recipient).code == 550
        assert smtp.rcpt("postmaster%strict.example").code == 250


def test_a_sender_at_our_own_host_is_checked_by_the_domain_that_sendmail_reads_in_it(at_rcpt: SendmailSite) -> None:
    """Our own name publishes nothing, and Sendmail delivers this as alice@mail163.test's."""
    with at_rcpt.connect() as smtp:
        smtp.mail("alice%mail163.test@mx.example.net")
        assert smtp.rcpt("bob@example.net").text.count("is not in the trusted sender list of mail163.test")


def test_a_temporary_error_defers_the_recipients_but_those_who_are_exempt(at_rcpt: SendmailSite) -> None:
    with at_rcpt.connect() as smtp:
        smtp.mail(f"later@{UNREACHABLE}")
        deferred, taken = smtp.send_many(*rcpt("bob@example.net", "abuse@example.net"))
    assert (deferred.code, taken.code) == (451, 250)
    assert deferred.lines[0].startswith(f"4.7.24 Not accepted yet: The SPF record of {UNREACHABLE} cannot be looked up")


# -- at the end of the message -----------------------------------------------------------------------------------------


def test_at_message_the_refusal_answers_the_content(at_message: SendmailSite) -> None:
    with at_message.connect() as smtp:
        smtp.mail("end@mail163.test")
        assert [smtp.rcpt(f"{name}@example.net").code for name in ("bob", "eve")] == [250, 250]
        answer = smtp.data(MESSAGE)
        assert at_message.deliver(smtp, "next@www.example.com").accepted
    assert (answer.code, len(without_case(answer.lines))) == (550, 4)
    assert answer.lines[0].startswith(f"5.7.23 {NOTICE}")
    line = at_message.logged(**{"from": "<end@mail163.test>"})
    assert (line["action"], line["ended"]) == ("reject", "refused")


def test_a_recipient_who_would_take_what_others_refuse_needs_a_message_of_its_own(at_message: SendmailSite) -> None:
    with at_message.connect() as smtp:
        smtp.mail("mixed@mail163.test")
        taken, later = smtp.send_many(*rcpt("abuse@example.net", "bob@example.net"))
        assert (taken.code, later.code) == (250, 452)
        sent = Sent(answer=smtp.data(MESSAGE), recipient="abuse@example.net")
        smtp.mail("mixed@mail163.test")
        assert smtp.rcpt("bob@example.net").code == 250
        assert smtp.data(MESSAGE).code == 550
    assert not at_message.field(sent, "X-SPF-Notice")
    assert at_message.field(sent, "Subject") == ["Greetings"]


@pytest.mark.parametrize(
    ("written", "delivered"),
    [
        ("Subject: =?utf-8?b?5L2g5aW9?=", "[SPF] =?utf-8?b?5L2g5aW9?="),
        ("Subject: =?utf-8?q?=5BSPF=5D_Hi?=", "=?utf-8?q?=5BSPF=5D_Hi?="),
        ("subject:no blank\n and folded", "[SPF] no blank and folded"),
        ("X-No: subject", "[SPF]"),
    ],
)
def test_the_subject_of_a_tagged_message_is_prefixed_once(
    at_message: SendmailSite, written: str, delivered: str
) -> None:
    sent = at_message.send("tagged@soft.mail163.test", content=f"From: a@example.com\n{written}\n\nHello.\n")
    assert at_message.field(sent, "Subject") == [delivered]


def test_of_several_subjects_those_are_prefixed_whose_character_set_is_known(at_message: SendmailSite) -> None:
    content = b"Subject: \xc4\xe3\xba\xc3\r\nFrom: a@example.com\r\nSubject: two\r\n\r\nHello.\r\n"
    sent = at_message.send("tagged@soft.mail163.test", content=content)
    assert at_message.field(sent, "Subject") == ["\udcc4\udce3\udcba\udcc3", "[SPF] two"]


def test_a_sender_is_deferred_for_so_long_and_then_taken(at_message: SendmailSite) -> None:
    assert at_message.send(f"patient@{UNREACHABLE}").answer.code == 451

    def attempt() -> Sent | None:
        sent = at_message.send(f"patient@{UNREACHABLE}")
        return sent if sent.accepted else None

    sent = until(attempt, 10, "taken in the end")
    assert at_message.logged(queue_id=sent.queue_id)["rule"].startswith("[policy] defer_at_most = 1s (line ")


def test_a_pinned_record_is_evaluated_instead_of_the_published_one(at_message: SendmailSite) -> None:
    sent = at_message.send("somebody@pinned.example.com")
    assert at_message.field(sent, "Received-SPF")[0].startswith("pass (")
    assert at_message.send("somebody@pinned.example.com", LOCAL_LISTED).answer.code == 550


def test_behind_a_relay_the_client_that_it_saw_is_checked(at_message: SendmailSite) -> None:
    """The relay is a Postfix; Sendmail gives its filters the fields as they came, without its own."""
    good, bad = at_message.recipient(), at_message.recipient()
    with Neighbour(at_message.sendmail.port, "backup.example.net", RELAY) as relay:
        for client, recipient in ((LISTED, good), (UNLISTED, bad)):
            relay.take(client, f"relayed-{client}@mail163.example", recipient, helo=HELO)
        sent = [Sent(answer=relay.answered(recipient), recipient=recipient) for recipient in (good, bad)]
    lines = [at_message.logged(**{"from": f"<relayed-{client}@mail163.example>"}) for client in (LISTED, UNLISTED)]
    assert [(line["client"], line["relay"], line["spf_mailfrom"], line["action"]) for line in lines] == [
        (LISTED, RELAY, "pass", "accept"),
        (UNLISTED, RELAY, "fail", "tag"),
    ]
    assert [at_message.field(message, "Subject") for message in sent] == [["Greetings"], ["[SPF] Greetings"]]
