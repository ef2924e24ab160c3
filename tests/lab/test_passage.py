"""What another program sends through the passage comes from the client that the passage was made for."""

import pytest

from lab import postfix
from lab.passage import Passage
from lab.postfix import Postfix
from lab.smtp import SmtpDialogue

pytestmark = pytest.mark.skipif(bool(postfix.unavailable()), reason=postfix.unavailable() or "available")


def test_another_postfix_delivers_as_the_chosen_client() -> None:
    with (
        Postfix() as server,
        Passage(server.port, addr="203.0.113.7", name="www.shop.example") as passage,
        Postfix(hostname="www.shop.example", domains=[], relayhost=f"[127.0.0.1]:{passage.port}") as sender,
    ):
        for body in ("Hello.", "Hello again.\n" * 20_000):
            with SmtpDialogue("127.0.0.1", sender.port) as smtp:
                smtp.ehlo("desk.shop.example")
                smtp.mail("alice@example.com")
                smtp.rcpt("bob@example.net")
                assert smtp.data(f"Subject: Greetings\n\n{body}\n").code == 250
            [message] = server.delivered()
            assert "from www.shop.example (www.shop.example [203.0.113.7])" in message.message["Received"]
            assert len(message.raw) > len(body)


def test_a_postfix_that_knows_no_xclient_is_not_talked_to() -> None:
    with (
        Postfix(main_cf={"smtpd_authorized_xclient_hosts": ""}) as server,
        Passage(server.port, addr="203.0.113.7") as passage,
        SmtpDialogue("127.0.0.1", passage.port) as smtp,
    ):
        assert smtp.greeting.code >= 500
