import asyncio
import threading
from typing import Any

import pytest

from lab.dnsserver import ScriptedDNS
from lab.processes import patience
from spfmilter.model import Result
from spfmilter.refresh import pagelink
from spfmilter.refresh.limits import RefreshOutcome
from spfmilter.settings import parse
from spfmilter.spf.services import Service
from spfmilter.web import checker as module
from spfmilter.web import wording
from spfmilter.web.case import build_view
from spfmilter.web.checker import BusyError, Checker
from tests.evaluation.world import check

pytestmark = pytest.mark.outside

ZONE: dict[str, list[Any]] = {
    "quick.example": [{"TXT": "v=spf1 -all"}],
    "silent.example": ["TIMEOUT"],
}


def checker(dns: ScriptedDNS, more: str = "") -> Checker:
    return Checker(parse(f"[dns]\nnameservers = {dns.address}\n{more}").dns)


def test_a_verdict_has_its_tree_and_repeats_ask_the_dns_again() -> None:
    """So a corrected record is seen at once."""
    with ScriptedDNS(ZONE) as dns:
        checks = checker(dns)
        for _ in range(3):
            verdict = asyncio.run(checks.evaluate(check("quick.example"))).verdict
            assert verdict.result is Result.FAIL
            assert verdict.trace is not None
        checks.close()
        assert dns.queries["quick.example", "TXT"] == 3


@pytest.mark.parametrize("suggest", [True, False])
def test_the_service_of_the_client_is_found_where_that_is_wanted(suggest) -> None:
    """As the notice does it: the domain's MX hints at the service, and the service's record proves it."""
    zone: dict[str, list[Any]] = {
        "customer.example": [{"TXT": "v=spf1 -all"}, {"MX": [1, "mx.zoho.com"]}],
        "zohomail.com": [{"TXT": "v=spf1 ip4:192.0.2.0/24 -all"}],
    }
    with ScriptedDNS(zone) as dns:
        checks = Checker(parse(f"[dns]\nnameservers = {dns.address}").dns, suggest=suggest)
        service = asyncio.run(checks.evaluate(check("customer.example"))).clues.service
        checks.close()
    assert (service.term if service else None) == ("include:zohomail.com" if suggest else None)


@pytest.mark.parametrize(
    ("domain", "refused", "answer", "refreshed"),
    [
        ("open.example", "a.b", RefreshOutcome.REFRESHED, True),
        ("open.example", "a.b", RefreshOutcome.LIMITED, False),
        ("open.example", "a.b", None, False),
        ("open.example", "", RefreshOutcome.REFRESHED, False),
        ("quick.example", "a.b", RefreshOutcome.REFRESHED, False),
    ],
)
def test_the_daemon_is_told_of_a_refused_case_that_passes(
    monkeypatch: pytest.MonkeyPatch, domain: str, refused: str, answer: RefreshOutcome | None, refreshed: bool
) -> None:
    told = []
    monkeypatch.setattr(pagelink, "ask", lambda *given: told.append(given) or answer)
    with ScriptedDNS({**ZONE, "open.example": [{"TXT": "v=spf1 ?exists:no.example +all"}]}) as dns:
        checks = Checker(parse(f"[dns]\nnameservers = {dns.address}").dns, folder="/folder")
        found = asyncio.run(checks.evaluate(check(domain), refused=refused))
        checks.close()
    assert found.refreshed is refreshed
    assert told == ([("/folder", refused)] if refused and domain == "open.example" else [])


@pytest.mark.parametrize(
    ("name", "confirmed"),
    [
        ("mail.bulk.example", "mail.bulk.example"),
        ("other.bulk.example", "smtp30.bulk.example"),
        ("", "smtp30.bulk.example"),
    ],
)
def test_a_name_of_the_link_is_trusted_only_if_the_dns_confirms_it_now(name: str, confirmed: str) -> None:
    """Else the one of today is shown, which also names the administrator's own service."""
    zone: dict[str, list[Any]] = {
        "customer.example": [{"TXT": "v=spf1 include:spf.bulk.example -all"}],
        "1.2.0.192.in-addr.arpa": [{"PTR": "smtp30.bulk.example"}, {"PTR": "forged.example"}],
        "smtp30.bulk.example": [{"A": "192.0.2.1"}],
        "mail.bulk.example": [{"A": "192.0.2.1"}],
        "other.bulk.example": [{"A": "192.0.2.99"}],
        "forged.example": [{"A": "192.0.2.99"}],
        "spf.bulk.example": [{"TXT": "v=spf1 ~all"}],
    }
    own = Service(name="Bulk", include="spf.bulk.example", hosts=("bulk.example",), provider="Bulk")
    with ScriptedDNS(zone) as dns:
        checks = Checker(parse(f"[dns]\nnameservers = {dns.address}").dns, suggest=True, services=(own,))
        clues = asyncio.run(checks.evaluate(check("customer.example"), name=name)).clues
        checks.close()
    assert (clues.client_name, clues.listed, clues.service) == (confirmed, (own,), None)


def test_dead_name_servers_cost_only_their_visitors_the_time_limit() -> None:
    """All threads wait for an answer that never comes; who comes then waits no longer than that either."""
    with ScriptedDNS(ZONE) as dns:
        checks = checker(dns, "timeout = 1s")

        async def flood() -> list[Any]:
            names = [check("silent.example", local=str(n)) for n in range(module._THREADS)]
            waiting = [checks.evaluate(about) for about in (*names, check("quick.example"))]
            return await asyncio.gather(*waiting, return_exceptions=True)

        *dead, late = asyncio.run(flood())
        checks.close()
    assert {outcome.verdict.result for outcome in dead} == {Result.TEMPERROR}
    assert isinstance(late, BusyError) or late.verdict.result in {Result.FAIL, Result.TEMPERROR}


def test_who_finds_no_place_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedDNS(ZONE) as dns:
        checks = checker(dns)
        gate = threading.Event()
        monkeypatch.setattr(checks, "_evaluate", lambda *_: gate.wait(30))

        async def crowd() -> None:
            waiting = [asyncio.ensure_future(checks.evaluate(check())) for _ in range(module._PLACES)]
            await asyncio.sleep(0)  # each has taken its place
            with pytest.raises(BusyError):
                await checks.evaluate(check())
            waiting[-1].cancel()  # a visitor who goes makes room
            with pytest.raises(asyncio.CancelledError):
                await waiting[-1]
            again = asyncio.ensure_future(checks.evaluate(check()))
            gate.set()
            assert all(await asyncio.gather(*waiting[:-1], again))

        asyncio.run(crowd())
        checks.close()


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("", 10),
        ("timeout = 2m\ncache_max_ttl = 1d\nserve_stale = 1d", 10),
        ("timeout = 2s\ncache_max_ttl = 5s", 2),
    ],
)
def test_the_page_waits_shorter_than_the_daemon_and_remembers_nothing(monkeypatch, text, time) -> None:
    """A person waits, and wants to see the corrected record."""
    given: list[Any] = []
    monkeypatch.setattr(module, "Engine", given.append)
    Checker(parse(f"[dns]\n{text}\n").dns).close()
    (dns,) = given
    assert (dns.timeout.seconds, dns.cache_entries, dns.serve_stale.seconds) == (time, 0, 0)


SERVERS = [{"NS": "kira.ns.cloudflare.com"}, {"NS": "lou.ns.cloudflare.com"}]
RECORD, REFUSED = {"TXT": "v=spf1 -all"}, {"RCODE": "REFUSED", "ONLY": "NS"}


@pytest.mark.parametrize(
    ("domain", "zone", "found"),
    [
        ("e.example", {"e.example": [RECORD, *SERVERS]}, "e.example"),
        ("mail.e.example", {"e.example": SERVERS, "mail.e.example": [RECORD]}, "e.example"),
        ("none.e.example", {"e.example": SERVERS}, "e.example"),
        ("a.b.c.d.example", {"a.b.c.d.example": [RECORD], "d.example": SERVERS}, "d.example"),
        ("a.b.c.d.e.f.example", {"a.b.c.d.e.f.example": [RECORD], "f.example": SERVERS}, None),
        ("cut.e.example", {"e.example": SERVERS, "cut.e.example": [RECORD, *SERVERS]}, "cut.e.example"),
        ("e.example", {"e.example": [RECORD], "example": SERVERS}, None),
        ("mail.e.example", {"e.example": SERVERS, "mail.e.example": [RECORD, REFUSED]}, None),
        ("e.example", {"e.example": [{"TXT": "v=spf1 +all"}, *SERVERS]}, None),
        ("e.corp", {"e.corp": [RECORD, *SERVERS]}, None),
    ],
)  # fmt: skip
def test_the_zone_that_holds_the_record_is_found_upwards(domain, zone, found) -> None:
    with ScriptedDNS(zone) as dns:
        checks = checker(dns)
        delegation = asyncio.run(checks.evaluate(check(domain))).delegation
        checks.close()
    assert (delegation.zone if delegation else None) == found


def test_the_nameservers_of_a_zone_are_asked_for_once_a_visit_and_come_as_text() -> None:
    hostile = [{"NS": "<script>.example"}, {"NS": "a\\b.example"}, {"NS": "x" * 63 + ".example"}]
    with ScriptedDNS({"e.example": [RECORD, *hostile]}) as dns:
        checks = checker(dns)
        delegation = None
        for _ in range(3):
            delegation = asyncio.run(checks.evaluate(check("e.example"))).delegation
        checks.close()
        assert dns.queries["e.example", "NS"] == 3
    assert delegation is not None
    assert len(delegation.nameservers) == 3
    assert all(name.isascii() and name.isprintable() and " " not in name for name in delegation.nameservers)


def test_silent_nameservers_of_a_zone_cost_a_second_and_no_page() -> None:
    zone: dict[str, list[Any]] = {"e.example": [RECORD, {"NS": "TIMEOUT"}]}
    with ScriptedDNS(zone) as dns:
        checks = checker(dns)
        start = checks._engine.clock()
        found = asyncio.run(checks.evaluate(check("e.example")))
        took = checks._engine.clock() - start
        checks.close()
    assert found.verdict.result is Result.FAIL
    assert found.delegation is None
    assert took < 8 * patience(), "of the ten seconds that a page may take"


INSIDE = {
    "probe.example": [{"TXT": "v=spf1 exists:secret.corp a:secret.corp -all"}],
    "secret.corp": [{"A": "192.0.2.1"}],
}


def test_the_page_shows_nothing_of_a_private_zone() -> None:
    with ScriptedDNS(INSIDE) as dns:
        checks = checker(dns)
        verdict = asyncio.run(checks.evaluate(check("probe.example"))).verdict
        checks.close()
        assert verdict.result is Result.FAIL
        assert not dns.queries_for("secret.corp")
        case = build_view(verdict)
    assert case.record is not None
    lookups = [lookup for term in case.record.terms for lookup in term.lookups]
    assert [(lookup.answers, wording.OUTCOMES[lookup.outcome]) for lookup in lookups] == [
        ((), wording.OUTCOMES["no such name"])
    ] * 2, "as a name that is nowhere"


def test_the_page_may_have_nameservers_of_its_own() -> None:
    text = "[dns]\nnameservers = {}\n[web]\nnameservers = {}\n"
    with ScriptedDNS(ZONE) as inner, ScriptedDNS(ZONE) as outer:
        settings = parse(text.format(inner.address, outer.address))
        checks = Checker(settings.dns, settings.web.nameservers)
        assert asyncio.run(checks.evaluate(check("quick.example"))).verdict.result is Result.FAIL
        checks.close()
        assert (inner.queries.total(), outer.queries["quick.example", "TXT"]) == (0, 1)


def test_a_network_has_a_share_of_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one visitor with names whose servers are silent has all of them."""
    with ScriptedDNS(ZONE) as dns:
        checks = checker(dns)
        gate = threading.Event()
        monkeypatch.setattr(checks, "_evaluate", lambda *_: gate.wait(30))

        async def crowd() -> None:
            waiting = [asyncio.ensure_future(checks.evaluate(check(), "192.0.2.0/24")) for _ in range(module._SHARE)]
            await asyncio.sleep(0)
            with pytest.raises(BusyError):
                await checks.evaluate(check(), "192.0.2.0/24")
            waiting.append(asyncio.ensure_future(checks.evaluate(check(), "198.51.100.0/24")))
            await asyncio.sleep(0)
            gate.set()
            await asyncio.gather(*waiting)
            assert await checks.evaluate(check(), "192.0.2.0/24")

        asyncio.run(crowd())
        checks.close()
        assert not checks._taken
