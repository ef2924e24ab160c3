"""What is remembered of a nameserver is true for all domains: the answers of one domain do not change it for others."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.dnsserver import ScriptedDNS
from lab.processes import patience
from spfmilter.dns.answer import Status, Type
from spfmilter.dns.channel import Channel
from spfmilter.dns.resolver import Resolver
from spfmilter.dns.server import Server
from spfmilter.settings.values import Nameserver, nameserver
from tests.dns.test_resolver import FOUND, HOST, ask, closed_port, unused_port

pytestmark = pytest.mark.outside


def with_edns(seen: list[bytes]) -> dict[str, object]:
    """An entry that answers with the address, and keeps the questions."""

    def answer(query: bytes) -> bytes:
        seen.append(query)
        end = query.index(b"\0", 12) + 5
        return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:end] + b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xc0\0\2\1"

    return {"RAW": answer}


@pytest.mark.parametrize("code", ["FORMERR", "NOTIMP"])
def test_a_domain_that_always_answers_formerr_turns_off_edns_for_no_other(
    server: ScriptedDNS, resolver: Resolver, code: str
) -> None:
    seen: list[bytes] = []
    server.load({"evil.example": [{"RCODE": code}], "e.example": [with_edns(seen)]})
    assert ask(resolver, "evil.example").failure == code
    assert server.queries["evil.example", "A"] == 2, "it has been asked without EDNS, too"
    assert ask(resolver) == FOUND
    assert [query[11] for query in seen] == [1], "additional records: EDNS"


def test_a_domain_that_refuses_only_edns_is_an_exception_where_the_server_knows_edns(
    server: ScriptedDNS, resolver: Resolver
) -> None:
    """A forwarder hands on what a domain's own servers say, and an attacker may run those."""
    seen: list[bytes] = []
    server.load({"evil.example": [HOST, {"FORMERR_ON_EDNS": True}], "e.example": [with_edns(seen)]})
    for name in ("e.example", "evil.example", "evil.example", "e.example"):
        assert ask(resolver, name) == FOUND
    assert [query[11] for query in seen] == [1, 1]


SILENT = {"SILENT_TO_EDNS": True}


@pytest.mark.parametrize("entries", [[HOST], [HOST, {"TRUNCATE": True}]], ids=["UDP", "TCP"])
def test_a_server_that_is_silent_to_edns_is_asked_without_in_the_end(
    server: ScriptedDNS, resolver: Resolver, entries: list[dict[str, object]]
) -> None:
    """Twice in vain, and then it is remembered: the next question is answered at once."""
    server.load({"e.example": [*entries, SILENT], "f.example": [*entries, SILENT]})
    assert ask(resolver).records == FOUND.records
    over_tcp = server.tcp_queries["e.example", "A"]
    assert server.queries["e.example", "A"] == 3 + over_tcp
    assert ask(resolver, "f.example").records == FOUND.records
    assert server.queries["f.example", "A"] == 1 + over_tcp


def test_of_two_servers_that_are_silent_to_edns_both_are_asked_without(
    server: ScriptedDNS, second: ScriptedDNS
) -> None:
    for each in (server, second):
        each.load({"e.example": [HOST, SILENT]})
        each.reset_counts()
    assert ask(Resolver([nameserver(server.address), nameserver(second.address)])).records == FOUND.records
    assert server.queries["e.example", "A"] == 2
    assert second.queries["e.example", "A"] == 1


def test_a_domain_that_is_silent_to_edns_turns_it_off_for_no_other(server: ScriptedDNS, resolver: Resolver) -> None:
    """Where the server knows EDNS, a domain's silence is the domain's: nothing else is sent for it than before."""
    seen: list[bytes] = []
    server.load({"evil.example": [HOST, SILENT], "e.example": [with_edns(seen)]})
    assert ask(resolver) == FOUND
    assert ask(resolver, "evil.example", limit=2.0).failure == "timeout"
    assert ask(resolver) == FOUND
    assert [query[11] for query in seen] == [1, 1]


def test_an_answer_with_edns_that_comes_late_turns_it_on_again() -> None:
    """A resolver answers all packets to a slow domain at once, perhaps the one without EDNS first."""
    known = Server(Nameserver("192.0.2.53"))
    known.answered(edns=False, now=100.0)
    assert not known.knows_edns(101.0)
    known.hear(101.0, edns=True)
    assert known.knows_edns(101.0)
    known.answered(edns=False, now=102.0)
    assert known.knows_edns(103.0)


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED"])
def test_a_dead_domain_does_not_keep_others_from_the_second_server(
    server: ScriptedDNS, second: ScriptedDNS, code: str
) -> None:
    """Both servers seem dead afterwards, since no other connection has asked them."""
    server.load({"dead.example": ["TIMEOUT"], "e.example": [{"RCODE": code}]})
    second.load({"dead.example": ["TIMEOUT"], "e.example": [HOST]})
    resolver = Resolver([nameserver(server.address), nameserver(second.address)])
    assert ask(resolver, "dead.example", limit=1.5 * patience()).failure == "timeout"
    for known in resolver.by_health():
        known.avoid_until = time.monotonic() + 30  # probes are quick on loopback
    assert ask(resolver) == FOUND


def test_every_server_that_seems_dead_is_asked_before_an_error_is_believed(
    server: ScriptedDNS, second: ScriptedDNS
) -> None:
    server.load({"e.example": [{"RCODE": "SERVFAIL"}]})
    second.load({"e.example": [HOST]})
    with unused_port() as dead:
        resolver = Resolver([nameserver(server.address), dead, nameserver(second.address)])
        for known in resolver.by_health()[1:]:
            known.avoid_until = time.monotonic() + 30
        assert ask(resolver) == FOUND


def test_an_error_is_believed_soon_where_the_others_stay_silent(server: ScriptedDNS) -> None:
    server.load({"e.example": [{"RCODE": "SERVFAIL"}]})
    with unused_port() as one, unused_port() as two, unused_port() as three:
        resolver = Resolver([nameserver(server.address), one, two, three])
        for known in resolver.by_health()[1:]:
            known.avoid_until = time.monotonic() + 60
        begun = time.monotonic()
        assert ask(resolver, limit=30 * patience()).failure == "SERVFAIL"
        assert time.monotonic() - begun < 5 * patience()


@contextmanager
def truncated_in(server: ScriptedDNS, resolver: Resolver) -> Iterator[Channel]:
    """A connection that has read a truncated answer for e.example, and has not fetched the whole one."""
    asking = Channel(resolver)
    try:
        asking.start("e.example", Type.A)
        assert server.wait_until_asked("e.example", "A")
        asking.ask("f.example", Type.A, time.monotonic() + 10)
        yield asking
    finally:
        asking.close()


def test_a_refusal_after_a_truncated_answer_leaves_tcp(server: ScriptedDNS) -> None:
    """The ICMP message is about a later packet: the server has stopped listening on UDP."""
    server.load({"e.example": [HOST, {"TRUNCATE": True}], "f.example": [HOST]})
    server.reset_counts()
    resolver = Resolver([nameserver(server.address)])
    with truncated_in(server, resolver) as asking:
        refuse(asking)
        assert asking.ask("e.example", Type.A, time.monotonic() + 10) == FOUND
    assert server.tcp_queries["e.example", "A"] == 1


def refuse(asking: Channel) -> None:
    """What is done about an ICMP refusal, for each of its sockets."""
    assert asking._flight
    for sock in list(asking._flight.sockets.values()):
        asking._flight.refused(sock, "Connection refused")


def test_what_we_have_run_out_of_is_not_held_against_a_server(
    server: ScriptedDNS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise an attacker who takes all descriptors decides which of our servers is asked."""
    resolver = Resolver([nameserver(server.address), closed_port()])

    def none_left(*_: object) -> object:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("spfmilter.dns.server.Server.socket", none_left)
    answer = ask(resolver)
    assert (answer.status, answer.failure) == (Status.FAILED, "Too many open files")
    assert [known.avoid_until for known in resolver.by_health()] == [0.0, 0.0]


def test_a_question_in_the_last_moment_does_not_say_that_our_own_servers_are_dead() -> None:
    """Otherwise a slow record would make a temperror count as our own fault, for which no mail is deferred."""
    with unused_port() as silent:
        resolver = Resolver([silent])
        assert not ask(resolver, limit=0.05).local_failure
        assert ask(resolver, limit=0.6).local_failure
