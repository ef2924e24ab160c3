"""What a real Postfix's client is told about its own server: the name that the DNS confirms, and its service."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.nsd import Nsd
from spfmilter.helplink.secretfile import load_secrets
from spfmilter.helplink.token import Signer
from tests.mta.site import Site
from tests.mta.zones import FORWARDER, LISTED, PRETENDER

RULES = """
[reply]
help_url = https://h.example/{{token}}
[web]
secret_file = {secret}
[service:Forwarder]
include = forwarder.example
hosts = forwarder.example
[exempt]
networks =
private_clients = no
"""


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the daemon makes its secret."""
    return tmp_path_factory.mktemp("secret") / "secret"


@pytest.fixture(scope="module")
def site(name_server: Nsd, secret: Path) -> Iterator[Site]:
    with Site(name_server, RULES.format(secret=secret)) as running:
        yield running


@pytest.mark.parametrize(("client", "name"), [(FORWARDER, "out.forwarder.example"), (PRETENDER, "")])
def test_the_service_and_the_name_are_told_only_to_the_server_itself(
    site: Site, secret: Path, client: str, name: str
) -> None:
    text = site.send("alice@mail163.example", client).answer.text
    assert ("include:forwarder.example" in text) is bool(name)
    found = re.search(r"https://h\.example/(\S+)", text)
    assert found is not None, text
    case = Signer(load_secrets(secret)).read(found[1], max_age=600, now=time.time())
    assert (case.client_name, case.helo) == (name, "www.example.com")


def test_nothing_is_told_of_who_is_taken(site: Site) -> None:
    assert site.send("bob@mail163.example", LISTED).accepted
