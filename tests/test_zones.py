"""Names in zones, and networks as the zones of their reverse DNS."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.settings.namelist import PRIVATE_ZONES
from spfmilter.zones import Zones, reverse_zones


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("corp", True),
        ("mail.corp", True),
        ("A.B.Mail.CORP.", True),
        ("corp.example", False),
        ("mailcorp", False),
        ("xcorp.example.corp.example", False),
        ("intern.example.net", True),
        ("a.intern.example.net", True),
        ("example.net", False),
        ("intern.example.net.example", False),
        ("", False),
        (".", False),
        (".corp", True),
        ("a..corp", True),
    ],
)
def test_a_name_is_in_a_zone_or_below_it(name: str, held: bool) -> None:
    assert Zones(["corp", "intern.example.net"]).holds(name) is held


def test_without_zones_every_name_is_outside() -> None:
    assert not Zones().holds("mail.corp")
    assert not Zones().holds("")


@pytest.mark.parametrize(
    ("name", "target", "enters"),
    [
        (("a", "example"), ("db", "corp"), True),
        (("a", "example"), ("b", "example"), False),
        (("a", "corp"), ("b", "corp"), False),
        (("a", "corp"), ("b", "example"), False),
        (("a", "example"), ("\xff", "corp"), True),
    ],
)
def test_an_alias_enters_a_zone_from_outside(name: tuple[str, ...], target: tuple[str, ...], enters: bool) -> None:
    labels, other = (tuple(label.encode("latin-1") for label in one) for one in (name, target))
    assert Zones(["corp"]).enters(labels, other) is enters


NETWORKS = st.one_of(
    st.builds(lambda a, n: ip_network((a, n), strict=False), st.ip_addresses(v=4), st.integers(0, 32)),
    st.builds(lambda a, n: ip_network((a, n), strict=False), st.ip_addresses(v=6), st.integers(0, 128)),
)


@given(NETWORKS, st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 255))
def test_a_network_holds_the_reverse_names_of_its_addresses(network, other, offset) -> None:
    zones = Zones(reverse_zones(network))
    inside = network.network_address + offset % network.num_addresses
    assert zones.holds(inside.reverse_pointer)
    assert zones.holds(other.reverse_pointer) is (other in network)


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "172.31.0.1", "192.168.7.7", "127.0.0.1", "100.127.0.1", "::1", "fd00::1"]
)
def test_private_addresses_are_among_the_default_zones(address: str) -> None:
    assert PRIVATE_ZONES.zones.holds(ip_address(address).reverse_pointer)


@pytest.mark.parametrize(
    "name", ["a.test", "a.example", "8.8.8.8.in-addr.arpa", "1.2.0.192.in-addr.arpa", "localhost.com"]
)
def test_other_names_are_not(name: str) -> None:
    assert not PRIVATE_ZONES.zones.holds(name)
