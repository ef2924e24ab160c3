"""Decisions after MAIL FROM: at RCPT TO for each recipient alone, at the end of the message for all together."""

from collections.abc import Iterator

import pytest

from lab.nsd import Nsd
from lab.smtp import chunk
from tests.mta.site import MESSAGE, Sent, Site
from tests.mta.test_postfix import REFUSAL
from tests.mta.zones import LISTED, UNLISTED_V6, UNREACHABLE
from tests.values import without_case

DOMAINS = ("example.net", "strict.example")
OVERRIDES = """
[recipient:lenient@example.net]
fail = tag
softfail = accept
[recipient:@strict.example]
softfail = reject
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
[headers]
tag_subject = [SPF]
{OVERRIDES}
"""


@pytest.fixture(scope="module")
def at_rcpt(name_server: Nsd) -> Iterator[Site]:
    with Site(name_server, AT_RCPT, domains=DOMAINS) as running:
        yield running


@pytest.fixture(scope="module")
def at_message(name_server: Nsd) -> Iterator[Site]:
    with Site(name_server, AT_MESSAGE, domains=DOMAINS) as running:
        yield running


@pytest.fixture(scope="module")
def at_home(name_server: Nsd) -> Iterator[Site]:
    """One that is the final destination of a domain, so that it looks for another address in the local part."""
    exempt = "\n[exempt]\nrecipients = @home.example"
    with Site(name_server, AT_RCPT + exempt, domains=DOMAINS, main_cf={"mydestination": "home.example"}) as running:
        yield running


def rcpt(*recipients: str) -> list[str]:
    """The commands."""
    return [f"RCPT TO:<{recipient}>" for recipient in recipients]


def recipients_in_queue(site: Site, sent: Sent) -> int:
    """Of the message, as Postfix has logged it."""
    return int(site.postfix.wait_for_log(rf"{sent.queue_id}: from=.* nrcpt=(\d+)")[1])


# -- at RCPT TO --------------------------------------------------------------------------------------------------------


def test_each_recipient_is_answered_by_itself_and_the_exempt_one_gets_the_mail(at_rcpt: Site) -> None:
    with at_rcpt.connect() as smtp:
        assert smtp.mail("mixed@mail163.example").code == 250
        refused, taken, again = smtp.send_many(*rcpt("bob@example.net", "Postmaster@example.net", "eve@example.net"))
        assert (refused.code, without_case(refused.lines)) == (550, REFUSAL)
        assert (taken.code, again.code) == (250, 550)
        sent = Sent(answer=smtp.data(MESSAGE), recipient="Postmaster@example.net")
    assert recipients_in_queue(at_rcpt, sent) == 1
    assert at_rcpt.field(sent, "Received-SPF")[0].startswith("fail (")
    line = at_rcpt.logged(queue_id=sent.queue_id)
    assert (line["action"], line["rule"]) == ("accept", "[exempt] recipients = postmaster@, abuse@")
    at_rcpt.postfix.wait_for_log(
        r"milter-reject: RCPT from .*\[203\.0\.113\.7\]: 550-5\.7\.23 .* to=<eve@example\.net>"
    )


def test_where_every_recipient_is_refused_the_log_says_reject(at_rcpt: Site) -> None:
    """Postfix answers DATA itself, and what stood before RSET leaves nothing to the next message."""
    with at_rcpt.connect() as smtp:
        answers = smtp.send_many("MAIL FROM:<all@mail163.example>", *rcpt("a@example.net", "b@example.net"), "DATA")
        assert [answer.code for answer in answers] == [250, 550, 550, 554]
        smtp.rset()
        sent = at_rcpt.deliver(smtp, "next@www.example.com")
    assert not at_rcpt.field(sent, "X-SPF-Notice")
    line = at_rcpt.logged(**{"from": "<all@mail163.example>"})
    assert "queue_id" not in line, "Postfix has given none (docs/log.md)"
    assert (line["action"], line["ended"], line["rule"]) == ("reject", "refused", "[policy.mailfrom] fail = reject")


def test_of_the_recipients_that_are_taken_the_most_severe_disposition_holds_for_the_one_copy(at_rcpt: Site) -> None:
    with at_rcpt.connect() as smtp:
        smtp.mail("held@soft.example.com")
        answers = smtp.send_many(*rcpt("lenient@example.net", "bob@example.net", "joe@strict.example"))
        assert [answer.code for answer in answers] == [250, 250, 550]
        held = smtp.data(MESSAGE).text.rpartition(" ")[2]
        smtp.mail("taken@soft.example.com")
        smtp.rcpt("lenient@example.net")
        taken = Sent(answer=smtp.data(MESSAGE), recipient="lenient@example.net")
    assert at_rcpt.postfix.queue_name(held) == "hold"
    assert at_rcpt.logged(queue_id=held)["rule"].startswith("[policy.mailfrom] softfail = quarantine (line ")
    assert not at_rcpt.field(taken, "X-SPF-Notice")
    assert at_rcpt.logged(queue_id=taken.queue_id)["rule"].startswith("[recipient:lenient@example.net] softfail = acc")


def test_a_recipients_own_rules_hold_for_a_chunked_message_of_one_pipeline(at_rcpt: Site) -> None:
    with at_rcpt.connect() as smtp:
        answers = smtp.send_many(
            "MAIL FROM:<piped@mail163.example>", *rcpt("bob@example.net", "lenient@example.net"), chunk(MESSAGE)
        )
    assert [answer.code for answer in answers] == [250, 550, 250, 250]


@pytest.mark.parametrize(
    "recipient",
    [
        "joe@strict.example",
        "JOE@Strict.Example.",
        '"j\\oe"@strict.example',
        "joe%strict.example",
        "strict.example!joe",
        "@example.net:joe@strict.example",
        " joe @strict.example",
        "joe(at home)@strict.example",
    ],
)
def test_a_recipients_rules_hold_however_postfix_lets_the_address_be_written(at_rcpt: Site, recipient: str) -> None:
    with at_rcpt.connect() as smtp:
        smtp.mail("somebody@soft.example.com")
        assert smtp.rcpt(recipient).code == 550
        assert smtp.rcpt("postmaster%strict.example").code == 250
        assert smtp.rcpt("postmaster").code == 250


@pytest.mark.parametrize(
    "recipient",
    ["joe%strict.example@home.example", "strict.example!joe@home.example", '"joe@strict.example"@home.example'],
)
def test_an_exempt_domain_does_not_exempt_mail_that_postfix_delivers_elsewhere(at_home: Site, recipient: str) -> None:
    with at_home.connect() as smtp:
        smtp.mail("somebody@soft.example.com")
        assert smtp.rcpt("ann@home.example").code == 250
        assert smtp.rcpt(recipient).code == 550


def test_a_sender_at_our_own_domain_is_checked_by_the_one_that_postfix_reads_in_it(at_home: Site) -> None:
    with at_home.connect() as smtp:
        smtp.mail("alice%mail163.example@home.example")
        assert without_case(smtp.rcpt("bob@example.net").lines) == REFUSAL


def test_a_temporary_error_defers_the_recipients_but_those_who_are_exempt(at_rcpt: Site) -> None:
    with at_rcpt.connect() as smtp:
        smtp.mail(f"later@{UNREACHABLE}")
        deferred, taken = smtp.send_many(*rcpt("bob@example.net", "abuse@example.net"))
    assert (deferred.code, taken.code) == (451, 250)
    assert deferred.lines[0].startswith(
        f"4.7.24 Not accepted yet: The SPF record of {UNREACHABLE} cannot be looked up at present"
    )


@pytest.mark.parametrize("sender", ["", "six@mail163.example"])
def test_a_bounce_and_a_client_of_ipv6_are_refused_at_rcpt_as_well(at_rcpt: Site, sender: str) -> None:
    with at_rcpt.connect(UNLISTED_V6, helo="mail.example.com") as smtp:
        assert smtp.mail(sender).code == 250
        first = smtp.rcpt("bob@example.net").lines[0]
        assert first.startswith(f"5.7.23 Message refused: The server {UNLISTED_V6} ")
        assert smtp.rcpt("postmaster@example.net").code == 250


def test_who_may_send_is_not_asked_for_at_rcpt(at_rcpt: Site) -> None:
    assert at_rcpt.send("good@mail163.example", LISTED).accepted
    sent = at_rcpt.send("auth@mail163.example", login="alice")
    assert at_rcpt.logged(queue_id=sent.queue_id)["skip"] == "authenticated"


@pytest.mark.parametrize("stage", ["rcpt", "message"])
def test_monitor_mode_refuses_no_message_at_any_stage_and_logs_what_it_would_have_done(
    at_rcpt: Site, stage: str
) -> None:
    at_rcpt.configure(f"[policy]\nmode = monitor\nreject_at = {stage}\n{OVERRIDES}")
    try:
        sent = at_rcpt.send(f"monitored-{stage}@mail163.example")
    finally:
        at_rcpt.configure(AT_RCPT)
    assert at_rcpt.field(sent, "X-SPF-Notice")[0].startswith("in monitor mode; would be: reject; ")
    line = at_rcpt.logged(queue_id=sent.queue_id)
    assert (line["action"], line["would"]) == ("accept", "reject")


# -- at the end of the message -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
def test_at_message_the_refusal_answers_the_content(at_message: Site, chunked: bool) -> None:
    with at_message.connect() as smtp:
        smtp.mail(f"end{chunked}@mail163.example")
        assert [smtp.rcpt(f"{name}@example.net").code for name in ("bob", "eve")] == [250, 250]
        answer = smtp.bdat(MESSAGE) if chunked else smtp.data(MESSAGE)
        assert (answer.code, without_case(answer.lines)) == (550, REFUSAL)
        sent = at_message.deliver(smtp, "next@www.example.com")
    assert sent.accepted
    line = at_message.logged(**{"from": f"<end{chunked}@mail163.example>"})
    assert (line["action"], line["ended"]) == ("reject", "refused")
    at_message.postfix.wait_for_log(r"milter-reject: END-OF-MESSAGE from .*\[203\.0\.113\.7\]: 5\.7\.23 ")


def test_a_recipient_who_would_take_what_others_refuse_needs_a_message_of_its_own(at_message: Site) -> None:
    with at_message.connect() as smtp:
        smtp.mail("mixed@mail163.example")
        taken, later = smtp.send_many(*rcpt("abuse@example.net", "bob@example.net"))
        assert (taken.code, later.code) == (250, 452)
        assert later.lines[0].startswith(
            "4.5.3 Not accepted yet: this recipient has other rules than the recipients bef"
        )
        sent = Sent(answer=smtp.data(MESSAGE), recipient="abuse@example.net")
        smtp.mail("mixed@mail163.example")
        assert smtp.rcpt("bob@example.net").code == 250
        assert smtp.data(MESSAGE).code == 550
    assert recipients_in_queue(at_message, sent) == 1
    assert not at_message.field(sent, "X-SPF-Notice")
    assert at_message.field(sent, "Subject") == ["Greetings"]
    line = at_message.logged(queue_id=sent.queue_id)
    assert (line["action"], line["separated"]) == ("accept", 1)


@pytest.mark.parametrize(
    ("written", "delivered"),
    [
        ("Subject: Greetings", "[SPF] Greetings"),
        ("Subject: =?utf-8?b?5L2g5aW9?=", "[SPF] =?utf-8?b?5L2g5aW9?="),
        ("Subject: Re: [SPF] Greetings", "Re: [SPF] Greetings"),
        ("Subject: =?utf-8?q?=5BSPF=5D_Hi?=", "=?utf-8?q?=5BSPF=5D_Hi?="),
        ("Subject: Invoice [SPF]", "[SPF] Invoice [SPF]"),
        ("subject: a\n b", "[SPF] a b"),
        ("X-No: subject", "[SPF]"),
    ],
)
def test_the_subject_of_a_tagged_message_is_prefixed_once(at_message: Site, written: str, delivered: str) -> None:
    sent = at_message.send("tagged@soft.example.com", content=f"From: a@example.com\n{written}\n\nHello.\n")
    assert at_message.field(sent, "Subject") == [delivered]


def test_of_several_subjects_those_are_prefixed_whose_character_set_is_known(at_message: Site) -> None:
    """Of a message that is not what RFC 5322 allows."""
    content = b"Subject: \xc4\xe3\xba\xc3\r\nFrom: a@example.com\r\nSubject: two\r\n\r\nHello.\r\n"
    sent = at_message.send("tagged@soft.example.com", content=content)
    assert at_message.field(sent, "Subject") == ["\udcc4\udce3\udcba\udcc3", "[SPF] two"]


def test_the_subject_of_a_message_that_is_not_tagged_stays(at_message: Site) -> None:
    assert at_message.field(at_message.send("good@mail163.example", LISTED), "Subject") == ["Greetings"]
