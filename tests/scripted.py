"""Fixtures for tests of the DNS: two scripted servers on loopback, and a resolver that asks the first of them.

Those that count questions exactly use `unhurried`: on a busy machine an answer may come after the next sending.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.dnsserver import ScriptedDNS
from spfmilter.dns.answer import Answer, Type
from spfmilter.dns.channel import ask_once
from spfmilter.dns.flight import Flight
from spfmilter.dns.resolver import Resolver
from spfmilter.settings.values import nameserver


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


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent again, however busy the machine is."""
    monkeypatch.setattr(Flight, "_resend", lambda _, pending, now: setattr(pending, "due", now + 60))


@dataclass(frozen=True)
class Single:
    """Lookups for an evaluator, each over a channel of its own."""

    resolver: Resolver

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """Return the answer."""
        return ask_once(self.resolver, name, rdtype, deadline)
