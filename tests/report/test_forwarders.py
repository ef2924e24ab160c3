"""Which clients are likely forwarders: the table of what speaks for one."""

from collections.abc import Sequence

import pytest

from spfmilter.journal.sums import FailingHost
from spfmilter.report import forwarders
from spfmilter.report.forwarders import Forwarder

NAMED, STRANGER = "mx1.forward.example", "unknown"


def host(
    client: str = "198.51.100.20",
    name: str = NAMED,
    *,
    messages: int = 30,
    refused: int = 30,
    passes: int = 30,
    domains: int = 9,
) -> FailingHost:
    """A client that fails; `passes` of HELO."""
    return FailingHost(client, name, messages, refused, passes, name if passes else None, domains, 1000, 2000)


def sent(hosts: Sequence[FailingHost], domains: Sequence[str]) -> list[tuple[str, str, int]]:
    return [(str(one.client), domain, 3) for one in hosts for domain in domains]


def found(
    hosts: Sequence[FailingHost], domains: Sequence[str], passes: dict[str, int] | None = None
) -> list[Forwarder]:
    return forwarders.found(forwarders.grouped(hosts, 60), sent(hosts, domains), passes or {}, 10)


def several(count: int) -> list[str]:
    return [f"mail.shop{number}.example" for number in range(count)]


@pytest.mark.parametrize(
    ("name", "passes", "domains", "expected"),
    [
        (NAMED, 30, 3, "likely"),
        (NAMED, 30, 2, None),
        (NAMED, 15, 3, "likely"),
        (NAMED, 14, 3, None),
        (NAMED, 0, 6, "possible"),
        (NAMED, 0, 5, None),
        (STRANGER, 30, 6, "possible"),
        (STRANGER, 30, 5, None),
        (STRANGER, 0, 500, None),
        ("198-51-100-20.dsl.example", 0, 500, None),
        ("[198.51.100.20]", 0, 500, None),
    ],
)
def test_a_name_and_a_helo_that_passes_speak_for_a_forwarder(name, passes, domains, expected) -> None:
    (likely,) = found([host(name=name, passes=passes, domains=domains)], several(domains)) or (None,)
    assert (likely and ("likely" if likely.is_likely else "possible")) == expected


@pytest.mark.parametrize(
    "domains",
    [
        ["a.shop.example", "b.shop.example", "c.shop.example", "shop.example"],
        ["a.shop.co.uk", "b.shop.co.uk", "c.shop.co.uk", "d.shop.co.uk"],
        ["forward.example", "mx1.forward.example", "shop1.example", "shop2.example"],
    ],
)
def test_names_of_one_organization_are_no_unrelated_domains(domains) -> None:
    """Nor are the forwarder's own."""
    assert found([host(domains=len(domains))], domains) == []


def test_where_nothing_was_refused_there_is_nothing_to_do() -> None:
    assert found([host(refused=0)], several(9)) == []


def test_hosts_of_one_name_are_one_forwarder_and_strangers_are_one_network() -> None:
    pool = [host(f"198.51.{number}.20", f"out{number}.forward.example", domains=1) for number in range(9)]
    (one,) = found(pool, several(3), {"198.51.3.20": 70, "192.0.2.1": 9})
    assert (one.name, one.host_count, one.messages, one.passes) == ("forward.example", 9, 270, 70)
    assert one.trusted_name == ".forward.example"
    strangers = [host(f"2001:db8::{number}", STRANGER, domains=2) for number in range(1, 5)]
    (other,) = found(strangers, several(6))
    assert (other.name, other.trusted_name) == ("2001:db8::/64", "")


def test_one_host_is_trusted_by_its_own_name() -> None:
    (one,) = found([host()], several(4))
    assert one.trusted_name == NAMED


def test_what_the_dns_says_now_counts_more_than_what_the_mta_said() -> None:
    (one,) = found([host()], several(4))
    gone = Forwarder(**{**{name: getattr(one, name) for name in one.__slots__}, "confirmed": ()})
    assert (gone.is_likely, gone.trusted_name) == (False, "")


def test_the_likely_ones_and_those_with_most_refusals_come_first() -> None:
    hosts = [
        host("192.0.2.1", "a.one.example", refused=5),
        host("192.0.2.2", "a.two.example", refused=9),
        host("192.0.2.3", "a.three.example", refused=90, passes=0),
    ]
    assert [one.name for one in found(hosts, several(9))] == ["two.example", "one.example", "three.example"]


@pytest.mark.parametrize("client", ["<script>", "", None, "203.0.113.7; rm -rf /"])
def test_what_is_no_address_is_left_out(client) -> None:
    assert forwarders.grouped([host()._replace(client=client)], 60) == []


def test_a_million_hosts_of_one_name_take_bounded_memory() -> None:
    hosts = (
        host(f"198.18.{number // 250 % 250}.{number % 250}", f"h{number}.forward.example") for number in range(5000)
    )
    ((name, group),) = forwarders.grouped(hosts, 60)
    assert name == "forward.example"
    assert len(group.hosts) <= 80
    assert len(group.names) <= 80
    assert group.messages == 150_000
