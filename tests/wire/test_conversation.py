"""Replies, modifications and log lines of the real daemon, as they are on the wire."""

import json
import re
import secrets
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import pairwise

import pytest

from lab.dnsserver import ScriptedDNS
from lab.milterwire import Inserted
from lab.processes import group_members
from spfmilter import caseid
from tests.wire.running import CLIENT, Running, running

J = {"j": "mx.example.net"}
RCPT = ["<secret-recipient@example.net>"]


def test_a_refusal_byte_for_byte(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        reply = mta.mail("<u@fail.example>")
        mta.quit()
    notice, _, case = reply.raw.rpartition(b"\r\n")
    assert re.fullmatch(rb"550 5\.7\.23 Case: " + caseid.FORM.encode() + rb"\0", case)
    assert notice == (
        b"550-5.7.23 Message refused: 192.0.2.1 is not in the trusted sender list of fail.example "
        b'(SPF check: fail, matched "-all")\r\n'
        b"550-5.7.23 If you only use this address: send through the webmail or the mail server (SMTP) of fail.example. "
        b"Your mailbox is fine.\r\n"
        b"550-5.7.23 If you run fail.example: add ip4:192.0.2.1 to its SPF record, but only if this server is yours "
        b"and no one else sends from its address.\r\n"
        b"550-5.7.23 Otherwise forward this message to the administrator of fail.example: only they can change its SPF "
        b"record, mx.example.net cannot. Questions to mx.example.net: postmaster@mx.example.net"
    )


def test_percent_signs_reach_the_sender_as_they_are(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, "100%s%n.example", macros=J)
        reply = mta.mail("<50%off%@100%.example>")
        mta.quit()
    assert b"sender list of 100%%.example (SPF check: fail" in reply.raw
    assert reply.lines[0].startswith(
        "550-5.7.23 Message refused: 192.0.2.1 is not in the trusted sender list of 100%.example (SPF check: fail"
    )
    assert reply.lines[1] == '550-5.7.23 100%.example says: "100% sure: 192.0.2.1 is 192.0.2.1, not 100%.example"'


@pytest.fixture(scope="module")
def every_disposition(dns: ScriptedDNS) -> Iterator[Running]:
    """A daemon whose MAIL FROM table holds each disposition."""
    with running(dns, POLICY) as serving:
        yield serving


POLICY = """
[policy.mailfrom]
none = defer
neutral = quarantine
softfail = tag
fail = reject
temperror = defer
permerror = reject
"""


@pytest.mark.parametrize(
    ("sender", "code", "first"),
    [
        (
            "<u@fail.example>",
            "550-5.7.23",
            "Message refused: 192.0.2.1 is not in the trusted sender list of fail.example",
        ),
        (
            "<u@bücher.example>",
            "550-5.7.23",
            "Message refused: 192.0.2.1 is not in the trusted sender list of xn--bcher-kva.example",
        ),
        ("<u@perm.example>", "550-5.7.24", "Message refused: The SPF record of perm.example has a mistake"),
        (
            "<u@temp.example>",
            "451-4.7.24",
            "Not accepted yet: The SPF record of temp.example cannot be looked up at present",
        ),
        ("<u@nothing.example>", "451-4.7.23", "Not accepted yet: nothing.example has no SPF record"),
        ("<u@localhost>", "451-4.7.23", 'Not accepted yet: The sender address "u@localhost" has no domain'),
        (
            '<"a@pass.example"@fail.example>',
            "550-5.7.23",
            "Message refused: 192.0.2.1 is not in the trusted sender list of fail.example",
        ),
        ("<u@pass.example>", None, ""),
        ("<u@soft.example>", None, "tag; The server 192.0.2.1 is probably not allowed to send mail for soft.example"),
        ("<u@neutral.example>", None, "quarantine; The SPF record of neutral.example does not say whether"),
        ("<>", "451-4.7.23", "Not accepted yet: The server 192.0.2.1 calls itself mail.example, which has no"),
    ],
)
def test_each_disposition_on_the_wire(every_disposition: Running, sender: str, code: str | None, first: str) -> None:
    with every_disposition.client() as mta:
        mta.greet(CLIENT, macros=J)
        outcome = mta.deliver(sender, RCPT, [("Subject", "x")], "body")
        mta.quit()
    if code is not None:
        assert (outcome.stage, outcome.reply.kind) == ("mail", "reply")
        assert outcome.reply.lines[0].startswith(f"{code} {first}")
        return
    assert (outcome.stage, outcome.reply.kind) == ("eom", "continue")
    notices = [re.sub(r"\n", "", field.value) for field in outcome.inserted if field.name == "X-SPF-Notice"]
    assert [notice[: len(first)] for notice in notices] == ([first] if first else [])
    held = "SPF neutral for neutral.example from 192.0.2.1" if first.startswith("quarantine") else None
    assert outcome.quarantine == held


def test_the_fields_of_a_message_byte_for_byte(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        forged = [
            ("Authentication-Results", "mx.example.net; spf=pass"),
            ("Authentication-Results", "other.example; spf=pass"),
            ("Received-SPF", "pass"),
            ("Authentication-Results", "(x) MX.Example.Net; spf=pass"),
        ]
        outcome = mta.deliver("<u@pass.example>", RCPT, forged, "body")
        mta.quit()
    assert [(c.name, c.index, c.value) for c in outcome.changed] == [
        ("Authentication-Results", 3, ""),
        ("Authentication-Results", 1, ""),
        ("Received-SPF", 1, ""),
    ]
    assert list(reversed(outcome.inserted)) == [
        Inserted(
            0,
            "Authentication-Results",
            "mx.example.net; spf=pass (domain of pass.example\n"
            " designates 192.0.2.1 as permitted sender) smtp.mailfrom=pass.example",
        ),
        Inserted(
            0,
            "Authentication-Results",
            "mx.example.net; spf=none (domain of mail.example does\n"
            " not designate permitted sender hosts) smtp.helo=mail.example",
        ),
        Inserted(
            0,
            "Received-SPF",
            "pass (mx.example.net: domain of pass.example designates\n"
            " 192.0.2.1 as permitted sender) client-ip=192.0.2.1;\n"
            ' envelope-from="u@pass.example"; helo=mail.example; receiver=mx.example.net;\n'
            ' identity=mailfrom; mechanism="ip4:192.0.2.0/28"',
        ),
        Inserted(
            0,
            "Received-SPF",
            "none (mx.example.net: domain of mail.example does not designate\n"
            " permitted sender hosts) client-ip=192.0.2.1; helo=mail.example;\n"
            " receiver=mx.example.net; identity=helo",
        ),
    ]


def test_a_utf8_sender_is_written_as_utf8_where_the_client_asked_for_it(usual: Running) -> None:
    for esmtp, sender in (("SMTPUTF8", "jürgen@pass.example"), ("BODY=8BITMIME", "j?rgen@pass.example")):
        with usual.client() as mta:
            mta.greet(CLIENT, macros=J)
            outcome = mta.deliver("<jürgen@pass.example>", RCPT, esmtp=[esmtp])
            mta.quit()
        assert any(f'envelope-from="{sender}"' in field.value for field in outcome.inserted)


# -- exemptions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "address", "macros", "skip"),
    [
        ("inet", "127.0.0.1", {}, "exempt-network"),
        ("inet6", "::1", {}, "exempt-network"),
        ("inet", "10.1.2.3", {}, "private-client"),
        ("inet6", "::ffff:10.1.2.3", {}, "private-client"),
        ("inet6", "fe80::1", {}, "private-client"),
        ("unix", "/some/socket", {}, "local-client"),
        ("unknown", "", {}, "unknown-client"),
        ("inet", "198.51.100.1", {"auth_authen": "joe"}, "authenticated"),
        ("inet", "198.51.100.1", {"auth_authen": ""}, None),
        ("inet6", "2001:db8:1::1", {}, None),
        ("inet6", "::ffff:198.51.100.1", {}, None),
    ],
)
def test_exempt_clients_through_the_wire(
    usual: Running, family: str, address: str, macros: dict[str, str], skip: str | None
) -> None:
    queue_id = f"Q{secrets.token_hex(8)}"
    with usual.client() as mta:
        mta.negotiate()
        mta.connect("host.example", family, address, macros=J)
        mta.helo("mail.example")
        reply = mta.mail("<u@fail.example>", macros={**macros, "i": queue_id})
        if skip is None:
            assert reply.code == "550"
        else:
            assert reply.kind == "continue"
            outcome = mta.eom()
            assert outcome.modifications == ()
        mta.quit()
    line = usual.line(queue_id)
    assert re.search(r" skip=(\S+)", line) is None if skip is None else f" skip={skip} action=accept" in line


def test_private_clients_are_warned_of_once(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet("10.1.2.3")
        for _ in range(3):
            mta.deliver("<u@fail.example>", RCPT, macros={"i": "QPRIV"})
        mta.quit()
    usual.line("QPRIV")
    said = len(re.findall("private client address", usual.daemon.log()))
    assert 1 <= said <= len(group_members(usual.daemon.process.pid)), "each process may say it once"


def test_monitor_mode_takes_everything_and_says_what_it_would_have_done(dns: ScriptedDNS) -> None:
    with running(dns, "[policy]\nmode = monitor\n") as serving, serving.client() as mta:
        mta.greet(CLIENT, macros=J)
        outcome = mta.deliver("<u@fail.example>", RCPT, macros={"i": "QM"})
        mta.quit()
        assert " action=accept would=reject " in serving.line("QM")
    assert outcome.stage == "eom"
    notice = outcome.inserted[0]
    assert notice.name == "X-SPF-Notice"
    assert notice.value.startswith("in monitor mode; would be: reject; 192.0.2.1 is not in the")


# -- the log -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["text", "json"])
def test_every_line_has_the_queue_id_that_the_mta_gave_and_none_a_recipient(dns: ScriptedDNS, form: str) -> None:
    with running(dns, f"[log]\nformat = {form}\n") as serving:
        with serving.client() as mta:
            mta.greet(CLIENT, macros=J)
            mta.deliver("<u@pass.example>", RCPT, macros={"i": "Q1"})
            mta.deliver("<u@fail.example>", RCPT, macros={"i": "Q2"})
            mta.mail("<u@soft.example>", macros={"i": "Q3"})
            mta.abort()
            mta.mail("<u@soft.example>")
            mta.eom(macros={"i": "Q4"})  # Postfix has it from DATA on only
            mta.mail("<u@pass.example>", macros={"i": "Q5"})
            mta.mail("<u@pass.example>", macros={"i": "Q6"})  # without a reset between
            mta.quit()  # and without an end
        lines = [serving.line(f"Q{n}") for n in range(1, 7)]
        log = serving.daemon.log()
    assert len([line for line in log.splitlines() if re.search(r"Z message |\"event\": \"message\"", line)]) == 6
    assert "secret-recipient" not in log
    assert [("abandoned" in line, "refused" in line) for line in lines] == [
        (False, False), (False, True), (True, False), (False, False), (True, False), (True, False)
    ]  # fmt: skip
    if form == "json":
        first = json.loads(lines[0])
        assert (first["queue_id"], first["client"], first["action"]) == ("Q1", CLIENT, "accept")
        assert list(first)[:4] == ["time", "level", "event", "queue_id"]
        assert all(isinstance(json.loads(line), dict) for line in log.splitlines())
    assert all(log.index(a) < log.index(b) for a, b in pairwise(lines))


# -- IPv4 addresses in IPv6: the table of docs/policy.md ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "client"),
    [
        (f"::ffff:{CLIENT}", CLIENT),
        (f"64:ff9b::{CLIENT}", CLIENT),
        (f"64:ff9b:1::{CLIENT}", None),
        (f"::{CLIENT}", None),
        ("2002:cb00:7107::1", None),
        ("2001:0:cb00:7107:0:fbff:34ff:8ef8", None),
        ("64:ff9b::10.1.2.3", "10.1.2.3"),
    ],
)
def test_what_an_ip4_address_in_an_ip6_address_is_checked_as(usual: Running, address: str, client: str | None) -> None:
    """``pass.example`` lists the client with ip4; for a private client nothing is checked."""
    queue_id = f"Q{secrets.token_hex(8)}"
    with usual.client() as mta:
        mta.negotiate()
        mta.connect("host.example", "inet6", address, macros=J)
        mta.helo("mail.example")
        reply = mta.mail("<u@pass.example>", macros={"i": queue_id})
        outcome = mta.eom() if reply.kind == "continue" else None
        mta.quit()
    line = usual.line(queue_id)
    assert f" client={client or ip_address(address)} " in line
    match client:
        case "10.1.2.3":
            assert " skip=private-client " in line
        case None:
            assert outcome is None
            assert " spf_mailfrom=fail " in line
        case _:
            assert outcome is not None
            assert any(f"client-ip={CLIENT};" in field.value for field in outcome.inserted)
            assert " spf_mailfrom=pass " in line
