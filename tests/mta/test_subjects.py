"""Subjects that are not ASCII, tagged by way of real MTAs: what lies in the mailbox."""

from collections.abc import Iterator
from email import message_from_bytes, policy

import pytest

from lab import sendmail
from lab.nsd import Nsd
from tests.mta.site import SendmailSite, Site

SENDER = "tagged@soft.example.com"
INI = "[headers]\ntag_subject = [SPF]\n"


@pytest.fixture(scope="module", params=["postfix", "sendmail"])
def receiver(request: pytest.FixtureRequest, name_server: Nsd) -> Iterator[Site | SendmailSite]:
    """A site that tags subjects, with either MTA."""
    if request.param == "sendmail" and (missing := sendmail.unavailable()):
        pytest.skip(missing)
    with (Site if request.param == "postfix" else SendmailSite)(name_server, INI) as running:
        yield running


@pytest.mark.parametrize(
    ("charset", "subject"),
    [
        ("gb2312", "你好，镕基"),
        ("gbk", "测试 hello 附件"),
        ("ISO-8859-1", "Grüße für dich – 5 €"),
        ("koi8-r", "Привет"),
    ],
)
def test_a_raw_subject_is_tagged_and_read_by_the_character_set_of_the_message(
    receiver: Site | SendmailSite, charset: str, subject: str
) -> None:
    raw = subject.encode({"gb2312": "gbk", "ISO-8859-1": "cp1252"}.get(charset, charset))
    head = b"From: a@example.com\r\nSubject: " + raw + b"\r\nContent-Type: text/plain; charset=" + charset.encode()
    sent = receiver.send(SENDER, content=head + b"\r\n\r\nHello.\r\n")
    message = message_from_bytes(receiver.received(sent).raw, policy=policy.default)
    assert message["Subject"] == f"[SPF] {subject}"
    assert "untagged" not in receiver.logged(queue_id=sent.queue_id)


def test_a_raw_subject_of_no_known_character_set_arrives_as_it_was_sent(receiver: Site | SendmailSite) -> None:
    raw = "你好".encode("gbk")
    head = b"From: a@example.com\r\nSubject: " + raw + b"\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
    sent = receiver.send(SENDER, content=head + b"--x\r\n\r\nHello.\r\n--x--\r\n")
    assert b"\nSubject: " + raw + b"\n" in receiver.received(sent).raw.replace(b"\r", b"")
    assert receiver.field(sent, "X-SPF-Notice")
    line = receiver.logged(queue_id=sent.queue_id)
    assert (line["action"], line["untagged"]) == ("tag", 1)


def test_a_subject_in_utf8_is_tagged_as_it_stands(receiver: Site | SendmailSite) -> None:
    sent = receiver.send(
        SENDER, content="From: a@example.com\nSubject: 你好\n\nHello.\n".encode().replace(b"\n", b"\r\n")
    )
    assert "\nSubject: [SPF] 你好\n".encode() in receiver.received(sent).raw.replace(b"\r", b"")
