"""What the client chooses turns no fail into a milder result: above all its address family, HELO and local part."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spfmilter.evaluation.limits import Limits
from spfmilter.model import Check, ProblemKind, Result
from tests.evaluation.world import CLIENT, CLIENT6, World, check, ours

Zone = dict[str, list[Any]]
V4 = {"A": "198.51.100.9"}
V6 = {"AAAA": "2001:db8:9::9"}
REVERSE = [check(client=client).address.reverse_pointer for client in (CLIENT, CLIENT6)]


def result(zone: Zone, **asked: str) -> Result:
    return ours(World(zone), check(**asked)).result


# -- void lookups ------------------------------------------------------------------------------------------------------

HOSTS: Zone = {name: [V4] for name in ("mail.e.example", "h1.example", "h2.example", "h3.example")}
V4_ONLY = {
    "a, mx and a host": "a mx a:mail.e.example -all",
    "hosts": "a:h1.example a:h2.example a:h3.example a:mail.e.example -all",
    "behind an include": "include:i.example a:h1.example -all",
    "with a reverse DNS that is missing": "ptr a mx exists:%{p}._p.e.example -all",
    "names of the client's making": "exists:%{i}._x.e.example exists:%{l}._x.e.example exists:%{h}._x.e.example "
    "exists:%{s}._x.e.example exists:%{v}._x.e.example -all",
    "records of the client's making": "include:%{i}._i.e.example include:%{l}._i.e.example include:%{h}._i.%{d} -all",
}


@pytest.mark.parametrize("record", V4_ONLY.values(), ids=V4_ONLY.keys())
@pytest.mark.parametrize("client", [CLIENT, CLIENT6])
@pytest.mark.parametrize("only", [V4, V6], ids=["IPv4 only", "IPv6 only"])
def test_what_the_client_makes_void_is_not_the_records_fault(record: str, client: str, only: dict[str, str]) -> None:
    zone: Zone = {name: [only] for name in HOSTS}
    zone["e.example"] = [{"TXT": f"v=spf1 {record}"}, only, {"MX": (1, "mail.e.example")}, {"MX": (2, "h1.example")}]
    zone["i.example"] = [{"TXT": "v=spf1 a:h2.example mx:e.example a:h3.example ?all"}]
    assert result(zone, client=client) is Result.FAIL


@pytest.mark.parametrize("client", [CLIENT, CLIENT6])
@pytest.mark.parametrize(
    "record",
    [
        "a:n1.example a:n2.example a:n3.example -all",
        "a:n1.example exists:n2.example mx:h1.example -all",
        "exists:n1.example exists:%{d}._x.e.example exists:%{o}._x.e.example -all",
        "mx:h1.example mx:h2.example mx:h3.example -all",
        "exists:six.example exists:six.example exists:six.example -all",  # A is asked for any client
    ],
)
def test_what_the_record_makes_void_still_counts(record: str, client: str) -> None:
    zone: Zone = {**HOSTS, "six.example": [V6], "e.example": [{"TXT": f"v=spf1 {record}"}]}
    verdict = ours(World(zone), check(client=client))
    assert (verdict.result, verdict.problem and verdict.problem.kind) == (
        Result.PERMERROR,
        ProblemKind.VOID_LOOKUP_LIMIT,
    )


def test_a_missing_record_behind_a_name_of_the_clients_making_is_no_match() -> None:
    """Section 5.2 makes it a permerror, which an unknown local part could then choose."""
    for record in ("include:%{l}._u.e.example -all", "include:%{i}._u.e.example -all", "include:%{h}._u.%{d} -all"):
        assert result({"e.example": [{"TXT": f"v=spf1 {record}"}]}) is Result.FAIL
    assert result({"e.example": [{"TXT": "v=spf1 include:_u.%{d} -all"}]}) is Result.PERMERROR


def test_the_lookup_limit_bounds_the_work_of_lookups_that_are_not_void() -> None:
    terms = " ".join(f"exists:%{{l}}{n}._x.e.example" for n in range(11))
    verdict = ours(World({"e.example": [{"TXT": f"v=spf1 {terms} -all"}]}))
    assert (verdict.result, verdict.problem and verdict.problem.kind) == (Result.PERMERROR, ProblemKind.LOOKUP_LIMIT)


# -- any record --------------------------------------------------------------------------------------------------------

DOMAINS = [f"d{n}.example" for n in range(4)]
NAMES = [*DOMAINS, "h0.example", "h1.example", "h2.example", "missing.example", "gone.example", "broken.example"]
# Names that only the client's choice leads to: nothing is there, for no client.
MACROS = [
    *[f"%{{{macro}}}._x.e.example" for macro in "ilhpsvd"],
    "%{ir}.%{v}._x.e.example",
    "%{l}.example",
    "%{v}.%{d}",
]
MACROS += ["%{h}", "%{p}", "%{l}", "%{ir}.%{v}.arpa", "%{d1r}.e.example"]
targets = st.sampled_from([*NAMES, *NAMES, *MACROS])
mechanisms = st.one_of(
    st.builds("include:{}".format, st.sampled_from([*DOMAINS, *DOMAINS, *NAMES, *MACROS])),
    st.builds("{}{}".format, st.sampled_from(["a", "mx"]), st.sampled_from(["", "/24", "//64", "/30//126"])),
    st.builds("{}:{}{}".format, st.sampled_from(["a", "mx"]), targets, st.sampled_from(["", "/24", "//64"])),
    st.builds("exists:{}".format, st.sampled_from([*MACROS, "missing.example", "gone.example", "six.example"])),
    st.builds("ptr{}".format, st.sampled_from(["", ":d1.example", ":evil.test"])),
    st.sampled_from(["ip4:198.51.100.0/24", "ip6:2001:db8:9::/48", "ip4:203.0.113.7"]),
)
records = st.builds(
    lambda terms, last: " ".join(["v=spf1", *terms, last]).strip(),
    st.lists(st.builds("{}{}".format, st.sampled_from(["", "", "?", "~", "-"]), mechanisms), max_size=7),
    st.sampled_from(["-all", "-all", "-all", "~all", "?all", "", "redirect=d0.example", "redirect=missing.example"]),
)
hosts = st.lists(st.sampled_from([V4, V6, {"A": "198.51.100.77"}, {"AAAA": "2001:db8:9::77"}]), max_size=3)
exchanges = st.lists(st.sampled_from([{"MX": (n, name)} for n, name in enumerate(NAMES)]), max_size=4)
# None of these names leads back to the client.
pointers = st.sampled_from(
    [
        None,
        [],
        ["TIMEOUT"],
        [{"RCODE": "SERVFAIL"}],
        [{"PTR": "h0.example"}, {"PTR": "d1.example"}],
        [{"PTR": f"n{n}.evil.test"} for n in range(12)],
        [{"PTR": "dead.evil.test"}, {"PTR": "missing.example"}],
    ]
)


@st.composite
def worlds(draw: Callable[[Any], Any]) -> Zone:
    """Domains that lead to each other and to hosts, whose servers all answer; and two clients' reverse DNS."""
    zone: Zone = {"e.example": [{"TXT": draw(records)}, *draw(hosts), *draw(exchanges)]}
    for name in DOMAINS:
        zone[name] = [{"TXT": draw(records)}, *draw(hosts), *draw(exchanges)]
    zone |= {name: draw(hosts) for name in ("h0.example", "h1.example", "h2.example")}
    zone |= {"six.example": [V6], "dead.evil.test": ["TIMEOUT"], "broken.example": [{"TXT": "v=spf1 bogus"}]}
    zone["mail.evil.test"] = draw(st.sampled_from([[], ["TIMEOUT"], [{"TXT": "v=spf1 bogus"}], [{"RCODE": "REFUSED"}]]))
    for reverse in REVERSE:
        entries = draw(pointers)
        zone |= {reverse: entries} if entries is not None else {}
    return zone


BROAD = settings(deadline=None, max_examples=5 * settings().max_examples, suppress_health_check=list(HealthCheck))
clients = st.builds(
    check,
    st.just("e.example"),
    local=st.sampled_from(["user", "x" * 300, "caf\xe9", "a.b"]),
    client=st.sampled_from([CLIENT, CLIENT6]),
    helo=st.sampled_from(["mail.evil.test", "unknown", "nothing.e.example"]),
)


@BROAD
@given(zone=worlds(), one=clients, other=clients)
def test_clients_that_match_nothing_get_the_same_result(zone: Zone, one: Check, other: Check) -> None:
    """Over either family, with any HELO and local part, and with any reverse DNS or none."""
    first, second = (ours(World(zone), asked) for asked in (one, other))
    assert (first.result, first.term) == (second.result, second.term)
    assert first.problem == second.problem


@BROAD
@given(zone=worlds(), lookups=st.integers(1, 10), void=st.integers(0, 3))
def test_both_families_get_the_same_result_with_any_limits(zone: Zone, lookups: int, void: int) -> None:
    limits = Limits(lookups=lookups, void_lookups=void)
    four, six = (ours(World(zone), check(client=client), limits=limits) for client in (CLIENT, CLIENT6))
    assert (four.result, four.lookups, four.void_lookups) == (six.result, six.lookups, six.void_lookups)
