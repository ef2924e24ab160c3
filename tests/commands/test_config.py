"""``spfmilter config check --try`` and ``--json``, ``config show --changed``, and NO_COLOR for every command."""

import errno
import json
import os
import re
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.processes import free_port
from spfmilter import ownership, units
from spfmilter.daemon import trial
from spfmilter.helplink.secretfile import SecretError
from spfmilter.settings import parse, show
from tests.commands.conftest import MESSAGE


def test_the_problems_as_json(run, tmp_path) -> None:
    path = tmp_path / "spfmilter.ini"
    path.write_text("[policy]\nmode = perhaps\n[nonsense]\n")
    done = run("config", "check", "--json", "-c", path)
    shown = json.loads(done.stdout)
    assert (done.returncode, done.stderr, shown["file"], shown["tried"]) == (os.EX_CONFIG, "", str(path), None)
    first, second = shown["problems"]
    assert (first["line"], first["section"], first["key"]) == (2, "policy", "mode")
    assert "perhaps" in first["message"]
    assert (second["line"], second["section"], second["key"]) == (3, "nonsense", None)

    path.write_text("")
    done = run("config", "check", "--json", "-c", path)
    assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, [])


def test_a_setting_without_effect_as_json(run, tmp_path) -> None:
    path = tmp_path / "spfmilter.ini"
    path.write_text("[relays]\nrefuse = yes\n")
    done = run("config", "check", "--json", "-c", path)
    assert (done.returncode, json.loads(done.stdout)["problems"]) == (0, [])
    (warning,) = json.loads(done.stdout)["warnings"]
    assert warning.startswith("line 2: [relays] refuse: has no effect: ")


def test_a_missing_file_as_json(run, tmp_path) -> None:
    done = run("config", "check", "--json", "-c", tmp_path / "none")
    assert done.returncode == os.EX_CONFIG
    assert json.loads(done.stdout)["problems"][0]["line"] is None


CHANGED = """\
[policy]
mode = monitor

[exempt]
networks =

[reply]
fail = first; # %
    second {domain}

[domain:example.com]

[domain:example.org]
fail = tag
"""


def test_only_what_differs_from_the_defaults_is_shown(run, tmp_path) -> None:
    path = tmp_path / "spfmilter.ini"
    path.write_text(f"[milter]\nworkers = AUTO\n[policy]\nreject_at = rcpt\n{CHANGED[9:]}")
    done = run("config", "show", "--changed", "-c", path)
    assert (done.returncode, done.stdout) == (0, CHANGED)
    assert parse(CHANGED) == parse(path.read_text())
    shown = json.loads(run("config", "show", "--changed", "--json", "-c", path).stdout)
    assert shown["policy"] == {"mode": "monitor"}
    assert shown["domain:example.com"] == {}

    path.write_text(show(parse("")))
    assert run("config", "show", "--changed", "-c", path).stdout == "# No setting differs from its default.\n"


@pytest.mark.outside
def test_trying_a_start_says_what_would_go_well_and_leaves_nothing(run, write, tmp_path, monkeypatch) -> None:
    text = (
        f"[milter]\nsocket = unix:{tmp_path}/socket\n[metrics]\nlisten = 127.0.0.1:{free_port()}\n"
        f"[reply]\nhelp_url = https://mx.example.net/spf/{{token}}\n"
        f"[web]\nsecret_file = {tmp_path}/secret\nlisten = 127.0.0.1:{free_port()}\n"
    )
    done = run("config", "check", "--try", "-c", write(text))
    assert done.returncode == 0
    first, *lines = done.stdout.splitlines()
    assert first.endswith("no problems")
    assert [line.split(":")[:2] for line in lines] == [
        ["ok", f" {setting}"]
        for setting in ("[web] secret_file", "[milter] socket", "[metrics] listen", "[web] listen", "[dns] nameservers")
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["spfmilter.ini"]
    assert done.stderr.startswith(f"tried with the rights of user {ownership.user()}")
    # the command to try again has the same file
    again = f"As root: runuser -u spfmilter -- spfmilter config check --try -c {tmp_path}/spfmilter.ini\n"
    assert again in done.stderr
    with monkeypatch.context() as patched:
        patched.setattr(units, "daemon_user", lambda *_: ownership.user())
        assert run("config", "check", "--try", "-c", write(text)).stderr == (
            f"tried with the rights of user {ownership.user()}\n"
        )


@pytest.mark.outside
def test_trying_a_start_says_every_problem_and_what_to_do(run, write, tmp_path) -> None:
    (tmp_path / "secret").write_text("the-secret-of-a-bad-mode\n")
    (tmp_path / "secret").chmod(0o644)
    away = free_port()
    text = (
        f"[milter]\nsocket = unix:{tmp_path}/none/socket\n[metrics]\nlisten = 192.0.2.99:9890\n"
        f"[reply]\nhelp_url = https://mx.example.net/spf/{{token}}\n[web]\nsecret_file = {tmp_path}/secret\n"
        f"[state]\nurl = redis://127.0.0.1:{away}/0\n[journal]\nurl = sqlite:///{tmp_path}/none/journal.db\n"
    )
    path = write(text)
    path.write_text(path.read_text().replace("[dns]\nnameservers = ", f"[dns]\nnameservers = 127.0.0.1:{away}, "))
    done = run("config", "check", "--try", "--json", "-c", path)
    assert done.returncode == os.EX_CANTCREAT
    tried = json.loads(done.stdout)["tried"]
    found = {(finding["outcome"], finding["what"]): finding["detail"] for finding in tried}
    assert "chmod o=" in found["problem", "[web] secret_file"]
    assert f"there is no folder {tmp_path}/none: install -d" in found["problem", "[milter] socket"]
    assert "this host does not have the address 192.0.2.99" in found["warning", "[metrics] listen"]
    assert f"127.0.0.1:{away} does not answer" in found["warning", "[dns] nameservers"]
    assert ("ok", "[dns] nameservers") in found
    assert "this host's own memory would stand in" in found["warning", "[state] url"]
    assert f"there is no folder {tmp_path}/none; install -d" in found["warning", "[journal] url"]


@pytest.mark.outside
@pytest.mark.parametrize(
    ("url", "outcome", "detail"),
    [
        ("sqlite:///{folder}/journal.db", "ok", "journal.db will be made at the start"),
        ("sqlite:///{folder}/text", "warning", "file is not a database"),
        ("postgresql+psycopg://x:secret@127.0.0.1:{away}/x", "warning", "look after the PostgreSQL server"),
    ],
)
def test_the_journal_is_tried(run, write, tmp_path, url: str, outcome: str, detail: str) -> None:
    (tmp_path / "text").write_text("no database\n" * 100)
    text = f"[milter]\nsocket = unix:{tmp_path}/socket\n[journal]\nurl = {url}\n"
    done = run("config", "check", "--try", "--json", "-c", write(text.format(folder=tmp_path, away=free_port())))
    assert "secret" not in done.stdout
    (found,) = [each for each in json.loads(done.stdout)["tried"] if each["what"] == "[journal] url"]
    assert found["outcome"] == outcome
    assert detail in found["detail"]
    assert not (tmp_path / "journal.db").exists()


@pytest.mark.outside
def test_a_socket_that_is_served_now_is_left_to_its_process(run, write, tmp_path) -> None:
    with ExitStack() as stack:
        daemon, metrics, page = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3))
        port, *others = (sock.getsockname()[1] for sock in (daemon, metrics, page))
        text = (
            f"[milter]\nsocket = inet:{port}@127.0.0.1\n[metrics]\nlisten = 127.0.0.1:{others[0]}\n"
            f"[reply]\nhelp_url = https://mx.example.net/spf/{{token}}\n"
            f"[web]\nlisten = 127.0.0.1:{others[1]}\nsecret_file = {tmp_path}/secret\n"
        )
        done = run("config", "check", "--try", "-c", write(text))
    assert done.returncode == 0
    assert f"ok: [milter] socket: a process serves inet:{port}@127.0.0.1 now. If it is not spfmilter" in done.stdout
    for section, other in zip(("metrics", "web"), others, strict=True):
        assert f"ok: [{section}] listen: a process serves 127.0.0.1:{other} now. If it is not spfmilter" in done.stdout


@pytest.mark.outside
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_socket_of_another_user_is_not_advised_to_be_removed(run, write) -> None:
    """It may be the daemon's, which serves it."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as sock:
        Path(folder).chmod(0o777)
        sock.bind(f"{folder}/socket")
        sock.listen()
        Path(folder, "socket").chmod(0o600)
        path = Path(folder, "spfmilter.ini")
        path.write_text(write(f"[milter]\nsocket = unix:{folder}/socket\n").read_text())
        os.seteuid(65534)
        try:
            done = run("config", "check", "--try", "-c", path)
        finally:
            os.seteuid(0)
        assert "tried with the rights of user nobody, who is not the daemon's. As root: runuser -u spf" in done.stderr
        said = "user nobody may not use the socket that is there (root:root, mode 0600): try it as its user\n"
        assert f"problem: [milter] socket: {said}" in done.stdout
        assert done.returncode == os.EX_CANTCREAT
        sock.close()  # nothing serves it: root replaces it
        assert f"ok: [milter] socket: unix:{folder}/socket can be" in run("config", "check", "--try", "-c", path).stdout


@pytest.mark.outside
def test_the_installed_unit_decides_what_the_daemon_may(run, write, tmp_path, monkeypatch) -> None:
    """Who tries it has no sandbox, and other groups."""
    unit = tmp_path / "units" / units.SERVICE
    unit.parent.mkdir()
    monkeypatch.setattr(units, "_ROOTS", [unit.parent])
    path = write(f"[milter]\nsocket = unix:{tmp_path}/socket\nsocket_group = daemon\n")

    def tried(text: str) -> str:
        unit.write_text(f"[Service]\nUser=nobody\n{text}")
        done = run("config", "check", "--try", "-c", path)
        assert "As root: runuser -u nobody -- " in done.stderr
        (line,) = [line for line in done.stdout.splitlines() if "[milter] socket" in line]
        assert line.count("[milter] ") == 1 or "set [milter]" in line
        assert (done.returncode == os.EX_CANTCREAT) == line.startswith("problem: ")
        return str(line.partition("[milter] ")[2])

    assert tried("PrivateUsers=yes").startswith("socket_group: PrivateUsers= of the unit hides group daemon")
    assert tried("ProtectSystem=strict").startswith(
        f"socket: the unit makes {tmp_path} read-only for the daemon; user nobody"
    )
    allowed = f"ProtectSystem=strict\nReadWritePaths=-{tmp_path}\n"

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "")

    monkeypatch.setattr(os, "chown", refuse)  # who tries it is no member
    assert " is not a member of group daemon" in tried(allowed)
    assert (
        tried(f"{allowed}SupplementaryGroups=daemon")
        == f"socket: unix:{tmp_path}/socket can be opened for group daemon"
    )


@pytest.mark.outside
def test_a_secret_that_the_daemon_cannot_make_is_said_and_not_made(run, write, tmp_path, monkeypatch) -> None:
    """Who tries it may: root may write anywhere, and outside of the unit nothing is read-only."""
    unit = tmp_path / "units" / units.SERVICE
    unit.parent.mkdir()
    monkeypatch.setattr(units, "_ROOTS", [unit.parent])
    secret = tmp_path / "secret"
    path = write(
        f"[milter]\nsocket = unix:{tmp_path}/socket\n[reply]\nhelp_url = https://mx.example.net/spf/{{token}}\n"
        f"[web]\nsecret_file = {secret}\nlisten = 127.0.0.1:{free_port()}\n"
    )
    unit.write_text("[Service]\nUser=root\nProtectSystem=strict\n")
    said = run("config", "check", "--try", "-c", path).stdout
    assert f"warning: [web] secret_file: the unit makes {tmp_path} read-only for the daemon: make the file as" in said
    if os.geteuid() == 0:
        unit.write_text("[Service]\nUser=nobody\nProtectSystem=strict\n")
        said = run("config", "check", "--try", "-c", path).stdout
        assert f"problem: [web] secret_file: the unit makes {tmp_path} read-only for the daemon: make the file" in said
        unit.write_text("[Service]\nUser=nobody\n")
        said = run("config", "check", "--try", "-c", path).stdout
        assert f"problem: [web] secret_file: {secret} cannot be made for user nobody (root:root, mode 0700)" in said
    assert not secret.exists()


@pytest.mark.outside
def test_trying_a_start_says_that_no_nameserver_answers_and_that_the_log_has_no_target(
    run, write, tmp_path, monkeypatch
) -> None:
    path = write("[log]\nto = journal\n")
    away = f"127.0.0.1:{free_port()}"
    path.write_text(re.sub("nameservers = .*", f"nameservers = {away}", path.read_text()))
    monkeypatch.setattr("spfmilter.daemon.trial._JOURNAL", str(tmp_path / "nothing"))
    done = run("config", "check", "--try", "-c", path)
    assert done.returncode == 0, "the daemon starts"
    assert f"warning: [dns] nameservers: {away} does not answer: " in done.stdout
    assert (
        "warning: [dns] nameservers: no nameserver answers, so every check will be a temperror: start the nameserver "
        "or repair it, or name another in [dns] nameservers"
    ) in done.stdout
    assert f"warning: [log] to: {tmp_path}/nothing: No such file or directory; the log would go to" in done.stdout


def test_a_start_is_not_tried_where_the_daemon_cannot_run(run, tmp_path, monkeypatch) -> None:
    """Without libmilter; the file itself can be checked."""
    path = tmp_path / "spfmilter.ini"
    path.write_text("")
    monkeypatch.setitem(sys.modules, "spfmilter.daemon.trial", None)
    done = run("config", "check", "--try", "-c", path)
    assert (done.returncode, done.stdout) == (os.EX_CANTCREAT, f"{path}: no problems\n")
    assert done.stderr.startswith("the daemon cannot run here: ")
    assert done.stderr.endswith("See the README on how to install it\n")


@pytest.mark.parametrize("passing", [True, False])
def test_a_secret_that_is_away_for_now_does_not_stop_a_start(*, passing: bool, monkeypatch, tmp_path) -> None:
    """The daemon starts without links, if the disk is full for example."""

    def fail(_: object) -> None:
        raise SecretError("it cannot be made: No space left on device", passing=passing)

    monkeypatch.setattr(trial, "open_signer", fail)
    monkeypatch.setattr(os, "access", lambda *_: False)  # the folder cannot be written to
    text = f"[reply]\nhelp_url = https://mx.example.net/{{token}}\n[web]\nsecret_file = {tmp_path}/secret\n"
    (finding,) = trial._secrets(parse(text))
    assert (finding.outcome, finding.detail) == (
        "warning" if passing else "problem",
        "it cannot be made: No space left on device",
    )


@pytest.mark.outside
@pytest.mark.parametrize(
    "command",
    [
        ["config", "check"],
        ["config", "show"],
        ["attach"],
        ["check", *MESSAGE, "alice@example.com"],
        ["config", "check", "--try"],
    ],
    ids=" ".join,
)
def test_no_color_is_honoured(run, write, command) -> None:
    path = write(f"[milter]\nsocket = inet:{free_port()}@127.0.0.1\n")
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    done = run(*command, "-c", path, NO_COLOR="1", **terminal)
    assert "\x1b" not in done.stdout + done.stderr
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    shown = run(*command, "-c", path, NO_COLOR="", **terminal).stdout
    assert (colour.search(shown) is not None) == (command[0] == "check"), "an empty variable is none (no-color.org)"
