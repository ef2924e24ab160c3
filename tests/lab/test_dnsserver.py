"""The scripted DNS server, asked by dnspython, which shares no code with it."""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest

from lab.dnsserver import ScriptedDNS
from lab.processes import patience

SHORT = 0.15  # seconds in which loopback would have answered
ROOT = Path(__file__).parents[2]

ZONE: dict[str, list[Any]] = {
    "example.com": [{"SPF": "v=spf1 mx -all"}, {"MX": [10, "Mail.example.com"]}, {"A": "192.0.2.1"}],
    "mail.example.com": [{"A": "192.0.2.2"}, {"A": "192.0.2.3"}, {"AAAA": "2001:db8::2"}],
    "null.example.com": [{"MX": [0, ""]}],
    "a.b.c.example.com": [{"TXT": ["v=spf1 ip4:", "192.0.2.5 -all"]}],
    "_dmarc.example.com": [{"TXT": "v=DMARC1; p=none"}],
    "long.example.com": [{"TXT": "x" * 600}],
    "1.2.0.192.in-addr.arpa": [{"PTR": "mail.example.com"}],
    "alias.example.com": [{"CNAME": "other.example.com"}],
    "other.example.com": [{"CNAME": "mail.example.com"}],
    "dangling.example.com": [{"CNAME": "gone.example.com"}],
    "loop.example.com": [{"CNAME": "pool.example.com"}],
    "pool.example.com": [{"CNAME": "loop.example.com"}],
    "bare.example.com": [],
    "odd%name with blank.example.com": [{"A": "192.0.2.9"}],
}


@pytest.fixture
def server() -> Iterator[ScriptedDNS]:
    """The server with ZONE."""
    with ScriptedDNS(ZONE) as running:
        yield running


def ask(
    server: ScriptedDNS, name: str, rtype: str, *, tcp: bool = False, edns: int | None = 1232, timeout: float = 5.0
) -> dns.message.Message:
    """A single query through dnspython, which checks id and question."""
    query = dns.message.make_query(name, rtype, use_edns=edns is not None, payload=edns or 0)
    send = dns.query.tcp if tcp else dns.query.udp
    return send(query, "127.0.0.1", timeout=timeout, port=server.port)


def texts(response: dns.message.Message) -> list[str]:
    """The answer's records as text."""
    return [rdata.to_text() for rrset in response.answer for rdata in rrset]


def exchange(server: ScriptedDNS, wire: bytes) -> bytes:
    """Bytes for bytes over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(wire, ("127.0.0.1", server.port))
        return sock.recv(65535)


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    ("name", "rtype", "expected"),
    [
        ("example.com", "A", ["192.0.2.1"]),
        ("example.com", "MX", ["10 Mail.example.com."]),
        ("mail.example.com", "A", ["192.0.2.2", "192.0.2.3"]),
        ("mail.example.com", "AAAA", ["2001:db8::2"]),
        ("null.example.com", "MX", ["0 ."]),
        ("a.b.c.example.com", "TXT", ['"v=spf1 ip4:" "192.0.2.5 -all"']),
        ("_dmarc.example.com", "TXT", ['"v=DMARC1; p=none"']),
        ("1.2.0.192.in-addr.arpa", "PTR", ["mail.example.com."]),
        ("odd%name with blank.example.com", "A", ["192.0.2.9"]),
        ("alias.example.com", "A", ["other.example.com.", "mail.example.com.", "192.0.2.2", "192.0.2.3"]),
        ("alias.example.com", "CNAME", ["other.example.com."]),
    ],
)
def test_records_are_answered_over_both_transports(
    server: ScriptedDNS, name: str, rtype: str, expected: list[str], *, tcp: bool
) -> None:
    response = ask(server, name, rtype, tcp=tcp)
    assert texts(response) == expected
    assert response.rcode() == dns.rcode.NOERROR
    assert response.flags & dns.flags.AA
    assert all(rrset.ttl == 300 for rrset in response.answer)


def test_spf_entries_are_txt_records_where_the_name_has_no_txt_entry(server: ScriptedDNS) -> None:
    assert texts(ask(server, "example.com", "TXT")) == ['"v=spf1 mx -all"']
    assert texts(ask(server, "example.com", "SPF")) == ['"v=spf1 mx -all"']


@pytest.mark.parametrize("entry", [{"TXT": "other"}, {"TXT": "NONE"}])
def test_a_txt_entry_or_none_keeps_spf_entries_from_becoming_txt_records(entry: dict[str, str]) -> None:
    with ScriptedDNS({"example.com": [{"SPF": "v=spf1 -all"}, entry]}) as server:
        assert texts(ask(server, "example.com", "TXT")) == ([] if entry["TXT"] == "NONE" else ['"other"'])


def test_text_beyond_255_octets_is_cut_into_strings_of_one_record(server: ScriptedDNS) -> None:
    (rrset,) = ask(server, "long.example.com", "TXT").answer
    assert [len(string) for string in rrset[0].strings] == [255, 255, 90]


def test_text_goes_over_the_wire_as_utf8() -> None:
    with ScriptedDNS({"example.com": [{"TXT": "grün"}]}) as server:
        (rrset,) = ask(server, "example.com", "TXT").answer
        assert rrset[0].strings == ("grün".encode(),)


@pytest.mark.parametrize(("value", "rdata"), [([], b""), ("", b"\0"), ([""], b"\0"), (["", "x"], b"\0\1x")])
def test_empty_text_is_sent_as_it_is_written(value: Any, rdata: bytes) -> None:
    with ScriptedDNS({"example.com": [{"TXT": value}]}) as server:
        query = dns.message.make_query("example.com", "TXT", use_edns=False)
        wire = exchange(server, query.to_wire())
        expected = b"\xc0\x0c" + struct.pack(">HHLH", 16, 1, 300, len(rdata)) + rdata
        assert wire == wire[:2] + struct.pack(">HHHHH", 0x8500, 1, 1, 0, 0) + query.to_wire()[12:] + expected


def test_names_match_in_any_case_and_the_question_keeps_its_own(server: ScriptedDNS) -> None:
    response = ask(server, "eXample.COM", "A")
    assert response.question[0].name.to_text() == "eXample.COM."
    assert texts(response) == ["192.0.2.1"]


def test_very_long_names_are_served() -> None:
    name = ".".join(["x" * 63] * 3 + ["y" * 61])
    with ScriptedDNS({name: [{"A": "192.0.2.1"}]}) as server:
        assert texts(ask(server, name, "A")) == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("name", "rtype", "rcode"),
    [
        ("nothing.example.com", "A", dns.rcode.NXDOMAIN),
        ("dangling.example.com", "A", dns.rcode.NXDOMAIN),
        ("example.com", "AAAA", dns.rcode.NOERROR),
        ("b.c.example.com", "TXT", dns.rcode.NOERROR),
        ("bare.example.com", "A", dns.rcode.NOERROR),
    ],
)
def test_a_missing_name_is_nxdomain_and_an_existing_one_empty_both_with_an_soa(
    name: str, rtype: str, rcode: dns.rcode.Rcode
) -> None:
    with ScriptedDNS(ZONE, negative_ttl=7) as server:
        response = ask(server, name, rtype)
    assert response.rcode() == rcode
    assert not [text for rrset in response.answer if rrset.rdtype != dns.rdatatype.CNAME for text in rrset]
    (soa,) = response.authority
    assert (soa.rdtype, soa.ttl, soa[0].minimum) == (dns.rdatatype.SOA, 7, 7)


def test_dnspythons_resolver_understands_negative_answers(server: ScriptedDNS) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], server.port
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("nothing.example.com", "A")
    assert resolver.resolve("alias.example.com", "AAAA").canonical_name.to_text() == "mail.example.com."


def test_a_loop_of_aliases_ends_where_a_name_repeats(server: ScriptedDNS) -> None:
    response = ask(server, "loop.example.com", "A")
    assert texts(response) == ["pool.example.com.", "loop.example.com."]


@pytest.mark.parametrize(("edns", "truncated"), [(None, True), (512, True), (1232, False)])
def test_answers_larger_than_the_client_takes_are_truncated_over_udp_alone(
    server: ScriptedDNS, edns: int | None, *, truncated: bool
) -> None:
    response = ask(server, "long.example.com", "TXT", edns=edns)
    assert bool(response.flags & dns.flags.TC) == truncated
    assert bool(response.answer) != truncated
    assert (response.edns == 0) == (edns is not None)
    assert ask(server, "long.example.com", "TXT", edns=edns, tcp=True).answer


@pytest.mark.parametrize(
    ("entries", "rtype", "answered"),
    [
        (["TIMEOUT"], "A", False),
        ([{"TXT": "v=spf1 -all"}, "TIMEOUT"], "TXT", True),
        ([{"TXT": "v=spf1 -all"}, "TIMEOUT"], "SPF", False),
        ([{"SPF": "v=spf1 -all"}, "TIMEOUT"], "TXT", False),
        ([{"SPF": "v=spf1 -all"}, {"TXT": "NONE"}, "TIMEOUT"], "SPF", True),
        (["TIMEOUT", {"A": "192.0.2.1"}], "A", False),
        ([{"TXT": "TIMEOUT"}, {"A": "192.0.2.1"}], "A", True),
        ([{"TXT": "TIMEOUT"}, {"A": "192.0.2.1"}], "TXT", False),
        ([{"TXT": "TIMEOUT"}, {"A": "192.0.2.1"}], "MX", True),
        ([{"CNAME": "dead.example"}], "A", False),
    ],
)
def test_timeouts_are_those_of_the_suites_own_driver(entries: list[Any], rtype: str, *, answered: bool) -> None:
    with ScriptedDNS({"example.com": entries, "dead.example": ["TIMEOUT"]}) as server:
        if answered:
            assert ask(server, "example.com", rtype)
        else:
            with pytest.raises(dns.exception.Timeout):
                ask(server, "example.com", rtype, timeout=SHORT)
            assert server.wait_until_asked("example.com", rtype)
            assert server.queries["example.com", rtype] == 1


def test_missing_names_that_begin_with_error_time_out(server: ScriptedDNS) -> None:
    with pytest.raises(dns.exception.Timeout):
        ask(server, "error.example.com", "A", timeout=SHORT)


def test_delayed_answers_do_not_wait_for_each_other() -> None:
    delay = 0.2 * patience()
    with ScriptedDNS(ZONE, delay=delay) as server, ThreadPoolExecutor(20) as pool:
        start = time.monotonic()
        took = list(pool.map(lambda number: timed(server, tcp=bool(number % 2)), range(20)))
        assert time.monotonic() - start < 5 * delay  # one after the other would take 20 times as long
    assert all(delay <= seconds < 4.5 * delay for seconds in took)


def timed(server: ScriptedDNS, *, tcp: bool) -> float:
    """Seconds for one answer."""
    start = time.monotonic()
    assert ask(server, "example.com", "A", tcp=tcp).answer
    return time.monotonic() - start


def test_a_name_can_be_slower_than_the_server() -> None:
    with ScriptedDNS({"slow.example": [{"A": "192.0.2.1"}, {"DELAY": 0.1}]}) as server:
        start = time.monotonic()
        assert ask(server, "slow.example", "A").answer
        assert time.monotonic() - start >= 0.1


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP", "NXDOMAIN"])
def test_a_name_answers_with_its_scripted_rcode(rcode: str) -> None:
    with ScriptedDNS({"bad.example": [{"RCODE": rcode}, {"A": "192.0.2.1"}]}) as server:
        response = ask(server, "bad.example", "A")
        assert (dns.rcode.to_text(response.rcode()), response.answer) == (rcode, [])


def test_a_behaviour_can_be_limited_to_some_types() -> None:
    with ScriptedDNS({"bad.example": [{"RCODE": "SERVFAIL", "ONLY": "A"}, {"TXT": "fine"}]}) as server:
        assert ask(server, "bad.example", "A").rcode() == dns.rcode.SERVFAIL
        assert texts(ask(server, "bad.example", "TXT")) == ['"fine"']


def test_a_truncating_name_is_whole_over_tcp() -> None:
    with ScriptedDNS({"tc.example": [{"TRUNCATE": True}, {"A": "192.0.2.1"}]}) as server:
        response = ask(server, "tc.example", "A")
        assert (bool(response.flags & dns.flags.TC), response.answer) == (True, [])
        assert texts(ask(server, "tc.example", "A", tcp=True)) == ["192.0.2.1"]
        assert (server.queries["tc.example", "A"], server.tcp_queries["tc.example", "A"]) == (2, 1)


def test_raw_bytes_are_sent_under_the_querys_id() -> None:
    with ScriptedDNS({"raw.example": [{"RAW": b"??junk"}]}) as server:
        query = dns.message.make_query("raw.example", "A")
        assert exchange(server, query.to_wire()) == struct.pack(">H", query.id) + b"junk"


def test_a_callable_makes_the_raw_bytes_from_the_query() -> None:
    with ScriptedDNS({"raw.example": [{"RAW": lambda wire: wire[::-1]}]}) as server:
        wire = dns.message.make_query("raw.example", "A").to_wire()
        assert exchange(server, wire) == wire[::-1]


def test_a_ttl_is_that_of_all_records_of_its_name() -> None:
    with ScriptedDNS({"ttl.example": [{"TTL": 5}, {"A": "192.0.2.1"}], "x.example": [{"A": "192.0.2.1"}]}) as server:
        assert ask(server, "ttl.example", "A").answer[0].ttl == 5
        assert ask(server, "x.example", "A").answer[0].ttl == 300


def test_a_server_from_before_edns_refuses_it_and_answers_without() -> None:
    with ScriptedDNS({"old.example": [{"FORMERR_ON_EDNS": True}, {"A": "192.0.2.1"}]}) as server:
        response = ask(server, "old.example", "A")
        assert (response.rcode(), response.edns) == (dns.rcode.FORMERR, -1)
        assert texts(ask(server, "old.example", "A", edns=None)) == ["192.0.2.1"]


@pytest.mark.parametrize("forgery", ["WRONG_ID", "WRONG_QUESTION"])
def test_forged_answers_are_told_from_honest_ones(forgery: str) -> None:
    zone: dict[str, list[Any]] = {
        "forged.example": [{forgery: True}, {"A": "192.0.2.66"}],
        "both.example": [{forgery: "FIRST"}, {"A": "192.0.2.1"}],
    }
    with ScriptedDNS(zone) as server:
        with pytest.raises(dns.query.BadResponse):
            ask(server, "forged.example", "A")
        query = dns.message.make_query("both.example", "A")
        response = dns.query.udp(
            query, "127.0.0.1", timeout=5, port=server.port, ignore_unexpected=True, ignore_errors=True
        )
        assert texts(response) == ["192.0.2.1"]


def test_the_first_queries_of_a_name_can_be_dropped() -> None:
    with ScriptedDNS({"lossy.example": [{"DROP_FIRST": 2}, {"A": "192.0.2.1"}]}) as server:
        for _ in range(2):
            with pytest.raises(dns.exception.Timeout):
                ask(server, "lossy.example", "A", timeout=SHORT)
        assert ask(server, "lossy.example", "A").answer
        assert server.queries["lossy.example", "A"] == 3


def test_tcp_alone_can_be_dead() -> None:
    with ScriptedDNS({"udp.example": [{"TCP_ONLY_TIMEOUT": True}, {"A": "192.0.2.1"}]}) as server:
        assert ask(server, "udp.example", "A").answer
        with pytest.raises(dns.exception.Timeout):
            ask(server, "udp.example", "A", tcp=True, timeout=SHORT)


def test_loading_other_data_replaces_all_of_them_at_once(server: ScriptedDNS) -> None:
    assert ask(server, "example.com", "A").answer
    server.load({"example.com": [{"A": "192.0.2.77"}]})
    assert texts(ask(server, "example.com", "A")) == ["192.0.2.77"]
    assert ask(server, "mail.example.com", "A").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    "entries", [[{"A": "nonsense"}], [{"WHAT": 1}], [{"RCODE": "WHAT"}], [{"CNAME": "x" * 64}], ["WHAT"]]
)
def test_faulty_data_are_refused_with_the_name_and_change_nothing(server: ScriptedDNS, entries: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"bad\.example"):
        server.load({"bad.example": entries})
    assert ask(server, "example.com", "A").answer


def test_queries_are_counted_by_name_and_type_until_reset(server: ScriptedDNS) -> None:
    for name, rtype in [("EXAMPLE.com", "A"), ("example.com", "A"), ("example.com", "NAPTR")]:
        ask(server, name, rtype)
    assert server.queries == {("example.com", "A"): 2, ("example.com", "TYPE35"): 1}
    assert server.queries_for("other.example", "example.com") == server.queries
    assert not server.queries_for("com", "other.example")
    server.reset_counts()
    assert not server.queries


def test_a_test_can_wait_for_a_query_in_flight() -> None:
    with ScriptedDNS({"silent.example": ["TIMEOUT"]}) as server:
        assert not server.wait_until_asked("silent.example", "A", timeout=0.01)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(dns.message.make_query("silent.example", "A").to_wire(), ("127.0.0.1", server.port))
            assert server.wait_until_asked("silent.example", "A")


@pytest.mark.parametrize("junk", [b"", b"x", b"\0" * 12, b"\0" * 4 + b"\0\1" + b"\0" * 6 + b"\xc0\x0c\0\1\0\1"])
def test_junk_is_ignored(server: ScriptedDNS, junk: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.connect(("127.0.0.1", server.port))
        sock.send(junk)
        query = dns.message.make_query("example.com", "A")
        sock.send(query.to_wire())
        assert dns.message.from_wire(sock.recv(65535)).id == query.id


def test_one_tcp_connection_takes_queries_in_pieces_and_in_a_row(server: ScriptedDNS) -> None:
    queries = [dns.message.make_query(name, "A") for name in ("example.com", "mail.example.com")]
    stream = b"".join(struct.pack(">H", len(query.to_wire())) + query.to_wire() for query in queries)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as sock, sock.makefile("rb") as answers:
        for start in range(0, len(stream), 7):
            sock.sendall(stream[start : start + 7])
        for query in queries:
            (length,) = struct.unpack(">H", answers.read(2))
            assert dns.message.from_wire(answers.read(length)).id == query.id


def test_closing_ends_every_thread_and_frees_the_port() -> None:
    before = threading.active_count()
    with ScriptedDNS(ZONE, delay=60) as server, socket.create_connection(("127.0.0.1", server.port)):
        port = server.port
    server.close()
    assert threading.active_count() == before
    with ScriptedDNS(ZONE, port=port) as again:
        assert (again.port, again.address) == (port, f"127.0.0.1:{port}")


def test_it_serves_a_file_as_a_process_of_its_own(tmp_path: Path) -> None:
    zone = tmp_path / "zone.yml"
    zone.write_text("example.com:\n- SPF: v=spf1 -all\n- TTL: 9\n", encoding="utf-8")
    command = [sys.executable, "-m", "lab.dnsserver", "--delay", "1", str(zone)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:  # noqa: S603 - our own
        assert process.stdout is not None
        ready, _, address = process.stdout.readline().strip().partition(" ")
        query = dns.message.make_query("example.com", "TXT")
        response = dns.query.udp(query, "127.0.0.1", timeout=5, port=int(address.removeprefix("127.0.0.1:")))
        process.terminate()
        assert process.wait(120) == 0
    assert (ready, texts(response)) == ("ready", ['"v=spf1 -all"'])
