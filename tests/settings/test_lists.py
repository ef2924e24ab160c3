"""Lists beside the tuples that they stand for: iteration, membership, equality, and where an entry stands."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spfmilter.settings import namelist, names
from spfmilter.settings.entries import exempt_sender
from spfmilter.settings.lists import Origin, ValueList, filled
from spfmilter.settings.namelist import NameList, SenderList, ZoneList
from spfmilter.settings.networklist import NetworkList
from spfmilter.settings.values import Network, network, private_zone, to_ini

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
# Few different bits, so that networks hold each other; the ends of the address space among them.
NUMBERS = st.one_of(
    st.sampled_from([0, 1, 127, 128, 129, 255, 256, 2**31, 2**32 - 1, 2**32 - 256]), st.integers(0, 2**32 - 1)
)
IP4 = st.builds(lambda number, bits: IPv4Network((number, bits), strict=False), NUMBERS, st.integers(0, 32))
IP6 = st.builds(
    lambda number, shift, bits: IPv6Network((number << shift & (1 << 128) - 1, bits), strict=False),
    NUMBERS,
    st.sampled_from([0, 16, 33, 63, 64, 96]),
    st.integers(0, 128),
).filter(lambda found: not found.subnet_of(IPv6Network("::ffff:0:0/96")))
NETWORKS = st.lists(st.one_of(IP4, IP6), max_size=12)


def listed(networks: list[Network]) -> NetworkList:
    return filled(NetworkList(), map(to_ini, networks))


def naive(networks: list[Network], address: object) -> Network | None:
    """The most specific network that holds an address."""
    holding = [one for one in networks if address in one]
    return max(holding, key=lambda one: one.prefixlen, default=None)


@given(NETWORKS, NUMBERS, st.data())
def test_a_list_of_networks_finds_what_a_search_one_by_one_finds(networks, number, data) -> None:
    made = listed(networks)
    edges = [
        edge + step
        for one in networks
        for edge in (int(one.network_address), int(one.broadcast_address))
        for step in (-1, 0, 1)
    ]
    addresses = [ip_address(number), data.draw(ADDRESSES)]
    for edge in edges:
        addresses += [ip_address(edge)] if 0 <= edge < 2**32 else []
        addresses += [IPv6Network((edge, 128)).network_address] if 0 <= edge < 2**128 else []
    for address in addresses:
        place = made.find(address)
        assert (None if place is None else made[place]) == naive(networks, address)
        assert made.covers(address) is any(address in one for one in networks)


@given(NETWORKS, NETWORKS)
def test_networks_within_others(networks, others) -> None:
    made, other = listed(networks), listed(others)
    unique = tuple(dict.fromkeys(networks))

    def holding(inner: Network, outer: Network) -> bool:
        return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]

    assert [made[place] for place in made.among(other)] == [
        one for one in unique if any(holding(one, outer) for outer in others)
    ]
    for outer in others:
        assert [made[place] for place in made.within(outer)] == [one for one in unique if holding(one, outer)]
        around = [one for one in unique if holding(outer, one)]
        place = made.around(outer)
        assert (None if place is None else made[place]) == max(around, key=lambda one: one.prefixlen, default=None)


@given(NETWORKS, NETWORKS)
def test_a_list_of_networks_behaves_as_the_tuple(networks, others) -> None:
    made, tuple_ = listed(networks), tuple(dict.fromkeys(networks))
    assert tuple(made) == tuple_ == made
    assert len(made) == len(tuple_)
    assert [one in made for one in others] == [one in tuple_ for one in others]
    assert (made == listed(others)) is (tuple_ == tuple(dict.fromkeys(others)))
    assert (hash(made) == hash(listed(others))) or made != listed(others)
    assert made.written() == ", ".join(map(to_ini, tuple_))
    assert made[1:3] == tuple_[1:3]
    assert [made[place].prefixlen for place in made.whole()] == [0] * sum(one.prefixlen == 0 for one in tuple_)


@given(
    st.one_of(
        st.one_of(IP4, IP6).map(str),
        st.one_of(IP4, IP6).map(lambda one: f"{one.network_address}/{one.netmask}"),
        st.builds("{}/{}".format, ADDRESSES, st.integers(0, 130)),
        st.from_regex(r"[0-9./]{1,20}", fullmatch=True),
        st.from_regex(r"[0-9a-fA-F:./%]{1,30}", fullmatch=True),
    )
)
@example("::ffff:192.0.2.1")
@example("::ffff:c000:201")
@example("1::2::3")
@example("192.0.2.01")
@example("192.0.2.256")
@example("192.0.2.1/024")
@example("192.0.2.\u0661")
@example("fe80::1%eth0")
def test_the_quick_way_to_read_a_network_reads_as_the_slow_one(text: str) -> None:
    def outcome(read: Callable[[str], object]) -> object:
        try:
            return read(text)
        except ValueError as error:
            return str(error)

    assert outcome(lambda item: filled(NetworkList(), [item])[0]) == outcome(network)


LABELS = st.from_regex(r"\.?[a-c]{1,2}(\.[a-c]{1,2}){0,2}", fullmatch=True)


@given(st.lists(LABELS, max_size=40), st.lists(LABELS, max_size=40))
def test_a_list_of_names_behaves_as_the_tuple(items, others) -> None:
    made = filled(NameList(names.domain_or_subdomains), items)
    other, tuple_ = filled(NameList(names.domain_or_subdomains), others), tuple(dict.fromkeys(items))
    assert tuple(made) == tuple_ == made
    assert [name in made for name in others] == [name in tuple_ for name in others]
    assert [made.find(name) for name in others] == [tuple_.index(name) if name in tuple_ else None for name in others]
    assert (made == other) is (tuple_ == tuple(dict.fromkeys(others)))
    assert (made.digest() == other.digest()) is (made == other)


@pytest.mark.parametrize(
    ("domain", "entry"),
    [
        ("a.example", "a.example"),
        ("A.Example", "a.example"),
        ("b.a.example", ".a.example"),
        ("c.b.a.example", ".a.example"),
        ("b.example", ".example"),
        ("example", None),
        ("", None),
        ("other", None),
    ],
)
def test_the_most_specific_name_matches(domain: str, entry: str | None) -> None:
    made = filled(NameList(names.domain_or_subdomains), (".example", "a.example", ".a.example"))
    place = made.match(domain)
    assert (None if place is None else made[place]) == entry


SENDERS = (
    "a.example if pass",
    ".example from 192.0.2.0/24",
    "a.example from 192.0.2.7",
    "a.example",
    "b.a.example if pass from 198.51.100.0/24",
)


@pytest.mark.parametrize(
    ("domain", "address", "if_pass", "entry"),
    [
        ("a.example", "192.0.2.7", False, SENDERS[1]),  # the first in the list
        ("a.example", "192.0.3.7", False, SENDERS[3]),
        ("a.example", None, False, SENDERS[3]),
        ("a.example", None, True, SENDERS[0]),
        ("b.a.example", "198.51.100.1", True, SENDERS[4]),
        ("b.a.example", "192.0.2.1", True, None),
        ("b.a.example", "192.0.2.1", False, SENDERS[1]),
        ("other.test", "192.0.2.1", False, None),
    ],
)
def test_the_first_sender_that_covers_a_client_counts(domain, address, if_pass, entry) -> None:
    made = filled(SenderList(), SENDERS)
    place = made.covering(domain, address and ip_address(address), if_pass=if_pass)
    assert (None if place is None else made.text(place)) == entry


def test_a_list_of_senders_behaves_as_the_tuple() -> None:
    made = filled(SenderList(), [*SENDERS, "A.example  IF PASS"])
    assert made == tuple(map(exempt_sender, SENDERS))
    assert exempt_sender("a.example if pass") in made
    assert exempt_sender("a.example if pass from 192.0.2.1") not in made
    assert made.any_if_pass
    assert not filled(SenderList(), ["a.example", "b.example from 192.0.2.1"]).any_if_pass
    assert list(made.keys()) == ["a.example", ".example", "a.example", "a.example", "b.a.example"]


def test_a_list_of_zones_behaves_as_the_tuple_and_has_its_zones() -> None:
    items = ("corp", "192.0.2.0/23", "intern.example.net", "2001:db8::/32", "c1.2x")
    made = filled(ZoneList(), items)
    assert made == tuple(map(private_zone, items))
    held = ("db.corp", "7.3.0.192.in-addr.arpa", "7.2.0.192.in-addr.arpa", "a.8.b.d.0.1.0.0.2.ip6.arpa", "x.c1.2x")
    other = ("7.4.0.192.in-addr.arpa", "corp.example", "example.net", "1.2x")
    assert [made.zones.holds(name) for name in (*held, *other)] == [True] * len(held) + [False] * len(other)


def test_networks_of_too_many_reverse_zones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namelist, "_MOST_REVERSE", 3)
    with pytest.raises(ValueError, match="more than 3 zones of the reverse DNS: write larger networks"):
        filled(ZoneList(), ("192.0.2.0/31", "192.0.2.2/31"))


def test_a_list_of_values_behaves_as_the_tuple() -> None:
    made = filled(ValueList(ip_address), ("192.0.2.1", "::1", "192.0.2.1"))
    assert made == (ip_address("192.0.2.1"), ip_address("::1"))
    assert ip_address("::1") in made
    assert (made[1], len(made), made.written()) == (ip_address("::1"), 2, "192.0.2.1, ::1")
    assert not ValueList(ip_address)


def test_an_entry_knows_its_file_and_line() -> None:
    made = NameList(names.domain_name)
    made.begin("")
    made.add("a.example")
    made.begin("/one")
    made.add("b.example", 3)
    made.add("a.example", 4)  # known
    made.begin("/empty")
    made.begin("/two")
    made.add("c.example", 1)
    made.begin("")
    made.add("d.example")
    made.close()
    one, two = Origin("/one", 3, "b.example"), Origin("/two", 1, "c.example")
    assert [made.origin(place) for place in range(4)] == [None, one, two, None]
    assert made.files == (("/one", 1), ("/empty", 0), ("/two", 1))
    assert made.written() == "a.example, file:/one, file:/empty, file:/two, d.example"
