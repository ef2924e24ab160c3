"""What the policy asks of the DNS beside the evaluation, of a real server: conditions, hosts, DMARC, pinned records."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from spfmilter.evaluation.conditions import lets_every_host_pass
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.evidence import ConnectionEvidence
from spfmilter.model import Check, Condition, DmarcPolicy, Result, Verdict
from spfmilter.settings import Settings
from spfmilter.spf.record import parse
from tests.evaluation import world
from tests.values import settings as ini

pytestmark = pytest.mark.outside

CLIENT = ip_address("203.0.113.7")
CLIENT6 = ip_address("2001:db8::7")


def check(domain: str) -> Check:
    return world.check(domain, client=str(CLIENT))


@contextmanager
def evidence(
    server: ScriptedDNS, zone: ZoneData, text: str = "", *, seconds: float = 10.0
) -> Iterator[ConnectionEvidence]:
    """One connection's, to a process that knows nothing yet."""
    server.load(zone)
    server.reset_counts()
    chosen: Settings = ini(f"[dns]\nnameservers = {server.address}\n{text}")
    own = chosen.policy.own_addresses
    opened = ConnectionEvidence(Engine(chosen.dns).inquiry(), own_addresses=own, deferred_since=None)
    opened.budget.start(seconds)
    try:
        yield opened
    finally:
        opened.inquiry.close()


def evaluated(server: ScriptedDNS, zone: ZoneData, domain: str = "e.example") -> Verdict:
    with evidence(server, zone) as asking:
        return asking.verdict(check(domain))


# -- conditions that the record shows ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "condition"),
    [
        ("v=spf1 +all", Condition.WIDE_OPEN),
        ("v=spf1 ip4:192.0.2.1 all", Condition.WIDE_OPEN),
        ("v=spf1 -ip4:192.0.2.1 ALL", Condition.WIDE_OPEN),
        ("v=spf1 ip4:203.0.113.7 +all", None),  # it was the address that matched
        ("v=spf1 include:open.example -all", Condition.WIDE_OPEN),
        ("v=spf1 include:open.example include:x.example -all", Condition.WIDE_OPEN),
        ("v=spf1 include:middle.example -all", Condition.WIDE_OPEN),
        ("v=spf1 include:half.example -all", Condition.WIDE_OPEN),
        ("v=spf1 -include:open.example", None),  # a fail
        ("v=spf1 include:not.example ip4:203.0.113.7 -all", None),  # +all matched in an include that did not
        ("v=spf1 include:one.example -all", None),
        ("v=spf1 ip4:0.0.0.0/0 -all", Condition.WIDE_OPEN),
        ("v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", Condition.WIDE_OPEN),
        ("v=spf1 ip4:128.0.0.0/1 ip4:0.0.0.0/1 -all", Condition.WIDE_OPEN),
        ("v=spf1 ip4:128.0.0.0/1 -all", Condition.WIDE_OPEN),  # half of the Internet
        ("v=spf1 ip4:192.0.0.0/4 ip4:203.0.113.0/1 -all", Condition.WIDE_OPEN),  # with bits below the prefix
        ("v=spf1 ip4:203.0.113.7 ip4:0.0.0.0/0 -all", Condition.WIDE_OPEN),  # the address passes, as all others do
        ("v=spf1 ip4:203.0.113.7 -all ip4:0.0.0.0/0", None),  # what is behind all counts for nothing
        ("v=spf1 ip4:203.0.113.7 -ip4:0.0.0.0/0 ip4:0.0.0.0/1 ip4:128.0.0.0/1", None),
        ("v=spf1 ?ip4:0.0.0.0/1 ip4:203.0.113.7 -all", None),
        ("v=spf1 ip4:192.0.0.0/2 -all", None),  # a quarter: asked by our own address, where that is known
        ("v=spf1 ip4:192.0.0.0/4 ip4:192.0.0.0/4 ip4:192.0.0.0/2 ip4:192.0.0.0/2 -all", None),  # the same again
        ("v=spf1 ip6:::/0 ip4:203.0.113.7 -all", None),  # of the client's family
        ("v=spf1 a:host.example/0 -all", Condition.WIDE_OPEN),
        ("v=spf1 a:host.example/1 -all", Condition.WIDE_OPEN),
        ("v=spf1 mx:host.example/0 -all", Condition.WIDE_OPEN),
        ("v=spf1 a:host.example/2 -all", None),
        ("v=spf1 redirect=open.example", Condition.WIDE_OPEN),
        ("v=spf1 ?all", None),
        ("v=spf1 -all", Condition.NO_MAIL),
        ("v=spf1  -all ", Condition.NO_MAIL),
        ("V=SPF1 -ALL", Condition.NO_MAIL),
        ("v=spf1 -all exp=why.e.example", Condition.NO_MAIL),
        ("v=spf1 a -all", None),
        ("v=spf1 -a -all", None),
        ("v=spf1 ~all", None),
        ("v=spf1 redirect=none.example", None),  # it is not the domain's own record that says so
        ("v=spf1 -ip4:203.0.113.0/24", None),
    ],
)
def test_a_condition_that_the_record_shows_costs_no_lookup(
    server: ScriptedDNS, record: str, condition: Condition | None
) -> None:
    zone: ZoneData = {
        "e.example": [{"TXT": record}],
        "open.example": [{"TXT": "v=spf1 +all"}],
        "middle.example": [{"TXT": "v=spf1 redirect=open.example"}],
        "half.example": [{"TXT": "v=spf1 ip4:0.0.0.0/0"}],
        "not.example": [{"TXT": "v=spf1 -include:open.example +all"}],
        "one.example": [{"TXT": "v=spf1 ip4:203.0.113.7 -all"}],
        "host.example": [{"A": "203.0.113.9"}, {"MX": (10, "host.example")}],
        "none.example": [{"TXT": "v=spf1 -all"}],
    }
    assert evaluated(server, zone).condition is condition


@pytest.mark.parametrize(
    ("record", "is_open"),
    [
        ("v=spf1 ip6:::/0 -all", True),
        ("v=spf1 ip6:2000::/3 -all", True),
        ("v=spf1 ip6:2000::/4 -all", True),
        ("v=spf1 ip6:2000::/5 -all", False),
        ("v=spf1 a:host.example//0 -all", True),
        ("v=spf1 a:host.example/0//64 -all", False),
        ("v=spf1 ip4:0.0.0.0/0 ip6:2001:db8::/32 -all", False),
    ],
)
def test_a_record_for_every_host_is_seen_by_a_client_of_ipv6(
    server: ScriptedDNS, record: str, *, is_open: bool
) -> None:
    zone = {"e.example": [{"TXT": record}], "host.example": [{"AAAA": "2001:db8::9"}]}
    with evidence(server, zone) as asking:
        found = asking.verdict(world.check("e.example", client=str(CLIENT6)))
        assert found.result is Result.PASS
        assert (found.condition is Condition.WIDE_OPEN) is is_open


@pytest.mark.usefixtures("unhurried")
def test_a_verdict_that_is_remembered_keeps_its_condition(server: ScriptedDNS) -> None:
    with evidence(server, {"once.example": [{"TXT": "v=spf1 +all"}]}) as asking:
        assert asking.verdict(check("once.example")).condition is asking.verdict(check("once.example")).condition
        assert server.queries_for("once.example") == {("once.example", "TXT"): 1}


# -- conditions that are looked up -------------------------------------------------------------------------------------

OWN = "[policy]\nown_addresses = 9.9.9.9, 2620:fe::fe\n"


@pytest.mark.parametrize(
    ("record", "open_to_all"),
    [
        ("v=spf1 ip4:0.0.0.0/1 ip4:128.0.0.0/1 -all", True),
        ("v=spf1 include:open.example -all", True),
        ("v=spf1 ip4:203.0.113.7 ip6:2620:fe::/32 -all", True),  # one of ours is enough
        ("v=spf1 ip4:203.0.113.7 ip4:9.0.0.0/8 -all", True),
        ("v=spf1 ip4:203.0.113.7 ?ip4:9.9.9.9 -all", False),
        ("v=spf1 ip4:203.0.113.7 -all", False),
    ],
)
def test_a_record_that_lets_us_send_lets_every_host(server: ScriptedDNS, record: str, *, open_to_all: bool) -> None:
    zone = {"e.example": [{"TXT": record}], "open.example": [{"TXT": "v=spf1 +all"}]}
    with evidence(server, zone, OWN) as asking:
        found = asking.verdict(check("e.example"))
        assert found.result is Result.PASS
        assert asking.holds(Condition.WIDE_OPEN, found) is open_to_all


@pytest.mark.parametrize(("own", "open_to_all"), [("9.9.9.9", True), ("10.0.0.1", False), (None, False)])
def test_our_address_is_where_the_mta_takes_the_connection_if_that_is_public(
    server: ScriptedDNS, own: str | None, *, open_to_all: bool
) -> None:
    record = "v=spf1 ip4:203.0.113.7 ip4:9.0.0.0/8 ip4:10.0.0.0/8 -all"
    with evidence(server, {"e.example": [{"TXT": record}]}) as asking:
        asking.own_address = ip_address(own) if own else None
        assert asking.holds(Condition.WIDE_OPEN, asking.verdict(check("e.example"))) is open_to_all


@pytest.mark.parametrize(
    ("zone", "unreachable"),
    [
        ({}, True),  # no such name
        ({"e.example": [{"TXT": "hello"}]}, True),  # neither MX nor address
        ({"e.example": [{"MX": (0, "")}]}, True),  # RFC 7505
        ({"e.example": [{"MX": (0, "")}, {"A": "192.0.2.1"}]}, True),
        ({"e.example": [{"MX": (10, "mx.example")}]}, False),
        ({"e.example": [{"MX": (0, "")}, {"MX": (10, "mx.example")}]}, False),  # not a null MX, section 3
        ({"e.example": [{"A": "192.0.2.1"}]}, False),
        ({"e.example": [{"AAAA": "2001:db8::1"}]}, False),
        ({"e.example": [{"RCODE": "SERVFAIL", "ONLY": "MX"}]}, False),  # who knows
        ({"e.example": [{"RCODE": "SERVFAIL", "ONLY": "AAAA"}]}, False),
    ],
)
def test_a_domain_without_mail(server: ScriptedDNS, zone: ZoneData, *, unreachable: bool) -> None:
    with evidence(server, zone) as asking:
        found = asking.verdict(check("e.example"))
        assert found.result is Result.NONE
        assert asking.holds(Condition.UNREACHABLE, found) is unreachable


def test_an_identity_that_names_no_domain_has_no_condition(server: ScriptedDNS) -> None:
    with evidence(server, {}) as asking:
        nameless = asking.verdict(check(""))
        assert not asking.holds(Condition.UNREACHABLE, nameless)
        assert not server.queries


# -- hosts -------------------------------------------------------------------------------------------------------------

REVERSE, REVERSE6 = CLIENT.reverse_pointer, CLIENT6.reverse_pointer


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ({REVERSE: [{"PTR": "mx.fwd.example"}], "mx.fwd.example": [{"A": "203.0.113.7"}]}, "mx.fwd.example"),
        ({REVERSE: [{"PTR": "MX.Fwd.Example"}], "mx.fwd.example": [{"A": "203.0.113.7"}]}, "mx.fwd.example"),
        (
            {REVERSE: [{"PTR": "mx.fwd.example"}], "mx.fwd.example": [{"A": "203.0.113.8"}]},
            None,
        ),  # any owner of an address can claim this name
        ({REVERSE: [{"PTR": "mx.fwd.example"}]}, None),
        ({REVERSE: [{"PTR": "mx.other.example"}], "mx.other.example": [{"A": "203.0.113.7"}]}, None),
        (
            {
                REVERSE: [{"PTR": "a.fwd.example"}, {"PTR": "b.fwd.example"}],
                "a.fwd.example": [{"A": "192.0.2.1"}],
                "b.fwd.example": [{"A": "192.0.2.1"}, {"A": "203.0.113.7"}],
            },
            "b.fwd.example",
        ),
        ({REVERSE: [{"RCODE": "SERVFAIL"}]}, None),
        ({}, None),
    ],
)
def test_a_host_is_believed_where_its_name_leads_back_to_it(
    server: ScriptedDNS, zone: ZoneData, name: str | None
) -> None:
    with evidence(server, zone) as asking:
        assert asking.host_name(CLIENT, lambda host: host.endswith(".fwd.example")) == name


def test_a_host_with_an_ipv6_address(server: ScriptedDNS) -> None:
    zone = {REVERSE6: [{"PTR": "mx.fwd.example"}], "mx.fwd.example": [{"AAAA": "2001:db8::7"}]}
    with evidence(server, zone) as asking:
        assert asking.host_name(CLIENT6, lambda _: True) == "mx.fwd.example"


@pytest.mark.usefixtures("unhurried")
def test_only_ten_names_are_looked_at_and_only_those_that_are_wanted(server: ScriptedDNS) -> None:
    names = [f"h{number}.fwd.example" for number in range(14)]
    zone = {REVERSE: [{"PTR": name} for name in names], names[12]: [{"A": "203.0.113.7"}]}
    with evidence(server, zone) as asking:
        assert asking.host_name(CLIENT, lambda _: True) is None
        assert server.queries_for(*names) == {(name, "A"): 1 for name in names[:10]}
    with evidence(server, zone) as asking:
        asking.host_name(CLIENT, lambda name: name.startswith("h3."))
        assert [name for name, kind in server.queries if kind == "A"] == ["h3.fwd.example"]


def test_the_addresses_of_a_host_are_of_both_versions(server: ScriptedDNS) -> None:
    zone = {"mx.example": [{"A": "192.0.2.1"}, {"AAAA": "2001:db8::1"}], "bad.example": [{"RCODE": "SERVFAIL"}]}
    with evidence(server, zone) as asking:
        assert asking.addresses_of("mx.example") == {ip_address("192.0.2.1"), ip_address("2001:db8::1")}
        assert asking.addresses_of("bad.example") == asking.addresses_of("a..b") == frozenset()


# -- DMARC -------------------------------------------------------------------------------------------------------------


def dmarc(name: str, record: str) -> ZoneData:
    return {f"_dmarc.{name}": [{"TXT": record}]}


@pytest.mark.parametrize(
    ("zone", "policy"),
    [
        (dmarc("a.b.example.co.uk", "v=DMARC1; p=reject"), ("a.b.example.co.uk", "reject")),
        (dmarc("example.co.uk", "v=DMARC1; p=reject"), ("example.co.uk", "reject")),
        (dmarc("example.co.uk", "v=DMARC1;p=reject;sp=quarantine"), ("example.co.uk", "quarantine")),
        (dmarc("example.co.uk", "v=DMARC1; P = Reject ; pct=50; rua=mailto:x@y.example"), ("example.co.uk", "reject")),
        (dmarc("example.co.uk", "v=DMARC1; p=none; sp=reject"), ("example.co.uk", "reject")),
        (dmarc("b.example.co.uk", "v=DMARC1; p=reject"), ("b.example.co.uk", "reject")),
        (dmarc("co.uk", "v=DMARC1; p=reject; psd=y"), ("co.uk", "none")),  # filters of RFC 7489 do not look there
        (dmarc("example.co.uk", "v=DMARC2; p=reject"), None),
        (dmarc("example.co.uk", "p=reject; v=DMARC1"), None),
        (dmarc("example.co.uk", "v=DMARC1"), ("example.co.uk", "none")),
        (dmarc("example.co.uk", "v=DMARC1; p=maybe"), ("example.co.uk", "none")),
        (
            {"_dmarc.example.co.uk": [{"TXT": "v=DMARC1; p=reject"}, {"TXT": "v=DMARC1; p=none"}]},
            ("example.co.uk", "none"),
        ),
        (dmarc("example.co.uk", "v=DMARC1; p=quarantine; t=y"), ("example.co.uk", "none")),
        (dmarc("example.co.uk", "v=DMARC1; p=reject; t=y"), ("example.co.uk", "quarantine")),
        (dmarc("example.co.uk", "v=DMARC1; p=reject; pct=0"), ("example.co.uk", "none")),
        ({"_dmarc.example.co.uk": [{"TXT": "v=DMARC1; p=reject"}, {"TXT": "hello"}]}, ("example.co.uk", "reject")),
        ({**dmarc("example.co.uk", "v=DMARC1; p=reject"), "_dmarc.a.b.example.co.uk": [{"RCODE": "SERVFAIL"}]}, None),
        ({"_dmarc.example.co.uk": [{"TXT": b"v=DMARC1; p=reject; x=\xff"}]}, ("example.co.uk", "reject")),
        ({}, None),
    ],
)
def test_the_policy_is_the_domains_own_or_else_its_organizations(
    server: ScriptedDNS, zone: ZoneData, policy: tuple[str, str] | None
) -> None:
    with evidence(server, zone) as asking:
        found = asking.dmarc("a.b.example.co.uk")
    assert (None if found is None else (found.domain, found.policy)) == policy


def test_sp_is_not_for_the_organizational_domain_itself(server: ScriptedDNS) -> None:
    with evidence(server, dmarc("example.com", "v=DMARC1; p=none; sp=reject")) as asking:
        assert asking.dmarc("example.com") == DmarcPolicy(domain="example.com", policy="none")


@pytest.mark.usefixtures("unhurried")
def test_an_expected_policy_is_asked_for_at_once_and_only_once(server: ScriptedDNS) -> None:
    names = ("_dmarc.a.once.example", "_dmarc.once.example")
    with evidence(server, dmarc("once.example", "v=DMARC1; p=reject")) as asking:
        asking.expect_dmarc("a.once.example")
        for name in names:
            assert server.wait_until_asked(name, "TXT")
        assert asking.dmarc("a.once.example") == DmarcPolicy(domain="once.example", policy="reject")
        assert server.queries_for(*names) == {(name, "TXT"): 1 for name in names}


# -- time --------------------------------------------------------------------------------------------------------------


def test_what_comes_too_late_changes_nothing(server: ScriptedDNS) -> None:
    zone = {REVERSE: ["TIMEOUT"], "_dmarc.example.com": ["TIMEOUT"], "mx.example": ["TIMEOUT"]}
    with evidence(server, zone, seconds=0.2) as asking:
        assert asking.host_name(CLIENT, lambda _: True) is None
        assert asking.dmarc("example.com") is None
        assert asking.addresses_of("mx.example") == frozenset()


def test_the_age_of_a_deferral_is_what_the_memory_says() -> None:
    inquiry = Engine(ini().dns).inquiry()
    without = ConnectionEvidence(inquiry, own_addresses=(), deferred_since=None)
    assert without.deferred_for("key") == 0.0
    remembering = ConnectionEvidence(inquiry, own_addresses=(), deferred_since=lambda _, now: now - 100.0)
    assert remembering.deferred_for("key") == pytest.approx(100.0)


# -- pinned records ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", ["yes", "no"])
@pytest.mark.usefixtures("unhurried")
def test_a_pinned_record_is_evaluated_in_place_of_the_published_one(server: ScriptedDNS, prefetch: str) -> None:
    zone = {"e.example": [{"TXT": "v=spf1 -all"}], "in.example": [{"TXT": "v=spf1 ip4:203.0.113.7 -all"}]}
    with evidence(server, zone, f"prefetch = {prefetch}\n") as asking:
        asked = replace(check("e.example"), record="v=spf1 include:in.example -all")
        asking.expect([asked])
        found = asking.verdict(asked)
        assert (found.result, found.term, found.term_domain) == (Result.PASS, "include:in.example", "e.example")
        assert server.queries_for(*zone) == {("in.example", "TXT"): 1}
        assert asking.verdict(replace(asked, record="")).result is Result.FAIL, "the one does not answer for the other"
        assert asking.verdict(asked).result is Result.PASS


def test_a_pinned_record_holds_for_the_checked_domain_only(server: ScriptedDNS) -> None:
    zone = {"e.example": [{"TXT": "v=spf1 -all"}], "of.example": [{"TXT": "v=spf1 include:e.example -all"}]}
    with evidence(server, zone) as asking:
        assert asking.verdict(check("of.example")).result is Result.FAIL


def test_a_pinned_record_can_still_lead_to_an_error(server: ScriptedDNS) -> None:
    with evidence(server, {}) as asking:
        found = asking.verdict(replace(check("e.example"), record="v=spf1 include:nothing.example -all"))
        assert found.result is Result.PERMERROR


@pytest.mark.parametrize(
    ("record", "is_open"), [("v=spf1 +all", True), ("v=spf1 ?all", False), ("v=spf1 -ip4:0.0.0.0/0", False)]
)
def test_only_a_term_that_passes_lets_every_host_pass(record: str, *, is_open: bool) -> None:
    found = parse(record)
    assert lets_every_host_pass(found, found.directives[0], 32, included=False) is is_open
