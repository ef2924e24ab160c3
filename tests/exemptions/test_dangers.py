"""What needs --force, as a table."""

from typing import Any

import pytest

from spfmilter.exemptions.dangers import dangers, is_public_suffix
from spfmilter.spf.providers import providers
from tests.exemptions.samples import DAY, NOW, exempt

EVERY, WIDE, FREE, SUFFIX, LONG = (
    "every address",
    "wider than",
    "mailboxes to anyone",
    "not one organization",
    "INI file",
)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"network": "203.0.113.7"}, []),
        ({"network": "203.0.0.0/16"}, []),
        ({"network": "203.0.0.0/15"}, [WIDE]),
        ({"network": "0.0.0.0/0"}, [EVERY]),
        ({"network": "0.0.0.0/1"}, [WIDE]),
        ({"network": "::/0"}, [EVERY]),
        ({"network": "2001:db8::/32"}, []),
        ({"network": "2001:d00::/24"}, [WIDE]),
        ({"network": "0.0.0.0/0", "domain": "example.com"}, [EVERY]),
        ({"domain": "example.com"}, []),
        ({"domain": "gmail.com"}, [FREE]),
        ({"domain": ".qq.com"}, [FREE]),
        ({"domain": "gmail.com", "network": "203.0.113.7"}, []),
        ({"domain": "163.com"}, [FREE]),
        ({"domain": ".com"}, [SUFFIX]),
        ({"domain": "co.uk"}, [SUFFIX]),
        ({"domain": ".com.cn"}, [SUFFIX]),
        ({"domain": "example.co.uk"}, []),
        ({"domain": "com.example"}, []),
        ({"domain": ".com.cn", "network": "203.0.113.7"}, []),
        ({"forwarder": ".com"}, [SUFFIX]),
        ({"forwarder": ".example.com"}, []),
        ({"forwarder_spf": "or.jp"}, [SUFFIX]),
        ({"forwarder_spf": "gmail.com"}, []),
        ({"network": "203.0.113.7", "until": None}, [LONG]),
        ({"network": "203.0.113.7", "until": NOW + 366 * DAY}, []),
        ({"network": "203.0.113.7", "until": NOW + 366 * DAY + 1}, [LONG]),
        ({"network": "0.0.0.0/0", "until": None}, [EVERY, LONG]),
    ],
)
def test_what_needs_force(fields: dict[str, Any], words: list[str]) -> None:
    found = list(dangers(exempt(**fields)))
    assert [word for word, why in zip(words, found, strict=True) if word not in why] == []


def test_the_providers_are_domains_that_anyone_can_write() -> None:
    names = [name for provider in providers() for name in provider.domains]
    assert [name for name in names if exempt("", domain=name).domain != name or is_public_suffix(name)] == []
