"""What the commands' tests share: running one, and a DNS to ask."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from lab.processes import HUNG
from spfmilter.cli import main
from spfmilter.commands import postconf, sendmailcf

ZONE: ZoneData = {
    "example.com": [{"TXT": "v=spf1 ip4:192.0.2.0/24 include:_spf.example.org -all exp=why.example.com"}],
    "_spf.example.org": [{"TXT": "v=spf1 ip4:198.51.100.0/24 ?all"}],
    "why.example.com": [{"TXT": "%{i} \x1b[31mis not [bold red]ours[/]"}],
    "mail.example.com": [{"TXT": "v=spf1 a -all"}, {"A": "203.0.113.7"}],
    "soft.example.com": [{"TXT": "v=spf1 ip4:192.0.2.0/24 ~all"}],
    "redirect.example.com": [{"TXT": "v=spf1 redirect=example.com"}],
    "broken.example.com": [{"TXT": "v=spf1 include:nothing.example.com -all"}],
    "hostile.example.com": [{"TXT": "v=spf1 include:[bold]x[/bold]\x1b[31m\x07 -all"}],
    "markup.example.com": [{"TXT": "v=spf1 a:[bold]x[/bold].example.com exists:[/nothing]%{d} -all"}],
    "lost.example.com": [{"TXT": "v=spf1 include:servfail.example.com -all"}],
    "servfail.example.com": [{"RCODE": "SERVFAIL"}],
    "two.example.com": [{"TXT": "v=spf1 a -all"}, {"TXT": "hello"}, {"TXT": "v=spf1 mx ~all"}],
    "loop.example.com": [{"TXT": "v=spf1 include:loop.example.com -all"}],
    "turn.example.com": [{"TXT": "v=spf1 redirect=turn.example.com"}],
    "one.example.com": [{"TXT": "v=spf1 include:other.example.com -all"}],
    "other.example.com": [{"TXT": "v=spf1 include:one.example.com -all"}],
    "9.113.0.203.in-addr.arpa": [
        {"PTR": "a,b.example.org"},
        {"PTR": "Mx1.Forward.Example.Org"},
        {"PTR": "liar.example.com"},
        {"PTR": "gone.example.com"},
    ],
    "a,b.example.org": [{"A": "203.0.113.9"}],
    "mx1.forward.example.org": [{"A": "203.0.113.9"}, {"TXT": "v=spf1 a -all"}],
    "forward.example.org": [{"TXT": "v=spf1 ip4:203.0.113.0/24 -all"}],
    "liar.example.com": [{"A": "192.0.2.7"}],
    "anyone.example": [{"TXT": "v=spf1 +all"}],
    "silent.example.com": ["TIMEOUT"],
    "umlaut.example.com": [{"TXT": "v=spf1 a:bücher.example -all"}],
    "merged.example.com": [{"TXT": "v=spf1 include:two.example.com -all"}],
}
MESSAGE = ["--ip", "203.0.113.7", "--helo", "mail.example.com", "--mail-from"]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def dns() -> Iterator[ScriptedDNS]:
    with ScriptedDNS(ZONE) as server:
        yield server


@pytest.fixture
def write(tmp_path: Path, dns: ScriptedDNS) -> Callable[[str], Path]:
    """An INI file that asks the scripted DNS."""

    def write_ini(text: str = "") -> Path:
        path = tmp_path / "spfmilter.ini"
        path.write_text(f"[dns]\nnameservers = {dns.address}\n[headers]\nauthserv_id = mx.example.net\n{text}")
        return path

    return write_ini


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command: here, with output of its own; or, with an environment, as a process that has it."""
    for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def spfmilter(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = ["spfmilter", *map(str, arguments)]
        if environment:
            return subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-m", *command],
                env={**os.environ, "PYTHONUTF8": "1", **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=HUNG,
                check=False,
            )
        monkeypatch.setattr(sys, "argv", command)
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        status = ended.value.code
        assert isinstance(status, int)
        return subprocess.CompletedProcess(command, status, _text(out), _text(err))

    return spfmilter


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.detach()
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


@pytest.fixture
def no_postfix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postconf, "read", lambda _directory: None)


@pytest.fixture(autouse=True)
def no_sendmail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this host has: there is a sendmail.cf only where a test names one."""
    monkeypatch.setattr(sendmailcf, "DEFAULT_PATH", Path("/nonexistent/sendmail.cf"))
