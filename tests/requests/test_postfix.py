"""A digest through the sendmail program of a real Postfix: it arrives, with the null sender."""

from email import message_from_bytes, policy

import pytest

from lab import postfix
from lab.postfix import Postfix
from lab.processes import until
from spfmilter.requests import mail
from tests.requests.samples import asked

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(bool(postfix.unavailable()), reason=postfix.unavailable() or "there"),
]


def test_a_digest_arrives_with_the_null_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    with Postfix() as server:
        monkeypatch.setenv("MAIL_CONFIG", str(server.config_directory))
        mail.send(mail.digest([asked(sentence="Grüße")], "postmaster@example.net", "mx.example.net"))
        [path] = until(lambda: list(server.inbox.glob("*")) if server.inbox.exists() else None, 30.0, server.log)
        arrived = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert arrived["Return-Path"] == "<>"
    assert arrived["Delivered-To"] == "postmaster@example.net"
    assert arrived["Auto-Submitted"] == "auto-generated"
    assert "says    Grüße" in arrived.get_content()
