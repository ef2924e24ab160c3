"""The freemail providers: their own domains, and the server that their users send through."""

import pytest

from spfmilter.addresses import dns_domain
from spfmilter.spf.providers import Credential, Provider, provider_of, providers

DOMAINS = [domain for provider in providers() for domain in provider.domains]


def test_each_domain_belongs_to_one_provider() -> None:
    assert len(DOMAINS) == len(set(DOMAINS))


@pytest.mark.parametrize("provider", providers(), ids=lambda provider: provider.domains[0])
def test_each_has_names_that_a_notice_can_show(provider: Provider) -> None:
    assert provider.name.isascii()
    assert provider.name.isprintable()
    for name in (*provider.domains, *provider.hosts, *([provider.server] if provider.server else [])):
        assert dns_domain(name) == name
    assert (provider.port in {465, 587}) is bool(provider.server)
    assert provider.server or provider.credential is Credential.LOGIN, "a secret for a mail program without a server"


@pytest.mark.parametrize(
    ("domain", "name", "server"),
    [
        ("163.com", "163 Mail", "smtp.163.com"),
        ("QQ.com", "QQ Mail", "smtp.qq.com"),
        ("foxmail.com", "QQ Mail", "smtp.qq.com"),
        ("gmail.com", "Gmail", "smtp.gmail.com"),
        ("hotmail.co.uk", "Outlook.com", "smtp-mail.outlook.com"),
        ("proton.me", "Proton Mail", ""),
    ],
)
def test_the_provider_of_a_domain(domain: str, name: str, server: str) -> None:
    provider = provider_of(domain)
    assert provider is not None
    assert (provider.name, provider.server) == (name, server)


@pytest.mark.parametrize("domain", ["", "com", "example.com", "mail.163.com", "x.gmail.com", "notgmail.com", "gmail"])
def test_other_domains_have_none_not_even_subdomains(domain: str) -> None:
    assert provider_of(domain) is None


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("m12-18.163.com", True),
        ("mail-m973.netease.com", True),
        ("163.com", True),
        ("mail163.com", False),
        ("163.com.example", False),
        ("", False),
    ],
)
def test_a_host_is_the_providers_by_its_name(host: str, *, expected: bool) -> None:
    provider = provider_of("163.com")
    assert provider is not None
    assert provider.runs(host) is expected
