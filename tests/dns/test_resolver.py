"""Questions to real sockets on loopback: what is done about servers that are slow, silent, broken or lying."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.dnsserver import ScriptedDNS, bind_both
from lab.processes import patience
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.channel import ask_once
from spfmilter.dns.resolver import Resolver
from spfmilter.settings.values import Nameserver, nameserver

pytestmark = pytest.mark.outside

FOUND = Answer(Status.DATA, (b"\xc0\0\2\1",), 300)
HOST = {"A": "192.0.2.1"}


@contextmanager
def unused_port() -> Iterator[Nameserver]:
    """A UDP port without answers: it is bound and never read."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield Nameserver("127.0.0.1", sock.getsockname()[1])


def closed_port() -> Nameserver:
    """A UDP port where no process listens: the kernel reports it by ICMP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return Nameserver("127.0.0.1", sock.getsockname()[1])


def ask(resolver: Resolver, name: str = "e.example", rdtype: Type = Type.A, *, limit: float = 10.0) -> Answer:
    return ask_once(resolver, name, rdtype, time.monotonic() + limit)


def timed(resolver: Resolver, name: str = "e.example", *, limit: float) -> tuple[Answer, float]:
    start = time.monotonic()
    return ask(resolver, name, limit=limit), time.monotonic() - start


# -- what comes back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entries", "rdtype", "answer"),
    [
        ([HOST], Type.A, FOUND),
        ([{"AAAA": "::1"}, {"TTL": 7}], Type.AAAA, Answer(Status.DATA, (bytes(15) + b"\1",), 7)),
        ([{"MX": (5, "m.example")}], Type.MX, Answer(Status.DATA, ((5, "m.example"),), 300)),
        ([{"PTR": "m.example"}], Type.PTR, Answer(Status.DATA, ("m.example",), 300)),
        ([{"TXT": []}, {"TXT": ["v=sp", "f1"]}], Type.TXT, Answer(Status.DATA, (b"", b"v=spf1"), 300)),
        ([HOST], Type.MX, Answer(Status.NO_DATA, (), 300)),
        (None, Type.A, Answer(Status.NO_NAME, (), 300)),
        ([{"RCODE": "SERVFAIL"}], Type.A, Answer(Status.FAILED, failure="SERVFAIL")),
        ([{"RCODE": "REFUSED"}], Type.A, Answer(Status.FAILED, failure="REFUSED")),
    ],
)
@pytest.mark.usefixtures("unhurried")
def test_an_answer_comes_at_once(
    server: ScriptedDNS, resolver: Resolver, entries: list[object] | None, rdtype: Type, answer: Answer
) -> None:
    server.load({"e.example": entries} if entries else {"other.example": [HOST]})
    assert ask(resolver, rdtype=rdtype) == answer
    assert server.queries == {("e.example", rdtype.name): 1}


@pytest.mark.parametrize("name", ["", "a..example", "x" * 64 + ".example", "ü.example"])
def test_what_is_no_name_is_not_asked(server: ScriptedDNS, resolver: Resolver, name: str) -> None:
    assert ask(resolver, name) == Answer(Status.NOT_ASKED)
    assert not server.queries


def test_a_packet_that_is_lost_is_sent_again_soon(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [HOST, {"DROP_FIRST": 1}]})
    answer, elapsed = timed(resolver, limit=10)
    assert answer.records == FOUND.records
    assert elapsed < 1.5 * patience()
    assert server.queries["e.example", "A"] in {2, 3}, "on a busy machine once more"


def test_a_silent_server_ends_with_the_deadline(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": ["TIMEOUT"]})
    limit = 0.6 * patience()
    answer, elapsed = timed(resolver, limit=limit)
    assert answer == Answer(Status.FAILED, failure="timeout")
    assert limit - 0.05 < elapsed < 2.5 * limit


def test_a_late_answer_to_the_first_packet_counts(server: ScriptedDNS, resolver: Resolver) -> None:
    """It comes after the second packet was sent, whose answer need not be waited for."""
    server.load({"e.example": [HOST, {"DELAY": 0.6}]})
    answer, elapsed = timed(resolver, limit=5)
    assert answer.records == FOUND.records
    assert elapsed < 0.95 * patience()


# -- several servers --------------------------------------------------------------------------------------------------


def test_a_dead_first_server_costs_one_wait_once(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST]})
    with unused_port() as dead:
        resolver = Resolver([dead, nameserver(server.address)])
        (first, slow), (again, quick) = timed(resolver, limit=10), timed(resolver, limit=10)
        assert first.records == again.records == FOUND.records
        assert 0.3 < slow < 1.5 * patience()
        assert quick < 0.3 * patience()
        assert resolver.nameservers()[0] == nameserver(server.address)


def test_a_server_that_was_silent_is_tried_again_after_a_while(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST]})
    offset = 0.0
    with unused_port() as dead:
        resolver = Resolver([dead, nameserver(server.address)], clock=lambda: time.monotonic() + offset)
        assert ask_once(resolver, "e.example", Type.A, time.monotonic() + 10).records == FOUND.records
        offset = 29.0
        assert resolver.nameservers()[0] != dead
        offset = 31.0
        assert resolver.nameservers()[0] == dead


def test_a_closed_port_costs_nothing(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST]})
    answer, elapsed = timed(Resolver([closed_port(), nameserver(server.address)]), limit=10)
    assert answer == FOUND
    assert elapsed < 0.3 * patience()


def test_no_server_that_listens_is_a_failed_lookup_at_once() -> None:
    answer, elapsed = timed(Resolver([closed_port(), closed_port()]), limit=10)
    assert answer == Answer(Status.FAILED, failure="Connection refused", local_failure=True)
    assert elapsed < 0.5 * patience()


def test_an_address_without_a_route_is_a_failed_lookup() -> None:
    answer, elapsed = timed(Resolver([Nameserver("255.255.255.255")]), limit=10)
    assert answer.status is Status.FAILED
    assert elapsed < 0.5 * patience()


@pytest.mark.parametrize(
    "trouble",
    [
        {"RCODE": "SERVFAIL"},
        {"RCODE": "REFUSED"},
        {"RAW": lambda wire: wire[:2] + b"\x81\x80" + wire[4:6] + b"\0\5" + wire[8:]},
    ],
)
def test_another_server_is_asked_where_one_fails(
    server: ScriptedDNS, second: ScriptedDNS, trouble: dict[str, object]
) -> None:
    server.load({"e.example": [trouble]})
    second.load({"e.example": [HOST]})
    answer, elapsed = timed(Resolver([nameserver(server.address), nameserver(second.address)]), limit=10)
    assert answer == FOUND
    assert elapsed < 0.3 * patience()


def test_the_last_failure_is_told(server: ScriptedDNS, second: ScriptedDNS) -> None:
    server.load({"e.example": [{"RCODE": "SERVFAIL"}]})
    second.load({"e.example": [{"RCODE": "REFUSED"}]})
    answer = ask(Resolver([nameserver(server.address), nameserver(second.address)]))
    assert answer.failure == "REFUSED"


# -- EDNS and TCP -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unhurried")
def test_a_server_without_edns_is_asked_again_without(server: ScriptedDNS, resolver: Resolver) -> None:
    """RFC 6891 section 7, and it is remembered."""
    server.load({"e.example": [HOST, {"FORMERR_ON_EDNS": True}]})
    assert ask(resolver) == FOUND
    assert server.queries["e.example", "A"] == 2
    assert ask(resolver) == FOUND
    assert server.queries["e.example", "A"] == 3


def test_a_truncated_answer_is_fetched_over_tcp(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [HOST, {"TRUNCATE": True}]})
    assert ask(resolver) == FOUND
    assert server.tcp_queries["e.example", "A"] == 1


def test_an_answer_beyond_the_edns_size_is_fetched_over_tcp(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [{"TXT": "x" * 1000}], "long.example": [{"TXT": "x" * 5000}]})
    assert ask(resolver, "e.example", Type.TXT).records == (b"x" * 1000,)
    assert not server.tcp_queries
    assert ask(resolver, "long.example", Type.TXT).records == (b"x" * 5000,)
    assert server.tcp_queries["long.example", "TXT"] == 1


@pytest.mark.parametrize(("length", "over_tcp"), [(1200, 0), (3900, 0), (5000, 1), (60_000, 1)])
def test_an_answer_that_is_longer_than_we_read_is_fetched_over_tcp(
    server: ScriptedDNS, resolver: Resolver, length: int, over_tcp: int
) -> None:
    """A server that does not care for the size that we offer, nor for TC: before, a temperror at each try."""
    server.load({"e.example": [{"TXT": "x" * length}, {"OVERSIZE": True}]})
    assert ask(resolver, "e.example", Type.TXT).records == (b"x" * length,)
    assert server.tcp_queries["e.example", "TXT"] == over_tcp


def test_tcp_that_hangs_ends_with_the_deadline(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [HOST, {"TRUNCATE": True}, {"TCP_ONLY_TIMEOUT": True}]})
    limit = 0.6 * patience()
    answer, elapsed = timed(resolver, limit=limit)
    assert answer.status is Status.FAILED
    assert "TCP" in answer.failure
    assert limit - 0.05 < elapsed < 2.5 * limit


def test_tcp_that_hangs_leaves_time_for_another_server(
    server: ScriptedDNS, second: ScriptedDNS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spfmilter.dns.channel._TCP_WAIT", 0.3)
    server.load({"e.example": [HOST, {"TRUNCATE": True}, {"TCP_ONLY_TIMEOUT": True}]})
    second.load({"e.example": [HOST]})
    answer, elapsed = timed(Resolver([nameserver(server.address), nameserver(second.address)]), limit=10)
    assert answer.records == FOUND.records
    assert elapsed < 2 * patience()


def test_an_error_over_tcp_is_a_failed_lookup(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [{"RCODE": "SERVFAIL"}, {"TRUNCATE": True}]})
    assert ask(resolver) == Answer(Status.FAILED, failure="SERVFAIL")


TCP_TROUBLES = {
    "closes at once": lambda _: b"",
    "sends less than it announces": lambda query: struct.pack("!H", 100) + query,
    "sends nothing but a length": lambda _: b"\0\0",
    "answers with another id": lambda query: struct.pack("!H", len(query)) + b"\0\0\x81\x80" + query[4:],
    "sends garbage": lambda query: struct.pack("!H", len(query)) + query[:2] + b"\x81\x80\0\1\0\7" + query[8:],
    "truncates again": lambda query: struct.pack("!H", len(query)) + query[:2] + b"\x83\x80" + query[4:],
}


@pytest.mark.parametrize("trouble", TCP_TROUBLES.values(), ids=TCP_TROUBLES.keys())
def test_a_tcp_server_that_fails_is_a_failed_lookup(trouble: object) -> None:
    assert callable(trouble)
    udp, listener = bind_both("127.0.0.1")

    def serve() -> None:
        query, client = udp.recvfrom(2000)
        udp.sendto(query[:2] + b"\x83\x80" + query[4:], client)
        connection, _ = listener.accept()
        with connection:
            query = connection.recv(2000)[2:]
            connection.sendall(trouble(query))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        answer, elapsed = timed(Resolver([Nameserver("127.0.0.1", udp.getsockname()[1])]), limit=5)
    finally:
        thread.join(10)
        udp.close()
        listener.close()
    assert answer.status is Status.FAILED
    assert "TCP" in answer.failure
    assert elapsed < 2 * patience()


# -- packets that are not what was asked for --------------------------------------------------------------------------


@pytest.mark.parametrize("forgery", ["WRONG_QUESTION", "WRONG_ID"])
def test_a_forged_packet_does_not_spoil_the_honest_one(server: ScriptedDNS, resolver: Resolver, forgery: str) -> None:
    server.load({"e.example": [HOST, {forgery: "FIRST"}]})
    answer, elapsed = timed(resolver, limit=10)
    assert answer == FOUND
    assert elapsed < 0.3 * patience()


@pytest.mark.parametrize("forgery", ["WRONG_QUESTION", "WRONG_ID"])
def test_forged_packets_alone_are_no_answer(server: ScriptedDNS, resolver: Resolver, forgery: str) -> None:
    server.load({"e.example": [HOST, {forgery: True}]})
    assert ask(resolver, limit=0.5 * patience()) == Answer(Status.FAILED, failure="timeout")


@pytest.mark.parametrize("raw", [b"", b"x", b"\0" * 11, b"\xff" * 12, b"\xff" * 600])
def test_garbage_is_no_answer(server: ScriptedDNS, resolver: Resolver, raw: bytes) -> None:
    server.load({"e.example": [{"RAW": raw}]})
    assert ask(resolver, limit=0.5 * patience()).status is Status.FAILED


def test_garbage_under_our_question_is_told(server: ScriptedDNS, resolver: Resolver) -> None:
    """An answer that announces a record and holds none: there is nothing to wait for."""
    server.load({"e.example": [{"RAW": lambda wire: wire[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + wire[12:-11]}]})
    answer, elapsed = timed(resolver, limit=10)
    assert answer.failure.startswith("malformed answer")
    assert elapsed < 0.3 * patience()


def test_ids_and_ports_differ_from_question_to_question(server: ScriptedDNS, resolver: Resolver) -> None:
    """RFC 5452 section 9.2."""
    seen: list[bytes] = []
    server.load({"e.example": [{"RAW": lambda wire: seen.append(wire[:2]) or wire[:2] + b"\x81\x83" + wire[4:]}]})
    for _ in range(20):
        ask(resolver)
    assert len(set(seen)) > 15


# -- aliases ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unhurried")
def test_a_chain_in_one_packet_is_one_question(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load(
        {"e.example": [{"CNAME": "f.example"}], "f.example": [{"CNAME": "g.example"}, {"TTL": 60}], "g.example": [HOST]}
    )
    assert ask(resolver) == Answer(Status.DATA, FOUND.records, 60)
    assert sum(server.queries.values()) == 1


def dangling(target: str, ttl: int) -> dict[str, object]:
    """An answer that holds the alias and no more, as from a server that does not follow it."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in target.split(".")) + b"\0"
    record = b"\xc0\x0c" + struct.pack("!HHLH", 5, 1, ttl, len(labels)) + labels

    def make(wire: bytes) -> bytes:
        end = wire.index(b"\0", 12) + 5
        return wire[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + wire[12:end] + record

    return {"RAW": make}


def test_a_chain_over_several_packets_is_asked_for(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load(
        {"e.example": [dangling("f.example", 50)], "f.example": [dangling("g.example", 90)], "g.example": [HOST]}
    )
    assert ask(resolver) == Answer(Status.DATA, FOUND.records, 50)
    assert set(server.queries) == {("e.example", "A"), ("f.example", "A"), ("g.example", "A")}


def test_a_loop_in_one_packet_holds_nothing(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [{"CNAME": "f.example"}], "f.example": [{"CNAME": "e.example"}]})
    assert ask(resolver).status is Status.NO_DATA


@pytest.mark.usefixtures("unhurried")
def test_a_loop_over_packets_holds_nothing(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [dangling("f.example", 5)], "f.example": [dangling("e.example", 5)]})
    assert ask(resolver) == Answer(Status.NO_DATA, (), 5)
    assert sum(server.queries.values()) == 10


def test_threads_may_share_a_resolver(server: ScriptedDNS, resolver: Resolver) -> None:
    names = [f"h{n}.example" for n in range(40)]
    server.load({name: [{"A": f"192.0.2.{n}"}, {"DELAY": 0.05}] for n, name in enumerate(names)})
    answers: dict[str, Answer] = {}
    threads = [threading.Thread(target=lambda name=name: answers.update({name: ask(resolver, name)})) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[name].records for name in names] == [(bytes((192, 0, 2, n)),) for n in range(40)]
