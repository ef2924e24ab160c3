"""From the bounce to the accepted message: real daemon and page, and the administrator's commands."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from lab.daemon import SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.milterclient import MilterClient
from lab.processes import HUNG, free_port, until
from tests.web.pages import Page
from tests.web.site import WEB, ZONE

pytestmark = pytest.mark.outside

FORM = {"sentence": "I am your dentist.", "answer_to": "dentist@example.com"}


@dataclass
class Site:
    """A daemon and its page, which share the state folder of one host."""

    milter: str
    ini: Path
    page: SpfmilterDaemon

    def mail(self, sender: str = "alice@example.com") -> str:
        """Send MAIL FROM; return the reply, empty where it is accepted."""
        with MilterClient(self.milter, timeout=30) as mta:
            mta.greet("203.0.113.7")
            reply = mta.mail(f"<{sender}>")
        return f"{reply.code} {reply.lines}" if reply.code else ""

    def link(self) -> str:
        """Return the link in the notice of a refusal."""
        # A worker may follow a removed exemption for two seconds more.
        refused = until(lambda: reply if (reply := self.mail()).startswith("550") else "", 10.0, "refused")
        found = re.search(r"http://[^\s'\",)\]]+", refused)
        assert found is not None
        return found[0]

    def spfmilter(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the INI file of the daemon."""
        command = [sys.executable, "-m", "spfmilter", *words, "-c", str(self.ini)]
        return subprocess.run(command, capture_output=True, text=True, timeout=HUNG, check=False)  # noqa: S603 - our own


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, milter, port = tmp_path_factory.mktemp("state"), f"inet:{free_port()}@127.0.0.1", free_port()
    with ScriptedDNS(ZONE) as dns:
        ini = (
            f"[policy]\nreject_at = mail\n[milter]\nsocket = {milter}\n[dns]\nnameservers = {dns.address}\n"
            f"[headers]\nauthserv_id = mx.example.net\n[state]\nfolder = {folder}\n"
            f"[reply]\nhelp_url = http://127.0.0.1:{port}/spf/{{token}}\n"
            f"[web]\nrequests = yes\nrate = 9000/second\nlisten = 127.0.0.1:{port}\nsecret_file = {folder / 'secret'}\n"
        )
        with SpfmilterDaemon(ini) as daemon, SpfmilterDaemon(ini, command=WEB) as page:
            yield Site(milter, daemon.ini_path, page)


def ask_for(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=HUNG)
    try:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, parts.path, body, fields)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def post(url: str, body: bytes, content_type: str = "application/x-www-form-urlencoded") -> int:
    return ask_for(url, "POST", body, Content_Type=content_type)[0]


def test_bounce_request_grant_accepted_and_removed(site: Site) -> None:
    link = site.link()
    until(lambda: "Ask the administrator" in ask_for(link)[1], 10.0, "the page takes requests")
    assert post(link, urlencode(FORM).encode()) == 303
    [one] = json.loads(site.spfmilter("requests", "list", "--json").stdout)["requests"]
    assert (one["sentence"], one["domain"], one["address"]) == (FORM["sentence"], "example.com", "203.0.113.7")
    assert site.mail().startswith("550"), "asking alone lets none in"
    granted = site.spfmilter("requests", "grant", one["case_id"])
    assert granted.returncode == 0, granted.stderr
    until(lambda: site.mail() == "", 10.0, "the second message is accepted")
    assert site.mail("alice@soft.example") == "", "tagged, not refused"
    assert site.mail("bob@plain.example").startswith("550"), "another domain from there"
    # The page waits 2 s for its store, and otherwise shows nothing of the request.
    until(lambda: "The administrator has let your server in" in Page(ask_for(link)[1]).words, 10.0, "granted")
    removed = re.search(r"exempt remove .*(\S{6})\n", granted.stdout)
    assert removed is not None
    assert site.spfmilter("exempt", "remove", removed[1]).returncode == 0
    until(lambda: site.mail().startswith("550"), 10.0, "refused again")
    until(lambda: "That time is over." in Page(ask_for(link)[1]).words, 10.0, "its end")
    assert "request asked" in site.page.log()
    assert FORM["answer_to"] not in site.page.log()
    assert FORM["sentence"] not in site.page.log()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"sentence=" + b"x" * 1_000_000, "application/x-www-form-urlencoded"),
        (bytes(range(256)) * 20, "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
    ],
    ids=["huge", "binary", "json"],
)
def test_a_hostile_post_is_answered_and_the_page_goes_on(site: Site, body: bytes, kind: str) -> None:
    link = site.link()
    try:
        status = post(link, body, kind)
    except OSError:  # the page has answered and closed before all was sent
        status = 400
    assert status == 400
    assert ask_for(link)[0] == 200
    assert "internal error" not in site.page.log()


def test_a_flood_of_requests_is_kept_within_bounds(site: Site) -> None:
    statuses = [post(site.link(), urlencode(FORM).encode()) for _ in range(12)]
    assert set(statuses) <= {303, 429, 503}, "503: the store was not in time, on a busy machine"
    assert statuses.count(303) <= 5
    assert statuses[-1] != 303
    assert len(json.loads(site.spfmilter("requests", "list", "--json").stdout)["requests"]) <= 3
