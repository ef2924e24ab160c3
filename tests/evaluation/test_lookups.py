"""Questions to real sockets on loopback: what is done about servers that are slow, silent, broken or lying."""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.dnsserver import ScriptedDNS
from spfmilter.evaluation.answer import Answer, Status, Type
from spfmilter.evaluation.evaluator import Evaluator, Limits
from spfmilter.evaluation.lookups import Resolver
from spfmilter.model import ProblemKind, Result
from spfmilter.settings.types import Nameserver, nameserver
from tests.evaluation.world import check

FOUND = Answer(Status.DATA, (b"\xc0\0\2\1",), 300)
HOST = {"A": "192.0.2.1"}


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedDNS]:
    with ScriptedDNS() as running:
        yield running


@pytest.fixture(scope="module")
def second() -> Iterator[ScriptedDNS]:
    with ScriptedDNS() as running:
        yield running


@pytest.fixture
def resolver(server: ScriptedDNS) -> Resolver:
    server.reset_counts()
    return Resolver([nameserver(server.address)])


@contextmanager
def unused_port() -> Iterator[Nameserver]:
    """A UDP port where nobody answers, since it is bound and never read."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield Nameserver("127.0.0.1", sock.getsockname()[1])


def closed_port() -> Nameserver:
    """A UDP port where nobody listens: the kernel says so by ICMP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return Nameserver("127.0.0.1", sock.getsockname()[1])


def ask(resolver: Resolver, name: str = "e.example", rdtype: Type = Type.A, *, limit: float = 10.0) -> Answer:
    return resolver.ask(name, rdtype, time.monotonic() + limit)


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
    assert answer == FOUND
    assert elapsed < 1.5
    assert server.queries["e.example", "A"] == 2


def test_a_silent_server_ends_with_the_deadline(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": ["TIMEOUT"]})
    answer, elapsed = timed(resolver, limit=0.6)
    assert answer == Answer(Status.FAILED, failure="timeout")
    assert 0.55 < elapsed < 1.5


def test_a_late_answer_to_the_first_packet_counts(server: ScriptedDNS, resolver: Resolver) -> None:
    """It comes after the second packet was sent, whose answer need not be waited for."""
    server.load({"e.example": [HOST, {"DELAY": 0.6}]})
    answer, elapsed = timed(resolver, limit=5)
    assert answer == FOUND
    assert elapsed < 0.95


# -- several servers --------------------------------------------------------------------------------------------------


def test_a_dead_first_server_costs_one_wait_once(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST]})
    with unused_port() as dead:
        resolver = Resolver([dead, nameserver(server.address)])
        (first, slow), (again, quick) = timed(resolver, limit=10), timed(resolver, limit=10)
        assert first == again == FOUND
        assert 0.3 < slow < 1.5
        assert quick < 0.3
        assert resolver.nameservers()[0] == nameserver(server.address)


def test_a_server_that_was_silent_is_tried_again_after_a_while(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST]})
    offset = 0.0
    with unused_port() as dead:
        resolver = Resolver([dead, nameserver(server.address)], clock=lambda: time.monotonic() + offset)
        assert resolver.ask("e.example", Type.A, time.monotonic() + 10) == FOUND
        offset = 29.0
        assert resolver.nameservers()[0] != dead
        offset = 31.0
        assert resolver.nameservers()[0] == dead


def test_a_closed_port_costs_nothing(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST]})
    answer, elapsed = timed(Resolver([closed_port(), nameserver(server.address)]), limit=10)
    assert answer == FOUND
    assert elapsed < 0.3


def test_nobody_at_all_is_a_failed_lookup_at_once() -> None:
    answer, elapsed = timed(Resolver([closed_port(), closed_port()]), limit=10)
    assert (answer.status, answer.failure) == (Status.FAILED, "Connection refused")
    assert elapsed < 0.5


def test_an_address_without_a_route_is_a_failed_lookup() -> None:
    answer, elapsed = timed(Resolver([Nameserver("255.255.255.255")]), limit=10)
    assert answer.status is Status.FAILED
    assert elapsed < 0.5


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
    assert elapsed < 0.3


def test_the_last_failure_is_told(server: ScriptedDNS, second: ScriptedDNS) -> None:
    server.load({"e.example": [{"RCODE": "SERVFAIL"}]})
    second.load({"e.example": [{"RCODE": "REFUSED"}]})
    answer = ask(Resolver([nameserver(server.address), nameserver(second.address)]))
    assert answer.failure == "REFUSED"


# -- EDNS and TCP -----------------------------------------------------------------------------------------------------


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


def test_tcp_that_hangs_ends_with_the_deadline(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [HOST, {"TRUNCATE": True}, {"TCP_ONLY_TIMEOUT": True}]})
    answer, elapsed = timed(resolver, limit=0.6)
    assert answer.status is Status.FAILED
    assert "TCP" in answer.failure
    assert 0.55 < elapsed < 1.5


def test_tcp_that_hangs_leaves_time_for_another_server(
    server: ScriptedDNS, second: ScriptedDNS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spfmilter.evaluation.lookups._TCP_WAIT", 0.3)
    server.load({"e.example": [HOST, {"TRUNCATE": True}, {"TCP_ONLY_TIMEOUT": True}]})
    second.load({"e.example": [HOST]})
    answer, elapsed = timed(Resolver([nameserver(server.address), nameserver(second.address)]), limit=10)
    assert answer == FOUND
    assert elapsed < 2


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
def test_a_tcp_server_in_trouble_is_a_failed_lookup(trouble: object) -> None:
    assert callable(trouble)
    listener = socket.create_server(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(listener.getsockname())

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
    assert elapsed < 2


# -- packets that are not what was asked for --------------------------------------------------------------------------


@pytest.mark.parametrize("forgery", ["WRONG_QUESTION", "WRONG_ID"])
def test_a_forged_packet_does_not_spoil_the_honest_one(server: ScriptedDNS, resolver: Resolver, forgery: str) -> None:
    server.load({"e.example": [HOST, {forgery: "FIRST"}]})
    answer, elapsed = timed(resolver, limit=10)
    assert answer == FOUND
    assert elapsed < 0.3


@pytest.mark.parametrize("forgery", ["WRONG_QUESTION", "WRONG_ID"])
def test_forged_packets_alone_are_no_answer(server: ScriptedDNS, resolver: Resolver, forgery: str) -> None:
    server.load({"e.example": [HOST, {forgery: True}]})
    assert ask(resolver, limit=0.5) == Answer(Status.FAILED, failure="timeout")


@pytest.mark.parametrize("raw", [b"", b"x", b"\0" * 11, b"\xff" * 12, b"\xff" * 600])
def test_garbage_is_no_answer(server: ScriptedDNS, resolver: Resolver, raw: bytes) -> None:
    server.load({"e.example": [{"RAW": raw}]})
    assert ask(resolver, limit=0.5).status is Status.FAILED


def test_garbage_under_our_question_is_told(server: ScriptedDNS, resolver: Resolver) -> None:
    """An answer that announces a record and holds none: there is nothing to wait for."""
    server.load({"e.example": [{"RAW": lambda wire: wire[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + wire[12:-11]}]})
    answer, elapsed = timed(resolver, limit=10)
    assert answer.failure.startswith("malformed answer")
    assert elapsed < 0.3


def test_ids_and_ports_differ_from_question_to_question(server: ScriptedDNS, resolver: Resolver) -> None:
    """RFC 5452 section 9.2."""
    seen: list[bytes] = []
    server.load({"e.example": [{"RAW": lambda wire: seen.append(wire[:2]) or wire[:2] + b"\x81\x83" + wire[4:]}]})
    for _ in range(20):
        ask(resolver)
    assert len(set(seen)) > 15


# -- aliases ----------------------------------------------------------------------------------------------------------


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


def test_a_loop_over_packets_holds_nothing(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [dangling("f.example", 5)], "f.example": [dangling("e.example", 5)]})
    assert ask(resolver) == Answer(Status.NO_DATA, (), 5)
    assert sum(server.queries.values()) == 10


# -- resolv.conf ------------------------------------------------------------------------------------------------------


def test_resolv_conf_gives_addresses_and_nothing_else(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("search corp.local\ndomain corp.local\noptions ndots:5\nnameserver 192.0.2.53\nnameserver ::1\n")
    assert Resolver(resolv_conf=conf).nameservers() == (Nameserver("192.0.2.53"), Nameserver("::1"))


def test_the_search_list_is_never_applied(server: ScriptedDNS, resolver: Resolver) -> None:
    """A sender's domain that does not exist was evaluated as its namesake under the host's own domain, and passed."""
    server.load({"e.example.corp.local": [HOST], "mail.corp.local": [HOST]})
    assert ask(resolver).status is Status.NO_NAME
    assert ask(resolver, "mail").status is Status.NO_NAME
    assert set(server.queries) == {("e.example", "A"), ("mail", "A")}


def test_the_host_of_resolv_conf_is_asked_for_the_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, with the file: it cannot name a port, so that the packet is caught where it is sent."""
    conf = tmp_path / "resolv.conf"
    conf.write_text("search corp.local\nnameserver 127.0.0.1\n")
    asked: list[bytes] = []
    monkeypatch.setattr(socket.socket, "send", lambda _, data: asked.append(data) or len(data))
    Resolver(resolv_conf=conf).ask("e.example", Type.A, time.monotonic() + 0.05)
    assert [data[12:23] for data in asked] == [b"\1e\7example\0"]


def test_a_changed_file_is_read_again_after_a_while(tmp_path: Path) -> None:
    conf, now = tmp_path / "resolv.conf", 100.0
    conf.write_text("nameserver 192.0.2.1\n")
    resolver = Resolver(resolv_conf=conf, clock=lambda: now)
    assert resolver.nameservers() == (Nameserver("192.0.2.1"),)
    conf.write_text("nameserver 192.0.2.22\n")
    assert resolver.nameservers() == (Nameserver("192.0.2.1"),)
    now += 5.0
    assert resolver.nameservers() == (Nameserver("192.0.2.22"),)


def test_an_unchanged_file_keeps_what_is_known_of_the_servers(tmp_path: Path) -> None:
    conf, now = tmp_path / "resolv.conf", 100.0
    conf.write_text("nameserver 192.0.2.1\n")
    resolver = Resolver(resolv_conf=conf, clock=lambda: now)
    before = resolver._by_health()[0]
    now += 60.0
    assert resolver._by_health()[0] is before


@pytest.mark.parametrize("text", ["", "search corp.local\n", "nameserver nonsense\n", "nameserver\n", "\0\xff\n"])
def test_a_file_without_a_server_means_this_host(tmp_path: Path, text: str) -> None:
    """resolv.conf(5)."""
    conf = tmp_path / "resolv.conf"
    conf.write_bytes(text.encode("latin-1"))
    assert Resolver(resolv_conf=conf).nameservers() == (Nameserver("127.0.0.1"),)


@pytest.mark.parametrize("text", [None, "", "nameserver nonsense\n"])
def test_a_file_that_is_broken_later_changes_nothing(tmp_path: Path, text: str | None) -> None:
    conf, now = tmp_path / "resolv.conf", 100.0
    conf.write_text("nameserver 192.0.2.1\n")
    resolver = Resolver(resolv_conf=conf, clock=lambda: now)
    assert resolver.nameservers() == (Nameserver("192.0.2.1"),)
    if text is None:
        conf.unlink()
    else:
        conf.write_text(text)
        os.utime(conf, (1, 1))
    now += 5.0
    assert resolver.nameservers() == (Nameserver("192.0.2.1"),)


def test_servers_that_were_given_are_not_replaced(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 192.0.2.1\n")
    assert Resolver([Nameserver("192.0.2.9", 5353)], resolv_conf=conf).nameservers() == (Nameserver("192.0.2.9", 5353),)


# -- the time limit ---------------------------------------------------------------------------------------------------

REVERSE = "1.2.0.192.in-addr.arpa"
SILENT = {
    "the record": {"e.example": ["TIMEOUT"]},
    "an include": {"e.example": [{"TXT": "v=spf1 include:i.example -all"}], "i.example": ["TIMEOUT"]},
    "an address": {"e.example": [{"TXT": "v=spf1 a:h.example -all"}], "h.example": ["TIMEOUT"]},
    "a redirect": {"e.example": [{"TXT": "v=spf1 redirect=r.example"}], "r.example": ["TIMEOUT"]},
}


@pytest.mark.parametrize("zone", SILENT.values(), ids=SILENT.keys())
def test_silence_is_a_temperror_at_the_limit(
    server: ScriptedDNS, resolver: Resolver, zone: dict[str, list[object]]
) -> None:
    server.load(zone)
    verdict = Evaluator(resolver, Limits(time=0.5)).evaluate(check())
    assert verdict.result is Result.TEMPERROR
    assert verdict.problem is not None
    assert verdict.problem.kind is ProblemKind.DNS_FAILURE
    assert 0.45 < verdict.elapsed < 1.3


def test_the_limit_is_for_the_sum_of_the_lookups(server: ScriptedDNS, resolver: Resolver) -> None:
    """Each answer comes soon enough; all of them do not."""
    terms = " ".join(f"a:h{n}.example" for n in range(9))
    hosts = {f"h{n}.example": [{"A": "192.0.2.9"}, {"DELAY": 0.15}] for n in range(9)}
    server.load({"e.example": [{"TXT": f"v=spf1 {terms} -all"}], **hosts})
    verdict = Evaluator(resolver, Limits(time=0.5)).evaluate(check())
    assert verdict.result is Result.TEMPERROR
    assert verdict.elapsed < 1.0
    assert 2 <= len(server.queries) < 8


def test_a_reverse_lookup_is_charged_and_then_no_time_is_left(server: ScriptedDNS, resolver: Resolver) -> None:
    """Its failure is no match (section 5.5), but the time that it took is gone."""
    server.load({"e.example": [{"TXT": "v=spf1 ptr a -all"}], REVERSE: ["TIMEOUT"]})
    verdict = Evaluator(resolver, Limits(time=0.5)).evaluate(check())
    assert (verdict.result, verdict.problem and verdict.problem.kind) == (Result.TEMPERROR, ProblemKind.TIME_LIMIT)
    assert verdict.problem is not None
    assert (verdict.problem.domain, verdict.problem.term) == ("e.example", "a")
    assert 0.45 < verdict.elapsed < 1.3


def test_a_reverse_lookup_that_is_silent_ends_in_the_term_after_it(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [{"TXT": "v=spf1 ptr -all"}], REVERSE: ["TIMEOUT"]})
    verdict = Evaluator(resolver, Limits(time=0.5)).evaluate(check())
    assert verdict.result is Result.FAIL
    assert 0.45 < verdict.elapsed < 1.3


def test_an_explanation_is_charged_to_the_limit_and_changes_no_result(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [{"TXT": "v=spf1 -all exp=why.example"}], "why.example": ["TIMEOUT"]})
    verdict = Evaluator(resolver, Limits(time=0.5)).evaluate(check())
    assert (verdict.result, verdict.explanation) == (Result.FAIL, None)
    assert 0.45 < verdict.elapsed < 1.3


def test_an_explanation_has_a_limit_of_its_own(
    server: ScriptedDNS, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is waiting for its refusal."""
    monkeypatch.setattr("spfmilter.evaluation.evaluator._EXPLANATION_TIME", 0.3)
    server.load({"e.example": [{"TXT": "v=spf1 -all exp=%{p}.why.example"}], REVERSE: ["TIMEOUT"]})
    verdict = Evaluator(resolver).evaluate(check())
    assert (verdict.result, verdict.explanation) == (Result.FAIL, None)
    assert 0.25 < verdict.elapsed < 1.3


def test_several_checks_share_a_deadline(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": ["TIMEOUT"], "f.example": [{"TXT": "v=spf1 -all"}]})
    evaluator = Evaluator(resolver)
    deadline = time.monotonic() + 0.5
    first, second = (evaluator.evaluate(check(name), deadline=deadline) for name in ("e.example", "f.example"))
    assert (first.result, second.result) == (Result.TEMPERROR, Result.TEMPERROR)
    assert second.problem is not None
    assert second.problem.kind is ProblemKind.TIME_LIMIT
    assert ("f.example", "TXT") not in server.queries


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
