"""A corrected record: from the visit of the help page to the accepted message, in all workers of all hosts.

``BOUND`` is for an idle machine; ``until`` waits longer on a busy one (lab.processes.patience). The answers of the DNS
are valid for an hour, so nothing but the visit can bring the corrected ones.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis as library

from lab.daemon import SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.processes import free_port, until
from lab.redis import Redis
from spfmilter.refresh.overredis import FIELD, KEY
from tests.survival.site import CLIENT, PASS
from tests.survival.test_exemptions import REFUSED, SERVERS, TAKEN, WITH_REDIS, Host, host, store
from tests.web.site import SECRET, WEB
from tests.web.test_server import get

BOUND = 5.0  # seconds from the visit to the first accepted message, in all workers
HOUR = 3600
PASSES, WAITS = "It passes now", "may still remember the former record"
Names = dict[str, list[Any]]
RIGHT, WRONG = f"v=spf1 ip4:{CLIENT} -all", "v=spf1 ip4:198.51.100.1 -all"
# Ways to correct a domain: the names before, and those that change.
WAYS: Mapping[str, tuple[Names, Names]] = {
    "own.example": ({"own.example": [{"TXT": WRONG}]}, {"own.example": [{"TXT": RIGHT}]}),
    "new.example": (
        {"new.example": [{"TXT": "v=spf1 a:mail.new.example -all"}]},  # whose negative answer is cached
        {"mail.new.example": [{"A": CLIENT}]},
    ),
    "host.example": (
        {
            "host.example": [{"TXT": "v=spf1 mx -all"}, {"MX": [1, "mx.host.example"]}],
            "mx.host.example": [{"A": "198.51.100.1"}],
        },
        {"mx.host.example": [{"A": CLIENT}]},
    ),
    "moved.example": (
        {"moved.example": [{"TXT": "v=spf1 redirect=_spf.moved.example"}], "_spf.moved.example": [{"TXT": WRONG}]},
        {"_spf.moved.example": [{"TXT": RIGHT}]},
    ),
}
SHARED = {
    "pass.example": [{"TXT": "v=spf1 include:_spf.provider.example -all"}],
    "_spf.provider.example": [{"TXT": RIGHT}],
}
ZONE: Names = {**SHARED, **{name: entries for before, _ in WAYS.values() for name, entries in before.items()}}


@dataclass
class Mx:
    """A host with its daemon, and its help page as a process of its own."""

    host: Host
    page: SpfmilterDaemon

    def link(self, domain: str) -> str:
        """The link in the notice of a refused message."""
        reply = self.host.clients[0].deliver(f"<a@{domain}>", ["<bob@example.net>"]).reply
        found = re.search(r"http://127\.0\.0\.1:\d+/spf/[\w.-]+", reply.text)
        assert found is not None, reply.text
        return found[0]

    def answers(self, domain: str) -> set[str]:
        """What the workers answer to a message of this domain."""
        return self.host.answers(f"<a@{domain}>")

    def wait_for(self, answer: str, domain: str, since: float, link: str = "") -> None:
        """Wait until all workers answer so. The sender opens the page of ``link`` again meanwhile."""
        until(
            lambda: self.answers(domain) == {answer} or (link and not visit(link)),
            BOUND,
            lambda: f"{answer}: {self.answers(domain)}\n{self.host.daemon.log()[-3000:]}",
        )
        print(f"{domain}: {time.monotonic() - since:.2f} s from the visit to {answer} in all workers")


def visit(link: str) -> str:
    """Open the help page, and return its text."""
    status, text = get(link)
    assert status == 200, text
    return text


@contextmanager
def mx(dns: ScriptedDNS, folder: Path, **sections: str) -> Iterator[Mx]:
    """A host whose daemon and page have the same INI file."""
    folder.mkdir()
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET + "\n")
    port = free_port()
    web = f"listen = 127.0.0.1:{port}\nsecret_file = {secret}\nrate = 10000/minute"
    reply = f"help_url = http://127.0.0.1:{port}/spf/{{token}}\nsuggest_services = no"
    with ExitStack() as stack:
        site = stack.enter_context(host(dns, folder, web=web, reply=reply, **sections))  # type: ignore[arg-type]  # an address is enough
        page = stack.enter_context(SpfmilterDaemon(site.daemon.ini_path.read_text(), command=WEB))
        until((folder / "page.sock").exists, 10, "the daemon listens for its page")
        yield Mx(site, page)


@pytest.fixture
def dns() -> Iterator[ScriptedDNS]:
    """A name server whose answers are valid for an hour."""
    with ScriptedDNS(ZONE, ttl=HOUR, negative_ttl=HOUR) as running:
        yield running


def correct(dns: ScriptedDNS, *domains: str) -> None:
    """Serve the zone in which these domains are corrected."""
    dns.load({**ZONE, **{name: entries for domain in domains for name, entries in WAYS[domain][1].items()}})


def see_refused_then_corrected(dns: ScriptedDNS, domain: str, *hosts: Mx) -> tuple[float, str]:
    """Refuse, show the page, correct, and show the page again, all of the first host. Return the time and the link."""
    link = hosts[0].link(domain)
    assert PASSES not in visit(link)
    for each in hosts:
        assert each.answers(domain) == {REFUSED}
    correct(dns, domain)
    for each in hosts:
        assert each.answers(domain) == {REFUSED}, "the workers remember the former answers"
    since = time.monotonic()
    see_passing(link)
    return since, link


def see_passing(link: str) -> None:
    """Open the help page, as its reader does: again, if it says that the daemon has not confirmed the correction.

    On a busy machine the daemon's own evaluation may take longer than the page waits for it.
    """

    def confirmed() -> bool:
        text = visit(link)
        assert PASSES in text
        return WAITS not in text

    until(confirmed, 30, "the daemon confirms that the case passes")


def test_a_corrected_record_counts_in_all_workers_once_the_page_is_loaded(dns: ScriptedDNS, tmp_path: Path) -> None:
    with mx(dns, tmp_path / "one") as here:
        assert here.host.answers(PASS) == {TAKEN}
        for domain in WAYS:
            here.wait_for(TAKEN, domain, *see_refused_then_corrected(dns, domain, here))
            pattern = rf"corrected record seen domain={re.escape(domain)} client={CLIENT} case=\S+ by=\"help page\""
            here.host.daemon.wait_for_log(pattern)
        asked = dns.queries["_spf.provider.example", "TXT"]
        assert here.host.answers(PASS) == {TAKEN}
        assert dns.queries["_spf.provider.example", "TXT"] == asked, "what has not changed stays in the caches"


@pytest.mark.parametrize("kind", SERVERS)
def test_a_corrected_record_counts_on_the_other_hosts(dns: ScriptedDNS, kind: str, tmp_path: Path) -> None:
    with (
        store(kind) as (sections, _),
        mx(dns, tmp_path / "one", **sections) as one,
        mx(dns, tmp_path / "two", **sections) as two,
    ):
        for domain, (visited, other) in (("own.example", (one, two)), ("moved.example", (two, one))):
            since, link = see_refused_then_corrected(dns, domain, visited, other)
            other.wait_for(TAKEN, domain, since, link)
            visited.wait_for(TAKEN, domain, since, link)
            other.host.daemon.wait_for_log(rf"corrected record seen domain={re.escape(domain)} .*by=\"another host\"")


@WITH_REDIS
def test_hostile_entries_of_the_server_bring_nothing_and_its_end_costs_nothing(
    dns: ScriptedDNS, tmp_path: Path
) -> None:
    with store("redis") as (sections, server), mx(dns, tmp_path / "one", **sections) as here:
        assert isinstance(server, Redis)
        there: Any = library.Redis(port=server.port)
        links = {domain: here.link(domain) for domain in ("own.example", "moved.example")}
        forged = links["own.example"].rpartition("/")[2][:-3] + "AAA"
        correct(dns, "own.example")
        for text in (b"\xff\x1b[31m" * 1000, b"own.example", forged.encode(), b"*"):
            there.xadd(KEY, {FIELD: text})
        there.xadd(KEY, {b"\xff": b"\xff"})
        there.xadd(KEY, {FIELD: b"x"}, id=f"{2**64 - 1}-{2**64 - 1}")  # no entry can follow it
        see_passing(links["own.example"])
        sent = links["own.example"].rpartition("/")[2].encode()
        until(lambda: {fields.get(FIELD.encode()) for _, fields in there.xrange(KEY)} == {sent}, 10, "a new stream")
        here.wait_for(TAKEN, "own.example", time.monotonic(), links["own.example"])
        assert here.answers("moved.example") == {REFUSED}
        server.kill()
        correct(dns, "own.example", "moved.example")
        see_passing(links["moved.example"])
        here.wait_for(TAKEN, "moved.example", time.monotonic(), links["moved.example"])
        here.host.daemon.wait_for_log("corrected records not exchanged with other hosts")
        assert "\x1b" not in here.host.daemon.log()
