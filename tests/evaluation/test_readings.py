"""Where RFC 7208 can be read in more than one way: what is read here (docs/decisions/0040)."""

from typing import Any

import pytest

from spfmilter.model import ProblemKind, Result
from tests.evaluation.world import CLIENT, CLIENT6, Stock, World, check, ours

Zone = dict[str, list[Any]]
STRANGER, STRANGER6 = "203.0.113.7", "2001:db8:bad::7"

# The shape of records that name a CRM, a mail gateway and a hosted SPF: each asks the DNS about the client's address.
HOSTED: Zone = {
    "e.example": [
        {
            "TXT": "v=spf1 include:_spf.crm.example exists:%{i}.spf.gateway.example "
            "exists:%{i}._i.%{d}._d.%{h}._h.hosted.example ip4:192.0.2.1 ip6:2001:db8::1 -all"
        }
    ],
    "_spf.crm.example": [{"TXT": "v=spf1 exists:%{i}._spf.mta.crm.example -all"}],
}


@pytest.mark.parametrize(
    ("client", "result"),
    [(CLIENT, Result.PASS), (CLIENT6, Result.PASS), (STRANGER, Result.FAIL), (STRANGER6, Result.FAIL)],
)
def test_names_of_the_clients_address_that_do_not_exist_are_no_error_of_the_record(client: str, result: Result) -> None:
    """Three of them miss before the match. pyspf says permerror, and so do three of the five others."""
    verdict = ours(World(HOSTED), check(client=client))
    assert (verdict.result, verdict.lookups, verdict.void_lookups) == (result, 4, 0)
    assert Stock(World(HOSTED), client=client).result == "permerror"


def test_names_of_the_record_alone_that_do_not_exist_are() -> None:
    zone: Zone = {"e.example": [{"TXT": "v=spf1 exists:a.x.example exists:b.x.example exists:%{d}.x.example +all"}]}
    problem = ours(World(zone), check()).problem
    assert problem is not None
    assert problem.kind is ProblemKind.VOID_LOOKUP_LIMIT


@pytest.mark.parametrize("place", [0, 11, 39])
@pytest.mark.parametrize(
    ("client", "rdtype", "other"), [(CLIENT, "A", "192.0.2.{}"), (CLIENT6, "AAAA", "2001:db8::{}")]
)
def test_all_addresses_of_an_mx_host_count_however_many(client: str, rdtype: str, other: str, place: int) -> None:
    """Section 4.6.4 limits the lookups: one answer may hold more than ten addresses."""
    addresses = [other.format(number) for number in range(100, 139)]
    addresses.insert(place, client)
    zone: Zone = {
        "e.example": [{"TXT": "v=spf1 mx -all"}, {"MX": (1, "mail.e.example")}],
        "mail.e.example": [{rdtype: address} for address in addresses],
    }
    assert ours(World(zone), check(client=client)).result is Result.PASS


@pytest.mark.parametrize(("hosts", "result"), [(10, Result.PASS), (11, Result.PERMERROR)])
def test_an_mx_of_more_than_ten_hosts_is_an_error(hosts: int, result: Result) -> None:
    names = [f"h{number}.e.example" for number in range(hosts)]
    zone: Zone = {
        "e.example": [{"TXT": "v=spf1 mx -all"}, *({"MX": (n, name)} for n, name in enumerate(names))],
        **{name: [{"A": CLIENT}] for name in names},
    }
    assert ours(World(zone), check()).result is result


@pytest.mark.parametrize(
    ("second", "result"),
    [
        ("v=spf1 ip4:192.0.2.1 -all", Result.PASS),
        ("v=spf1 ip4:192.0.2.1 -all ", Result.PERMERROR),
        ("V=SPF1 ip4:192.0.2.1 -all", Result.PERMERROR),
    ],
)
def test_the_same_record_twice_is_one(second: str, result: Result) -> None:
    zone: Zone = {"e.example": [{"TXT": "v=spf1 ip4:192.0.2.1 -all"}, {"TXT": second}, {"TXT": "v=spf1x"}]}
    assert ours(World(zone), check()).result is result
