"""Where pyspf's own query class departs from RFC 7208: ours does as the RFC says, the stock class still does not.

A test that fails for the stock class alone means that upstream has fixed it.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
import spf

from spfmilter.addresses import dns_domain, parse_address, parse_reverse_path
from spfmilter.model import ProblemKind, Result
from tests.evaluation.world import CLIENT, CLIENT6, Stock, World, Zone, check, ours

REVERSE = "1.2.0.192.in-addr.arpa"
LONG = ".".join(["a" * 60] * 3)


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """A record of e.example, what stands beside it in the DNS, and what each of the two makes of it."""

    record: str
    ours: Result
    stock: str
    beside: dict[str, list[Any]] = field(default_factory=dict)
    here: list[Any] = field(default_factory=list)  # further entries of e.example
    client: str = CLIENT
    local: str = "user"
    helo: str = "mail.e.example"

    @property
    def world(self) -> World:
        """The DNS, anew for each reader, so that each has its own counts."""
        return World({"e.example": [{"TXT": f"v=spf1 {self.record}"}, *self.here], **self.beside})


RESULTS = {
    "4.6.4: void lookups are counted by terms, so that a v6 client of v4-only hosts is no error": Deviation(
        record="a mx -all",
        here=[
            {"A": "192.0.2.9"},
            {"MX": (1, "h1.e.example")},
            {"MX": (2, "h2.e.example")},
            {"MX": (3, "h3.e.example")},
        ],
        beside={f"h{n}.e.example": [{"A": "192.0.2.9"}] for n in (1, 2, 3)},
        client=CLIENT6,
        ours=Result.FAIL,
        stock="permerror",
    ),
    "4.6.4: a redirect= beside all is not looked up, and costs nothing": Deviation(
        record="a a a a a a a a a a redirect=r.example ?all",
        here=[{"A": "192.0.2.9"}],
        ours=Result.NEUTRAL,
        stock="permerror",
    ),
    "4.6.4: a redirect= costs nothing where a mechanism matches": Deviation(
        record="a a a a a a a a a exists:x.example redirect=r.example",
        here=[{"A": "192.0.2.9"}],
        beside={"x.example": [{"A": "127.0.0.2"}]},
        ours=Result.PASS,
        stock="permerror",
    ),
    "5.5: a reverse lookup that fails is no match": Deviation(
        record="ptr -all", beside={REVERSE: ["TIMEOUT"]}, ours=Result.FAIL, stock="temperror"
    ),
    "5.5: a name whose address lookup fails is skipped": Deviation(
        record="ptr:x.example -all",
        beside={
            REVERSE: [{"PTR": "dead.x.example"}, {"PTR": "live.x.example"}],
            "dead.x.example": ["TIMEOUT"],
            "live.x.example": [{"A": CLIENT}],
        },
        ours=Result.PASS,
        stock="temperror",
    ),
    "6: names of modifiers have no case": Deviation(
        record="REDIRECT=r.example",
        beside={"r.example": [{"TXT": "v=spf1 -all"}]},
        ours=Result.FAIL,
        stock="neutral",
    ),
    "6: a modifier repeated in another case is repeated": Deviation(
        record="redirect=r.example ReDirect=r.example",
        beside={"r.example": [{"TXT": "v=spf1 -all"}]},
        ours=Result.PERMERROR,
        stock="fail",
    ),
    "6: unknown modifiers may be repeated": Deviation(record="x=1 x=2 -all", ours=Result.FAIL, stock="permerror"),
    "7.1: a macro keeps at least one part": Deviation(
        record="exists:%{d0}.x.example ?all", ours=Result.PERMERROR, stock="neutral"
    ),
    "7.1: delimiters are no letters": Deviation(
        record="exists:%{d-foo}.x.example ?all", ours=Result.PERMERROR, stock="neutral"
    ),
    "7.1: r stands once": Deviation(record="exists:%{drr}.x.example ?all", ours=Result.PERMERROR, stock="neutral"),
    "4.3: an include of a single label is of no domain, with any record": Deviation(
        record="include:%{d1} -all",
        beside={"example": [{"TXT": "v=spf1 +all"}]},
        ours=Result.PERMERROR,
        stock="pass",
    ),
    "7.3: parts are rejoined with dots, after any delimiter": Deviation(
        record="exists:%{h+}.x.example -all",
        helo="m+n.example",
        # the stock class puts the + back between the parts
        beside={"m.n.example.x.example": [{"A": "127.0.0.2"}]},
        ours=Result.PASS,
        stock="fail",
    ),
    "7.3: an over-long name loses as many labels as it takes": Deviation(
        record=f"exists:{'bb.' * 30}{'c' * 60}.{LONG}.x.example -all",
        beside={f"{'c' * 60}.{LONG}.x.example": [{"A": "127.0.0.2"}]},
        ours=Result.PASS,
        stock="fail",
    ),
    "7.3: %{p} is looked for anew under each domain": Deviation(
        record="exists:%{p}.x.example include:i.example -all",
        beside={
            "i.example": [{"TXT": "v=spf1 exists:%{p}.y.example ?all"}],
            REVERSE: [{"PTR": "m.i.example"}, {"PTR": "m.e.example"}],
            "m.i.example": [{"A": CLIENT}],
            "m.e.example": [{"A": CLIENT}],
            "m.i.example.y.example": [{"A": "127.0.0.2"}],
        },
        ours=Result.PASS,
        stock="fail",
    ),
}


@pytest.mark.parametrize("case", RESULTS.values(), ids=RESULTS.keys())
def test_ours_does_as_the_rfc_says_and_the_stock_class_does_not(case: Deviation) -> None:
    verdict = ours(case.world, check(client=case.client, local=case.local, helo=case.helo))
    stock = Stock(case.world, sender=f"{case.local}@e.example", client=case.client, helo=case.helo)
    assert (verdict.result, stock.result) == (case.ours, case.stock)


def test_an_over_long_name_is_cut_right_even_where_one_label_would_not_do() -> None:
    """Section 7.3: the stock class takes one label off and then asks for a name that no packet can hold."""
    case = RESULTS["7.3: an over-long name loses as many labels as it takes"]
    world, stock_world = case.world, case.world
    ours(world, check())
    Stock(stock_world)
    (asked,) = [name for name, rtype in world.asked if rtype == "A"]
    assert len(asked) <= 253
    assert [name for name, rtype in stock_world.asked if rtype == "A"] == []


def test_the_address_is_split_at_its_last_at() -> None:
    """RFC 5321 section 4.1.2: a quoted local part may hold an @; the stock class then finds no record at all."""
    zone = {"victim.example": [{"TXT": "v=spf1 -all"}]}
    path = parse_reverse_path('<"a@b"@victim.example>')
    assert (path.local, path.domain) == ('"a@b"', "victim.example")
    assert ours(zone, check(dns_domain(path.domain), local=path.local)).result is Result.FAIL
    stock = Stock(zone, sender='"a@b"@victim.example')
    assert (stock.result, stock.query.o) == ("none", 'b"@victim.example')
    assert spf.split_email('"a@b"@victim.example', "h") == ('"a', 'b"@victim.example')


def test_the_local_part_of_such_an_address_expands_whole() -> None:
    zone = {
        "victim.example": [{"TXT": "v=spf1 -all exp=why.victim.example"}],
        "why.victim.example": [{"TXT": "%{l} and %{o}"}],
    }
    assert ours(zone, check("victim.example", local='"a@b"')).explanation == '"a@b" and victim.example'


EXPLAINED = {"why.e.example": [{"TXT": "not you"}]}


@pytest.mark.parametrize(
    ("record", "result"),
    [
        pytest.param("+all exp=why.e.example", Result.PASS, id="on a pass"),
        pytest.param("~all exp=why.e.example", Result.SOFTFAIL, id="on a softfail"),
        pytest.param("include:i.example -all", Result.FAIL, id="inside an include"),
        pytest.param("redirect=r.example exp=why.e.example", Result.FAIL, id="beside a redirect"),
    ],
)
def test_an_explanation_is_fetched_only_where_it_is_used(record: str, result: Result) -> None:
    """Section 6.2; the stock class asks for it in each of these cases."""
    zone = {
        "e.example": [{"TXT": f"v=spf1 {record}"}],
        "i.example": [{"TXT": "v=spf1 -all exp=why.e.example"}],
        "r.example": [{"TXT": "v=spf1 -all"}],
        **EXPLAINED,
    }
    world, stock_world = World(zone), World(zone)
    verdict = ours(world)
    assert (verdict.result, verdict.explanation, world.asked["why.e.example", "TXT"]) == (result, None, 0)
    assert Stock(stock_world).result == result
    assert stock_world.asked["why.e.example", "TXT"] == 1


def test_an_explanation_is_fetched_on_a_fail() -> None:
    world = World({"e.example": [{"TXT": "v=spf1 -all exp=why.e.example"}], **EXPLAINED})
    assert ours(world).explanation == "not you"
    assert world.asked["why.e.example", "TXT"] == 1


def test_the_stock_class_swallows_the_time_limit_in_exp() -> None:
    """Eleven explanations without an answer: the stock class waits for each, on top of its limit; ours asks none."""
    zone: dict[str, list[Any]] = {
        f"{'i' * n}.example": [{"TXT": f"v=spf1 include:{'i' * (n + 1)}.example ?all exp=dead{n}.example"}]
        for n in range(1, 11)
    }
    zone |= {f"dead{n}.example": ["TIMEOUT"] for n in range(11)}
    zone |= {"iiiiiiiiiii.example": [{"TXT": "v=spf1 ?all"}]}
    zone["e.example"] = [{"TXT": "v=spf1 include:i.example ?all exp=dead0.example"}]
    world, stock_world = World(zone), World(zone)
    ours(world)
    Stock(stock_world)
    assert not [name for name, _ in world.asked if name.startswith("dead")]
    assert len([name for name, _ in stock_world.asked if name.startswith("dead")]) == 11


def test_mx_hosts_are_looked_up_until_one_matches() -> None:
    """Section 5.4 wants the best first; the stock class resolves all before it compares the first."""
    zone: Zone = {
        "e.example": [{"TXT": "v=spf1 mx -all"}, *({"MX": (n, f"h{n}.e.example")} for n in (3, 1, 2))],
        "h1.e.example": [{"A": "192.0.2.9"}],
        "h2.e.example": [{"A": CLIENT}],
        "h3.e.example": [{"A": "192.0.2.9"}],
    }
    world, stock_world = World(zone), World(zone)
    assert (ours(world).result, Stock(stock_world).result) == (Result.PASS, "pass")
    assert [name for name, rtype in world.asked if rtype == "A"] == ["h1.e.example", "h2.e.example"]
    assert len([name for name, rtype in stock_world.asked if rtype == "A"]) == 3


def test_u_labels_become_a_labels() -> None:
    zone = {"xn--bcher-kva.example": [{"TXT": "v=spf1 -all"}]}
    domain = dns_domain(parse_reverse_path("<u@bücher.example>").domain)
    assert ours(zone, check(domain)).result is Result.FAIL
    assert Stock(zone, sender="u@bücher.example").result == "none"


@pytest.mark.parametrize("name", ["localhost", "tld", "localhost."])
def test_a_single_label_is_no_domain(name: str) -> None:
    """Section 4.3: none, and no lookup; the stock class asks."""
    zone = {name.removesuffix("."): [{"TXT": "v=spf1 -all"}]}
    assert dns_domain(name) == ""
    world = World(zone)
    verdict = ours(world, check(dns_domain(name)))
    assert (verdict.result, verdict.problem and verdict.problem.kind) == (Result.NONE, ProblemKind.NO_DOMAIN)
    assert not world.asked
    if name != "localhost.":  # for which the stock class sees an empty label
        assert Stock(zone, sender=f"u@{name}").result == "fail"


@pytest.mark.parametrize("client", ["::ffff:192.0.2.1", "IPv6:::ffff:c000:201"])
def test_an_ipv4_mapped_address_is_an_ipv4_address(client: str) -> None:
    """Section 5. Here pyspf is right, and ours agrees with it: in the sanitizer, and in a check without it."""
    zone = {"e.example": [{"TXT": "v=spf1 ip4:192.0.2.1 -all"}]}
    assert str(parse_address(client)) == CLIENT
    bare = client.removeprefix("IPv6:")
    assert ours(zone, check(client=bare)).result is Result.PASS
    assert Stock(zone, client=bare).result == "pass"


def test_a_record_that_ends_in_a_line_end_is_none() -> None:
    """Section 4.5: the version is followed by a space or the end; pyspf's expression alone would take the line end."""
    assert spf.RE_SPF.match(b"v=spf1\n")
    assert ours({"e.example": [{"TXT": "v=spf1\n"}]}).result is Result.NONE
