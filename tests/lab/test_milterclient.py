"""The MTA's side of the milter protocol, against a filter that speaks the bytes it was told to."""

import socket
import struct
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Self

import pytest

from lab.milterclient import MilterClient
from lab.milterwire import Added, Changed, Inserted, MilterError, OtherChange, Quarantined

CONTINUE = b"\0\0\0\1c"


def packet(command: str, data: bytes = b"") -> bytes:
    """A packet, built apart from the code under test."""
    return struct.pack(">I", len(data) + 1) + command.encode() + data


def optneg(version: int = 6, actions: int = 0, protocol: int = 0, symlists: bytes = b"") -> bytes:
    """The filter's part of the negotiation."""
    return packet("O", struct.pack(">III", version, actions, protocol) + symlists)


class Filter:
    """One connection's filter: notes every packet, answers the n-th of a command with the n-th of its replies."""

    def __init__(self, replies: Mapping[str, Iterable[bytes]], *, listener: socket.socket | None = None) -> None:
        self.received: list[tuple[str, bytes]] = []
        self._replies = {command: deque(texts) for command, texts in replies.items()}
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self._thread = threading.Thread(target=self._serve, name="filter")

    @property
    def address(self) -> str:
        """Where it is, in Sendmail's notation."""
        return f"inet:{self._listener.getsockname()[1]}@127.0.0.1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        connection = self._listener.accept()[0]
        with connection, connection.makefile("rb") as incoming:
            while header := incoming.read(4):
                content = incoming.read(struct.unpack(">I", header)[0])
                command = content[:1].decode()
                self.received.append((command, content[1:]))
                replies = self._replies.get(command)
                reply = replies.popleft() if replies else b""
                if reply == b"close":
                    return
                connection.sendall(reply)


def all_continue(**replies: list[bytes]) -> dict[str, list[bytes]]:
    """A filter that lets everything pass but what is given."""
    return {"O": [optneg()]} | {command: [CONTINUE] * 9 for command in "CHMRTLNBEU"} | replies


def commands(peer: Filter) -> str:
    """The letters of the packets that came."""
    return "".join(command for command, _ in peer.received)


def test_the_negotiation_offers_everything_and_keeps_what_the_filter_wants() -> None:
    lists = struct.pack(">I", 1) + b"j {client_name}\0" + struct.pack(">I", 5) + b"\0"
    with Filter({"O": [optneg(6, 0x111, 0x10, lists)]}) as peer, MilterClient(peer.address) as mta:
        options = mta.negotiate()
    assert peer.received == [("O", struct.pack(">III", 6, 0x1FF, 0x1FFFFF))]
    assert (options.version, options.actions, options.protocol) == (6, 0x111, 0x10)
    assert options.symlists == {"helo": ("j", "{client_name}"), "eom": ()}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (optneg(version=7), "more than was offered"),
        (optneg(actions=0x200), "more than was offered"),
        (optneg(protocol=0x20000000), "more than was offered"),
        (CONTINUE, "b'c' in reply to the option negotiation"),
        (packet("O", b"\0" * 8), "8 octets, not 12"),
        (optneg(symlists=b"\0\0\0\1unfinished"), "unterminated"),
        (b"\0\0\0\0", "0 as the length"),
        (b"HTTP/1.1", "as the length"),
        (b"close", "closed by the filter while waiting for the reply to the option negotiation"),
    ],
)
def test_a_negotiation_gone_wrong_says_how(answer: bytes, error: str) -> None:
    with (
        Filter({"O": [answer]}) as peer,
        MilterClient(peer.address) as mta,
        pytest.raises(MilterError, match=error),
    ):
        mta.negotiate()


def test_every_step_is_sent_as_the_protocol_has_it() -> None:
    with Filter(all_continue()) as peer, MilterClient(peer.address) as mta:
        mta.negotiate()
        mta.connect("host.example", "inet", "192.0.2.1", 1234)
        mta.helo("grün.example")
        mta.mail(b"<\xff@b.example>", "SIZE=5", "BODY=8BITMIME")
        mta.rcpt("<c@d.example>")
        mta.data()
        mta.header("Subject", "x")
        mta.eoh()
        mta.body("text")
        mta.unknown("WHAT")
        mta.eom()
        mta.abort()
        mta.quit_nc()
        mta.quit()
    assert peer.received[1:] == [
        ("C", b"host.example\x004\x04\xd2192.0.2.1\0"),
        ("H", "grün.example".encode() + b"\0"),
        ("M", b"<\xff@b.example>\0SIZE=5\0BODY=8BITMIME\0"),
        ("R", b"<c@d.example>\0"),
        ("T", b""),
        ("L", b"Subject\0x\0"),
        ("N", b""),
        ("B", b"text"),
        ("U", b"WHAT\0"),
        ("E", b""),
        ("A", b""),
        ("K", b""),
        ("Q", b""),
    ]


@pytest.mark.parametrize(
    ("family", "address", "port", "data"),
    [
        ("inet6", "2001:db8::1", 25, b"x\x006\0\x192001:db8::1\0"),
        ("unix", "/tmp/s", 0, b"x\0L\0\0/tmp/s\0"),  # noqa: S108 - no file, but the wire's text
        ("unknown", "", 0, b"x\0U"),
    ],
)
def test_clients_of_every_family_are_announced(family: str, address: str, port: int, data: bytes) -> None:
    with Filter(all_continue()) as peer, MilterClient(peer.address) as mta:
        mta.negotiate()
        mta.connect("x", family, address, port)
    assert peer.received[1] == ("C", data)


def test_a_family_that_does_not_exist_is_refused() -> None:
    with Filter({}) as peer, MilterClient(peer.address) as mta, pytest.raises(ValueError, match="'ipx'"):
        mta.connect("x", "ipx")


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (packet("c"), "continue"),
        (packet("a"), "accept"),
        (packet("r"), "reject"),
        (packet("t"), "tempfail"),
        (packet("d"), "discard"),
        (packet("s"), "skip"),
        (packet("4"), "shutdown"),
        (packet("f"), "connfail"),
        (packet("p") + packet("p") + packet("c"), "continue"),
    ],
)
def test_every_reply_has_its_kind_and_progress_is_skipped(wire: bytes, kind: str) -> None:
    with Filter({"M": [wire]}) as peer, MilterClient(peer.address) as mta:
        reply = mta.mail("<a@b.example>")
    assert (reply.kind, reply.lines, reply.code) == (kind, (), "")


def test_a_reply_of_its_own_words_comes_with_all_lines_and_single_percents() -> None:
    text = b"550-5.7.23 50%% of this\r\n550 5.7.23 is wrong\0"
    with Filter({"R": [packet("y", text)]}) as peer, MilterClient(peer.address) as mta:
        reply = mta.rcpt("<a@b.example>")
    assert reply.lines == ("550-5.7.23 50% of this", "550 5.7.23 is wrong")
    assert (reply.kind, reply.code, reply.raw, reply.proceeds) == ("reply", "550", text, False)


def test_the_end_of_the_message_brings_all_modifications_in_order() -> None:
    wire = [
        packet("p"),
        packet("i", struct.pack(">I", 0) + b"Received-SPF\0pass\0"),
        packet("i", struct.pack(">I", 1) + b"Authentication-Results\0mx.example;\n\tspf=pass\0"),
        packet("h", b"X-Last\0\xff\0"),
        packet("m", struct.pack(">I", 2) + b"Authentication-Results\0\0"),
        packet("q", b"suspicious\0"),
        packet("+", b"<new@b.example>\0"),
        packet("a"),
    ]
    with Filter({"E": [b"".join(wire)]}) as peer, MilterClient(peer.address) as mta:
        reply = mta.eom()
    assert reply.kind == "accept"
    assert reply.modifications == (
        Inserted(0, "Received-SPF", "pass"),
        Inserted(1, "Authentication-Results", "mx.example;\n\tspf=pass"),
        Added("X-Last", "\udcff"),
        Changed("Authentication-Results", 2, ""),
        Quarantined("suspicious"),
        OtherChange("+", b"<new@b.example>\0"),
    )
    assert reply.inserted == reply.modifications[:2]
    assert reply.added == reply.modifications[2:3]
    assert reply.changed == reply.modifications[3:4]
    assert reply.quarantine == "suspicious"


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        (packet("h", b"X-Spam\0no end"), "malformed"),
        (packet("i", b"\0"), "malformed"),
        (packet("q", b"a\0b\0"), "malformed"),
        (packet("?"), "unexpected"),
        (packet("O"), "unexpected"),
    ],
)
def test_what_is_no_reply_is_an_error(wire: bytes, error: str) -> None:
    with Filter({"E": [wire]}) as peer, MilterClient(peer.address) as mta, pytest.raises(MilterError, match=error):
        mta.eom()


def test_a_modification_before_the_end_of_the_message_is_an_error() -> None:
    with (
        Filter({"M": [packet("h", b"X\0y\0")]}) as peer,
        MilterClient(peer.address) as mta,
        pytest.raises(MilterError, match=r"unexpected packet .* in reply to mail"),
    ):
        mta.mail("<>")


@pytest.mark.parametrize(
    ("bit", "missing"),
    [(0x01, "C"), (0x02, "H"), (0x04, "M"), (0x08, "R"), (0x10, "B"), (0x20, "L"), (0x40, "N"), (0x200, "T")],
)
def test_a_step_that_the_filter_declined_is_not_sent(bit: int, missing: str) -> None:
    with Filter(all_continue(O=[optneg(protocol=bit)])) as peer, MilterClient(peer.address) as mta:
        mta.greet()
        mta.deliver("<a@b.example>", ["<c@d.example>"], [("A", "b")], "body")
    assert commands(peer) == "OCHMRTLNBE".replace(missing, "")


def test_data_is_not_sent_to_a_filter_from_before_version_4() -> None:
    with Filter(all_continue(O=[optneg(version=3)])) as peer, MilterClient(peer.address) as mta:
        mta.negotiate()
        assert mta.data().kind == "noreply"
    assert commands(peer) == "O"


@pytest.mark.parametrize("buffered", [False, True])
def test_no_reply_is_awaited_where_the_filter_gives_none(*, buffered: bool) -> None:
    silent = {"O": [optneg(protocol=0xFF080)], "E": [packet("a")]}
    with Filter(silent) as peer, MilterClient(peer.address, buffered=buffered) as mta:
        assert mta.greet().kind == "noreply"
        outcome = mta.deliver("<a@b.example>", ["<c@d.example>"], [("A", "b"), ("C", "d")], "body")
        mta.quit()
    assert (outcome.stage, outcome.reply.kind) == ("eom", "accept")
    assert commands(peer) == "OCHMRTLLNBEQ"


def test_unbuffered_packets_leave_at_once() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, MilterClient(f"inet:{listener.getsockname()[1]}@127.0.0.1") as mta, listener.accept()[0] as peer:
        peer.settimeout(5)
        mta.abort()
        assert peer.recv(99) == packet("A")


def test_macros_go_before_their_command_with_braces_around_long_names() -> None:
    with Filter(all_continue()) as peer, MilterClient(peer.address) as mta:
        mta.negotiate()
        mta.mail("<a@b.example>", macros={"i": "4XQ", "auth_authen": "joe", "{mail_addr}": "a@b.example"})
        mta.rcpt("<a@b.example>")
    assert peer.received[1:] == [
        ("D", b"Mi\x004XQ\0{auth_authen}\0joe\0{mail_addr}\0a@b.example\0"),
        ("M", b"<a@b.example>\0"),
        ("R", b"<a@b.example>\0"),
    ]


def test_only_the_macros_that_the_filter_listed_for_the_step_are_sent() -> None:
    lists = struct.pack(">I", 2) + b"i, {auth_authen}\0" + struct.pack(">I", 3) + b"\0"
    macros = {"i": "4XQ", "j": "mx.example", "auth_authen": "joe"}
    with Filter(all_continue(O=[optneg(symlists=lists)])) as peer, MilterClient(peer.address) as mta:
        mta.negotiate()
        mta.helo("x", macros)
        mta.mail("<a@b.example>", macros=macros)
        mta.rcpt("<a@b.example>", macros=macros)
    assert [data for command, data in peer.received if command == "D"] == [
        b"Hi\x004XQ\0j\0mx.example\0{auth_authen}\0joe\0",
        b"Mi\x004XQ\0{auth_authen}\0joe\0",
    ]


def test_the_macros_of_a_declined_step_are_sent_all_the_same() -> None:
    with Filter(all_continue(O=[optneg(protocol=0x200)])) as peer, MilterClient(peer.address) as mta:
        mta.negotiate()
        assert mta.data({"i": "4XQ"}).kind == "noreply"
    assert peer.received[1:] == [("D", b"Ti\x004XQ\0")]


def test_header_values_have_their_blank_where_the_filter_asked_for_it() -> None:
    with Filter(all_continue(O=[optneg(protocol=0x100000)])) as peer, MilterClient(peer.address) as mta:
        mta.negotiate()
        mta.header("Subject", "x")
    assert peer.received[1] == ("L", b"Subject\0 x\0")


@pytest.mark.parametrize(("reply", "sent"), [(CONTINUE, [65535, 65535, 10]), (packet("s"), [65535])])
def test_a_body_goes_in_chunks_until_the_filter_skips_the_rest(reply: bytes, sent: list[int]) -> None:
    with Filter({"B": [reply] * 3}) as peer, MilterClient(peer.address) as mta:
        mta.body(b"x" * (2 * 65535 + 10))
    assert [len(data) for _, data in peer.received] == sent


@pytest.mark.parametrize(
    ("command", "stage", "sent"),
    [
        ("M", "mail", "OCHMA"),
        ("R", "rcpt", "OCHMRRA"),
        ("T", "data", "OCHMRRTA"),
        ("L", "header", "OCHMRRTLA"),
        ("N", "eoh", "OCHMRRTLNA"),
        ("B", "body", "OCHMRRTLNBA"),
        ("E", "eom", "OCHMRRTLNBE"),
    ],
)
def test_a_refused_message_ends_at_its_stage_and_is_aborted(command: str, stage: str, sent: str) -> None:
    refusal = packet("y", b"550 5.7.23 no\0")
    with Filter(all_continue(**{command: [refusal] * 2})) as peer, MilterClient(peer.address) as mta:
        mta.greet()
        outcome = mta.deliver("<a@b.example>", ["<c@d.example>", "<e@f.example>"], [("A", "b")], "body")
    assert (outcome.stage, outcome.reply.text) == (stage, "550 5.7.23 no")
    assert commands(peer) == sent


def test_a_refused_recipient_does_not_stop_the_others() -> None:
    with Filter(all_continue(R=[packet("r"), CONTINUE])) as peer, MilterClient(peer.address) as mta:
        mta.greet()
        outcome = mta.deliver("<a@b.example>", ["<c@d.example>", "<e@f.example>"])
    assert [reply.kind for reply in outcome.rcpt_replies] == ["reject", "continue"]
    assert (outcome.stage, outcome.reply.kind) == ("eom", "continue")


def test_a_message_accepted_at_a_recipient_is_not_shown_further() -> None:
    with Filter(all_continue(R=[packet("a")])) as peer, MilterClient(peer.address) as mta:
        mta.greet()
        outcome = mta.deliver("<a@b.example>", ["<c@d.example>", "<e@f.example>"])
    assert (outcome.stage, outcome.reply.kind, commands(peer)) == ("rcpt", "accept", "OCHMRA")


def test_a_delivered_messages_outcome_has_its_modifications() -> None:
    wire = packet("i", b"\0\0\0\0A\0b\0") + packet("h", b"C\0d\0") + packet("m", b"\0\0\0\1E\0\0") + packet("q", b"f\0")
    with Filter(all_continue(E=[wire + CONTINUE])) as peer, MilterClient(peer.address) as mta:
        mta.greet("2001:db8::1", "x", name="host.example")
        outcome = mta.deliver("<a@b.example>", ["<c@d.example>"], esmtp=["SIZE=1"])
    assert (outcome.inserted, outcome.added) == ((Inserted(0, "A", "b"),), (Added("C", "d"),))
    assert (outcome.changed, outcome.quarantine) == ((Changed("E", 1, ""),), "f")
    assert ("C", b"host.example\x006b\xa42001:db8::1\0") in peer.received
    assert ("M", b"<a@b.example>\0SIZE=1\0") in peer.received


def test_a_refused_client_is_not_greeted_further() -> None:
    with Filter(all_continue(C=[packet("r")])) as peer, MilterClient(peer.address) as mta:
        assert mta.greet().kind == "reject"
    assert commands(peer) == "OC"
    assert peer.received[1] == ("C", b"[192.0.2.1]\x004b\xa4192.0.2.1\0")


def test_raw_bytes_go_as_they_are_and_any_packet_can_be_read() -> None:
    with Filter({"Z": [packet("z", b"any")]}) as peer, MilterClient(peer.address) as mta:
        mta.send_raw(packet("Z", b"thing"))
        assert mta.recv_packet() == (b"z", b"any")
    assert peer.received == [("Z", b"thing")]


def test_a_silent_filter_is_an_error_that_names_the_step() -> None:
    with (
        Filter({}) as peer,
        MilterClient(peer.address, timeout=0.05) as mta,
        pytest.raises(MilterError, match=r"no answer within 0\.05 s while waiting for the reply to helo"),
    ):
        mta.helo("x")


def test_a_filter_that_hangs_up_is_an_error_that_names_the_step() -> None:
    with (
        Filter({"H": [b"close"]}) as peer,
        MilterClient(peer.address) as mta,
        pytest.raises(MilterError, match="closed by the filter while waiting for the reply to helo"),
    ):
        mta.helo("x")


def test_unix_and_ipv6_sockets_are_reached(tmp_path: Path) -> None:
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "s"))
    unix.listen()
    with Filter({"O": [optneg()]}, listener=unix), MilterClient(f"unix:{tmp_path}/s") as mta:
        assert mta.negotiate().version == 6
    inet6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
    address = f"inet6:{inet6.getsockname()[1]}@[::1]"
    with Filter({"O": [optneg()]}, listener=inet6), MilterClient(address) as mta:
        assert mta.negotiate().version == 6


@pytest.mark.parametrize("address", ["", "inet:x@y", "inet:1@", "unix:", "tcp:1@127.0.0.1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        MilterClient(address)


def test_a_filter_that_is_not_there_is_an_error_with_its_address() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(MilterError, match=f"inet:{port}@127.0.0.1: .*refused"):
        MilterClient(f"inet:{port}@127.0.0.1")
