"""A forger whose own DNS never answers is refused, and soon: by the real daemon, over a real DNS server or resolver."""

import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from lab import unbound
from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from lab.processes import patience
from lab.unbound import SilentServers, Unbound
from tests.wire.running import Running, running

CLIENT, REVERSE_ZONE = "198.51.100.66", "66.100.51.198.in-addr.arpa"
NAMES = [f"n{number}.evil.test" for number in range(10)]
ZONE: ZoneData = {
    "v1.test": [{"TXT": "v=spf1 ptr include:_spf.v1.test -all"}],
    "_spf.v1.test": [{"TXT": "v=spf1 include:_a.v1.test -all"}],
    "_a.v1.test": [{"TXT": "v=spf1 ip4:192.0.2.0/24 -all"}],
    "v2.test": [{"TXT": "v=spf1 exists:%{p}._p.v2.test include:_spf.v1.test -all"}],
    "v3.test": [{"TXT": "v=spf1 a:%{h} include:_spf.v1.test -all"}],
    "v4.test": [{"TXT": "v=spf1 exists:%{ir}.%{v}.arpa include:_spf.v1.test -all"}],
    "v5.test": [{"TXT": "v=spf1 include:_spf.v1.test -all exp=%{p}.why.v5.test"}],
}
SENDERS = ["<ceo@v1.test>", "<ceo@v2.test>", "<ceo@v3.test>", "<ceo@v4.test>", "<ceo@v5.test>"]
# Of the settings: with both the fail is the same, and one does without what prefetch brings.
LOOKUPS = ["timeout = 20s\nprefetch = yes", "timeout = 20s\nprefetch = no"]


def forge(serving: Running, sender: str, helo: str = "mail.evil.test") -> tuple[str | None, str, float]:
    """What a forger is answered at MAIL FROM, the line of the log, and the seconds that it took."""
    queue_id = f"Q{secrets.token_hex(4)}"
    with serving.client(timeout=60) as mta:
        mta.greet(CLIENT, helo)
        start = time.monotonic()
        reply, spent = mta.mail(sender, macros={"i": queue_id}), time.monotonic() - start
        mta.quit()
    return reply.code, serving.line(queue_id), spent


def all_are_refused(serving: Running) -> None:
    """Each forger in a connection of their own, at the same time."""
    with ThreadPoolExecutor(len(SENDERS)) as pool:
        for code, line, seconds in pool.map(partial(forge, serving), SENDERS):
            assert (code, "spf_mailfrom=fail" in line) == ("550", True), line
            assert seconds < 15 * patience(), (
                "HELO and the reverse DNS have three seconds each, and the limit is twenty"
            )


@pytest.fixture(scope="module", params=LOOKUPS, ids=["prefetch", "one after the other"])
def daemon(request: pytest.FixtureRequest) -> Iterator[tuple[ScriptedDNS, Running]]:
    # Nothing remembered, so that each message waits for itself.
    with ScriptedDNS(ZONE) as dns, running(dns, lookups=f"{request.param}\ncache_entries = 0") as serving:
        yield dns, serving


SILENT: dict[str, dict[str, Sequence[Any]]] = {
    "the reverse DNS": {REVERSE_ZONE: ["TIMEOUT"]},
    "all names of the client": {REVERSE_ZONE: [{"PTR": n} for n in NAMES], **{n: ["TIMEOUT"] for n in NAMES}},
    "HELO's name and the reverse DNS": {REVERSE_ZONE: ["TIMEOUT"], "mail.evil.test": ["TIMEOUT"]},
}


@pytest.mark.parametrize("silent", SILENT.values(), ids=SILENT.keys())
def test_a_forger_with_a_silent_dns_is_refused(
    daemon: tuple[ScriptedDNS, Running], silent: dict[str, Sequence[Any]]
) -> None:
    dns, serving = daemon
    dns.load({**ZONE, **silent})
    all_are_refused(serving)


@pytest.mark.skipif(bool(unbound.unavailable()), reason=unbound.unavailable() or "available")
@pytest.mark.parametrize("lookups", LOOKUPS, ids=["prefetch", "one after the other"])
def test_a_forger_whose_zones_are_delegated_to_silent_servers_is_refused(lookups: str) -> None:
    """Through a recursive resolver, which itself tries four servers that never answer, for longer than the limit."""
    with ScriptedDNS(ZONE) as server, SilentServers() as silent:
        zones = {"test": [server.port], "in-addr.arpa": [server.port]}
        zones |= {"100.51.198.in-addr.arpa": silent.ports, "evil.test": silent.ports}
        with Unbound(zones) as resolver, running(resolver, lookups=lookups) as serving:
            all_are_refused(serving)
