"""Bytes that no honest MTA or client sends: no other session is disturbed, and no message is lost."""

import json
import struct

import pytest

from lab.dnsserver import ScriptedDNS
from lab.milterclient import MilterClient
from lab.milterwire import MilterError
from tests.wire.running import CLIENT, Running, running

J = {"j": "mx.example.net"}
RCPT = ["<r@example.net>"]


def assert_serves(usual: Running) -> None:
    """Whether a well-behaved MTA is still served."""
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        assert mta.mail("<u@fail.example>").code == "550"
        mta.abort()
        assert mta.deliver("<u@pass.example>", RCPT).stage == "eom"
        mta.quit()


def greet_as_unknown(mta: MilterClient, family: str) -> None:
    """As Postfix says it, up to MAIL FROM, the first step that has an answer."""
    mta.connect("unknown", family, "unknown", macros={**J, "client_addr": "unknown"})
    mta.helo("www.example.com")
    mta.mail("<u@pass.example>")


@pytest.mark.parametrize("family", ["inet", "inet6"])
def test_libmilter_drops_a_client_whose_address_is_a_word_and_nobody_else(usual: Running, family: str) -> None:
    """Postfix sends "unknown" so where a proxy does not tell the address. We are never called (docs/postfix.md)."""
    before = usual.daemon.log()
    with usual.client() as mta:
        mta.negotiate()
        with pytest.raises(MilterError, match=r"clos|reset|Broken pipe"):
            greet_as_unknown(mta, family)
    assert usual.daemon.log() == before
    assert_serves(usual)


# -- text that is not UTF-8, which libmilter or pymilter trips over ----------------------------------------------------


def test_a_client_name_that_is_not_utf8_costs_neither_the_check_nor_the_message(usual: Running) -> None:
    """Pymilter never calls us for it; the macro tells the address."""
    with usual.client() as mta:
        mta.negotiate()
        mta.connect(b"\xff\xfe.example", "inet", CLIENT, macros={**J, "client_addr": CLIENT})
        mta.helo("mail.example")
        assert mta.mail("<u@fail.example>").lines[0].startswith(f"550-5.7.23 Message refused: {CLIENT} is not in")
        mta.abort()
        assert mta.deliver("<u@pass.example>", RCPT).stage == "eom"
        mta.quit()


def test_without_the_macro_such_a_client_is_unknown_and_its_message_taken(usual: Running) -> None:
    with usual.client() as mta:
        mta.negotiate()
        mta.connect(b"\xff\xfe.example", "inet", CLIENT, macros=J)
        mta.helo("mail.example")
        assert mta.deliver("<u@fail.example>", RCPT, macros={"i": "QNOADDR"}).stage == "eom"
        mta.quit()
    assert "skip=unknown-client" in usual.line("QNOADDR")


def test_a_helo_that_is_not_utf8_counts_as_missing(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, b"\xff\xfe.example", macros=J)
        assert mta.mail("<u@fail.example>").code == "550"
        mta.abort()
        outcome = mta.deliver("<u@pass.example>", RCPT)
        mta.quit()
    assert 'helo="";' in outcome.inserted[0].value


@pytest.mark.parametrize("local", [b"\xff\xfe", b"j\xfcrgen", b"\xed\xa0\x80"])
def test_a_sender_that_is_not_utf8_is_refused_by_its_domain(usual: Running, local: bytes) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        assert mta.mail(b"<" + local + b"@fail.example>", macros={"i": "QRAW"}).code == "550"
        mta.quit()
    assert "from=<" in usual.line("QRAW")


def test_a_domain_that_is_not_utf8_is_none(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        outcome = mta.deliver(b"<u@\xff.example>", RCPT, esmtp=["SMTPUTF8"])
        mta.quit()
    assert any('envelope-from="u@?.example"' in field.value for field in outcome.inserted)


def test_a_header_that_is_not_utf8_hides_no_forged_field(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        fields: list[tuple[str | bytes, str | bytes]] = [
            (b"\xff", "x"),
            ("Received-SPF", b"pass \xff"),
            (b"X-\xff", b"\xff"),
            ("Authentication-Results", b"(\xff) mx.example.net; spf=pass"),
        ]
        outcome = mta.deliver("<u@pass.example>", RCPT, fields)
        mta.quit()
    assert {(change.name, change.index) for change in outcome.changed} == {
        ("Received-SPF", 1),
        ("Authentication-Results", 1),
    }


def test_macros_that_are_not_utf8_cost_no_message(usual: Running) -> None:
    bad = {"i": "\udcff", "j": "\udcff", "client_addr": "\udcff"}
    with usual.client() as mta:
        mta.greet(CLIENT, macros=bad)
        assert mta.mail("<u@fail.example>", macros=bad).code == "550"
        mta.abort()
        assert mta.deliver("<u@pass.example>", RCPT, macros=bad).stage == "eom"
        mta.quit()


def test_a_login_that_is_not_utf8_is_a_login(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        assert mta.mail("<u@fail.example>", macros={"auth_authen": "j\udcfcrgen"}).kind == "continue"
        mta.quit()


# -- too much, too little ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filler", ["x", ".", "@", "%", '"', "\\", "(", "é", "\udcff", " ", "a."])
def test_absurdly_long_values_get_an_ordinary_answer(usual: Running, filler: str) -> None:
    long = filler * (20_000 // len(filler.encode("utf-8", "surrogateescape")))
    with usual.client() as mta:
        mta.negotiate()
        mta.connect(long, "inet", CLIENT, macros={**J, "client_addr": CLIENT})
        mta.helo(long)
        assert mta.mail(f"<{long}@fail.example>", long, macros={"i": "QLONG"}).code == "550"
        mta.abort()
        outcome = mta.deliver(f"<u@{long}.example>", RCPT, [(f"X-{long}", long), ("Received-SPF", long)])
        mta.quit()
    assert outcome.stage == "eom"
    assert [change.name for change in outcome.changed] == ["Received-SPF"]
    assert all(len(field.value) < 8000 for field in outcome.inserted)


def test_a_thousand_forged_fields_are_removed(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        outcome = mta.deliver("<u@pass.example>", RCPT, [("Received-SPF", "pass")] * 1000)
        mta.quit()
    assert [change.index for change in outcome.changed] == list(range(1000, 0, -1))


def test_mail_without_connect_and_helo_gets_an_answer(usual: Running) -> None:
    with usual.client() as mta:
        mta.negotiate()
        assert mta.mail("<u@fail.example>", macros={"i": "QBARE"}).kind in {"continue", "reply"}
        mta.quit()
    assert_serves(usual)


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"\0\0\0\x0dO\0\0\0\6",  # half of the negotiation
        b"\0\0\0\0",  # no command
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xffO",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0\0\0\x01O",  # too short to hold anything
        b"\0\0\0\x0dO\0\0\0\1\0\0\0\0\0\0\0\0",  # version 1
        b"\0\0\0\x01E",  # the end before the beginning
        b"\0\0\0\x02Mx",  # an argument without its end
        bytes(range(256)) * 64,
    ],
)
@pytest.mark.parametrize("negotiated", [False, True])
def test_garbage_ends_its_own_connection_and_no_other(usual: Running, data: bytes, *, negotiated: bool) -> None:
    with usual.client() as honest:
        honest.greet(CLIENT, macros=J)
        assert honest.mail("<u@pass.example>").kind == "continue"
        with usual.client(timeout=5) as mad:
            if negotiated:
                mad.greet(CLIENT)
            mad.send_raw(data)
        assert honest.eom().kind == "continue"
        assert honest.mail("<u@fail.example>").code == "550"
        honest.quit()
    assert_serves(usual)


def test_an_absurd_length_is_hung_up_on(usual: Running) -> None:
    with usual.client(timeout=5) as mad:
        mad.send_raw(struct.pack(">I", 0x7FFFFFFF) + b"O")
        with pytest.raises(MilterError, match=r"closed by the filter|reset"):
            mad.recv_packet()


def test_a_client_that_vanishes_in_a_message_leaves_its_line(usual: Running) -> None:
    with usual.client() as mta:
        mta.greet(CLIENT, macros=J)
        mta.mail("<u@soft.example>", macros={"i": "QGONE"})
    assert " ended=abandoned" in usual.line("QGONE")


def test_a_hundred_silent_connections_disturb_no_other_session(usual: Running) -> None:
    silent = [usual.client() for _ in range(100)]
    try:
        assert_serves(usual)
    finally:
        for connection in silent:
            connection.close()


def test_a_name_that_cannot_be_read_is_one_line_of_the_log_however_often_it_comes(dns: ScriptedDNS) -> None:
    """Pymilter reports it as bare lines, which a client could cause without end."""
    with running(dns, "[log]\nformat = json\n") as daemon:
        for _ in range(3):
            with daemon.client() as mta:
                mta.greet(CLIENT, b"\xff.example", macros=J)
                assert mta.mail("<u@pass.example>").kind == "continue"
                mta.quit()
        lines = [json.loads(line) for line in daemon.daemon.log().splitlines()]
    unreadable = [line for line in lines if line["event"].startswith("non-UTF-8 value from the MTA")]
    assert 1 <= len(unreadable) <= 2  # one a worker
