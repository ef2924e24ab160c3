"""Which domains are likely misconfigured: those that passed, and fail from few steady addresses."""

import pytest

from spfmilter.journal.sums import BrokenDomain, SenderHost
from spfmilter.report import partners
from spfmilter.report.partners import Partner


def host(client: str = "203.0.113.80", domain: str = "partner.example", **values: object) -> SenderHost:
    usual: dict[str, object] = {
        "passes": 0,
        "failures": 10,
        "refused": 10,
        "first_failure": 5000,
        "last_failure": 9000,
        "last_pass": None,
        "hours": 4,
    }
    return SenderHost(client, domain, **{**usual, **values})  # type: ignore[arg-type]


def found(*hosts: SenderHost, passes: int = 20, failures: int = 0, strangers: tuple[str, ...] = ()) -> list[Partner]:
    names = dict.fromkeys(str(one.domain) for one in hosts)
    domains = [
        BrokenDomain(name, passes, failures or sum(one.failures for one in hosts if one.domain == name))
        for name in names
    ]
    return partners.found(domains, hosts, strangers, 10)


def test_a_new_server_that_the_record_misses() -> None:
    (one,) = found(host())
    assert (one.domain, one.addresses, one.failures, one.changed) == ("partner.example", ("203.0.113.80",), 10, False)


def test_a_server_that_passed_before() -> None:
    (one,) = found(host(passes=12, last_pass=4000), host("203.0.113.81"))
    assert (one.changed, one.passed_before) == (True, ("203.0.113.80",))


def test_a_server_that_passes_again_has_not_changed_for_the_worse() -> None:
    (one,) = found(host(passes=12, last_pass=9500))
    assert not one.changed


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        ([host(hours=1)], "a burst of one hour"),
        ([host(f"203.0.113.{number}") for number in range(6)], "many addresses"),
        ([host(refused=0)], "nothing was refused"),
        ([host(client="<b>")], "no address"),
    ],
)
def test_what_is_no_partner(hosts, why) -> None:
    assert found(*hosts) == [], why


def test_steady_addresses_must_have_half_of_the_failures() -> None:
    """The rest may be forged: a known domain is forged all the time."""
    assert found(host(failures=10), failures=20) != []
    assert found(host(failures=10), failures=21) == []


def test_a_forwarder_says_nothing_of_the_domains_that_it_forwards() -> None:
    assert found(host(), strangers=("203.0.113.80",)) == []
    assert found(*(host(domain=f"shop{number}.example") for number in range(3))) == []
    assert len(found(*(host(domain=f"shop{number}.example") for number in range(2)))) == 2


def test_the_most_refused_come_first() -> None:
    hosts = [host("192.0.2.1", "a.example", refused=3), host("192.0.2.2", "b.example", refused=8)]
    assert [one.domain for one in found(*hosts)] == ["b.example", "a.example"]
