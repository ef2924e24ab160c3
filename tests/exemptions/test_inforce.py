"""Which exemption a worker finds, as a table; what is packed is found as before."""

import random
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from spfmilter.exemptions.exemption import MOST, MOST_BY_SPF, Exemption
from spfmilter.exemptions.inforce import Exemptions, choose, pack, unpack
from tests.exemptions.samples import DAY, NOW, exempt

LISTED = [
    exempt("203.0.113.0/24", 1),
    exempt("203.0.113.7", 2),
    exempt("198.51.100.7", 3, domain="example.com"),
    exempt("198.51.0.0/16", 4, domain=".example.com"),
    exempt("", 5, domain="example.org"),
    exempt("2001:db8:1::/48", 6),
    exempt("", 7, forwarder="mx.example.net"),
    exempt("", 8, forwarder=".example.edu"),
    exempt("", 9, forwarder_spf="forward.example"),
]


def found(exemptions: Sequence[Exemption], domain: str, address: str, now: float = NOW) -> str | None:
    match = unpack(pack(exemptions)).find(domain, ip_address(address), now)
    assert match is None or str(match.subject) in {str(one.subject) for one in exemptions if one.id == match.id}
    return match.id[-1] if match is not None else None


@pytest.mark.parametrize(
    ("domain", "address", "number"),
    [
        ("any.example", "203.0.113.1", "1"),
        ("any.example", "203.0.113.7", "2"),  # the more specific one
        ("", "203.0.113.1", "1"),  # a bounce
        ("any.example", "203.0.114.1", None),
        ("any.example", "2001:db8:1:2::3", "6"),
        ("any.example", "2001:db8:2::3", None),
        ("any.example", "::cb00:7101", None),  # the same bits as 203.0.113.1
        ("example.com", "198.51.100.7", "3"),
        ("EXAMPLE.com", "198.51.100.7", "3"),
        ("example.com", "198.51.100.8", None),
        ("notexample.com", "198.51.100.7", None),
        ("sub.example.com", "198.51.100.7", "4"),
        ("a.b.example.com", "198.51.7.7", "4"),
        ("sub.example.com", "198.52.0.1", None),
        ("example.org", "192.0.2.1", "5"),
        ("example.org", "2001:db8:2::3", "5"),
        ("sub.example.org", "192.0.2.1", None),
        ("example.com", "203.0.113.1", "1"),
        ("", "198.51.100.7", None),
    ],
)
def test_by_domain_and_client(domain: str, address: str, number: str | None) -> None:
    assert found(LISTED, domain, address) == number


@pytest.mark.parametrize(
    ("until", "now", "number"),
    [
        (NOW + 10, NOW + 9.9, "1"),
        (NOW + 10, NOW + 10, None),
        (NOW + 10, NOW + 11, None),
        (None, NOW + 10_000 * DAY, "1"),
    ],
)
def test_an_exemption_ends_by_the_clock_of_who_asks(until: int | None, now: float, number: str | None) -> None:
    assert found([exempt("203.0.113.7", until=until)], "example.com", "203.0.113.7", now) == number
    assert found([exempt("", domain="example.com", until=until)], "example.com", "203.0.113.7", now) == number


def test_a_wider_one_stays_when_the_narrower_one_has_ended() -> None:
    both = [exempt("203.0.113.0/24", 1), exempt("203.0.113.7", 2, until=NOW + 10)]
    assert [found(both, "", "203.0.113.7", NOW + seconds) for seconds in (0, 10)] == ["2", "1"]


@pytest.mark.parametrize("backwards", [False, True])
def test_of_those_for_the_same_the_longest_counts(backwards: bool) -> None:
    three = [exempt("203.0.113.7", n, until=until) for n, until in enumerate([NOW + 9, None, NOW + 99], start=1)]
    assert found(three[::-1] if backwards else three, "", "203.0.113.7") == "2"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("mx.example.net", "7"),
        ("MX.example.net", "7"),
        ("a.mx.example.net", None),
        ("example.edu", None),
        ("a.b.example.edu", "8"),
        ("example.com", None),
    ],
)
def test_by_a_forwarders_name(name: str, number: str | None) -> None:
    exemptions = unpack(pack(LISTED))
    match = exemptions.forwarder(name, NOW)
    assert (match.id[-1] if match is not None else None) == number
    assert exemptions.has_forwarders(NOW)
    assert not exemptions.has_forwarders(NOW + 8 * DAY)
    assert exemptions.forwarder(name, NOW + 8 * DAY) is None


def test_by_a_forwarders_spf() -> None:
    exemptions = unpack(pack(LISTED))
    assert [match.subject.forwarder_spf for match in exemptions.by_spf(NOW)] == ["forward.example"]
    assert list(exemptions.by_spf(NOW + 8 * DAY)) == []


def test_an_empty_list_is_false_and_finds_nothing() -> None:
    assert not Exemptions()
    assert found([], "example.com", "203.0.113.7") is None


def test_what_is_found_is_what_a_search_through_the_list_finds() -> None:
    """Of any exemptions, for any message: one is found exactly if one fits."""
    draw = random.Random(7)  # noqa: S311 - any will do
    for _ in range(200):
        listed = [_random(draw, number) for number in range(draw.randrange(12))]
        domain, address = draw.choice(["", "a.example", "b.a.example"]), f"10.0.{draw.randrange(4)}.{draw.randrange(4)}"
        now = NOW + draw.randrange(4)
        fitting = {one.id for one in listed if one.is_in_force(now) and _fits(one, domain, address)}
        match = unpack(pack(listed)).find(domain, ip_address(address), now)
        assert (match is not None) == bool(fitting)
        assert match is None or match.id in fitting


def _random(draw: random.Random, number: int) -> Exemption:
    domain = draw.choice(["", "a.example", ".a.example"])
    network = f"10.0.{draw.randrange(4)}.0/{draw.choice([24, 24, 23, 8])}" if not domain or draw.random() < 0.5 else ""
    network = network.replace("1.0/23", "0.0/23").replace("3.0/23", "2.0/23")
    network = "10.0.0.0/8" if network.endswith("/8") else network
    return exempt(network, number, domain=domain, until=NOW + draw.randrange(5))


def _fits(one: Exemption, domain: str, address: str) -> bool:
    by_domain = domain == one.domain or (one.domain.startswith(".") and domain.endswith(one.domain))
    return (not one.domain or by_domain) and (one.network is None or ip_address(address) in one.network)


def test_no_more_are_chosen_than_a_worker_takes() -> None:
    many = [exempt("", n, forwarder_spf=f"d{n}.example", added=NOW + n) for n in range(MOST_BY_SPF + 5)]
    many += [exempt("203.0.113.7", 10_000 + n) for n in range(MOST + 5)]
    many += [exempt("203.0.113.7", 99_999, removed=NOW), exempt("203.0.113.7", 99_998, until=NOW)]
    chosen = choose(many, NOW)
    assert len(chosen) == MOST
    assert {"99999", "99998"}.isdisjoint(one.id for one in chosen)
    by_spf = choose(many[: MOST_BY_SPF + 5], NOW)
    assert by_spf == many[:MOST_BY_SPF], "the oldest"
