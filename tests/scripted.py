"""Fixtures for tests of the DNS: two scripted servers on loopback, and a resolver that asks the first of them."""

from collections.abc import Iterator

import pytest

from lab.dnsserver import ScriptedDNS
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
