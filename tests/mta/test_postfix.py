"""What clients and recipients of a real Postfix see of the default policy, the answers coming from a real NSD."""

import authres
import pytest

from lab.nsd import Nsd
from lab.processes import has_ipv6
from lab.smtp import SmtpDialogue
from tests.mta.site import MESSAGE, Site
from tests.mta.zones import LISTED, LISTED_V6, PRIVATE, UNLISTED, UNLISTED_V6, UNREACHABLE
from tests.values import without_case

NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="no ::1 here")
REFUSAL = [
    (
        "5.7.23 Message refused: 203.0.113.7 is not in the trusted sender list of mail163.example "
        '(SPF check: fail, matched "-all")'
    ),
    (
        "5.7.23 If you only use this address: send through the webmail or the mail server (SMTP) of mail163.example. "
        "Your mailbox is fine."
    ),
    (
        "5.7.23 If you run mail163.example: add ip4:203.0.113.7 to its SPF record, but only if this server is yours "
        "and no one else sends from its address."
    ),
    (
        "5.7.23 Otherwise forward this message to the administrator of mail163.example: only they can change its SPF "
        "record, mx.example.net cannot. Questions to mx.example.net: postmaster@mx.example.net"
    ),
]


@pytest.mark.parametrize("delay", ["yes", "no"])
def test_a_forged_sender_is_refused_at_mail_from_whether_or_not_postfix_delays_its_own_refusals(
    site: Site, name_server: Nsd, delay: str
) -> None:
    """The reply names the address, the domain, the deciding term and what to change, one line each."""
    if delay == "yes":  # the default
        with site.connect() as smtp:
            answer = smtp.mail("delay-yes@mail163.example")
    else:
        with Site(name_server, main_cf={"smtpd_delay_reject": "no"}) as other, other.connect() as smtp:
            answer = smtp.mail("delay-no@mail163.example")
    assert (answer.code, without_case(answer.lines)) == (550, REFUSAL)


def test_the_refused_one_is_logged_with_what_decided(site: Site) -> None:
    site.send("refused@mail163.example")
    line = site.logged(**{"from": "<refused@mail163.example>"})
    assert line["client"] == UNLISTED
    assert (line["spf_helo"], line["spf_mailfrom"], line["term"]) == ("none", "fail", "-all")
    assert (line["action"], line["rule"], line["ended"]) == ("reject", "[policy.mailfrom] fail = reject", "refused")
    site.postfix.wait_for_log(
        r"milter-reject: MAIL from .*\[203\.0\.113\.7\]: 550-5\.7\.23 Message refused: 203\.0\.113\.7 is"
    )


def test_a_good_one_is_delivered_with_the_results_above_postfixs_own_received(site: Site) -> None:
    sent = site.send("good@mail163.example", LISTED, helo="mail.example.com")
    names = [name for name, _ in site.fields(sent)]
    assert names[:5] == [*["Authentication-Results"] * 2, *["Received-SPF"] * 2, "Received"]
    results = site.field(sent, "Authentication-Results")
    parsed = [authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {value}") for value in results]
    assert [found.authserv_id for found in parsed] == ["mx.example.net"] * 2
    assert [(r.result, r.properties[0].name, r.properties[0].value) for found in parsed for r in found.results] == [
        ("pass", "mailfrom", "mail163.example"),
        ("pass", "helo", "mail.example.com"),
    ]
    mailfrom, helo = site.field(sent, "Received-SPF")
    assert helo.startswith(
        "pass (mx.example.net: domain of mail.example.com designates 192.0.2.25 as permitted sender)"
    )
    assert helo.endswith(
        "client-ip=192.0.2.25; helo=mail.example.com; receiver=mx.example.net; identity=helo; mechanism=a"
    )
    assert 'envelope-from="good@mail163.example"' in mailfrom
    assert 'identity=mailfrom; mechanism="include:spf.mail163.example"' in mailfrom


def test_its_log_line_has_postfixs_queue_id(site: Site) -> None:
    sent = site.send("queued@mail163.example", LISTED)
    line = site.logged(queue_id=sent.queue_id)
    assert (line["from"], line["action"], line["spf_mailfrom"]) == ("<queued@mail163.example>", "accept", "pass")
    site.postfix.wait_for_log(rf"{sent.queue_id}: client=")


@pytest.mark.parametrize("begin", ["=?", "?"])
def test_a_helo_that_is_an_encoded_word_puts_no_result_into_our_fields(site: Site, begin: str) -> None:
    """Postfix takes any HELO; Sendmail takes no such one."""
    helo = f"{begin}utf-8?q?=0AAuthentication-Results=3A_mx.example.net=3B_spf=3Dpass=0AX=3A?="
    sent = site.send("someone@soft.example.com", UNLISTED, helo=helo)
    fields = site.fields(sent)
    ours = fields[: [name for name, _ in fields].index("Received")]
    assert "Received-SPF" in dict(ours)
    assert "=?" not in "".join(f"{name}={value}" for name, value in ours)


def test_a_sender_that_hides_a_field_of_ours_is_refused(site: Site) -> None:
    """Postfix writes it into Return-Path."""
    word = "=?utf-8?q?=0AAuthentication-Results=3A_mx.example.net=3B_spf=3Dpass?="
    answer = site.send(f"{word}@mail163.example", LISTED).answer
    assert answer.code == 550
    assert answer.lines[0].startswith("5.7.0 Message refused: One header field of the message hides another one")


@pytest.mark.parametrize(("fields", "code"), [(1000, 250), (1001, 550)])
def test_a_message_with_more_forged_fields_than_are_removed_is_refused(site: Site, fields: int, code: int) -> None:
    content = "Received-SPF: pass (forged)\n" * fields + MESSAGE
    sent = site.send(f"flood{fields}@mail163.example", LISTED, content=content)
    assert sent.answer.code == code
    if sent.accepted:
        assert "forged" not in str(site.fields(sent))
    else:
        assert sent.answer.lines[0].startswith(
            "5.7.0 Message refused: The message has far too many header fields that only the receiv"
        )
    assert site.logged(**{"from": f"<flood{fields}@mail163.example>"})["forged"] == 1000


def test_a_softfail_is_delivered_with_the_notice(site: Site) -> None:
    sent = site.send("tagged@soft.example.com")
    [notice] = site.field(sent, "X-SPF-Notice")
    assert notice.startswith(
        "tag; The server 203.0.113.7 is probably not allowed to send mail for soft.example.com "
        '(SPF check: softfail, matched "~all"). If you only use this address: send through the webmail or the mail '
        "server (SMTP) of soft.example.com. Your mailbox is fine. If you run soft.example.com: add ip4:203.0.113.7 to "
    )
    assert site.logged(queue_id=sent.queue_id)["action"] == "tag"


def test_a_record_in_error_is_delivered_with_what_is_wrong_with_it(site: Site) -> None:
    sent = site.send("tagged@wrong.example.com")
    [notice] = site.field(sent, "X-SPF-Notice")
    assert '(did you mean ip4?) at "ipv4:192.0.2.0/24" (SPF check: permerror)' in notice
    assert site.field(sent, "Received-SPF")[0].startswith("permerror (")
    assert site.logged(queue_id=sent.queue_id)["problem_term"] == "ipv4:192.0.2.0/24"


def test_a_domain_whose_name_servers_do_not_help_is_accepted_and_recorded(site: Site) -> None:
    sent = site.send(f"someone@{UNREACHABLE}")
    assert site.field(sent, "Received-SPF")[0].startswith("temperror (")
    assert "REFUSED" in site.logged(queue_id=sent.queue_id)["problem"]


def test_a_domain_without_a_record_is_accepted(site: Site) -> None:
    sent = site.send("someone@www.example.com")
    assert [value.partition(" ")[0] for value in site.field(sent, "Received-SPF")] == ["none", "none"]


def test_a_bounce_is_checked_by_the_name_in_helo(site: Site) -> None:
    sent = site.send("", LISTED, helo="mail.example.com")
    [result] = site.field(sent, "Received-SPF")
    assert result.startswith("pass (")
    assert "identity=helo" in result
    refused = site.send("", helo="mail.example.com").answer
    assert (refused.code, refused.lines[0]) == (
        550,
        (
            "5.7.23 Message refused: The server 203.0.113.7 calls itself mail.example.com, "
            'but mail.example.com does not allow that (SPF check: fail for HELO, matched "-all")'
        ),
    )


def test_a_host_name_that_excludes_the_client_is_refused_before_the_sender_is_looked_up(site: Site) -> None:
    sent = site.send("helo@mail163.example", helo="mail.example.com")
    assert sent.answer.code == 550
    assert "spf_mailfrom" not in site.logged(**{"from": "<helo@mail163.example>"})


def test_an_authenticated_client_is_not_checked(site: Site) -> None:
    """Its own forged fields are removed all the same: our name under a result is ours alone."""
    content = "Authentication-Results: mx.example.net; spf=pass\nSubject: x\n\nHello.\n"
    sent = site.send("auth@mail163.example", login="alice", content=content)
    assert site.fields(sent)[0][0] == "Received"
    assert not site.field(sent, "Authentication-Results")
    line = site.logged(queue_id=sent.queue_id)
    assert (line["auth"], line["skip"], line["action"]) == ("alice", "authenticated", "accept")


def test_a_client_of_ipv6_is_checked_by_its_own_address(site: Site) -> None:
    good = site.send("v6@mail163.example", LISTED_V6)
    assert f'client-ip="{LISTED_V6}"' in site.field(good, "Received-SPF")[0]
    refused = site.send("v6@mail163.example", UNLISTED_V6).answer
    assert refused.lines[0].startswith(
        f"5.7.23 Message refused: {UNLISTED_V6} is not in the trusted sender list of mail163.example"
    )
    assert f"add ip6:{UNLISTED_V6} to" in refused.lines[2]


def test_a_client_of_ipv6_without_a_sender_is_checked_by_its_host_name(site: Site) -> None:
    refused = site.send("", UNLISTED_V6, helo="mail.example.com").answer
    assert refused.lines[0].startswith(
        f"5.7.23 Message refused: The server {UNLISTED_V6} calls itself mail.example.com"
    )
    taken = site.send("", UNLISTED_V6)
    assert f'client-ip="{UNLISTED_V6}"; helo=www.example.com;' in site.field(taken, "Received-SPF")[0]


def test_an_ipv4_mapped_address_is_the_ipv4_address(site: Site) -> None:
    assert site.send("mapped@mail163.example", f"::ffff:{UNLISTED}").answer.lines[:-1] == REFUSAL
    sent = site.send("mapped@mail163.example", f"::ffff:{LISTED}")
    assert f"client-ip={LISTED};" in site.field(sent, "Received-SPF")[0]


def test_a_client_with_a_private_address_is_not_checked_but_warned_of(site: Site) -> None:
    sent = site.send("private@mail163.example", PRIVATE)
    assert site.fields(sent)[0][0] == "Received"
    assert site.logged(queue_id=sent.queue_id)["skip"] == "private-client"
    warning = site.logged(level="warning", client=PRIVATE)
    assert "NAT or proxy in front of the MTA hides the real address" in warning["event"]


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=NEEDS_IPV6)])
def test_mail_from_this_host_is_left_alone_with_the_fields_that_it_carries(site: Site, host: str) -> None:
    content = "Authentication-Results: mx.example.net; spf=pass\nSubject: x\n\nHello.\n"
    with SmtpDialogue(host, site.postfix.port) as smtp:
        smtp.ehlo("localhost")
        sent = site.deliver(smtp, "local@mail163.example", content=content)
    assert [name for name, _ in site.fields(sent)][:2] == ["Received", "Authentication-Results"]
    assert site.logged(queue_id=sent.queue_id)["skip"] == "exempt-network"


def test_a_redirect_names_the_record_to_change(site: Site) -> None:
    answer = site.send("someone@moved.example.com").answer
    assert 'of moved.example.com (SPF check: fail, matched "-all" in mail163.example)' in answer.lines[0]
    assert (
        "If you run moved.example.com: add ip4:203.0.113.7 to its SPF record, before redirect=mail163"
        in answer.lines[2]
    )


def test_a_percent_sign_reaches_the_client_once(site: Site) -> None:
    """For libmilter it is doubled, and Postfix, which expands replies of its own, must not eat it."""
    term = site.send("someone@listed.example.com").answer
    assert term.lines[0] == (
        "5.7.23 Message refused: listed.example.com says that the server 203.0.113.7 must not send its mail "
        '(SPF check: fail, matched "-exists:%{ir}.bl.example.com")'
    )
    explained = site.send("someone@explained.example.com").answer
    assert explained.lines[1] == (
        '5.7.23 explained.example.com says: "100% of explained.example.com\'s mail leaves from 192.0.2.0/24"'
    )


UNKNOWN = "[UNAVAILABLE]"  # XCLIENT's word where a proxy does not tell the client


def test_a_client_whose_address_is_unknown_never_reaches_us(site: Site) -> None:
    """Our library ends the connection, and Postfix does what milter_default_action says (docs/postfix.md)."""
    with site.connect(UNKNOWN, name=UNKNOWN) as smtp:
        answer = smtp.mail("nowhere@mail163.example")
    assert (answer.code, answer.text) == (451, "4.7.1 Service unavailable - try again later")
    site.postfix.wait_for_log(r"milter-reject: MAIL from unknown\[unknown\]: 451 .*from=<nowhere@mail163\.example>")
    assert "nowhere@mail163.example" not in site.daemon.log()


def test_such_a_client_is_let_through_as_the_documentation_says(name_server: Nsd) -> None:
    main_cf = {"smtpd_milter_maps": "inline:{ unknown=DISABLE }"}
    with Site(name_server, main_cf=main_cf) as other:
        with other.connect(UNKNOWN, name=UNKNOWN) as smtp:
            assert other.deliver(smtp, "nowhere@mail163.example").accepted
        with other.connect() as smtp:
            assert smtp.mail("somewhere@mail163.example").code == 550
