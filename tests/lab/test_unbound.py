"""The private resolver recurses to the lab's own servers, also for names that resolvers usually keep to themselves."""

from contextlib import ExitStack

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from lab import unbound
from lab.dnsserver import ScriptedDNS
from lab.unbound import SilentServers, Unbound

pytestmark = pytest.mark.skipif(bool(unbound.unavailable()), reason=unbound.unavailable() or "available")

ZONE = {
    "mail.v1.test": [{"A": "192.0.2.25"}],
    "25.2.0.192.in-addr.arpa": [{"PTR": "mail.v1.test"}],
}


def ask(resolver: Unbound, name: str, kind: str, timeout: float = 10.0) -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, kind), "127.0.0.1", timeout=timeout, port=resolver.port)


def test_it_asks_the_servers_that_it_is_given() -> None:
    with ScriptedDNS(ZONE) as server, Unbound({"test": [server.port], "in-addr.arpa": [server.port]}) as resolver:
        assert [str(answer) for answer in ask(resolver, "mail.v1.test", "A").answer[0]] == ["192.0.2.25"]
        assert [str(answer) for answer in ask(resolver, "25.2.0.192.in-addr.arpa", "PTR").answer[0]] == [
            "mail.v1.test."
        ]
        assert ask(resolver, "nothing.test", "A").rcode() == dns.rcode.NXDOMAIN
        assert server.queries["mail.v1.test", "A"] == 1


def test_a_zone_whose_servers_are_silent_gets_no_answer_for_long() -> None:
    with ExitStack() as stack:
        server, silent = stack.enter_context(ScriptedDNS(ZONE)), stack.enter_context(SilentServers())
        zones = {"test": [server.port], "in-addr.arpa": [server.port], "2.0.192.in-addr.arpa": silent.ports}
        resolver = stack.enter_context(Unbound(zones))
        with pytest.raises(dns.exception.Timeout):
            ask(resolver, "25.2.0.192.in-addr.arpa", "PTR", timeout=1.0)
        assert ask(resolver, "mail.v1.test", "A").answer
