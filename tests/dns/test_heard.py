"""An answer tells which nameservers were asked for it, what each said, and how long it took."""

import pytest

from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from lab.processes import free_port, patience
from spfmilter.dns.answer import ANSWERED, Answer, Status, Type
from spfmilter.dns.cache import AnswerCache
from spfmilter.dns.channel import ask_once
from spfmilter.dns.resolver import Resolver
from spfmilter.settings.values import nameserver

pytestmark = pytest.mark.outside
HERE: ZoneData = {"a.example": [{"A": "192.0.2.1"}]}
BROKEN: ZoneData = {"a.example": [{"RCODE": "SERVFAIL"}]}
SILENT: ZoneData = {"a.example": ["TIMEOUT"]}


def ask(resolver: Resolver, seconds: float = 20.0) -> Answer:
    return ask_once(resolver, "a.example", Type.A, resolver.clock() + seconds)


def of(*servers: ScriptedDNS) -> Resolver:
    addresses = [nameserver(server.address) for server in servers]
    return Resolver(addresses, cache=AnswerCache(entries=10))


def test_one_server_answers_and_the_cache_keeps_who_it_was(server: ScriptedDNS) -> None:
    server.load(HERE)
    resolver = of(server)
    first, again = ask(resolver), ask(resolver)
    assert first.heard == again.heard == ((server.address, ANSWERED),)
    assert first.took == again.took > 0


def test_a_negative_answer_has_its_server_too(server: ScriptedDNS) -> None:
    server.load({})
    found = ask(of(server))
    assert (found.status, found.heard) == (Status.NO_NAME, ((server.address, ANSWERED),))


def test_a_server_with_an_error_is_named_beside_the_one_that_answered(server: ScriptedDNS, second: ScriptedDNS) -> None:
    server.load(BROKEN)
    second.load(HERE)
    found = ask(of(server, second))
    assert found.status is Status.DATA
    assert found.heard == ((server.address, "SERVFAIL"), (second.address, ANSWERED))


def test_a_server_that_was_silent_is_named_beside_the_one_that_answered(
    server: ScriptedDNS, second: ScriptedDNS
) -> None:
    server.load(SILENT)
    second.load(HERE)
    found = ask(of(server, second))
    assert found.heard == ((server.address, ""), (second.address, ANSWERED))


def test_a_failure_names_what_each_server_said(server: ScriptedDNS, second: ScriptedDNS) -> None:
    server.load(SILENT)
    second.load(BROKEN)
    found = ask(of(server, second), 1.5 * patience())
    assert found.status is Status.FAILED
    assert found.heard == ((server.address, ""), (second.address, "SERVFAIL"))


def test_a_timeout_names_the_silent_server_and_the_time(server: ScriptedDNS) -> None:
    server.load(SILENT)
    found = ask(of(server), 0.7)
    assert (found.failure, found.heard) == ("timeout", ((server.address, ""),))
    assert found.took > 0.5, "from the question, which came after the deadline was set"


def test_a_server_that_refuses_packets_is_named_with_the_systems_reason() -> None:
    address = f"127.0.0.1:{free_port()}"
    found = ask(Resolver([nameserver(address)]))
    assert found.heard == ((address, "Connection refused"),)


def test_answers_that_differ_in_who_said_so_are_equal() -> None:
    assert Answer(Status.NO_NAME).told(0, (("192.0.2.53", ANSWERED),), 1.0) == Answer(Status.NO_NAME)
