"""Forged fields through a real Postfix and a real Sendmail: none is delivered that a reader takes for ours."""

from collections.abc import Iterator

import pytest

from lab import sendmail
from lab.nsd import Nsd
from tests.headers.python_reader import exact, generous, taken
from tests.headers.spellings import deliverable
from tests.mta.site import SendmailSite, Site

FORGER = "forger@soft.example.com"  # only tagged


@pytest.fixture(scope="module", params=["postfix", "sendmail"])
def receiver(request: pytest.FixtureRequest, name_server: Nsd) -> Iterator[Site | SendmailSite]:
    """A site with the default policy, with either MTA."""
    if request.param == "postfix":
        yield request.getfixturevalue("site")
    elif missing := sendmail.unavailable():
        pytest.skip(missing)
    else:
        with SendmailSite(name_server) as running:
            yield running


def test_forged_results_are_removed_and_those_of_other_servers_kept(receiver: Site | SendmailSite) -> None:
    """Field names and authserv-ids are compared without case (RFC 8601 section 2.5), also where a field is folded."""
    forged = (
        "Authentication-Results: mx.example.net; spf=pass smtp.mailfrom=mail163.example\n"
        "authentication-results: (hi)\n MX.EXAMPLE.NET 1;\n dkim=pass\n"
        "Authentication-Results: other.example.org; dkim=pass header.d=example.com\n"
        "Received-SPF: pass (forged)\n"
        "RECEIVED-spf: pass (forged\n as well)\n"
        "X-SPF-Notice: all is forged\n"
        "AUTHENTICATION-RESULTS: mx.example.net; auth=pass\n"
        "Authentication-Results: mx.example.net.example.org; auth=pass\n"
    )
    sent = receiver.send(FORGER, content=forged + "From: a@example.com\nSubject: x\n\nHello.\n")
    own, of_helo, *foreign = receiver.field(sent, "Authentication-Results")
    assert own.startswith("mx.example.net; spf=softfail (")
    assert of_helo.startswith("mx.example.net; spf=none (")
    assert foreign == [
        "other.example.org; dkim=pass header.d=example.com",
        "mx.example.net.example.org; auth=pass",
    ]
    assert [value.partition(" ")[0] for value in receiver.field(sent, "Received-SPF")] == ["softfail", "none"]
    assert [value.partition(";")[0] for value in receiver.field(sent, "X-SPF-Notice")] == ["tag"]
    assert "forged" not in str(receiver.fields(sent))
    assert receiver.logged(queue_id=sent.queue_id)["forged"] == 6


def test_a_forged_field_that_an_encoded_word_hides_has_the_message_refused(receiver: Site | SendmailSite) -> None:
    """SpamAssassin decodes the line break, and reads a field of its own behind it."""
    subject = "Subject: =?utf-8?q?Hi=0AAuthentication-Results:_mx.example.net;_spf=3Dpass?=\n\nHello.\n"
    answer = receiver.send(FORGER, content=subject).answer
    assert answer.code == 550
    assert answer.lines[0].startswith(
        "5.7.0 Message refused: One header field of the message hides another one that only the receiving"
    )


def test_of_all_spellings_what_is_delivered_deceives_no_reader(receiver: Site | SendmailSite) -> None:
    """The table of tests/headers in one message."""
    sent_fields = deliverable()
    content = b"".join(spelling.field.replace(b"\n", b"\r\n") for spelling in sent_fields)
    sent = receiver.send(FORGER, content=content + b"Subject: x\r\n\r\nHello.\r\n")
    raw = receiver.received(sent).raw
    assert receiver.field(sent, "Authentication-Results")[0].startswith("mx.example.net; spf=softfail (")
    assert not taken(raw, exact)
    assert not taken(raw, generous)
    marked = [spelling for spelling in sent_fields if spelling.domain.encode() in spelling.value]
    left = {str(spelling) for spelling in marked if spelling.domain.encode() in raw}
    assert left == {str(spelling) for spelling in marked if spelling.kind != "forged"}
    removed = sum(spelling.kind == "forged" for spelling in sent_fields)
    assert receiver.logged(queue_id=sent.queue_id)["forged"] == removed
