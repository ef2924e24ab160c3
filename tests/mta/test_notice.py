"""The notice on its way through real Postfix: the link at its end, and UTF-8 for who asks for it."""

from collections.abc import Iterator

import pytest

from lab.nsd import Nsd
from lab.postfix import Postfix
from lab.smtp import SmtpDialogue
from spfmilter.helplink.token import Signer
from spfmilter.model import Result
from tests.mta.site import MESSAGE, Site
from tests.values import PAGE_LANGUAGES

SECRET = "a secret of twenty characters or more"


@pytest.fixture(scope="module")
def receiver(name_server: Nsd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with a help page, whose users read Chinese; it checks clients on loopback, too."""
    secret = tmp_path_factory.mktemp("web") / "secret"
    secret.write_text(f"{SECRET}\n")
    secret.chmod(0o600)
    ini = (
        "[exempt]\nnetworks =\nprivate_clients = no\n"
        "[reply]\nlanguages = zh-Hans, en\nhelp_url = https://mx.example.net/spf/{token}\n"
        f"[web]\nsecret_file = {secret}\n"
    )
    with Site(name_server, ini) as site:
        yield site


@pytest.fixture(scope="module")
def sender(receiver: Site) -> Iterator[Postfix]:
    """The sender's own server, which no record lists."""
    with Postfix(
        hostname="out.mail163.example",
        domains=["mail163.example", "例子.example"],
        relayhost=f"[127.0.0.1]:{receiver.postfix.port}",
    ) as own:
        yield own


def bounce_for(sender: Postfix, mailbox: str, *parameters: str) -> str:
    """The text of the bounce that a user finds in their mailbox, on one line."""
    with SmtpDialogue("127.0.0.1", sender.port) as smtp:
        smtp.ehlo("desk.mail163.example")
        smtp.mail(mailbox, *parameters)
        smtp.rcpt("bob@example.net")
        assert smtp.data(MESSAGE).code == 250
    [bounce] = sender.delivered()
    body = bounce.message.get_body(("plain",))
    assert body is not None
    return " ".join(body.get_content().split())


def token_in(text: str) -> str:
    """The token of the link in a bounce."""
    return text.partition("https://mx.example.net/spf/")[2].split()[0].rstrip(")")


def test_the_bounce_holds_the_notice_and_a_link_to_the_senders_own_case(sender: Postfix) -> None:
    text = bounce_for(sender, "alice@mail163.example")
    assert "127.0.0.1 is not in the trusted sender list of mail163.example" in text
    assert f"Help and current result ({PAGE_LANGUAGES}): https://mx.example.net/spf/" in text
    case = Signer([SECRET.encode()]).read(token_in(text), max_age=600, now=0)
    assert (str(case.address), case.domain, case.result) == ("127.0.0.1", "mail163.example", Result.FAIL)


def test_a_client_that_says_smtputf8_is_answered_in_the_first_language(receiver: Site) -> None:
    with SmtpDialogue("127.0.0.1", receiver.postfix.port) as smtp:
        smtp.ehlo("desk.mail163.example")
        refused = smtp.mail("用户@例子.example", "SMTPUTF8")
        assert refused.code == 550
        told = "服务器 127.0.0.1 不在 xn--fsqu00a.example 的信任发送列表中（SPF check: fail，匹配“-all”）"
        assert refused.lines[0] == f"5.7.23 邮件被拒收：{told}"


def test_every_other_client_is_answered_in_ascii(receiver: Site) -> None:
    with SmtpDialogue("127.0.0.1", receiver.postfix.port) as smtp:
        smtp.ehlo("desk.mail163.example")
        refused = smtp.mail("alice@mail163.example")
        assert refused.code == 550
        assert refused.text.isascii()


def test_the_bounce_of_an_internationalized_sender_is_in_chinese(sender: Postfix) -> None:
    text = bounce_for(sender, "用户@例子.example", "SMTPUTF8")
    assert "如果您管理 xn--fsqu00a.example：请在其 SPF 记录中加入 ip4:127.0.0.1" in text
    assert f"帮助和当前结果（{PAGE_LANGUAGES}）： https://mx.example.net/spf/" in text
