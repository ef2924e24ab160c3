"""Equal questions of several connections are one question, also if any of them leaves meanwhile."""

import math
import os
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lab.dnsserver import ScriptedDNS
from lab.processes import patience
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.cache import AnswerCache
from spfmilter.dns.channel import Channel
from spfmilter.dns.flight import Flight
from spfmilter.dns.pending import Pending
from spfmilter.dns.resolver import Resolver
from spfmilter.dns.server import Server
from spfmilter.settings.values import Nameserver, nameserver
from tests.dns.test_channel import FOUND, HOST, Shifted, caching, channel, honest, soon, start_thread

pytestmark = pytest.mark.outside

QUESTION = ("e.example", "A")


def descriptors() -> dict[str, str]:
    """Those of this process that are sockets, or on which threads are woken; not what the DNS server polls with."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found[entry.name] = str(entry.readlink())
    return {name: what for name, what in found.items() if "eventpoll" not in what}


@contextmanager
def channels(resolver: Resolver, number: int) -> Iterator[list[Channel]]:
    """So many connections, closed in the end; then nothing is in flight, and no descriptor is left."""
    before = descriptors()
    with ExitStack() as stack:
        yield [stack.enter_context(channel(resolver)) for _ in range(number)]
    assert resolver.in_flight == {}
    until(lambda: descriptors() == before)  # the server closes TCP in a thread of its own


def sockets_of(pending: Pending) -> list[int]:
    """Return the descriptors over which a question was sent."""
    assert isinstance(pending.flight, Flight)
    return list(pending.flight.sockets)


def all_ask(asking: list[Channel], name: str = "e.example", limit: float = 20.0) -> list[Answer]:
    """What each gets that asks, all at the same time, each in a thread of its own."""
    answers: list[Answer] = []
    threads = [start_thread(lambda one=one: answers.append(one.ask(name, Type.A, soon(limit)))) for one in asking]
    for thread in threads:
        thread.join()
    return answers


def until(condition: Callable[[], object]) -> None:
    """Wait for another thread to get there; a deadline far off."""
    end = soon(20)
    while not condition():
        assert time.monotonic() < end
        os.sched_yield()


def readers(resolver: Resolver) -> list[object]:
    """Who reads the answer to the question at present."""
    return [pending.flight.reader for pending in list(resolver.in_flight.values()) if pending.flight.reader is not None]


def waiters(resolver: Resolver) -> int:
    """How many sleep on the answer."""
    return sum(len(pending.waiters) for pending in list(resolver.in_flight.values()))


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("entries", [1000, 0], ids=["cache", "no cache"])
@pytest.mark.parametrize("behaviour", [{}, {"TTL": 0}, {"TRUNCATE": True}], ids=["", "no TTL", "TCP"])
def test_a_question_is_sent_once_though_no_one_reads(
    server: ScriptedDNS, behaviour: dict[str, object], entries: int
) -> None:
    """As after many a HELO of the same name: all are idle, and the answer is not there yet."""
    server.load({"e.example": [HOST, {"DELAY": 0.5 * patience()}, *([behaviour] if behaviour else [])]})
    server.reset_counts()
    resolver = Resolver([nameserver(server.address)], cache=AnswerCache(entries=entries))
    with channels(resolver, 20) as asking:
        for one in asking:
            one.start("e.example", Type.A)
        assert server.wait_until_asked(*QUESTION)
        assert [answer.records for answer in all_ask(asking)] == [FOUND.records] * 20
    tcp = server.tcp_queries[QUESTION]
    assert tcp == ("TRUNCATE" in behaviour)
    assert server.queries[QUESTION] - tcp == 1


@pytest.mark.usefixtures("unhurried")
def test_an_answer_that_lies_unread_is_read_by_the_next_connection_that_wants_it(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST]})
    server.reset_counts()
    with channels(caching(nameserver(server.address)), 3) as (idle, early, other):
        idle.start("e.example", Type.A)
        assert server.wait_until_asked(*QUESTION)
        assert other.ask("e.example", Type.A, soon()) == FOUND
        heard: list[Answer] = []
        early.start("e.example", Type.A, heard.append)
        assert [answer.records for answer in heard] == [FOUND.records]
        assert idle.ask("e.example", Type.A, soon()).records == FOUND.records
    assert server.queries[QUESTION] == 1


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("way", ["close", "forget"])
def test_the_one_that_asked_may_leave(server: ScriptedDNS, way: str) -> None:
    """Whether it is idle or not: the others read on, over its socket."""
    server.load({"e.example": [HOST, {"DELAY": 0.5 * patience()}]})
    server.reset_counts()
    resolver = caching(nameserver(server.address))
    with channels(resolver, 5) as (owner, *others):
        owner.start("e.example", Type.A)
        assert server.wait_until_asked(*QUESTION)
        answers: list[list[Answer]] = []
        thread = start_thread(lambda: answers.append(all_ask(others)))
        until(lambda: readers(resolver) and waiters(resolver) == 3)
        getattr(owner, way)()
        thread.join()
        assert [answer.records for answer in answers[0]] == [FOUND.records] * 4
        assert owner.ask("e.example", Type.A, soon()).records == FOUND.records
    assert server.queries[QUESTION] == 1


def test_when_the_reader_runs_out_of_time_another_one_reads_on(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST, {"DROP_FIRST": 1}, {"DELAY": 0.3}]})
    server.reset_counts()
    resolver = caching(nameserver(server.address))
    with channels(resolver, 4) as (hurried, *others):
        first, answers = list[Answer](), list[list[Answer]]()
        one = start_thread(lambda: first.append(hurried.ask("e.example", Type.A, soon(0.2))))
        until(lambda: first or readers(resolver) == [hurried])
        rest = start_thread(lambda: answers.append(all_ask(others)))
        one.join()
        rest.join()
        assert first[0].failure == "timeout"
        assert [answer.records for answer in answers[0]] == [FOUND.records] * 3
    assert server.queries[QUESTION] in {2, 3}, "sent again by the one that read then: once, or twice on a busy machine"


def test_followers_of_a_dead_question_sleep(server: ScriptedDNS, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are woken to read on, one by one, and not to look; each fails at its own deadline."""
    server.load({"e.example": ["TIMEOUT"]})
    server.reset_counts()
    resolver, pumps = caching(nameserver(server.address)), Counter[Channel]()
    pump = Channel._pump

    def counted(self: Channel, *arguments: object) -> None:
        pumps[self] += 1
        pump(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Channel, "_pump", counted)
    limit = 1.0 * patience()
    with channels(resolver, 40) as asking:
        answers = all_ask(asking, limit=limit)
    assert [(answer.failure, answer.local_failure) for answer in answers] == [("timeout", False)] * 40
    doubled = math.ceil(math.log2(limit))  # the wait for an answer doubles: a limit twice as long is one packet more
    assert server.queries[QUESTION] <= 4 + doubled
    assert sum(pumps.values()) < 40 * (6 + doubled), "a look each 2 ms is 500 of each"


def test_a_deadline_is_its_followers_own(server: ScriptedDNS) -> None:
    pace = patience()
    server.load({"e.example": [HOST, {"DELAY": 1.0 * pace}]})
    with channels(caching(nameserver(server.address)), 2) as (patient, hurried):
        answers: list[Answer] = []
        thread = start_thread(lambda: answers.append(patient.ask("e.example", Type.A, soon(20 * pace))))
        assert server.wait_until_asked(*QUESTION)
        assert hurried.ask("e.example", Type.A, soon(0.1)).status is Status.FAILED
        assert not answers
        thread.join()
        assert answers[0].records == FOUND.records
        assert hurried.ask("e.example", Type.A, soon()).records == FOUND.records


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("gives_up", [True, False])
def test_tcp_is_tried_by_one_at_a_time(server: ScriptedDNS, gives_up: bool) -> None:
    """The one that fetches may have less time than the others, which then fetch it themselves."""
    pace = patience()
    server.load({"e.example": [HOST, {"TRUNCATE": True}, {"DELAY": 0.4 * pace}]})
    server.reset_counts()
    with channels(caching(nameserver(server.address)), 6) as (first, *others):
        answers: list[Answer] = []
        limit = (0.6 if gives_up else 20) * pace
        thread = start_thread(lambda: answers.append(first.ask("e.example", Type.A, soon(limit))))
        until(lambda: server.tcp_queries[QUESTION])
        assert [answer.records for answer in all_ask(others)] == [FOUND.records] * 5
        thread.join()
    assert server.tcp_queries[QUESTION] <= 1 + gives_up
    assert server.queries[QUESTION] - server.tcp_queries[QUESTION] == 1


def test_what_one_does_with_an_answer_holds_up_no_other(server: ScriptedDNS) -> None:
    """The record of the one that asked keeps it busy, as a hostile one may, before it has read the other's answer."""
    server.load({"evil.example": [HOST], "e.example": [HOST, {"DELAY": 0.3}]})
    resolver, busy, done = caching(nameserver(server.address)), threading.Event(), threading.Event()

    def work(_: Answer) -> None:
        busy.set()
        assert done.wait(20)

    with channels(resolver, 2) as (owner, other):
        owner.start("e.example", Type.A)
        owner.start("evil.example", Type.A, work)
        thread = start_thread(lambda: owner.ask("e.example", Type.A, soon()))
        assert busy.wait(20)
        assert other.ask("e.example", Type.A, soon()).records == FOUND.records
        done.set()
        thread.join()


def test_what_waits_for_an_answer_is_done_by_its_own_connection(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST]})
    with channels(caching(nameserver(server.address)), 2) as (owner, other):
        heard: list[int] = []
        owner.start("e.example", Type.A, lambda _: heard.append(threading.get_ident()))
        start_thread(lambda: other.ask("e.example", Type.A, soon())).join()
        assert not heard
        owner.ask("e.example", Type.A, soon())
        assert heard == [threading.get_ident()]


def test_what_is_out_since_long_ago_is_asked_anew(server: ScriptedDNS) -> None:
    """A client was idle after HELO, and its answer has lain there: for others, it may have ended."""
    server.load({"e.example": [HOST, {"TTL": 5}], "lost.example": [HOST, {"DROP_FIRST": 1}]})
    server.reset_counts()
    clock = Shifted()
    resolver = Resolver([nameserver(server.address)], cache=AnswerCache(clock=clock), clock=clock)
    with channels(resolver, 2) as (idle, other):
        for name in ("e.example", "lost.example"):
            idle.start(name, Type.A)
            assert server.wait_until_asked(name, "A")
        clock.offset = 60
        for name, ttl in (("e.example", 5), ("lost.example", 300)):
            answer = other.ask(name, Type.A, clock() + 20)
            assert answer.records == FOUND.records
            assert answer.ttl >= ttl - 2
    assert set(server.queries.values()) == {2}


@pytest.mark.parametrize("wanted", ["e.example", "beside.example"], ids=["the question itself", "one beside it"])
@pytest.mark.parametrize(
    "failure", [{"RCODE": "SERVFAIL"}, {"RAW": lambda query: query[:2] + b"\x81\x80" + query[4:-11] + b"\0"}],
    ids=["SERVFAIL", "malformed"],
)  # fmt: skip
def test_a_failure_that_has_lain_unread_is_no_news(
    server: ScriptedDNS, wanted: str, failure: dict[str, object]
) -> None:
    """A client was idle after HELO, while the DNS of its domain has recovered: for the next one it is no failure."""
    server.load({"e.example": [HOST, failure], "beside.example": [HOST, {"DROP_FIRST": 1}]})
    server.reset_counts()
    clock = Shifted()
    resolver = Resolver([nameserver(server.address)], cache=AnswerCache(clock=clock), clock=clock)
    with channels(resolver, 3) as (idle, other, third):
        for name in ("e.example", "beside.example"):
            idle.start(name, Type.A)
            assert server.wait_until_asked(name, "A")
        assert select.select(sockets_of(resolver.in_flight[Type.A, "e.example"]), [], [], 20)[0]
        server.load({"e.example": [HOST], "beside.example": [HOST]})
        clock.offset = 60
        assert other.ask(wanted, Type.A, clock() + 20).records == FOUND.records
        assert third.ask("e.example", Type.A, clock() + 20).records == FOUND.records


def test_a_question_on_sockets_that_another_connection_reads_is_sent_again_in_time(server: ScriptedDNS) -> None:
    """The reader waits for a silent domain, whose packets are far apart by now."""
    server.load({"dead.example": ["TIMEOUT"], "e.example": [HOST, {"DROP_FIRST": 1}]})
    server.reset_counts()
    resolver = caching(nameserver(server.address))
    with channels(resolver, 2) as (owner, other):
        owner.start("dead.example", Type.A)
        resolver.in_flight[Type.A, "dead.example"].due = soon(60)  # its next packet
        reader = start_thread(lambda: other.ask("dead.example", Type.A, soon(12)))
        until(lambda: readers(resolver) == [other])
        start = time.monotonic()
        assert owner.ask("e.example", Type.A, soon(20)).records == FOUND.records
        assert time.monotonic() - start < 10
        reader.join()


def test_a_question_to_another_server_is_heard_though_another_connection_reads(
    server: ScriptedDNS, second: ScriptedDNS
) -> None:
    """The answer comes to a socket that the reader has not seen yet."""
    server.load({"dead.example": ["TIMEOUT"]})
    second.load({"e.example": [HOST]})
    resolver = caching(nameserver(server.address), nameserver(second.address))
    with channels(resolver, 2) as (owner, other):
        owner.start("dead.example", Type.A)
        resolver.in_flight[Type.A, "dead.example"].due = soon(60)
        reader = start_thread(lambda: other.ask("dead.example", Type.A, soon(12)))
        until(lambda: readers(resolver) == [other])
        resolver.by_health()[0].avoid_until = soon(60)
        start = time.monotonic()
        assert owner.ask("e.example", Type.A, soon(20)).records == FOUND.records
        assert time.monotonic() - start < 10
        reader.join()


@pytest.mark.usefixtures("unhurried")
def test_an_answer_that_comes_just_before_one_reads_is_not_waited_for(
    server: ScriptedDNS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection has joined and read it, after this one had looked for it, and before it became the reader."""
    server.load({"e.example": [HOST, {"TTL": 0}]})
    read_by = Flight.read_by
    with channels(caching(nameserver(server.address)), 2) as (owner, other):

        def late(flight: Flight, *what: Any) -> float:
            other.start("e.example", Type.A)
            return read_by(flight, *what)

        monkeypatch.setattr(Flight, "read_by", late)
        owner.start("e.example", Type.A)
        pending = next(iter(owner._wanted.values()))
        assert select.select(sockets_of(pending), [], [], 20)[0], "the answer lies there"
        start = time.monotonic()
        assert owner.ask("e.example", Type.A, soon(15)).records == FOUND.records
        assert time.monotonic() - start < 10


@pytest.mark.usefixtures("unhurried")
def test_who_joins_a_question_that_was_sent_long_ago_sends_it_again(server: ScriptedDNS) -> None:
    """Else those who join one after the other would keep a domain dead that has recovered."""
    server.load({"e.example": [HOST, {"DROP_FIRST": 1}]})
    server.reset_counts()
    clock = Shifted()
    resolver = Resolver([nameserver(server.address)], cache=AnswerCache(clock=clock), clock=clock)
    with channels(resolver, 2) as (first, other):
        answers: list[Answer] = []
        thread = start_thread(lambda: answers.append(first.ask("e.example", Type.A, soon(60))))
        until(lambda: readers(resolver) == [first])
        assert server.wait_until_asked(*QUESTION)
        clock.offset = 6
        assert other.ask("e.example", Type.A, clock() + 20).records == FOUND.records
        thread.join()
    assert [answer.records for answer in answers] == [FOUND.records]


@pytest.mark.usefixtures("unhurried")
def test_without_a_descriptor_to_be_woken_on_it_looks_now_and_then(
    server: ScriptedDNS, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.load({"e.example": [HOST, {"DELAY": 0.3}]})
    server.reset_counts()

    def none_left(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "eventfd", none_left)
    with channels(caching(nameserver(server.address)), 4) as asking:
        assert [answer.records for answer in all_ask(asking)] == [FOUND.records] * 4
    assert server.queries[QUESTION] == 1


def test_an_answer_that_comes_just_before_one_begins_to_read_is_seen(
    server: ScriptedDNS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another connection has read it, and has left: no packet will come, and no one will wake this one."""
    server.load({"e.example": [HOST]})
    with channels(caching(nameserver(server.address)), 2) as (one, other):
        one.start("e.example", Type.A)
        share_out = one._share_out

        def late(*arguments: object) -> object:
            if server.queries[QUESTION]:
                server.reset_counts()
                assert other.ask("e.example", Type.A, soon()).records == FOUND.records
            return share_out(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(one, "_share_out", late)
        assert server.wait_until_asked(*QUESTION)
        begun = time.monotonic()
        assert one.ask("e.example", Type.A, soon(60)).records == FOUND.records
        assert time.monotonic() - begun < 30


def test_the_reader_learns_of_what_is_sent_while_it_sleeps(server: ScriptedDNS, second: ScriptedDNS) -> None:
    """The one whose sockets it reads sends more, over a new socket, and the packet is lost."""
    for each in (server, second):
        each.load({"e.example": ["TIMEOUT"], "f.example": [HOST, {"DROP_FIRST": 1}]})
        each.reset_counts()
    resolver = caching(nameserver(server.address), nameserver(second.address))
    with channels(resolver, 2) as (owner, reader):
        owner.start("e.example", Type.A)
        pending = resolver.in_flight[Type.A, "e.example"]
        pending.due = time.monotonic() + 60
        thread = start_thread(lambda: reader.ask("e.example", Type.A, soon(40)))
        until(lambda: readers(resolver) == [reader])
        resolver.by_health()[0].avoid_until = time.monotonic() + 60
        begun = time.monotonic()
        assert owner.ask("f.example", Type.A, soon(60)).records == FOUND.records
        assert time.monotonic() - begun < 20
        for each in (server, second):
            each.load({"e.example": [HOST]})
        pending.due = 0.0
        reader.wake()
        thread.join()


def test_many_connections_in_a_muddle_leave_nothing(server: ScriptedDNS) -> None:
    """They start, ask, hurry, forget and close as they like; each answer is right, and in the end nothing is left."""
    names = [f"h{number}.example" for number in range(12)]
    faults = [{}, {"TTL": 0}, {"DROP_FIRST": 1}, {"TRUNCATE": True}, {"DELAY": 0.05}, {"FORMERR_ON_EDNS": True}]
    server.load(
        {
            name: [{"A": f"192.0.2.{number}"}, *([faults[number % 6]] if number % 6 else [])]
            for number, name in enumerate(names)
        }
    )
    resolver = Resolver([nameserver(server.address)], cache=AnswerCache(entries=3))
    wrong: list[object] = []

    def work(one: Channel, seed: int) -> None:
        for turn in range(60):
            number = (seed * 7 + turn * 5) % 12
            one.start(names[(number + seed) % 12], Type.A, lambda _: None)
            start = time.monotonic()
            answer = one.ask(names[number], Type.A, soon(0.001 if turn % 5 == 4 else 30))
            if answer.status is Status.DATA and answer.records != (bytes((192, 0, 2, number)),):
                wrong.append((number, answer))
            if (answer.status is not Status.DATA and turn % 5 != 4) or time.monotonic() - start > 20:
                wrong.append((number, answer))
            if turn % 7 == seed % 7:
                one.forget()
            if turn % 11 == seed % 11:
                one.close()

    with channels(resolver, 12) as asking:
        threads = [start_thread(lambda n=n, one=one: work(one, n)) for n, one in enumerate(asking)]
        for thread in threads:
            thread.join()
    assert wrong == []


# -- a deadline that is over ------------------------------------------------------------------------------------------


def test_when_time_is_up_what_has_arrived_is_used(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST], "late.example": [HOST, {"DROP_FIRST": 1}]})
    server.reset_counts()
    resolver = caching(nameserver(server.address))
    with channels(resolver, 1) as (one,):
        for name in ("late.example", "e.example"):
            one.start(name, Type.A)
            assert server.wait_until_asked(name, "A")
        until(lambda: one.ask("e.example", Type.A, 0.0).status is Status.DATA)  # the packet is under way
        assert one.ask("late.example", Type.A, 0.0).status is Status.FAILED
        assert one.ask("new.example", Type.A, 0.0).status is Status.FAILED
    asked = server.queries_for("e.example", "late.example", "new.example")
    assert asked == {QUESTION: 1, ("late.example", "A"): 1}


# -- ports ------------------------------------------------------------------------------------------------------------


def ports_of_messages(*, local: bool) -> list[int]:
    """The port of each of 500 messages' questions on one connection, to a nameserver on this host or another."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)
        ports = []
        resolver = caching(Nameserver("127.0.0.1", sock.getsockname()[1]))
        resolver.by_health()[0].is_local = local
        with channels(resolver, 1) as (one,):
            for number in range(500):
                for name in (f"a{number}.example", f"b{number}.example"):
                    one.start(name, Type.A)
                    query, client = sock.recvfrom(4096)
                    sock.sendto(honest(query), client)
                    ports.append(client[1])
                assert one.ask(f"a{number}.example", Type.A, soon()) == FOUND
                one.forget()
    assert ports[::2] == ports[1::2], "one port for a message"
    return ports[::2]


def test_each_message_has_a_port_of_its_own_where_answers_can_be_forged() -> None:
    """RFC 5452 section 9.2. The kernel's ports are random: of 500, some are the same."""
    assert len(set(ports_of_messages(local=False))) > 450


def test_on_loopback_a_connection_keeps_its_port() -> None:
    assert len(set(ports_of_messages(local=True))) == 1


@pytest.mark.usefixtures("unhurried")
def test_a_socket_that_others_still_read_is_left_to_them(server: ScriptedDNS) -> None:
    """The next message of the connection that asked has sockets of its own."""
    server.load({"e.example": [HOST, {"DELAY": 0.4}], "f.example": [HOST]})
    server.reset_counts()
    resolver = caching(nameserver(server.address))
    with channels(resolver, 2) as (owner, other):
        owner.start("e.example", Type.A)
        other.start("e.example", Type.A)
        before = owner._flight
        owner.forget()
        owner.start("f.example", Type.A)
        assert owner._flight is not before
        assert owner.ask("f.example", Type.A, soon()).records == FOUND.records
        assert other.ask("e.example", Type.A, soon()).records == FOUND.records
    assert set(server.queries.values()) == {1}


@pytest.mark.parametrize(
    ("address", "local"), [("127.0.0.1", True), ("127.83.4.5", True), ("::1", True), ("192.0.2.1", False)]
)
def test_what_is_on_this_host(address: str, local: bool) -> None:
    assert Server(Nameserver(address)).is_local is local
