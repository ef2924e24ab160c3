"""`spfmilter web` as a process of its own."""

import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab.daemon import SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.processes import HUNG, free_port
from spfmilter.packages import how_to_install
from tests.web.site import SECRET, WEB, ini, serving, token

pytestmark = pytest.mark.outside


def get(url: str, **headers: str) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request("GET", parts.path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_it_serves_says_so_and_ends_when_told(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        assert get(site.url.replace("/spf/", "/healthz")) == (200, "ok\n")
        status, text = get(site.link())
        assert status == 200
        assert "Your message was refused" in text
        assert site.daemon.stop() == 0
    assert "help page served" in site.daemon.log()
    assert token() not in site.daemon.log()
    assert any("STOPPING=1" in note for note in site.daemon.notifications())


def test_a_corrected_record_is_seen(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        link = site.link("plain.example")
        assert "It passes now" not in get(link)[1]
        site.dns.load({"plain.example": [{"TXT": "v=spf1 ip4:203.0.113.7 -all"}]})
        assert "It passes now" in get(link)[1]


def test_behind_a_proxy_the_visitor_counts(tmp_path: Path) -> None:
    with serving(tmp_path, "rate = 1/hour") as site:
        statuses = [get(site.link(), X_Forwarded_For=f"10.9.9.9, {name}.0.2.1")[0] for name in (192, 192, 198)]
    assert statuses == [200, 429, 200]


def test_a_visitor_cannot_call_himself_another(tmp_path: Path) -> None:
    """Only a trusted proxy is believed, and only what it added itself."""
    with serving(tmp_path, "rate = 1/hour\ntrusted_proxies = 192.0.2.80") as site:
        statuses = [get(site.link(), X_Forwarded_For=f"192.{n}.2.1")[0] for n in range(3)]
    assert statuses == [200, 429, 429]
    with serving(tmp_path, "rate = 1/hour") as site:
        statuses = [get(site.link(), X_Forwarded_For=f"198.{n}.2.1, 192.0.2.1")[0] for n in range(3)]
    assert statuses == [200, 429, 429]


def test_the_secret_is_made_where_there_is_none(tmp_path: Path) -> None:
    with ScriptedDNS({}) as dns:
        text = ini(dns, tmp_path, free_port())
        (tmp_path / "secret").unlink()
        with SpfmilterDaemon(text, command=WEB):
            made = tmp_path / "secret"
            assert made.stat().st_mode & 0o777 == 0o600
            assert SECRET not in made.read_text()


def run(text: str, tmp_path: Path, *before: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "spfmilter.ini"
    path.write_text(text)
    code = "; ".join([*before, "from spfmilter.cli import main", "main()"])
    command = [sys.executable, "-c", code, "web", "-c", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HUNG, check=False)  # noqa: S603 - our own


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("secret_file = {folder}/no/secret", "no/secret: the file of secrets is not there, and cannot be made"),
        ("secret_file = {folder}", "Is a directory"),
        (
            "secret_file = {folder}/secret\nlisten = 192.0.2.1:8891",
            "Cannot assign requested address; this host does not have",
        ),
    ],
)
def test_the_reason_why_it_cannot_serve_is_reported(tmp_path: Path, key, said) -> None:
    done = run(f"[web]\n{key.format(folder=tmp_path)}\n", tmp_path)
    assert done.returncode == 73
    assert "cannot start" in done.stderr
    assert said in done.stderr


def test_without_its_packages_it_says_what_to_install(tmp_path: Path) -> None:
    done = run("", tmp_path, "import sys", "sys.modules['starlette'] = None")
    assert done.returncode == 69
    assert how_to_install("web", "starlette") in done.stderr
