"""The refused sender's end: what stands in the bounce that the sender's own server writes."""

from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.smtp import SmtpDialogue
from tests.mta.site import MESSAGE, Site

# The sending server is on loopback, which a site with its usual settings does not check.
LOOPBACK = "[exempt]\nnetworks =\nprivate_clients = no\n"


def test_the_bounce_tells_the_sender_what_was_refused_and_what_to_change(name_server: Nsd) -> None:
    with (
        Site(name_server, LOOPBACK) as site,
        Postfix(
            hostname="out.mail163.example", domains=["mail163.example"], relayhost=f"[127.0.0.1]:{site.postfix.port}"
        ) as own,
    ):
        with SmtpDialogue("127.0.0.1", own.port) as smtp:
            smtp.ehlo("desk.mail163.example")
            smtp.mail("alice@mail163.example")
            smtp.rcpt("bob@example.net")
            assert smtp.data(MESSAGE).code == 250
        [bounce] = own.delivered()
        assert (bounce.sender, bounce.recipient) == ("", "alice@mail163.example")
        body = bounce.message.get_body(("plain",))
        assert body is not None
        text = " ".join(body.get_content().split())
        assert "550-5.7.23 Message refused: 127.0.0.1 is not in the trusted sender list of mail163.example" in text
        assert "If you run mail163.example: add ip4:127.0.0.1 to its SPF record" in text
        assert "mx.example.net cannot. Questions to mx.example.net: postmaster@mx.example.net" in text
        report = next(part for part in bounce.message.walk() if part.get_content_type() == "message/delivery-status")
        assert "Status: 5.7.23" in report.as_string()
