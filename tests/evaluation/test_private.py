"""Names of our own network in an untrusted record: no packet asks for them, even if the resolver knows them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from itertools import pairwise
from typing import Any

import pytest

from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from lab.processes import free_port
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.evidence import ConnectionEvidence
from spfmilter.evaluation.suggestion import clues_of
from spfmilter.model import Check, Client, Condition, Facts, Identity, Result, ReversePath
from spfmilter.spf.clues import Clues
from tests.evaluation import world
from tests.values import settings as ini

pytestmark = [pytest.mark.outside, pytest.mark.usefixtures("unhurried")]

CLIENT = "203.0.113.7"
SECRET = "api key=4711"
# What the resolver of our network answers beside the public DNS.
INSIDE: ZoneData = {
    "secret.corp": [{"TXT": SECRET}, {"A": CLIENT}, {"MX": (0, "mx.corp")}],
    "mx.corp": [{"A": CLIENT}],
    "spf.corp": [{"TXT": "v=spf1 a:mx.corp exp=secret.corp -all"}],
    "secret.intern.example.net": [{"TXT": SECRET}, {"A": CLIENT}],
    "_dmarc.corp": [{"TXT": "v=DMARC1; p=reject"}],
    "7.113.0.203.in-addr.arpa": [{"PTR": "mx.corp"}],
    "1.0.0.10.in-addr.arpa": [{"PTR": "mail.e.example"}],
    "mail.e.example": [{"A": "10.0.0.1"}],
}
ZONES = "private_zones = corp, intern.example.net, 10.0.0.0/8\n"


def record(text: str, **others: list[Any]) -> dict[str, Any]:
    return {"e.example": [{"TXT": f"v=spf1 {text}"}], **others}


@contextmanager
def evidence(server: ScriptedDNS, zone: ZoneData, text: str = ZONES) -> Iterator[ConnectionEvidence]:
    server.load({**INSIDE, **zone})
    server.reset_counts()
    engine = Engine(ini(f"[dns]\nnameservers = {server.address}\n{text}").dns)
    opened = ConnectionEvidence(engine.inquiry(), own_addresses=(), deferred_since=None)
    opened.budget.start(20)
    try:
        yield opened
    finally:
        opened.inquiry.close()


def check(client: str = CLIENT, **other: Any) -> Check:
    return replace(world.check(client=client), **other)


def asked(server: ScriptedDNS, *names: str) -> int:
    """How often one of the names was asked for, with any type."""
    return server.queries_for(*names).total()


INSIDES = ("secret.corp", "mx.corp", "spf.corp", "secret.intern.example.net", "_dmarc.corp", "x.corp")


@pytest.mark.parametrize("prefetch", ["yes", "no"])
@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a:secret.corp -all", Result.FAIL),
        ("a:SECRET.Corp. -all", Result.FAIL),
        ("a:secret.intern.example.net -all", Result.FAIL),
        ("mx:secret.corp -all", Result.FAIL),
        ("mx -all", Result.FAIL),  # its own MX is at a private name
        ("exists:secret.corp -all", Result.FAIL),
        ("exists:%{l}.corp -all", Result.FAIL),
        ("include:spf.corp -all", Result.PERMERROR),
        ("redirect=spf.corp", Result.PERMERROR),
        ("ptr:mx.corp -all", Result.FAIL),
        ("exists:%{p} -all", Result.FAIL),  # "unknown", since the client's name cannot be confirmed
        ("-all exp=secret.corp", Result.FAIL),
        ("-all exp=secret.intern.example.net", Result.FAIL),
        ("a:a.corp a:b.corp a:c.corp -all", Result.PERMERROR),  # void lookups, as names that are nowhere
    ],
)
def test_an_untrusted_record_asks_for_no_private_name(
    server: ScriptedDNS, text: str, result: Result, prefetch: str
) -> None:
    zone = record(text)
    zone["e.example"] = [*zone["e.example"], {"MX": (0, "mx.corp")}]
    with evidence(server, zone, f"{ZONES}prefetch = {prefetch}\n") as asking:
        known = check(local="secret")
        asking.expect([known])
        verdict = asking.inquiry.evaluate(known)
    assert (verdict.result, verdict.explanation) == (result, None)
    assert asked(server, *INSIDES) == 0


def test_without_the_setting_they_are_asked_for(server: ScriptedDNS) -> None:
    """The test above can fail."""
    with evidence(server, record("a:secret.corp -all"), "private_zones =\n") as asking:
        assert asking.inquiry.evaluate(check()).result is Result.PASS
    assert asked(server, "secret.corp") == 1


def test_nor_do_helo_mail_from_dmarc_and_the_service(server: ScriptedDNS) -> None:
    with evidence(server, {}) as asking:
        for identity, domain in ((Identity.HELO, "mx.corp"), (Identity.MAILFROM, "spf.corp")):
            one = check(identity=identity, domain=domain)
            asking.expect([one])
            verdict = asking.inquiry.evaluate(one)
            assert verdict.result is Result.NONE
            assert asking.holds(Condition.UNREACHABLE, verdict)
            client = Client(address=ip_address(CLIENT), name="mx.corp")
            facts = Facts(client=client, helo="h", reverse_path=ReversePath(local="a", domain=domain))
            assert clues_of(verdict, facts, asking.inquiry) == Clues()
        asking.expect_dmarc("corp")
        assert asking.dmarc("corp") is None
    assert asked(server, *INSIDES) == 0


@pytest.mark.parametrize("prefetch", ["yes", "no"])
def test_the_clients_own_name_is_asked_for_also_where_its_address_is_private(
    server: ScriptedDNS, prefetch: str
) -> None:
    with evidence(server, record("ptr -all"), f"{ZONES}prefetch = {prefetch}\n") as asking:
        known = check("10.0.0.1")
        asking.expect([known])
        assert asking.inquiry.evaluate(known).result is Result.PASS
        other = check("10.0.0.1", domain="other.example")
        server.load({**INSIDE, "other.example": [{"TXT": "v=spf1 exists:1.0.0.10.in-addr.arpa -all"}]})
        assert asking.inquiry.evaluate(other).result is Result.FAIL
    assert server.queries["1.0.0.10.in-addr.arpa", "A"] == 0


def test_names_that_the_administrator_lists_are_asked_for(server: ScriptedDNS) -> None:
    """Forwarders, and our own relays."""
    with evidence(server, {}) as asking:
        assert asking.host_name(ip_address(CLIENT), lambda name: name == "mx.corp") == "mx.corp"
        assert asking.addresses_of("mx.corp") == {ip_address(CLIENT)}


# -- a pinned record ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pinned", "result", "explanation"),
    [
        ("v=spf1 a:secret.corp -all", Result.PASS, None),
        ("v=spf1 include:spf.corp -all", Result.PASS, None),  # and what the private record names
        ("v=spf1 -all exp=secret.corp", Result.FAIL, SECRET),
        ("v=spf1 redirect=spf.corp", Result.PASS, None),
        ("v=spf1 include:stranger.example -all", Result.FAIL, None),
        ("v=spf1 redirect=stranger.example", Result.FAIL, None),
        ("v=spf1 include:e.example -all", Result.FAIL, None),  # the published record is still untrusted
    ],
)
def test_the_administrators_own_record_may_name_them(
    server: ScriptedDNS, pinned: str, result: Result, explanation: str | None
) -> None:
    strangers = "a:secret.corp exp=secret.corp -all"
    with evidence(server, record(strangers, **{"stranger.example": [{"TXT": f"v=spf1 {strangers}"}]})) as asking:
        known = check(record=pinned)
        asking.expect([known])
        verdict = asking.inquiry.evaluate(known)
    assert (verdict.result, verdict.explanation) == (result, explanation)


def test_a_trusted_lookup_is_no_answer_to_an_untrusted_one(server: ScriptedDNS) -> None:
    with evidence(server, record("a:secret.corp -all")) as asking:
        assert asking.inquiry.evaluate(check(record="v=spf1 a:secret.corp -all")).result is Result.PASS
        assert asking.inquiry.evaluate(check()).result is Result.FAIL


# -- aliases, which the resolver follows by itself ---------------------------------------------------------------------


@pytest.mark.parametrize("chain", [("secret.corp",), ("b.e.example", "secret.corp"), ("secret.intern.example.net",)])
@pytest.mark.parametrize("truncate", [False, True])
def test_an_alias_does_not_lead_inside(server: ScriptedDNS, chain: tuple[str, ...], truncate: bool) -> None:
    names = ("why.e.example", *chain)
    zone = record("a:why.e.example -all exp=why.e.example")
    zone |= {name: [{"CNAME": target}] for name, target in pairwise(names)}
    if truncate:
        zone["why.e.example"] = [*zone["why.e.example"], {"TRUNCATE": True}]
    with evidence(server, zone) as asking:
        verdict = asking.inquiry.evaluate(check())
    assert (verdict.result, verdict.explanation) == (Result.FAIL, None)
    with evidence(server, zone, "private_zones =\n") as asking:
        assert asking.inquiry.evaluate(check()).result is Result.PASS, "the test can fail"


def test_an_alias_within_a_private_zone_is_followed_for_the_administrator(server: ScriptedDNS) -> None:
    with evidence(server, {"alias.corp": [{"CNAME": "secret.corp"}]}) as asking:
        assert asking.inquiry.evaluate(check(record="v=spf1 a:alias.corp -all")).result is Result.PASS


# -- whose explanation is read out -------------------------------------------------------------------------------------


TEXT = [{"TXT": "because"}]


@pytest.mark.parametrize(
    ("domain", "target", "read"),
    [  # DMARC records tell that shop.co.uk and e.example are organizational domains, and github.io a public suffix
        ("e.example", "why.e.example", True),
        ("e.example", "e.example", False),  # its TXT records are two
        ("e.example", "WHY.E.Example", True),
        ("e.example", "why.other.example", False),
        ("e.example", "note.example", False),
        ("e.example", "whye.example", False),
        ("mail.shop.co.uk", "why.shop.co.uk", True),
        ("mail.shop.co.uk", "why.other.co.uk", False),
        ("shop.co.uk", "co.uk", False),
        ("a.github.io", "why.b.github.io", False),  # a public suffix: others' pages
        ("github.io", "why.github.io", True),
        ("a.e.example", "e.example", True),
        ("a.n.example", "b.n.example", True),
        ("mail.n.de", "why.n.de", False),  # no record says that they belong together
    ],
)
def test_an_explanation_comes_from_the_domains_own_tree(
    server: ScriptedDNS,
    domain: str,
    target: str,
    read: bool,
) -> None:
    zone: dict[str, Any] = {target.lower(): TEXT}
    for name, more in (("shop.co.uk", ""), ("co.uk", "; psd=y"), ("e.example", ""), ("github.io", "; psd=y")):
        zone[f"_dmarc.{name}"] = [{"TXT": f"v=DMARC1; p=none{more}"}]
    zone[domain] = [{"TXT": f"v=spf1 -all exp={target}"}, *zone.get(domain, [])]
    with evidence(server, zone) as asking:
        verdict = asking.inquiry.evaluate(check(domain=domain))
    assert (verdict.result, verdict.explanation) == (Result.FAIL, "because" if read else None)
    assert server.queries[target.lower(), "TXT"] == (1 if read or target == domain else 0)


@pytest.mark.parametrize(
    ("target", "read"), [("why.r.test", True), ("why.e.example", True), ("why.stranger.test", False)]
)
def test_after_a_redirect_also_from_that_of_the_record(server: ScriptedDNS, target: str, read: bool) -> None:
    zone = record("redirect=r.test", **{"r.test": [{"TXT": f"v=spf1 -all exp={target}"}], target: TEXT})
    with evidence(server, zone) as asking:
        assert asking.inquiry.evaluate(check()).explanation == ("because" if read else None)


@pytest.mark.parametrize(
    ("domain", "target", "walked"),
    [
        ("e.example", "why.e.example", 0),
        ("e.example", "why.other.example", 0),
        ("mail.e.example", "why.e.example", 0),
        ("mail.n.de", "why.n.de", 3),
    ],
)
def test_the_walk_is_made_only_where_it_can_lead_to_the_text(
    server: ScriptedDNS, domain: str, target: str, walked: int
) -> None:
    with evidence(server, {domain: [{"TXT": f"v=spf1 -all exp={target}"}], target: TEXT}) as asking:
        asking.inquiry.evaluate(check(domain=domain))
    assert sum(count for (name, _), count in server.queries.items() if name.startswith("_dmarc.")) == walked


# -- what a failure says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        "TIMEOUT",
        {"RCODE": "SERVFAIL"},
        {"RCODE": "REFUSED"},
        {"RAW": b"\0" * 40},
        {"WRONG_QUESTION": True},
    ],
    ids=str,
)
def test_a_temporary_failure_does_not_name_our_nameserver(server: ScriptedDNS, trouble: Any) -> None:
    """Its text goes out in a reply, and onto the page."""
    with evidence(server, {"e.example": [trouble]}, f"{ZONES}timeout = 1s\n") as asking:
        verdict = asking.inquiry.evaluate(check())
    assert verdict.problem is not None
    assert not re.search(r"127\.|\b53\b|" + server.address.rpartition(":")[2], str(verdict.problem))


@pytest.mark.parametrize("nameserver", ["127.0.0.1:{}", "[100::1]"])
def test_nor_does_one_that_cannot_be_reached(nameserver: str) -> None:
    address = nameserver.format(free_port())
    engine = Engine(ini(f"[dns]\nnameservers = {address}\ntimeout = 1s\n").dns)
    inquiry = engine.inquiry()
    verdict = inquiry.evaluate(check())
    inquiry.close()
    assert verdict.problem is not None
    assert not re.search(r"127\.|100::", str(verdict.problem))
