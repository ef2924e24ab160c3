"""The table of well-known services."""

import re

import pytest

from spfmilter.addresses import dns_domain
from spfmilter.spf import record
from spfmilter.spf.services import SERVICES, Service, hinted

INCLUDES = [service.include for service in SERVICES]


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
        assert service in hinted([f"mail-1.{host.upper()}."]) + hinted([host]), "the first two of those with this name"


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
        (["mail-eastus2.outbound.protection.outlook.com"], ["spf.protection.outlook.com"]),
        (["a8-31.smtp-out.amazonses.com"], ["amazonses.com"]),
        (["out203-205-221-209.mail.qq.com", "MXBIZ1.qq.com."], ["spf.mail.qq.com"]),
        (["m12-17.163.com"], ["spf.163.com"]),
        (["out28-101.mail.aliyun.com"], ["spf.mxhichina.com", "spf.qiye.aliyun.com"]),
        (["o1.sendgrid.net", "mail.google.com", "x.mailgun.net"], ["sendgrid.net", "_spf.google.com"]),
    ],
)
def test_names_of_hosts_hint_at_two_services_at_most(hosts: list[str], includes: list[str]) -> None:
    assert [service.include for service in hinted(hosts)] == includes
