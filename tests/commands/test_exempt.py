"""``spfmilter exempt``, with a store of this host: what it says, what it refuses, and its exit status."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spfmilter.commands.exempt import when_in_force
from spfmilter.daemon import statusfile
from spfmilter.daemon.statusfile import Found
from spfmilter.exemptions import saved
from spfmilter.exemptions.embedded import EmbeddedStore
from spfmilter.exemptions.exemption import exemption_of
from spfmilter.exemptions.store import place
from spfmilter.journal.database import open_engine, upgrade
from spfmilter.journal.rows import Decision
from spfmilter.journal.tables import DECISION
from spfmilter.settings import load, parse
from spfmilter.settings.journalurl import JournalUrl
from tests.commands.conftest import Run
from tests.health.snapshots import snapshot

CASE = "H1FC-402Z-GPWG"
PAIR = ("--domain", "example.com", "--from", "203.0.113.7")
WHY = ("--because", "ticket 4711")


@pytest.fixture
def exempt(tmp_path: Path, run: Run) -> Callable[..., Any]:
    """Run a command of ``spfmilter exempt`` with a state folder and a journal; both are in `tmp_path`."""
    (tmp_path / "state").mkdir()
    ini = tmp_path / "spfmilter.ini"
    ini.write_text(f"[state]\nfolder = {tmp_path}/state\n[journal]\nurl = sqlite:///{tmp_path}/journal.db\n")
    return lambda command, *options: run("exempt", command, "-c", ini, *options)


def added(exempt: Callable[..., Any], *options: str) -> dict[str, Any]:
    done = exempt("add", "--json", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def kept(tmp_path: Path) -> dict[str, Any]:
    store = EmbeddedStore(tmp_path / "state" / "exemptions.db")
    rows = [exemption_of(row) for row in store.read()]
    store.close()
    return {one.id: one for one in rows}


def test_what_is_printed_can_be_acted_upon(exempt: Callable[..., Any], tmp_path: Path) -> None:
    done = exempt("add", *PAIR, *WHY)
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    [one] = kept(tmp_path).values()
    assert lines["let"] == "in   example.com from 203.0.113.7"
    assert lines["until"].endswith("(in 7 days)")
    assert lines["id"] == one.id
    assert (one.until or 0) - one.added == 7 * 86400
    assert lines["in"] == "force within 2 seconds once the daemon runs, on this host"
    command = lines["remove"].split()
    assert command[:3] == ["spfmilter", "exempt", "remove"]
    assert exempt(*command[2:3], *command[5:]).returncode == 0
    assert kept(tmp_path)[one.id].removed is not None


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Found(trouble="there is no status file"), "in force within 2 seconds once the daemon runs"),
        (Found(snapshot=snapshot(monotonic=time.monotonic() + 1e6)), "in force within 2 seconds once the daemon runs"),
        (Found(snapshot=snapshot()), "in force within 2 seconds"),
        (Found(trouble="Permission denied", denied=True), "in force within 2 seconds"),
    ],
)
def test_a_daemon_that_does_not_run_is_not_said_to_follow(monkeypatch, tmp_path: Path, found: Found, said: str) -> None:
    monkeypatch.setattr(statusfile, "find", lambda _: found)
    assert when_in_force(parse(""), tmp_path / "spfmilter.ini") == said
    shared = parse("[state]\nurl = redis://192.0.2.1\n")
    assert when_in_force(shared, tmp_path / "spfmilter.ini") == "in force within 2 seconds", "other hosts may run one"


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ((), 64, "an exemption is for a network"),
        (PAIR, 64, "say why"),
        ((*PAIR, "--because", "  "), 64, "say why"),
        ((*PAIR, "--because", "x" * 501), 64, "at most 500"),
        ((*PAIR, *WHY, "--network", "203.0.113.7"), 64, "mean the same"),
        ((*PAIR, *WHY, "--forwarder", "mx.example.net"), 64, "an exemption is for"),
        ((*PAIR, *WHY, "--for", "7"), 64, "not a time"),
        ((*PAIR, *WHY, "--for", "7d", "--until", "2100-01-01"), 64, "exclude each other"),
        ((*PAIR, *WHY, "--until", "1999-01-01"), 64, "is over"),
        (("--network", "203.0.113.7/24", *WHY), 64, "203.0.113.0/24"),
        (("--network", "0.0.0.0/0", *WHY), 64, "every address"),
        (("--network", "203.0.0.0/15", *WHY), 64, "wider than /16"),
        (("--domain", "gmail.com", *WHY), 64, "mailboxes to anyone"),
        (("--domain", "co.uk", *WHY), 64, "not one organization"),
        ((*PAIR, *WHY, "--for", "forever"), 64, "INI file"),
        (("--case", "nonsense"), 64, "case id"),
        (("--case", CASE, *PAIR), 64, "leave"),
        (("--case", CASE), 69, "no such file"),
    ],
)
def test_what_is_refused_says_why_and_adds_nothing(exempt, options, status, words, tmp_path) -> None:
    done = exempt("add", *options)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert kept(tmp_path) == {}


@pytest.mark.parametrize("options", [("--network", "0.0.0.0/0"), ("--domain", "qq.com"), (*PAIR, "--for", "forever")])
def test_with_force_it_is_added_with_a_warning(exempt, options, tmp_path) -> None:
    done = exempt("add", *options, *WHY, "--force")
    assert done.returncode == 0
    assert "warning: " in done.stderr
    assert len(kept(tmp_path)) == 1


def test_a_domain_alone_gets_a_warning(exempt: Callable[..., Any]) -> None:
    assert "anyone can write example.com as the sender" in exempt("add", "--domain", "example.com", *WHY).stderr


def test_a_dry_run_changes_nothing(exempt: Callable[..., Any], tmp_path: Path) -> None:
    done = exempt("add", *PAIR, *WHY, "--dry-run")
    assert (done.returncode, list((tmp_path / "state").iterdir())) == (0, [])
    assert "nothing was changed" in done.stdout
    assert "remove" not in done.stdout


def test_a_list_shows_what_is_in_force(exempt: Callable[..., Any]) -> None:
    assert "no exemption is in force" in exempt("list").stdout
    late, soon = (
        added(exempt, *PAIR, *WHY),
        added(exempt, "--network", "2001:db8::/32", "--for", "1h", "--because", "[b]x"),
    )
    shown = exempt("list").stdout
    assert shown.index(soon["id"]) < shown.index(late["id"])
    assert "example.com from 203.0.113.7" in shown
    assert "[b]x" in shown, "no markup"
    assert exempt("remove", late["id"].lower()).returncode == 0
    assert late["id"] not in exempt("list").stdout
    assert late["id"] in exempt("list", "--all").stdout
    whole = json.loads(exempt("list", "--all", "--json").stdout)
    assert [one["in_force"] for one in whole["exemptions"]] == [True, False]


def test_what_is_not_there_cannot_be_removed(exempt: Callable[..., Any]) -> None:
    one = added(exempt, *PAIR, *WHY)
    assert exempt("remove").returncode == 64
    assert exempt("remove", "!").returncode == 64
    assert exempt("remove", "AAAAAA").returncode == 66
    assert exempt("remove", "--domain", "example.com").returncode == 66, "it is for the domain from an address"
    done = exempt("remove", "AAAAAA", one["id"], "--json")
    assert done.returncode == 66
    assert [each["id"] for each in json.loads(done.stdout)["removed"]] == [one["id"]]
    assert exempt("remove", one["id"]).returncode == 66, "once only"


def record(folder: Path, **changed: Any) -> None:
    """Write a case into the journal."""
    url = JournalUrl(path=f"{folder}/journal.db")
    engine = open_engine(url)
    upgrade(engine, url)
    usual = dict.fromkeys(Decision._fields, None)
    usual |= {"time": 1, "host": "mx", "authenticated": 0, "action": "reject", "rule": "r", "recipient_rules": 0}
    usual |= {
        "ended": "refused",
        "lookups": 0,
        "void_lookups": 0,
        "elapsed": 0,
        "case_id": CASE,
        "client": "203.0.113.7",
    }
    with engine.begin() as connection:
        connection.execute(DECISION.insert(), {**usual, **changed})
    engine.dispose()


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"sender_domain": "example.com"}, "example.com from 203.0.113.7"),
        ({"sender_domain": None}, "203.0.113.7"),
        ({"sender_domain": "exa mple"}, "203.0.113.7"),
        ({"sender_domain": "example.com", "client": "2001:db8::7"}, "example.com from 2001:db8::7"),
    ],
)
def test_a_case_proposes_the_narrowest(exempt, row, shown, tmp_path) -> None:
    record(tmp_path, **row)
    looked = exempt("add", "--case", CASE.lower().replace("-", " "), "--dry-run")
    assert f"let in   {shown}\n" in looked.stdout
    asked = exempt("add", "--case", CASE)
    assert asked.returncode in {64, 130}
    assert kept(tmp_path) == {}
    assert exempt("add", "--case", CASE, "--yes").returncode == 0
    [one] = kept(tmp_path).values()
    assert (str(one.subject), one.because) == (shown, f"case {CASE}")


def test_a_case_that_is_not_there(exempt: Callable[..., Any], tmp_path: Path) -> None:
    record(tmp_path, case_id="0000-0000-0000")
    done = exempt("add", "--case", CASE, "--yes")
    assert (done.returncode, "the journal has no case" in done.stderr) == (66, True)


def test_without_a_folder_it_says_what_to_do(exempt: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "state").rmdir()
    done = exempt("add", *PAIR, *WHY)
    assert (done.returncode, "install -d -o spfmilter" in done.stderr) == (69, True)


def test_without_a_store_it_says_so(tmp_path: Path, run: Run) -> None:
    ini = tmp_path / "spfmilter.ini"
    ini.write_text("[state]\nfolder =\n")
    done = run("exempt", "list", "-c", ini)
    assert (done.returncode, "name no place for exemptions" in done.stderr) == (69, True)


@pytest.mark.outside
def test_check_names_the_exemption_that_the_daemon_has(write, run: Run, tmp_path: Path) -> None:
    path = write(f"[state]\nfolder = {tmp_path}\n[policy]\nreject_at = mail\n")
    message = ("check", "-c", path, "--ip", "203.0.113.7", "--mail-from", "a@example.com", "--explain")
    assert "exemption" not in run(*message).stdout
    one = exemption_of({"id": "ABCDEF", "domain": "example.com", "network": "203.0.113.7", "added": 1})
    other = exemption_of({"id": "AAAAAA", "network": "192.0.2.9", "added": 1})
    saved.save(str(tmp_path), place(load(path)), [one, other])
    done = run(*message)
    assert "→ exemption ABCDEF: spfmilter exempt: it is for example.com from 203.0.113.7, for ever" in done.stdout
    assert "exemption ABCDEF: example.com from 203.0.113.7, for ever" in done.stdout
    shown = json.loads(run(*message, "--json").stdout)
    assert shown["override"] == {"type": "exemption", "by": "ABCDEF"}
    saved.save(str(tmp_path), place(load(path)), [other])
    assert "· spfmilter exempt list: none is for this client or this domain" in run(*message).stdout
    (tmp_path / saved.FILE).write_text("{")
    (tmp_path / saved.FILE).chmod(0o600)
    done = run(*message)
    assert "temporary exemptions have no effect here" in done.stderr


def test_a_file_that_vanished_is_not_an_empty_list(exempt: Callable[..., Any], tmp_path: Path) -> None:
    """The daemon keeps in force what it has saved, so that no command may say that there is nothing."""
    assert (exempt("list").returncode, exempt("remove", "AAAAAA").returncode) == (0, 66), "there never was a file"
    one = added(exempt, *PAIR, *WHY)
    settings = load(tmp_path / "spfmilter.ini")
    saved.save(settings.state.folder, place(settings), list(kept(tmp_path).values()))
    (tmp_path / "state" / "exemptions.db").unlink()
    for command in (("list",), ("list", "--all"), ("list", "--json"), ("remove", one["id"])):
        done = exempt(*command)
        assert (done.returncode, done.stdout) == (69, "")
        gone = f"{tmp_path}/state/exemptions.db is not there any more; the daemon keeps in force what it knew, 1 in "
        assert done.stderr == f"{gone}{tmp_path}/state/exemptions.json: restore the file from a backup\n"
    (tmp_path / "state" / "exemptions.json").write_text("{}")
    assert exempt("list").returncode == 0, "a copy that the daemon does not use, either"
