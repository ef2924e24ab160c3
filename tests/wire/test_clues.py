"""What the notice of a refusal knows about the client, and that the page behind its link knows the same."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from spfmilter.helplink.secretfile import load_secrets
from spfmilter.helplink.token import Case, Signer
from spfmilter.settings import parse
from spfmilter.web.app import build
from tests.web.pages import Page
from tests.wire.running import ZONE, Running, ini, running

BULK, LIAR, NAMELESS = "198.51.100.30", "198.51.100.9", "198.51.100.201"
NAMES: ZoneData = {
    **ZONE,
    "30.100.51.198.in-addr.arpa": [{"PTR": "smtp30.bulk.example"}],
    "smtp30.bulk.example": [{"A": BULK}],
    "spf.bulk.example": [{"TXT": "v=spf1 ip4:198.51.100.30 -all"}],
    "customer.example": [{"TXT": "v=spf1 ip4:192.0.2.77 -all"}],
    "byhelo.example": [{"TXT": "v=spf1 exists:%{h}.allowed.example -all"}],
    "mail.example.allowed.example": [{"A": "127.0.0.2"}],
}
SETTINGS = """\
[reply]
help_url = https://h.example/spf/{{token}}
[web]
secret_file = {secret}
[service:Bulk Mail]
include = spf.bulk.example
hosts = bulk.example
"""


@pytest.fixture(scope="module")
def names() -> Iterator[ScriptedDNS]:
    """A DNS with names of clients in it."""
    with ScriptedDNS(NAMES) as server:
        yield server


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the daemon makes its secret."""
    return tmp_path_factory.mktemp("secret") / "secret"


@pytest.fixture(scope="module")
def daemon(names: ScriptedDNS, secret: Path) -> Iterator[Running]:
    """A daemon with a page and a service of the administrator's."""
    with running(names, SETTINGS.format(secret=secret)) as serving:
        yield serving


def refused(serving: Running, sender: str, address: str, *, name: str = "unknown", helo: str = "mail.example") -> str:
    """The lines of the answer to a MAIL FROM."""
    with serving.client() as mta:
        mta.greet(address, helo, macros={"j": "mx.example.net"}, name=name)
        reply = mta.mail(sender)
        mta.quit()
    return "\n".join(reply.lines)


def token_in(notice: str) -> str:
    """The token of the link."""
    found = re.search(r"https://h\.example/spf/(\S+)", notice)
    assert found is not None, notice
    return found[1]


def case_of(notice: str, secret: Path) -> Case:
    """What the link holds."""
    return Signer(load_secrets(secret)).read(token_in(notice), max_age=600, now=time.time())


@pytest.mark.parametrize(
    ("address", "name", "confirmed"),
    [
        (BULK, "smtp30.bulk.example", "smtp30.bulk.example"),
        (BULK, "unknown", "smtp30.bulk.example"),
        (BULK, "mail.google.com", "smtp30.bulk.example"),
        (LIAR, "liar.hosts.example", ""),  # its name does not lead back
        (NAMELESS, "unknown", ""),
    ],
)
def test_the_link_holds_the_confirmed_name_and_helo(
    daemon: Running, secret: Path, address: str, name: str, confirmed: str
) -> None:
    case = case_of(refused(daemon, "<u@customer.example>", address, name=name, helo="HELO.Example"), secret)
    assert (case.client_name, case.helo) == (confirmed, "helo.example")


def test_a_service_of_the_administrators_is_named_by_the_notice_and_by_the_page(
    daemon: Running, names: ScriptedDNS, secret: Path
) -> None:
    notice = refused(daemon, "<u@customer.example>", BULK)
    assert "include:spf.bulk.example" in notice
    assert "Bulk Mail" in notice
    shown = page(names, secret, notice)
    assert "v=spf1 ip4:192.0.2.77 include:spf.bulk.example -all" in shown
    assert "Bulk Mail" in shown


def test_a_record_that_looks_at_helo_has_the_same_result_on_the_page(
    daemon: Running, names: ScriptedDNS, secret: Path
) -> None:
    notice = refused(daemon, "<u@byhelo.example>", NAMELESS, helo="other.example")
    assert "byhelo.example" in notice
    assert "this one decided: not allowed" in page(names, secret, notice)
    names.load({**NAMES, "other.example.allowed.example": [{"A": "127.0.0.2"}]})
    shown = page(names, secret, notice)
    assert "It passes now" in shown
    assert "For an exact answer" not in shown


def page(dns: ScriptedDNS, secret: Path, notice: str) -> str:
    """The words of the page behind a notice's link, made by a process that knows nothing but the settings."""
    text = ini(dns, "inet:8890@127.0.0.1", SETTINGS.format(secret=secret))
    app = build(parse(text), load_secrets(secret), "mx.example.net")
    response = TestClient(app, base_url="https://h.example").get(f"/spf/{token_in(notice)}")
    assert response.status_code == 200
    return Page(response.text).words
