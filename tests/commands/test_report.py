"""``spfmilter report``: what it prints, what it writes, and what it says if there is nothing to report."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from spfmilter.journal.rows import Decision
from spfmilter.model import Result
from spfmilter.packages import how_to_install
from tests.report import traffic, values
from tests.report.conftest import *  # noqa: F403 - the fixtures ``server`` and ``url``
from tests.report.pages import HOSTILE, LONG, hostile

Recorded = Callable[..., Path]


@pytest.fixture
def recorded(tmp_path: Path, url: str) -> Recorded:
    """Record mail that ends now, and return an INI file that names the journal."""

    def record(rows: Iterable[Decision], ini: str = "") -> Path:
        later = int(time.time() * 1000) - traffic.NOW
        values.fill(url, (one._replace(time=one.time + later) for one in rows))
        path = tmp_path / "spfmilter.ini"
        path.write_text(f"[journal]\nurl = {url}\n{ini}")
        return path

    return record


def test_what_a_person_reads(run, recorded) -> None:
    path = recorded(traffic.week(2000), "[exempt]\nforwarders = .alumni.example, mx.old.example\n")
    done = run("report", "-c", path, "--offline")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "SPF report: mx1.example.net"
    said = "\n".join(lines)
    for words in (
        "  $ spfmilter exempt add --forwarder .forward.example --for 30d --because 'report of ",
        "forwarders = .alumni.example, mx.old.example, .forward.example\n",
        "  $ spfmilter exempt add --domain partner.example --from 203.0.113.80 --for 14d --because ",
        "its postmaster has to add ip4:203.0.113.80 to the record",
        "[exempt] forwarders: mx.old.example\n  remove it, in [exempt] at line 4:\n",
        "      forwarders = .alumni.example\n",
        "  $ spfmilter status --only resolver\n",
        "mostly",
    ):
        assert words in said
    assert "\x1b" not in said, "plain, where there is no terminal"


def test_what_monitor_mode_would_have_done(run, recorded) -> None:
    done = run("report", "-c", recorded(traffic.week(2000, monitor=True), "[policy]\nmode = monitor\n"), "--offline")
    assert "Monitor mode would have refused: domains" in done.stdout
    assert "Monitor mode spared some. Enforce mode: " in done.stdout


@pytest.mark.outside
def test_lines_fit_a_terminal_and_only_commands_are_longer(recorded, tmp_path) -> None:
    """So that a command can be copied in one piece. At a real terminal of 80 columns, in colour, and without."""
    path = recorded(traffic.week(2000))
    for more in ({}, {"NO_COLOR": "1"}):
        said = at_terminal(path, tmp_path, more)
        assert ("\x1b[" in said) == (not more)
        plain = [line for line in said.replace("\r", "").splitlines() if "\x1b" not in line]
        assert max(len(line.rstrip()) for line in plain if "spfmilter exempt" not in line) <= 80


def at_terminal(path: Path, folder: Path, environment: dict[str, str]) -> str:
    command = f"{sys.executable} -m spfmilter report --offline -c {path}"
    usual = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    subprocess.run(  # noqa: S603 - our own command
        ["script", "-qec", f"stty cols 80; {command} 2>/dev/null", str(folder / "typescript")],  # noqa: S607 - of util-linux
        env={**usual, "TERM": "xterm-256color", "COLUMNS": "80", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    text = (folder / "typescript").read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if not line.startswith("Script "))


def test_a_terminal_without_block_characters(recorded) -> None:
    path = recorded(traffic.week(500))
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "spfmilter", "report", "--offline", "-c", str(path)],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=True,
    )
    trend = next(line for line in done.stdout.decode("ascii").splitlines() if line.startswith("messages "))
    assert set(trend.partition("|")[2].partition("|")[0]) <= set(" .:-=+*#@")
    assert "@" in trend


KEYS = {
    "": "format made since until journal mode hosts totals trend refused would_refuse findings temperrors resolver "
    "overrides exceptions",
    "totals": "messages refused would_refuse actions would mailfrom helo skips decided",
    "trend": "step steps",
    "refused": "domains networks",
    "journal": "oldest newest",
}


def test_what_a_program_reads(run, recorded) -> None:
    """The keys are documented in docs/report.md, and stay."""
    path = recorded(traffic.week(2000), "[exempt]\nforwarders = .alumni.example\n")
    done = run("report", "-c", path, "--offline", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    whole = json.loads(done.stdout)
    for name, keys in KEYS.items():
        assert list(whole[name] if name else whole) == keys.split()
    assert whole["format"] == 1
    assert whole["totals"]["messages"] == sum(whole["totals"]["actions"].values()) > 2000
    assert set(whole["totals"]["mailfrom"]) == set(Result)
    assert {one["kind"] for one in whole["findings"]} == {"forwarder", "partner", "resolver"}
    assert {step["kind"] for one in whole["findings"] for step in one["steps"]} == {"command", "ini"}
    assert whole["exceptions"] == [{"text": "[exempt] forwarders: .alumni.example", "used": True, "ends": None}]
    documented = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
    assert [key for keys in KEYS.values() for key in keys.split() if f"`{key}`" not in documented] == []


def test_a_page_is_put_in_place_whole_and_not_for_everybody(run, recorded, tmp_path) -> None:
    page = tmp_path / "report.html"
    page.write_text("an older one")
    page.chmod(0o666)
    done = run("report", "-c", recorded(traffic.week(500)), "--offline", "--html", page)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"report written to {page}\n", "")
    assert page.read_text().startswith("<!doctype html>")
    assert stat.S_IMODE(page.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir() if "report" in one.name] == ["report.html"]


def test_a_page_and_json_together(run, recorded, tmp_path) -> None:
    done = run("report", "-c", recorded([traffic.row()]), "--json", "--html", tmp_path / "x.html")
    assert json.loads(done.stdout)["totals"]["messages"] == 1
    assert done.stderr == f"report written to {tmp_path / 'x.html'}\n"


def test_a_page_that_cannot_be_written_leaves_the_old_one(run, recorded, tmp_path) -> None:
    done = run("report", "-c", recorded([traffic.row()]), "--html", tmp_path / "missing" / "x.html")
    said = f"{tmp_path / 'missing' / 'x.html'}: cannot be written: No such file or directory\n"
    assert (done.returncode, done.stdout, done.stderr) == (os.EX_CANTCREAT, "", said)


def test_without_jinja_it_says_what_to_install(run, recorded, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = run("report", "-c", recorded([traffic.row()]), "--html", tmp_path / "x.html")
    said = f"--html needs jinja2, which is missing: {how_to_install('web', 'jinja2')}\n"
    assert (done.returncode, done.stderr) == (os.EX_UNAVAILABLE, said)
    assert run("report", "-c", tmp_path / "spfmilter.ini", "--offline").returncode == 0


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "The journal is empty: it has recorded no message yet.\n"),
        (
            [traffic.row(traffic.NOW - 40 * values.DAYS)],
            "The journal holds no message of this time. It has messages from ",
        ),
    ],
)
def test_nothing_to_report(run, recorded, tmp_path, rows, said) -> None:
    path = recorded(rows)
    done = run("report", "-c", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    assert run("report", "-c", path, "--html", tmp_path / "x.html").returncode == 0
    assert said.strip() in (tmp_path / "x.html").read_text()
    assert json.loads(run("report", "-c", path, "--json").stdout)["totals"]["messages"] == 0


def test_the_journal_is_off(run, tmp_path) -> None:
    (tmp_path / "spfmilter.ini").write_text("")
    done = run("report", "-c", tmp_path / "spfmilter.ini")
    assert (done.returncode, done.stdout) == (os.EX_CONFIG, "")
    assert done.stderr.startswith("the journal is off, so there is nothing to report: set [journal] url, such as ")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file: the daemon makes it when it starts"),
        (b"", "it has no table of decisions yet: the daemon makes it when it starts with this [journal] url"),
        (b"no database, but long enough to be read as one" * 20, "file is not a database"),
    ],
)
def test_a_journal_that_cannot_be_read(run, tmp_path, content, said) -> None:
    file = tmp_path / "journal.db"
    if content is not None:
        file.write_bytes(content)
    (tmp_path / "spfmilter.ini").write_text(f"[journal]\nurl = sqlite:///{file}\n")
    done = run("report", "-c", tmp_path / "spfmilter.ini")
    assert (done.returncode, done.stdout) == (os.EX_UNAVAILABLE, "")
    assert done.stderr.startswith("sqlite:///")
    assert said in done.stderr


@pytest.mark.outside
def test_a_server_that_is_away_is_named_without_its_password(run, tmp_path) -> None:
    path = tmp_path / "spfmilter.ini"
    path.write_text("[journal]\nurl = postgresql+psycopg://me:secret@127.0.0.1:9/mail\n")
    done = run("report", "-c", path)
    assert done.returncode == os.EX_UNAVAILABLE
    assert done.stderr.startswith("postgresql+psycopg://me:***@127.0.0.1:9/mail: ")
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--since", "yesterday"], "Invalid value for --since: 'yesterday' is no time: write how long ago"),
        (["--until", "7w"], "Invalid value for --until: '7w' is no time"),
        (["--since", "1h", "--until", "2h"], "Invalid value for --since: it has to be earlier than --until"),
        (["--since", "9999-01-01"], "Invalid value for --since: it has to be earlier than --until, and than now"),
        (["--html", "/"], "is a directory"),
    ],
)
def test_wrong_usage(run, options, said) -> None:
    done = run("report", *options)
    assert (done.returncode, done.stdout) == (os.EX_USAGE, "")
    assert said in done.stderr


def test_hostile_rows_are_text_in_a_terminal(run, recorded) -> None:
    """No control sequence, no markup of rich, nothing that begins a line of its own."""
    done = run("report", "-c", recorded(hostile()), "--offline")
    assert done.returncode == 0
    assert HOSTILE.partition("\x1b")[0] in done.stdout
    assert "[bold]" in done.stdout
    assert LONG in done.stdout
    assert "\x1b" not in done.stdout
    for line in done.stdout.splitlines():
        if line.strip().startswith(("$ ", "forwarders =", "forwarder_spf =", "senders =")):
            assert "script" not in line, "no such name is put into a command, or into the INI file"
            assert "x" * 64 not in line


@pytest.mark.outside
def test_names_of_forwarders_are_confirmed_in_the_dns(run, recorded) -> None:
    """What the MTA said is not what counts, if the DNS says otherwise now."""
    zone: ZoneData = {"out0.forward.example": [{"A": "198.51.100.20"}]}
    for host in range(4):
        zone = {**zone, f"{20 + host}.100.51.198.in-addr.arpa": [{"PTR": f"out{host}.forward.example"}]}
    with ScriptedDNS(zone) as dns:
        path = recorded(traffic.forwarded(40), f"[dns]\nnameservers = {dns.address}\n")
        said = run("report", "-c", path).stdout
        assert "Names that the DNS confirms now: out0.forward.example.\n" in said
        assert "forward.example: likely a forwarder" in said
        dns.load({})
        said = run("report", "-c", path).stdout
        assert "The DNS confirms no name of these addresses now." in said
        assert "forward.example: possibly a forwarder" in said
        assert "$ spfmilter exempt add --forwarder-spf out0.forward.example --for 30d" in said
        dns.load({name: [{"RCODE": "SERVFAIL"}] for name in zone})
        said = run("report", "-c", path).stdout
        assert "Names, as the mail server gave them: out0.forward.example" in said
        dns.reset_counts()
        run("report", "-c", path, "--offline")
        assert not dns.queries
