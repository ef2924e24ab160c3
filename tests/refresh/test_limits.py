"""How often cases are evaluated anew: of one sender, of one domain, of one network, of all."""

from ipaddress import ip_address

import pytest

from spfmilter.helplink.token import Case
from spfmilter.model import Identity, Result
from spfmilter.refresh.limits import MOST, MOST_OF_DOMAIN, MOST_OF_NETWORK, RefreshLimits, RefreshOutcome, network_of
from tests.dns.test_cache import Clock
from tests.values import CASE


def case(address: str = "192.0.2.1", domain: str = "e.example", time: int = 1) -> Case:
    """A case; another time is another case."""
    where = ip_address(address)
    return Case(address=where, identity=Identity.MAILFROM, domain=domain, result=Result.FAIL, time=time, id=CASE)


def test_the_outcome_of_a_case_stands_for_five_seconds() -> None:
    clock = Clock()
    limits = RefreshLimits(clock)
    assert limits.known(case()) is None
    assert limits.admit(case())
    limits.note(case(), RefreshOutcome.REFRESHED)
    clock.now += 4.9
    assert limits.known(case()) is RefreshOutcome.REFRESHED
    assert limits.known(case(time=2)) is None, "another message"
    clock.now += 0.2
    assert limits.known(case()) is None


@pytest.mark.parametrize(
    ("cases", "most"),
    [
        ([case(f"198.51.{n // 200}.{n % 200}", "e.example", n) for n in range(1000)], MOST_OF_DOMAIN),
        ([case(f"192.0.2.{n % 200}", f"{n}.example", n) for n in range(1000)], MOST_OF_NETWORK),
        ([case(f"2001:db8:1:{n:x}::1", f"{n}.example", n) for n in range(1000)], MOST_OF_NETWORK),
        ([case(f"10.{n // 250}.{n % 250}.1", f"{n}.example", n) for n in range(1000)], MOST),
    ],
    ids=["domain", "network", "network of IPv6", "all"],
)
def test_a_flood_is_bounded_until_the_minute_ends(cases: list[Case], most: int) -> None:
    clock = Clock()
    limits = RefreshLimits(clock)
    assert [limits.admit(each) for each in cases] == [True] * most + [False] * (1000 - most)
    for each in cases[:most]:
        limits.note(each, RefreshOutcome.NOT_PASSING)
    assert limits.admit(case("203.0.113.9", "innocent.example")) is (most < MOST)
    clock.now += 60
    assert limits.admit(cases[0])
    assert len(limits._outcomes) + len(limits._counts) <= 3, "nothing grows for ever"


@pytest.mark.parametrize(("address", "network"), [("192.0.2.9", "192.0.2.0/24"), ("2001:db8::9", "2001:db8::/48")])
def test_the_network_of_a_client(address: str, network: str) -> None:
    assert network_of(case(address)) == network
