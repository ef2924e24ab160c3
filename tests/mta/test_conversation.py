"""The turns that a conversation can take: several messages, RSET, pipelining, BDAT, TLS, UTF-8, odd addresses."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.nsd import Nsd
from lab.sasl import Logins
from lab.smtp import SmtpDialogue, chunk
from tests.mta.site import HELO, MESSAGE, Sent, Site
from tests.mta.zones import LISTED, UNLISTED


def test_each_message_of_a_connection_is_checked_by_itself(site: Site) -> None:
    with site.connect() as smtp:
        first = site.deliver(smtp, "first@www.example.com")
        refused = site.deliver(smtp, "second@mail163.example")
        tagged = site.deliver(smtp, "third@soft.example.com")
        last = site.deliver(smtp, "fourth@www.example.com")
        smtp.quit()
    assert [sent.answer.code for sent in (first, refused, tagged, last)] == [250, 550, 250, 250]
    assert [bool(site.field(sent, "X-SPF-Notice")) for sent in (first, tagged, last)] == [False, True, False]
    # HELO and MAIL FROM, once each and of this message: nothing of the one before sticks.
    assert [len(site.field(sent, "Received-SPF")) for sent in (first, tagged, last)] == [2, 2, 2]
    assert "fourth@www.example.com" in site.field(last, "Received-SPF")[0]


def test_a_message_dropped_by_rset_leaves_nothing_to_the_next(site: Site) -> None:
    with site.connect() as smtp:
        assert smtp.mail("dropped@soft.example.com").code == 250
        assert smtp.rset().code == 250
        sent = site.deliver(smtp, "kept@www.example.com")
    assert not site.field(sent, "X-SPF-Notice")
    assert site.logged(**{"from": "<dropped@soft.example.com>"})["ended"] == "abandoned"


def test_a_message_whose_recipient_postfix_refuses_is_logged_as_abandoned(site: Site) -> None:
    with site.connect() as smtp:
        smtp.mail("relay@www.example.com")
        assert smtp.rcpt("someone@elsewhere.example").code == 554
        smtp.quit()
    assert site.logged(**{"from": "<relay@www.example.com>"})["ended"] == "abandoned"


def test_pipelined_commands_after_a_refusal_are_answered_in_order(site: Site) -> None:
    recipient = site.recipient()
    with site.connect() as smtp:
        refused = smtp.send_many("MAIL FROM:<a@mail163.example>", f"RCPT TO:<{recipient}>", "RSET")
        assert [answer.code for answer in refused] == [550, 503, 250]
        good = smtp.send_many("MAIL FROM:<piped@www.example.com>", f"RCPT TO:<{recipient}>", "DATA")
        assert [answer.code for answer in good] == [250, 250, 354]
        assert smtp.content(MESSAGE).code == 250
    site.postfix.wait_for_log(rf"to=<{recipient}>.*status=sent")


def test_a_message_in_chunks_is_checked_and_marked_as_any_other(site: Site) -> None:
    with site.connect() as smtp:
        assert smtp.mail("chunks@soft.example.com").code == 250
        recipient = site.recipient()
        assert smtp.rcpt(recipient).code == 250
        assert smtp.bdat("Received-SPF: pass (forged)\nSubject: in", last=False).code == 250
        answer = smtp.bdat("X-Second: chunk\n\nHello.\n")
        assert answer.code == 250
    site.postfix.wait_for_log(rf"to=<{recipient}>.*status=sent")
    line = site.logged(**{"from": "<chunks@soft.example.com>"})
    assert (line["action"], line["forged"]) == ("tag", 1)


def test_messages_in_chunks_of_one_pipeline_are_checked_each_by_itself(site: Site) -> None:
    """All in one write: Postfix swallows the chunk of the refused one, and RSET drops the one that is half sent."""
    with site.connect() as smtp:
        answers = smtp.send_many(
            "MAIL FROM:<swallowed@mail163.example>", "RCPT TO:<r1@example.net>", chunk(MESSAGE),
            "MAIL FROM:<piece@soft.example.com>", "RCPT TO:<r2@example.net>", chunk(MESSAGE),
            "MAIL FROM:<half@www.example.com>", "RCPT TO:<r3@example.net>", chunk("Subject: x\n", last=False), "RSET",
            "MAIL FROM:<whole@www.example.com>", "RCPT TO:<r4@example.net>", chunk(MESSAGE),
        )  # fmt: skip
    assert [answer.code for answer in answers] == [550, 503, 503, *[250] * 10]
    lines = [site.logged(**{"from": f"<{name}>"}) for name in ("piece@soft.example.com", "whole@www.example.com")]
    assert [line["action"] for line in lines] == ["tag", "accept"]
    assert site.logged(**{"from": "<half@www.example.com>"})["ended"] == "abandoned"


def test_a_client_that_goes_in_the_middle_of_its_message_leaves_a_line_in_the_log(site: Site) -> None:
    with site.connect(LISTED) as smtp:
        answers = smtp.send_many("MAIL FROM:<gone@mail163.example>", "RCPT TO:<bob@example.net>", "DATA")
        assert [answer.code for answer in answers] == [250, 250, 354]
    assert site.logged(**{"from": "<gone@mail163.example>"})["ended"] == "abandoned"


def test_a_second_mail_from_that_postfix_refuses_changes_nothing(site: Site) -> None:
    with site.connect(LISTED) as smtp:
        assert smtp.mail("nested@mail163.example").code == 250
        assert smtp.mail("other@soft.example.com").code == 503
        recipient = site.recipient()
        smtp.rcpt(recipient)
        sent = Sent(answer=smtp.data(MESSAGE), recipient=recipient)
    assert "smtp.mailfrom=mail163.example" in site.field(sent, "Authentication-Results")[0]


def test_a_second_ehlo_drops_the_message_and_its_name_counts_from_then_on(site: Site) -> None:
    with site.connect(LISTED, helo="mail.example.com") as smtp:
        assert smtp.mail("dropped@mail163.example").code == 250
        smtp.ehlo("www.example.com")
        sent = site.deliver(smtp, "second-ehlo@mail163.example")
    assert site.logged(**{"from": "<dropped@mail163.example>"})["ended"] == "abandoned"
    assert "smtp.helo=www.example.com" in site.field(sent, "Authentication-Results")[1]
    assert "mail.example.com" not in str(site.fields(sent))


def test_a_client_that_does_not_greet_is_checked_by_its_sender_alone(site: Site) -> None:
    with SmtpDialogue("127.0.0.1", site.postfix.port) as smtp:
        smtp.xclient(addr=UNLISTED, name="[UNAVAILABLE]")
        assert smtp.mail("no-helo@mail163.example").code == 550
        sent = site.deliver(smtp, "no-helo@soft.example.com")
    assert [value.partition(" ")[0] for value in site.field(sent, "Received-SPF")] == ["softfail"]


def test_a_client_that_greets_with_helo_is_checked_like_any_other(site: Site) -> None:
    with SmtpDialogue("127.0.0.1", site.postfix.port) as smtp:
        smtp.xclient(addr=UNLISTED, name="[UNAVAILABLE]")
        smtp.helo("mail.example.com")
        assert smtp.mail("old@www.example.com").lines[0].startswith("5.7.23 Message refused: The server 203.")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate in one file, as smtpd_tls_chain_files takes them."""
    folder = tmp_path_factory.mktemp("tls")
    key, chain = folder / "key.pem", folder / "chain.pem"
    ask = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=mx.example.net"
    subprocess.run(  # noqa: S603 - no shell, own arguments
        [*ask.split(), "-keyout", key, "-out", chain], check=True, capture_output=True
    )
    chain.write_bytes(key.read_bytes() + chain.read_bytes())
    return chain


@pytest.fixture(scope="module")
def tls_site(name_server: Nsd, certificate: Path) -> Iterator[Site]:
    """A site that offers STARTTLS and AUTH; and takes bytes above 127 in addresses, as Postfix did before SMTPUTF8."""
    offer = {"smtpd_tls_security_level": "may", "smtpd_tls_chain_files": str(certificate), "smtputf8_enable": "no"}
    with Logins("secret") as logins, Site(name_server, main_cf={**offer, **logins.main_cf}) as running:
        yield running


def test_after_starttls_the_name_of_the_second_ehlo_is_the_one_that_counts(tls_site: Site) -> None:
    with tls_site.connect(LISTED, helo="before.example.com") as smtp:
        assert smtp.starttls().code == 220
        assert smtp.ehlo("mail.example.com").code == 250
        sent = tls_site.deliver(smtp, "tls@mail163.example")
        smtp.quit()
    mailfrom, helo = tls_site.field(sent, "Received-SPF")
    assert helo.startswith("pass (")
    assert "helo=mail.example.com;" in helo
    assert "helo=mail.example.com;" in mailfrom
    assert "before.example.com" not in str(tls_site.fields(sent))
    assert "with ESMTPS" in tls_site.field(sent, "Received")[0]


def test_over_tls_a_forged_sender_is_refused_as_before(tls_site: Site) -> None:
    with tls_site.connect() as smtp:
        smtp.starttls()
        smtp.ehlo(HELO)
        assert (
            smtp.mail("alice@mail163.example")
            .lines[0]
            .startswith(f"5.7.23 Message refused: {UNLISTED} is not in the trusted")
        )


def test_a_login_exempts_the_messages_after_it(tls_site: Site) -> None:
    """Over TLS, with another EHLO in between, as mail programs do; a login that fails exempts nothing."""
    with tls_site.connect(helo="[192.168.1.20]") as smtp:
        smtp.starttls()
        smtp.ehlo("[192.168.1.20]")
        assert smtp.mail("before@mail163.example").code == 550
        assert smtp.auth("alice", "wrong").code == 535
        assert smtp.mail("failed@mail163.example").code == 550
        assert smtp.auth("alice", "secret").code == 235
        first, second = (tls_site.deliver(smtp, f"{name}@mail163.example") for name in ("first", "second"))
        smtp.quit()
    for sent in (first, second):
        line = tls_site.logged(queue_id=sent.queue_id)
        assert (line["auth"], line["skip"]) == ("alice", "authenticated")


def test_an_address_in_utf8_is_looked_up_by_its_ascii_domain(site: Site) -> None:
    """例子.example is xn--fsqu00a.example in the DNS (RFC 5890); the header field may hold UTF-8 (RFC 6532)."""
    with site.connect(LISTED) as smtp:
        sent = site.deliver(smtp, "用户@例子.example", "SMTPUTF8")
        smtp.quit()
    assert "smtp.mailfrom=xn--fsqu00a.example" in site.field(sent, "Authentication-Results")[0]
    assert b'envelope-from="\xe7\x94\xa8\xe6\x88\xb7@\xe4\xbe\x8b\xe5\xad\x90.example"' in site.received(sent).raw
    with site.connect() as smtp:
        refused = smtp.mail("用户@例子.example", "SMTPUTF8")
    assert refused.code == 550
    assert "trusted sender list of xn--fsqu00a.example" in refused.lines[0]


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("i❤.example", "xn--i-7iq.example"),
        ("i❤\ufe0f.example", "xn--i-7iq.example"),
        ("_bü.example", "xn--_b-yka.example"),
    ],
)
def test_a_domain_that_idna_2008_does_not_allow_is_looked_up_as_postfix_does(
    site: Site, domain: str, name: str
) -> None:
    """Registries sell such names, and Postfix delivers the mail. Its library (ICU) goes by UTS 46."""
    with site.connect() as smtp:
        refused = smtp.mail(f"forged@{domain}", "SMTPUTF8")
    assert refused.code == 550
    assert f"trusted sender list of {name}" in refused.lines[0]
    assert site.logged(**{"from": f"<forged@{domain}>"})["idna"] == "uts46"
    with site.connect(LISTED) as smtp:
        sent = site.deliver(smtp, f"honest@{domain}", "SMTPUTF8")
    assert f"smtp.mailfrom={name}" in site.field(sent, "Authentication-Results")[0]


@pytest.mark.parametrize(
    "local",
    [
        "100%sure",
        "%s%n",
        "a=b+c",
        '"quoted @ part"',
        '"back\\\\slash"',
        '"par(en)s"',
        "x" * 64,
        "{braces}",
        "o'brien`|",
    ],
)
def test_an_odd_local_part_neither_hides_the_domain_nor_breaks_a_field(site: Site, local: str) -> None:
    refused = site.send(f"{local}@mail163.example").answer
    assert refused.code == 550
    assert "trusted sender list of mail163.example" in refused.lines[0]
    sent = site.send(f"{local}@mail163.example", LISTED)
    assert site.field(sent, "Received-SPF")[0].startswith("pass (")
    assert "smtp.mailfrom=mail163.example" in site.field(sent, "Authentication-Results")[0]
    assert [name for name, _ in site.fields(sent)][:5] == [
        "Authentication-Results",
        "Authentication-Results",
        "Received-SPF",
        "Received-SPF",
        "Received",
    ]


@pytest.mark.parametrize("local", [b"a\xff", b'"a\t\x01b"', b"a\xe7\x94\xa8"])
def test_bytes_that_no_address_should_have_do_not_hide_its_domain(tls_site: Site, local: bytes) -> None:
    with tls_site.connect() as smtp:
        answer = smtp.raw(b"MAIL FROM:<" + local + b"@mail163.example>")
    assert answer.code == 550
    assert "trusted sender list of mail163.example" in answer.lines[0]
    with tls_site.connect(LISTED) as smtp:
        recipient = tls_site.recipient()
        smtp.raw(b"MAIL FROM:<" + local + b"@mail163.example>")
        smtp.rcpt(recipient)
        sent = Sent(answer=smtp.data(MESSAGE), recipient=recipient)
    header = tls_site.received(sent).raw.partition(b"\nReceived: ")[0]
    assert header.partition(b"Received-SPF:")[2].isascii()


@pytest.mark.parametrize("helo", ["[203.0.113.7]", "localhost", "%s%n", "a" * 250, "under_score.example.com", "-"])
def test_an_odd_helo_name_is_no_result_and_no_obstacle(site: Site, helo: str) -> None:
    sent = site.send("odd-helo@soft.example.com", helo=helo)
    assert site.field(sent, "Received-SPF")[0].startswith("softfail (")
    assert "smtp.mailfrom=soft.example.com" in site.field(sent, "Authentication-Results")[0]


def test_a_greeting_that_is_not_utf8_does_not_hide_the_client(tls_site: Site) -> None:
    """Where a name is not UTF-8, pymilter never calls our HELO callback."""
    with tls_site.connect() as smtp:
        assert smtp.raw(b"EHLO \xff\xe9.example.com").code == 250
        assert smtp.mail("latin1@mail163.example").code == 550
    assert tls_site.logged(**{"from": "<latin1@mail163.example>"})["client"] == UNLISTED


@pytest.mark.parametrize(
    "sender",
    [
        "alice%mail163.example",
        "mail163.example!alice",
        "alice@mail163.example(comment)",
        "alice@(comment)mail163.example",
        "alice@mail163 . example",
        'alice@"mail163.example"',
        "alice@mail163.\\example",
        "a:alice@mail163.example;",
        "Alice <alice@mail163.example>",
        # The domain behind the last "@" allows every host.
        "alice@mail163.example(@open.example.com)",
        "alice@mail163.example(@open.example.com",
        "<alice@mail163.example>(@open.example.com",
    ],
)
def test_an_address_is_checked_by_the_domain_that_postfix_reads_in_it(site: Site, sender: str) -> None:
    """Postfix delivers all of these as alice@mail163.example's (strict_rfc821_envelopes = no, its default)."""
    answer = site.send(sender).answer
    assert answer.lines[0].startswith(
        "5.7.23 Message refused: 203.0.113.7 is not in the trusted sender list of mail163.example"
    )


def test_a_sender_whose_domain_postfix_completes_is_judged_by_the_whole_one(name_server: Nsd) -> None:
    """With append_dot_mydomain, a single label is a host of the MTA's own domain. A name alone always is."""
    with Site(name_server, main_cf={"append_dot_mydomain": "yes", "mydomain": "mail163.example"}) as site:
        refused = site.send("alice@spf").answer
    assert "trusted sender list of spf.mail163.example" in refused.lines[0]


@pytest.mark.parametrize("sender", ["(x)", '""', "<>", "@mail163.example:"])
def test_an_address_that_postfix_reads_as_no_sender_is_checked_as_a_bounce(site: Site, sender: str) -> None:
    sent = site.send(sender, LISTED, helo="mail.example.com")
    assert site.received(sent).sender == ""
    [result] = site.field(sent, "Received-SPF")
    assert "identity=helo" in result
