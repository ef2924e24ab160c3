"""What clients and recipients of a real Sendmail see, which speaks the milter protocol in its own way.

Its clients are addresses of this host (127.0.0.25, ::1): there is no XCLIENT.
"""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import sendmail
from lab.nsd import Nsd
from lab.processes import has_ipv6
from tests.mta.site import SendmailSite
from tests.mta.zones import LOCAL_LISTED, LOCAL_UNLISTED, UNREACHABLE
from tests.values import without_case

pytestmark = pytest.mark.skipif(bool(sendmail.unavailable()), reason=sendmail.unavailable() or "available")

SEVERE = """
[policy.mailfrom]
none = quarantine
temperror = defer
"""
REFUSAL = [
    (
        "5.7.23 <alice@mail163.test>... Message refused: 127.0.113.7 is not in the trusted sender list of mail163.test "
        '(SPF check: fail, matched "-all")'
    ),
    (
        "5.7.23 If you only use this address: send through the webmail or the mail server (SMTP) of mail163.test. "
        "Your mailbox is fine."
    ),
    (
        "5.7.23 If you run mail163.test: add ip4:127.0.113.7 to its SPF record, but only if this server is yours "
        "and no one else sends from its address."
    ),
    (
        "5.7.23 Otherwise forward this message to the administrator of mail163.test: only they can change its SPF "
        "record, mx.example.net cannot. Questions to mx.example.net: postmaster@mx.example.net"
    ),
]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a self-signed certificate."""
    folder = tmp_path_factory.mktemp("tls")
    key, chain = folder / "key.pem", folder / "chain.pem"
    ask = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=mx.example.net"
    subprocess.run(  # noqa: S603 - no shell, own arguments
        [*ask.split(), "-keyout", key, "-out", chain], check=True, capture_output=True
    )
    chain.write_bytes(key.read_bytes() + chain.read_bytes())
    return chain


@pytest.fixture(scope="module")
def site(name_server: Nsd, certificate: Path) -> Iterator[SendmailSite]:
    """A site with the default policy, but for what is not to be delivered."""
    with SendmailSite(name_server, SEVERE, certificate=certificate, auth=True) as running:
        yield running


def test_a_forged_sender_is_refused_at_mail_from(site: SendmailSite) -> None:
    """Sendmail puts the address before the first line, and leaves the others as they are."""
    with site.connect() as smtp:
        answer = smtp.mail("alice@mail163.test")
    assert (answer.code, without_case(answer.lines)) == (550, REFUSAL)
    line = site.logged(**{"from": "<alice@mail163.test>"})
    assert (line["client"], line["term"], line["action"]) == (LOCAL_UNLISTED, "-all", "reject")
    assert line["queue_id"], "which Postfix would not have given yet (docs/log.md)"
    site.sendmail.wait_for_log(r"milter=filter0, action=mail, reject=550-5\.7\.23 Message refused: 127\.0\.113\.7 ")


def test_a_good_one_is_delivered_with_the_results_above_sendmails_own_received(site: SendmailSite) -> None:
    sent = site.send("good@mail163.test", LOCAL_LISTED, helo="mail.mail163.test")
    names = [name for name, _ in site.fields(sent)]
    assert names[:5] == [*["Authentication-Results"] * 2, *["Received-SPF"] * 2, "Received"]
    assert site.field(sent, "Authentication-Results") == [
        (
            "mx.example.net; spf=pass (domain of mail163.test designates 127.0.0.25 as permitted sender) "
            "smtp.mailfrom=mail163.test"
        ),
        (
            "mx.example.net; spf=pass (domain of mail.mail163.test designates 127.0.0.25 as permitted sender) "
            "smtp.helo=mail.mail163.test"
        ),
    ]
    assert 'envelope-from="good@mail163.test"' in site.field(sent, "Received-SPF")[0]
    assert site.logged(queue_id=sent.queue_id)["action"] == "accept"


def test_a_softfail_is_delivered_with_the_notice_folded_in_three_lines_or_more(site: SendmailSite) -> None:
    sent = site.send("tagged@soft.mail163.test")
    [notice] = site.field(sent, "X-SPF-Notice")
    assert notice.startswith(
        f"tag; The server {LOCAL_UNLISTED} is probably not allowed to send mail for soft.mail163.test (SPF check: "
    )
    lines = site.received(sent).raw.partition(b"X-SPF-Notice:")[2].split(b"\n")
    assert [line[:1] for line in lines[1:4]] == [b" "] * 3


def test_a_quarantined_one_is_held_listed_with_the_reason_and_can_be_let_go(site: SendmailSite) -> None:
    """By the commands of docs/sendmail.md."""
    sent = site.send("held@www.example.com")
    [entry] = [entry for entry in site.sendmail.queue() if entry["queue_id"] == sent.queue_id]
    assert entry["queue_name"] == "hold"
    reason = f"SPF none for www.example.com from {LOCAL_UNLISTED}"
    assert entry["reason"] == reason
    assert f"QUARANTINE: {reason}" in site.sendmail.command("-bp", "-qQ")
    site.sendmail.release(sent.queue_id)
    assert site.field(sent, "X-SPF-Notice")[0].startswith("quarantine; ")


def test_a_deferred_sender_is_told_to_come_again(site: SendmailSite) -> None:
    """Here Sendmail puts nothing before the first line."""
    answer = site.send(f"deferred@{UNREACHABLE}").answer
    assert answer.code == 451
    assert all(line.startswith("4.7.24 ") for line in answer.lines)
    assert answer.lines[0].startswith(f"4.7.24 Not accepted yet: The SPF record of {UNREACHABLE} cannot be looked up")


def test_a_bounce_is_checked_by_the_name_in_helo(site: SendmailSite) -> None:
    sent = site.send("", LOCAL_LISTED, helo="mail.mail163.test")
    [result] = site.field(sent, "Received-SPF")
    assert result.startswith("pass (")
    assert "identity=helo" in result
    refused = site.send("", helo="mail.mail163.test").answer
    assert refused.code == 550
    assert refused.lines[0] == (
        "5.7.23 <>... Message refused: The server 127.0.113.7 calls itself mail.mail163.test, "
        'but mail.mail163.test does not allow that (SPF check: fail for HELO, matched "-all")'
    )


def test_each_message_of_a_connection_is_checked_by_itself(site: SendmailSite) -> None:
    with site.connect() as smtp:
        refused = site.deliver(smtp, "first@mail163.test")
        tagged = site.deliver(smtp, "second@soft.mail163.test")
        assert smtp.mail("dropped@soft.mail163.test").code == 250
        assert smtp.rset().code == 250
        last = site.deliver(smtp, "last@soft.mail163.test")
        smtp.quit()
    assert [sent.answer.code for sent in (refused, tagged, last)] == [550, 250, 250]
    assert [len(site.field(sent, "Received-SPF")) for sent in (tagged, last)] == [2, 2]
    assert "last@soft.mail163.test" in site.field(last, "Received-SPF")[0]
    assert site.logged(**{"from": "<dropped@soft.mail163.test>"})["ended"] == "abandoned"


def test_pipelined_commands_after_a_refusal_are_answered_in_order(site: SendmailSite) -> None:
    recipient = site.recipient()
    with site.connect(LOCAL_LISTED) as smtp:
        answers = smtp.send_many(
            "MAIL FROM:<a@strict.mail163.test>", f"RCPT TO:<{recipient}>", "RSET", "MAIL FROM:<b@mail.mail163.test>"
        )
    assert [answer.code for answer in answers] == [250, 250, 250, 250]
    with site.connect() as smtp:
        answers = smtp.send_many("MAIL FROM:<a@mail163.test>", f"RCPT TO:<{recipient}>", "RSET", "NOOP")
    assert [answer.code for answer in answers] == [550, 503, 250, 250]


def test_after_starttls_the_name_of_the_second_ehlo_is_the_one_that_counts(site: SendmailSite) -> None:
    with site.connect(LOCAL_LISTED, helo="before.example.com") as smtp:
        assert smtp.starttls().code == 220
        assert smtp.ehlo("mail.mail163.test").code == 250
        sent = site.deliver(smtp, "tls@mail163.test")
        smtp.quit()
    mailfrom, helo = site.field(sent, "Received-SPF")
    assert helo.startswith("pass (")
    assert "helo=mail.mail163.test;" in helo
    assert "helo=mail.mail163.test;" in mailfrom
    assert "before.example.com" not in str(site.fields(sent))
    assert "with ESMTPS" in site.field(sent, "Received")[0]


def test_an_authenticated_client_is_not_checked(site: SendmailSite) -> None:
    """SASL's mechanism ANONYMOUS: what counts here is Sendmail's macro {auth_authen}."""
    with site.connect() as smtp:
        assert smtp.raw(f"AUTH ANONYMOUS {base64.b64encode(b'alice').decode()}").code == 235
        sent = site.deliver(smtp, "auth@mail163.test")
        smtp.quit()
    assert site.fields(sent)[0][0] == "Received"
    line = site.logged(queue_id=sent.queue_id)
    assert (line["auth"], line["skip"], line["action"]) == ("anonymous", "authenticated", "accept")


@pytest.mark.skipif(not has_ipv6(), reason="no ::1 here")
def test_a_client_of_ipv6_is_checked_by_its_own_address(site: SendmailSite) -> None:
    """Sendmail writes it in full: IPv6:0:0:0:0:0:0:0:1."""
    good = site.send("v6@mail163.test", "::1")
    assert 'client-ip="::1"' in site.field(good, "Received-SPF")[0]
    refused = site.send("v6@strict.mail163.test", "::1").answer
    assert "... Message refused: ::1 is not in the trusted sender list of strict.mail163.test" in refused.lines[0]
    assert "add ip6:::1 to" in refused.lines[2]


@pytest.mark.parametrize(
    "sender", ["100%sure@mail163.test", '"quoted @ part"@mail163.test', "a=b+c@mail163.test", "a%n@mail163.test"]
)
def test_an_odd_local_part_neither_hides_the_domain_nor_breaks_the_reply(site: SendmailSite, sender: str) -> None:
    refused = site.send(sender).answer
    assert refused.code == 550
    assert "127.0.113.7 is not in the trusted sender list of mail163.test" in refused.lines[0]
    sent = site.send(sender, LOCAL_LISTED)
    assert site.field(sent, "Received-SPF")[0].startswith("pass (")


@pytest.mark.parametrize(
    "sender",
    [
        "alice%mail163.test",
        "mail163.test!alice",
        "@a.example:alice@mail163.test",
        "alice@mail163.test(comment)",
        "alice@mail163 . test",
        # The domain behind the last "@" allows every host.
        "alice@mail163.test(@open.example.com)",
        "<alice@mail163.test>@open.example.com",
    ],
)
def test_an_address_of_an_old_form_is_checked_by_the_domain_that_sendmail_reads_in_it(
    site: SendmailSite, sender: str
) -> None:
    answer = site.send(sender).answer
    assert answer.code == 550
    assert "trusted sender list of mail163.test" in answer.lines[0]


def test_mail_from_this_host_over_smtp_is_left_alone(name_server: Nsd) -> None:
    """With the default [exempt] networks."""
    with SendmailSite(name_server, "[exempt]\n") as other:
        sent = other.send("local@mail163.test")
        assert other.fields(sent)[0][0] == "Received"
        assert other.logged(queue_id=sent.queue_id)["skip"] == "exempt-network"
