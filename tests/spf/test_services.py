"""The table of well-known services."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from spfmilter.addresses import dns_domain
from spfmilter.spf import record, services
from spfmilter.spf.services import SERVICES, Service, hinted, included

INCLUDES = [service.include for service in SERVICES]
KEPT = [
    [cell.strip() for cell in line.split("|")]
    for line in Path(__file__).with_name("services.txt").read_text().splitlines()
    if not line.startswith("#")
]


def test_the_table_is_the_one_that_is_kept_by_hand() -> None:
    """Each include is a fact with a source: it does not change by accident."""
    listed = [[each.include, each.source, each.name, each.provider] for each in SERVICES]
    assert listed == [row[:4] for row in KEPT]


@pytest.mark.parametrize("row", KEPT, ids=[row[0] for row in KEPT])
def test_the_name_of_a_host_hints_at_its_service(row: list[str]) -> None:
    assert row[0] in [service.include for service in hinted([row[4]])]


@pytest.mark.parametrize("service", SERVICES, ids=INCLUDES)
def test_each_source_is_explained(service: Service) -> None:
    assert re.search(
        rf"^{service.source} +\S.*  20[0-9]{{2}}-[01][0-9]-[0-3][0-9]$", services.__doc__ or "", re.MULTILINE
    )


def test_few_records_are_asked_of_one_provider() -> None:
    providers = [service.provider for service in SERVICES]
    assert max(map(providers.count, providers)) <= 4


@pytest.mark.parametrize("service", SERVICES, ids=INCLUDES)
def test_each_has_a_term_that_can_stand_in_a_record(service: Service) -> None:
    found = record.parse(f"v=spf1 {service.term} -all")
    assert [directive.text for directive in found.directives] == [service.term, "-all"]
    assert dns_domain(service.include) == service.include == service.include.lower()


@pytest.mark.parametrize("service", SERVICES, ids=INCLUDES)
def test_each_is_known_by_names_of_hosts(service: Service) -> None:
    assert service.hosts
    for host in service.hosts:
        assert dns_domain(host) == host == host.lower()
        assert service in hinted([f"mail-1.{host.upper()}."])
        assert service in hinted([host])


@pytest.mark.parametrize("service", SERVICES, ids=INCLUDES)
def test_each_name_can_be_used_in_every_reply(service: Service) -> None:
    assert re.fullmatch(r"[A-Z][ -~]{1,30}", service.name)


def test_no_record_is_listed_twice() -> None:
    assert len(set(INCLUDES)) == len(INCLUDES)


@pytest.mark.parametrize(
    ("hosts", "includes"),
    [
        (["mail-yw1-f169.google.com"], ["_spf.google.com"]),
        (["google.com.attacker.example", "evilgoogle.com", "com", "", "unknown", "[192.0.2.1]"], []),
        (["a8-31.smtp-out.amazonses.com"], ["amazonses.com"]),
        (["out203-205-221-209.mail.qq.com", "MXBIZ1.qq.com."], ["spf.mail.qq.com"]),
        (["m12-17.163.com"], ["spf.qiye.163.com"]),
        (["out28-101.mail.aliyun.com"], ["spf.qiye.aliyun.com", "spf.mxhichina.com", "spf1.dm.aliyun.com"]),
        (["x.dm.aliyun.com"], ["spf1.dm.aliyun.com", "spf.qiye.aliyun.com", "spf.mxhichina.com"]),
        (["mail-eastus2.outbound.protection.outlook.com"], ["spf.protection.outlook.com", "outlook.com"]),
        (["o1.sendgrid.net", "mail.google.com", "x.mailgun.net"], ["sendgrid.net", "_spf.google.com"]),
    ],
)
def test_names_of_hosts_hint_at_two_providers_at_most(hosts: list[str], includes: list[str]) -> None:
    """The longest name first; all records of a provider, which counts once."""
    assert [service.include for service in hinted(hosts)] == includes


OWN = Service(name="Bulk", include="spf.bulk.example", hosts=("bulk.example",), provider="Bulk")


def test_a_service_of_the_administrators_is_known_like_the_others() -> None:
    assert hinted(["smtp30.bulk.example"], [OWN]) == (OWN,)
    assert hinted(["smtp30.bulk.example"]) == ()
    assert hinted(["x.google.com"], [replace(OWN, hosts=("google.com",))])[0].name == "Bulk"
    assert hinted(["x.google.com"], [replace(OWN, hosts=("com",))])[0].name == "Google Workspace", "a longer name"


def test_services_are_found_by_what_a_record_includes() -> None:
    found = included(["x.example", "spf.bulk.example", "_spf.google.com", "_spf.google.com"], [OWN])
    assert [service.name for service in found] == ["Bulk", "Google Workspace"]
    assert included(["_spf.google.com"], [replace(OWN, include="_spf.google.com")])[0].name == "Bulk"
