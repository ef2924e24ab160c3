"""Questions in flight: who asks, who waits for whom, whose fault silence is, and who cannot put in a word."""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.dnsserver import ScriptedDNS
from lab.processes import patience
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.cache import AnswerCache
from spfmilter.dns.channel import Channel, ask_once
from spfmilter.dns.resolver import Resolver
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.limits import Limits
from spfmilter.model import Identity, ProblemKind, Result
from spfmilter.settings.values import Duration, Nameserver, nameserver
from tests.dns.test_resolver import closed_port, unused_port
from tests.evaluation.world import check
from tests.scripted import Single
from tests.values import settings as ini

pytestmark = pytest.mark.outside

HOST = {"A": "192.0.2.1"}
FOUND = Answer(Status.DATA, (b"\xc0\0\2\1",), 300)


@contextmanager
def channel(resolver: Resolver) -> Iterator[Channel]:
    """A connection's, closed in the end."""
    opened = Channel(resolver)
    try:
        yield opened
    finally:
        opened.close()


def caching(*servers: Nameserver, **how: float) -> Resolver:
    return Resolver(servers, cache=AnswerCache(**how))  # type: ignore[arg-type]


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def ask(resolver: Resolver, name: str = "e.example", *, limit: float = 10.0) -> Answer:
    with channel(resolver) as asking:
        return asking.ask(name, Type.A, soon(limit))


def limited(server: ScriptedDNS, seconds: float) -> Engine:
    """An engine whose evaluations take so long at most; less than an INI file may say."""
    settings = ini(f"[dns]\nnameservers = {server.address}").dns
    return Engine(settings.model_copy(update={"timeout": Duration(seconds)}))


def helo_and_mail(engine: Engine, helo: str) -> list[Result]:
    """The results of a HELO and of e.example in MAIL FROM, one after the other in the time of one message."""
    inquiry, deadline = engine.inquiry(), soon(engine.limits.time)
    checks = [replace(check(helo), identity=Identity.HELO), check()]
    inquiry.expect(checks)
    try:
        return [inquiry.evaluate(one, deadline=deadline).result for one in checks]
    finally:
        inquiry.close()


class Shifted:
    """The real time, and what is added to it."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        """Now."""
        return time.monotonic() + self.offset


@contextmanager
def hostile(answer: Callable[[bytes], list[bytes]], port: int = 0) -> Iterator[Nameserver]:
    """A nameserver that sends any packets for a query."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", port))

        def serve() -> None:
            while True:
                query, client = sock.recvfrom(4096)
                if not query:
                    return
                for packet in answer(query):
                    sock.sendto(packet, client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Nameserver("127.0.0.1", sock.getsockname()[1])
        finally:
            sock.sendto(b"", sock.getsockname())
            thread.join()


def honest(query: bytes, record: bytes = b"\xc0\0\2\1") -> bytes:
    end = query.index(b"\0", 12) + 5
    answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, len(record)) + record
    return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] + answer


# -- early questions ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unhurried")
def test_a_question_that_was_sent_early_is_answered_when_it_is_asked(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [HOST], "f.example": [HOST]})
    with channel(resolver) as asking:
        heard: list[Answer] = []
        asking.start("E.example.", Type.A, heard.append)
        asking.start("e.example", Type.A, heard.append)
        asking.start("f.example", Type.A)
        assert asking.ask("e.EXAMPLE", Type.A, soon()) == FOUND
        asking.start("e.example", Type.A, heard.append)
        assert heard == [FOUND] * 3
        assert asking.ask("f.example", Type.A, soon()) == FOUND
    assert set(server.queries.values()) == {1}


def test_a_name_that_is_none_is_answered_at_once(server: ScriptedDNS, resolver: Resolver) -> None:
    heard: list[Answer] = []
    with channel(resolver) as asking:
        asking.start("a..example", Type.A, heard.append)
    assert heard == [Answer(Status.NOT_ASKED)]
    assert not server.queries


def test_without_a_server_the_answer_is_a_failure_at_once() -> None:
    heard: list[Answer] = []
    with channel(Resolver([Nameserver("255.255.255.255")])) as asking:
        asking.start("e.example", Type.A, heard.append)
    assert [answer.status for answer in heard] == [Status.FAILED]
    assert heard[0].local_failure


@pytest.mark.usefixtures("unhurried")
def test_a_message_that_is_forgotten_leaves_nothing(server: ScriptedDNS, resolver: Resolver) -> None:
    """Its answers come late, on the same socket, and are strays: the question is asked again."""
    server.load({"e.example": [HOST]})
    with channel(resolver) as asking:
        asking.start("e.example", Type.A)
        assert server.wait_until_asked("e.example", "A")
        asking.forget()
        assert asking.ask("e.example", Type.A, soon()) == FOUND
    assert server.queries["e.example", "A"] == 2
    assert resolver.in_flight == {}


@pytest.mark.usefixtures("unhurried")
def test_what_has_no_ttl_is_used_within_the_message_only(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST, {"TTL": 0}]})
    resolver = caching(nameserver(server.address))
    server.reset_counts()
    with channel(resolver) as asking:
        for _ in range(3):
            asking.ask("e.example", Type.A, soon())
        assert server.queries["e.example", "A"] == 1
        asking.forget()
        asking.ask("e.example", Type.A, soon())
    assert server.queries["e.example", "A"] == 2


def test_an_answer_that_has_lain_unread_is_older_than_it_says(server: ScriptedDNS) -> None:
    """The client is idle between HELO and MAIL FROM; the packet is read afterwards."""
    server.load({"e.example": [HOST, {"TTL": 60}]})
    clock = Shifted()
    resolver = Resolver([nameserver(server.address)], cache=AnswerCache(clock=clock), clock=clock)
    with channel(resolver) as asking:
        asking.start("e.example", Type.A)
        assert server.wait_until_asked("e.example", "A")
        clock.offset = 50.5
        answer = asking.ask("e.example", Type.A, clock() + 10)
    assert 0 < answer.ttl <= 10
    kept = resolver.cache.get((Type.A, "e.example"))
    assert kept is not None
    assert kept.ttl <= 10


@pytest.mark.usefixtures("unhurried")
def test_what_was_looked_up_at_a_helo_long_ago_is_looked_up_again(server: ScriptedDNS) -> None:
    server.load({"e.example": [{"TXT": "v=spf1 -all"}]})
    server.reset_counts()
    clock = Shifted()
    engine = Engine(ini(f"[dns]\nnameservers = {server.address}").dns, clock=clock)
    inquiry = engine.inquiry()
    asked = check()
    for seconds, times in ((0, 1), (4, 1), (7, 2)):
        clock.offset = seconds
        inquiry.expect([asked])
        assert server.wait_until_asked("e.example", "TXT", times=times)
        assert server.queries["e.example", "TXT"] == times
    assert inquiry.evaluate(asked).result is Result.FAIL
    assert server.queries["e.example", "TXT"] == 2
    inquiry.close()


# -- equal questions of several connections ----------------------------------------------------------------------------


def start_thread(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action)
    thread.start()
    return thread


@pytest.mark.usefixtures("unhurried")
def test_equal_questions_in_flight_are_one(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST, {"DELAY": 0.2}]})
    server.reset_counts()
    resolver, answers = caching(nameserver(server.address)), list[Answer]()
    first = start_thread(lambda: answers.append(ask(resolver)))
    assert server.wait_until_asked("e.example", "A")
    others = [start_thread(lambda: answers.append(ask(resolver))) for _ in range(5)]
    for thread in (first, *others):
        thread.join()
    assert [answer.records for answer in answers] == [FOUND.records] * 6
    assert server.queries["e.example", "A"] == 1
    assert resolver.cache.counters.misses == 6, "each has looked once, however long it waited"


def test_the_follower_asks_itself_when_the_first_gives_up(server: ScriptedDNS) -> None:
    """The first has no time left; that is no answer for others."""
    server.load({"e.example": [HOST, {"DROP_FIRST": 1}]})
    server.reset_counts()
    resolver, answers = caching(nameserver(server.address)), list[Answer]()
    first = start_thread(lambda: answers.append(ask(resolver, limit=0.2)))
    assert server.wait_until_asked("e.example", "A")
    assert ask(resolver).records == FOUND.records
    first.join()
    assert answers[0].status is Status.FAILED
    assert server.queries["e.example", "A"] == 2


def test_many_threads_and_names_leave_nothing_in_flight(server: ScriptedDNS) -> None:
    names = [f"h{n}.example" for n in range(30)]
    server.load({name: [HOST] for name in names})
    resolver, answers = caching(nameserver(server.address)), list[Answer]()

    def work(seed: int) -> None:
        with channel(resolver) as asking:
            for turn in range(3):
                for name in names[seed:] + names[:seed]:
                    asking.start(name, Type.A)
                answers.extend(asking.ask(name, Type.A, soon(20)) for name in names)
                if turn == 1:
                    asking.forget()

    threads = [start_thread(lambda n=n: work(n)) for n in range(8)]
    for thread in threads:
        thread.join()
    assert len(answers) == 8 * 3 * 30
    assert {answer.records for answer in answers} == {FOUND.records}
    assert resolver.in_flight == {}


# -- failures, and what others learn of them ---------------------------------------------------------------------------


def test_the_timeout_of_a_message_in_a_hurry_is_its_own(server: ScriptedDNS) -> None:
    """Otherwise a hostile record that has used up its time could make any domain a temperror for others."""
    server.load({"e.example": [HOST, {"DROP_FIRST": 1}]})
    resolver = caching(nameserver(server.address))
    with channel(resolver) as asking:
        assert asking.ask("e.example", Type.A, soon(0.05)).status is Status.FAILED
        assert ask(resolver).records == FOUND.records


def test_the_timeout_of_a_patient_one_is_known_to_all(server: ScriptedDNS) -> None:
    server.load({"e.example": ["TIMEOUT"]})
    resolver = caching(nameserver(server.address))
    first = ask(resolver, limit=2.1)
    asked = server.queries["e.example", "A"]
    assert (ask(resolver, limit=2.1).failure, first.failure) == ("timeout", "timeout")
    assert server.queries["e.example", "A"] == asked


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("shared_timeout", [2.0, 0.1])
def test_who_has_time_left_goes_on_waiting(server: ScriptedDNS, shared_timeout: float) -> None:
    """A deadline is its caller's own, however much others in the message, or in other ones, may learn of it."""
    pace = patience()
    server.load({"e.example": [HOST, {"DELAY": 0.3 * pace}]})
    server.reset_counts()
    resolver, heard = caching(nameserver(server.address)), list[Answer]()
    resolver.shared_timeout = shared_timeout * pace
    with channel(resolver) as asking:
        asking.start("e.example", Type.A, heard.append)
        assert asking.ask("e.example", Type.A, soon(0.15 * pace)).status is Status.FAILED
        assert not heard
        assert asking.ask("e.example", Type.A, soon()).records == FOUND.records
        assert [answer.records for answer in heard] == [FOUND.records]
    assert server.queries["e.example", "A"] == 1
    assert ask(resolver).records == FOUND.records
    assert resolver.in_flight == {}


def test_of_several_questions_in_flight_each_is_asked_again_without_edns(server: ScriptedDNS) -> None:
    """The first answer says that the server does not know it; the packets of the others are out by then."""
    names = [f"h{number}.example" for number in range(5)]
    server.load({name: [HOST, {"FORMERR_ON_EDNS": True}] for name in names})
    with channel(caching(nameserver(server.address))) as asking:
        for name in names:
            asking.start(name, Type.A)
        assert [asking.ask(name, Type.A, soon()).status for name in names] == [Status.DATA] * 5


def test_an_error_is_the_answer_where_all_other_servers_are_dead(server: ScriptedDNS) -> None:
    """A sender whose DNS fails does not hold up its message for as long as one of our nameservers is away."""
    server.load({"e.example": [{"RCODE": "SERVFAIL"}], "f.example": [{"RCODE": "SERVFAIL"}]})
    with unused_port() as dead:
        resolver = caching(nameserver(server.address), dead)
        for name in ("e.example", "f.example"):
            begun = time.monotonic()
            assert ask(resolver, name).failure == "SERVFAIL"
            assert time.monotonic() - begun < 5 * patience(), "not until the deadline"


def test_a_slow_server_that_lives_is_waited_for_after_an_error(server: ScriptedDNS, second: ScriptedDNS) -> None:
    server.load({"e.example": [{"RCODE": "SERVFAIL"}]})
    second.load({"e.example": [HOST, {"DELAY": 0.8}]})
    assert ask(caching(nameserver(server.address), nameserver(second.address))).records == FOUND.records


def test_answers_of_a_message_grow_old_while_its_client_waits(server: ScriptedDNS) -> None:
    """The verdict that is built of them is kept no longer than they are true."""
    server.load({"e.example": [{"A": "192.0.2.1"}, {"TTL": 300}], "f.example": [HOST, {"TTL": 0}]})
    clock = Shifted()
    with channel(Resolver([nameserver(server.address)], cache=AnswerCache(clock=clock), clock=clock)) as asking:
        assert asking.ask("e.example", Type.A, clock() + 10).ttl == 300
        assert asking.ask("f.example", Type.A, clock() + 10).ttl == 0
        clock.offset = 290
        assert 8 <= asking.ask("e.example", Type.A, clock() + 10).ttl <= 10
        server.reset_counts()
        clock.offset = 320
        assert asking.ask("e.example", Type.A, clock() + 10).ttl >= 299
        assert server.queries["e.example", "A"] == 1


@pytest.mark.parametrize("behaviour", [{"DROP_FIRST": 9}, {"TRUNCATE": True}])
def test_whose_time_is_over_is_answered_at_once(server: ScriptedDNS, behaviour: dict[str, object]) -> None:
    """And no connection waits for what stays in flight once the message is forgotten."""
    server.load({"e.example": [HOST, behaviour, {"TCP_ONLY_TIMEOUT": True}]})
    resolver = caching(nameserver(server.address))
    with channel(resolver) as asking:
        asking.ask("e.example", Type.A, soon(0.2))
        start = time.monotonic()
        for _ in range(10):
            assert asking.ask("e.example", Type.A, start).status is Status.FAILED
        assert time.monotonic() - start < 0.15 * patience()
        assert list(resolver.in_flight) == [(Type.A, "e.example")]
        asking.forget()
        assert resolver.in_flight == {}


@pytest.mark.usefixtures("unhurried")
def test_tcp_that_the_caller_has_no_time_for_is_tried_again(server: ScriptedDNS, second: ScriptedDNS) -> None:
    """There, where it was cut off: that says nothing against this server."""
    pace = patience()
    server.load({"e.example": [HOST, {"TRUNCATE": True}, {"DELAY": 0.2 * pace}]})
    second.load({"e.example": [{"A": "192.0.2.2"}]})
    second.reset_counts()
    resolver = caching(nameserver(server.address), nameserver(second.address))
    with channel(resolver) as asking:
        assert asking.ask("e.example", Type.A, soon(0.3 * pace)).status is Status.FAILED
        assert asking.ask("e.example", Type.A, soon()).records == FOUND.records
    assert not second.queries


@pytest.mark.parametrize(("shared_timeout", "known"), [(0.2, True), (0.6, False)])
def test_tcp_that_a_patient_one_has_waited_for_is_known_to_all(
    server: ScriptedDNS, shared_timeout: float, known: bool
) -> None:
    """What the answer over UDP took does not count: TCP has its own time."""
    pace = patience()
    server.load({"e.example": [HOST, {"TRUNCATE": True}, {"TCP_ONLY_TIMEOUT": True}, {"DELAY": 0.3 * pace}]})
    resolver = caching(nameserver(server.address))
    resolver.shared_timeout = shared_timeout * pace
    assert ask(resolver, limit=0.8 * pace).status is Status.FAILED
    assert (resolver.cache.get((Type.A, "e.example")) is not None) is known


def test_a_question_that_had_to_wait_for_its_turn_has_not_been_waited_for(
    server: ScriptedDNS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attacker's slow name comes first, and TCP for the victim's begins when hardly any time is left."""
    monkeypatch.setattr("spfmilter.evaluation.engine.MIN_SHARED_TIMEOUT", 0.5)
    server.load(
        {
            "evil.example": [{"TXT": "v=spf1 include:slow.example include:e.example -all"}],
            "slow.example": [{"TXT": "v=spf1 -all"}, {"DELAY": 0.93}],
            "e.example": [{"TXT": "v=spf1 ip4:203.0.113.1 -all"}, {"TRUNCATE": True}, {"DELAY": 0.2}],
        }
    )
    engine = limited(server, 1)
    evil, inquiry = check("evil.example", client="192.0.2.66"), engine.inquiry()
    inquiry.expect([evil])
    assert inquiry.evaluate(evil, deadline=soon(1)).result is Result.TEMPERROR
    inquiry.close()
    inquiry = engine.inquiry()
    assert inquiry.evaluate(check(), deadline=soon(60)).result is Result.FAIL
    inquiry.close()


def test_an_error_that_was_told_is_known_to_all(server: ScriptedDNS) -> None:
    server.load({"e.example": [{"RCODE": "SERVFAIL"}]})
    server.reset_counts()
    resolver = caching(nameserver(server.address))
    assert [ask(resolver).failure for _ in range(3)] == ["SERVFAIL"] * 3
    assert server.queries["e.example", "A"] == 1


@pytest.mark.parametrize(("stale", "status"), [(0.0, Status.FAILED), (100.0, Status.DATA)])
def test_a_stale_answer_stands_in_where_that_is_wanted(server: ScriptedDNS, stale: float, status: Status) -> None:
    clock = Shifted()
    cache = AnswerCache(clock=clock, serve_stale=stale)
    resolver = Resolver([nameserver(server.address)], cache=cache, clock=clock)
    server.load({"e.example": [HOST]})
    assert ask_once(resolver, "e.example", Type.A, clock() + 10) == FOUND
    server.load({"e.example": [{"RCODE": "SERVFAIL"}]})
    clock.offset = 301
    answer = ask_once(resolver, "e.example", Type.A, clock() + 10)
    assert answer.status is status
    assert answer.ttl <= 30
    clock.offset = 401
    assert ask_once(resolver, "e.example", Type.A, clock() + 10).status is Status.FAILED


def test_a_stale_answer_stands_in_for_those_without_time_only(server: ScriptedDNS) -> None:
    clock, pace = Shifted(), patience()
    resolver = Resolver([nameserver(server.address)], cache=AnswerCache(clock=clock, serve_stale=100), clock=clock)
    server.load({"e.example": [HOST]})
    assert ask_once(resolver, "e.example", Type.A, clock() + 10) == FOUND
    server.load({"e.example": [{"A": "192.0.2.2"}, {"DELAY": 0.3 * pace}]})
    clock.offset = 301
    with channel(resolver) as asking:
        assert asking.ask("e.example", Type.A, clock() + 0.1 * pace).records == FOUND.records
        assert asking.ask("e.example", Type.A, clock() + 10 * pace).records == (b"\xc0\0\2\2",)


def test_a_slow_helo_leaves_time_for_mail_from(server: ScriptedDNS) -> None:
    """Its name is the client's to choose: a dead one must not make MAIL FROM a temperror, which is let through."""
    server.load({"slow.example": ["TIMEOUT"], "e.example": [{"TXT": "v=spf1 -all"}]})
    engine = limited(server, patience())
    for prefetch in (True, False):
        engine.prefetch = prefetch
        assert helo_and_mail(engine, "slow.example") == [Result.TEMPERROR, Result.FAIL]


@pytest.mark.parametrize("prefetch", [True, False])
@pytest.mark.parametrize("shared_timeout", [2.0, 0.3])
def test_what_a_helo_had_no_time_for_is_there_for_mail_from(
    server: ScriptedDNS, monkeypatch: pytest.MonkeyPatch, shared_timeout: float, prefetch: bool
) -> None:
    pace = patience()
    monkeypatch.setattr("spfmilter.evaluation.engine.MIN_SHARED_TIMEOUT", shared_timeout * pace)
    server.load({"e.example": [{"TXT": "v=spf1 -all"}, {"DELAY": 0.5 * pace}]})
    engine = limited(server, pace)
    engine.prefetch = prefetch
    assert helo_and_mail(engine, "e.example") == [Result.TEMPERROR, Result.FAIL]


@pytest.mark.parametrize("prefetch", [True, False])
def test_a_helo_that_asks_for_mail_froms_names_too_late_does_not_spoil_them(
    server: ScriptedDNS, prefetch: bool
) -> None:
    """The attacker's slow name includes the victim's just before HELO's time ends."""
    pace = patience()
    server.load(
        {
            "evil.example": [{"TXT": "v=spf1 include:slow.example -all"}],
            "slow.example": [{"TXT": "v=spf1 include:_spf.e.example -all"}, {"DELAY": 0.9 * pace}],
            "e.example": [{"TXT": "v=spf1 include:_spf.e.example -all"}, {"TRUNCATE": True}],
            "_spf.e.example": [{"TXT": "v=spf1 ip4:203.0.113.1 -all"}, {"DELAY": 0.2 * pace}],
        }
    )
    engine = limited(server, 2 * pace)
    engine.prefetch = prefetch
    assert helo_and_mail(engine, "evil.example") == [Result.TEMPERROR, Result.FAIL]


# -- whose fault -------------------------------------------------------------------------------------------------------


def test_servers_that_are_all_silent_are_our_own_fault() -> None:
    with unused_port() as one, unused_port() as two:
        answer = ask(Resolver([one, two]), limit=0.6)
    assert answer == Answer(Status.FAILED, failure="timeout", local_failure=True)


def test_a_refusal_of_an_earlier_question_says_nothing_of_this_one() -> None:
    """A HELO comes while the resolver starts again, and MAIL FROM when it is there: the error lies in the socket."""
    with hostile(lambda query: [honest(query)]) as server:
        pass
    with channel(Resolver([server])) as asking:
        asking.start("helo.example", Type.A)
        with hostile(lambda query: [honest(query)], server.port):
            asking.forget()
            assert asking.ask("e.example", Type.A, soon()).records == FOUND.records


def test_servers_that_all_refuse_are_our_own_fault() -> None:
    answer = ask(Resolver([closed_port(), closed_port()]))
    assert answer == Answer(Status.FAILED, failure="Connection refused", local_failure=True)


@pytest.mark.parametrize("limit", [0.6, 1.0, 3.1])
def test_a_dead_domain_is_not_our_fault_where_the_server_lives(server: ScriptedDNS, limit: float) -> None:
    """No other connection asks it: it is asked for the root's address, which any server answers."""
    server.load({"e.example": ["TIMEOUT"]})
    server.reset_counts()
    answer = ask(Resolver([nameserver(server.address)]), limit=limit * patience())
    assert answer == Answer(Status.FAILED, failure="timeout")
    assert server.queries["", "A"] == 1


def test_while_others_are_answered_no_server_is_probed(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": ["TIMEOUT"], "f.example": [HOST]})
    done = threading.Event()

    def chatter() -> None:
        while not done.wait(0.02):
            ask(resolver, "f.example")

    thread = start_thread(chatter)
    answer = ask(resolver, limit=1.0 * patience())
    done.set()
    thread.join()
    assert answer == Answer(Status.FAILED, failure="timeout")
    assert server.queries["", "A"] == 0


def test_an_error_of_the_servers_is_the_domains_fault(server: ScriptedDNS, resolver: Resolver) -> None:
    server.load({"e.example": [{"RCODE": "SERVFAIL"}]})
    assert not ask(resolver).local_failure


@pytest.mark.parametrize(("alive", "kind"), [(True, ProblemKind.DNS_FAILURE), (False, ProblemKind.OWN_RESOLVER)])
def test_the_verdict_says_whose_fault_it_is(server: ScriptedDNS, alive: bool, kind: ProblemKind) -> None:
    server.load({"e.example": ["TIMEOUT"]})
    with unused_port() as dead:
        resolver = Resolver([nameserver(server.address) if alive else dead])
        verdict = Evaluator(Limits(time=0.6 * patience())).evaluate(check(), Single(resolver))
    assert verdict.result is Result.TEMPERROR
    assert verdict.problem is not None
    assert verdict.problem.kind is kind


def test_one_probe_serves_all_that_wait(server: ScriptedDNS, resolver: Resolver) -> None:
    """They have begun before it was sent."""
    server.load({f"d{n}.example": ["TIMEOUT"] for n in range(10)})
    answers, limit = list[Answer](), 1.0 * patience()
    threads = [start_thread(lambda n=n: answers.append(ask(resolver, f"d{n}.example", limit=limit))) for n in range(10)]
    for thread in threads:
        thread.join()
    assert [answer.local_failure for answer in answers] == [False] * 10
    assert server.queries["", "A"] <= 3


def test_a_dead_domain_does_not_discredit_a_server(server: ScriptedDNS, second: ScriptedDNS) -> None:
    server.load({"dead.example": ["TIMEOUT"], "f.example": [HOST]})
    second.load({"dead.example": ["TIMEOUT"], "f.example": [HOST]})
    resolver = Resolver([nameserver(server.address), nameserver(second.address)])
    with channel(resolver) as asking:
        asking.start("dead.example", Type.A)
        assert ask(resolver, "f.example") == FOUND  # the first answers others meanwhile
        assert asking.ask("dead.example", Type.A, soon(1.0)).status is Status.FAILED
    assert resolver.by_health()[0].address == nameserver(server.address)
    assert resolver.by_health()[0].avoid_until <= time.monotonic()


def test_a_server_that_answers_no_question_is_asked_last(server: ScriptedDNS) -> None:
    server.load({"e.example": [HOST]})
    with unused_port() as dead:
        resolver = Resolver([dead, nameserver(server.address)])
        assert ask(resolver) == FOUND
        assert [known.address for known in resolver.by_health()] == [nameserver(server.address), dead]


def test_a_server_is_not_avoided_for_a_message_in_a_hurry(server: ScriptedDNS, second: ScriptedDNS) -> None:
    """Fifty milliseconds of silence say nothing."""
    server.load({"e.example": [HOST, {"DELAY": 0.3}]})
    resolver = Resolver([nameserver(server.address), nameserver(second.address)])
    ask(resolver, limit=0.05)
    assert resolver.by_health()[0].address == nameserver(server.address)


# -- untrusted packets -------------------------------------------------------------------------------------------------


def test_ports_and_ids_cannot_be_guessed() -> None:
    """RFC 5452 section 9.2: over 200 connections both are spread, and neither is counted up."""
    seen: list[tuple[int, int]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        resolver = Resolver([Nameserver("127.0.0.1", sock.getsockname()[1])])
        for n in range(200):
            with channel(resolver) as asking:
                asking.start(f"h{n}.example", Type.A)
                query, client = sock.recvfrom(4096)
            seen.append((client[1], int.from_bytes(query[:2], "big")))
    for values, spread in (([port for port, _ in seen], 10_000), ([ident for _, ident in seen], 40_000)):
        assert len(set(values)) > 180
        assert max(values) - min(values) > spread
        steps = Counter(later - earlier for earlier, later in pairwise(values))
        assert steps.most_common(1)[0][1] < 10
    high = sum(ident >= 32768 for _, ident in seen)
    assert 60 < high < 140  # six standard deviations


def test_each_question_of_a_connection_has_its_own_id() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        with channel(Resolver([Nameserver("127.0.0.1", sock.getsockname()[1])])) as asking:
            for n in range(100):
                asking.start(f"h{n}.example", Type.A)
            got = [sock.recvfrom(4096) for _ in range(100)]
    assert len({query[:2] for query, _ in got}) == 100
    assert len({client for _, client in got}) == 1


def test_an_answer_from_elsewhere_is_not_heard() -> None:
    """Right id, right question, but another port, and another address: the kernel lets neither through."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        other.bind(("127.0.0.2", sock.getsockname()[1]))
        with channel(Resolver([Nameserver("127.0.0.1", sock.getsockname()[1])])) as asking:
            asking.start("e.example", Type.A)
            query, client = sock.recvfrom(4096)
            for liar in (forger, other):
                liar.sendto(honest(query, b"\6\6\6\6"), client)
            sock.sendto(honest(query), client)
            assert asking.ask("e.example", Type.A, soon()) == FOUND


MALICE: dict[str, Callable[[bytes], list[bytes]]] = {
    "another id": lambda query: [bytes([query[0] ^ 1]) + honest(query, b"\6\6\6\6")[1:]],
    "another question": lambda query: [honest(query[:13] + b"f" + query[14:], b"\6\6\6\6")],
    "no answer but our query": lambda query: [query],
    "too short": lambda query: [query[:n] for n in range(1, 12)],
    "random bytes": lambda query: [query[:2] + bytes(range(128, 228))],
    "huge and foreign": lambda _: [b"\xff" * 60_000],
}


@pytest.mark.parametrize("malice", MALICE.values(), ids=MALICE.keys())
def test_noise_before_the_answer_does_no_harm(malice: Callable[[bytes], list[bytes]]) -> None:
    with hostile(lambda query: [*malice(query), honest(query)]) as there:
        assert ask(Resolver([there])) == FOUND


ILL = {
    "cut off": lambda query: [honest(query)[:-3]],
    "huge": lambda query: [honest(query, b"x" * 60_000)],
    "without its question": lambda query: [query[:2] + b"\x81\x81" + bytes(8)] * 2,
}


@pytest.mark.parametrize("ill", ILL.values(), ids=ILL.keys())
def test_an_ill_answer_leads_to_the_next_server(server: ScriptedDNS, ill: Callable[[bytes], list[bytes]]) -> None:
    server.load({"e.example": [HOST]})
    with hostile(ill) as there:
        assert ask(Resolver([there, nameserver(server.address)])) == FOUND


PIECES = st.one_of(
    st.binary(max_size=80),
    st.tuples(st.just("id"), st.binary(max_size=60)),
    st.tuples(st.just("head"), st.binary(max_size=60)),
    st.tuples(st.just("flip"), st.binary(min_size=1, max_size=6)),
)


def make(query: bytes, piece: bytes | tuple[str, bytes]) -> bytes:
    """A packet of a liar who knows the id, or the whole query, or almost the truth."""
    if isinstance(piece, bytes):
        return piece
    kind, data = piece
    if kind == "id":
        return query[:2] + data
    if kind == "head":
        return query[:2] + b"\x81\x80\0\1\0\2\0\1\0\0" + query[12 : query.index(b"\0", 12) + 5] + data
    true = bytearray(honest(query))
    for at in data:
        true[at % len(true)] ^= at | 1
    return bytes(true)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces=st.lists(PIECES, max_size=6))
def test_any_packets_of_a_server_give_an_answer(pieces: list[bytes | tuple[str, bytes]]) -> None:
    """And nothing is left behind."""
    with hostile(lambda query: [packet for piece in pieces if (packet := make(query, piece))]) as there:
        resolver = caching(there)
        answer = ask(resolver, limit=0.1)
    assert isinstance(answer, Answer)
    assert all(isinstance(record, bytes) and len(record) == 4 for record in answer.records)
    assert resolver.in_flight == {}
