"""``spfmilter attach`` and ``detach`` where the MTA is Sendmail: its sendmail.cf, and what is to be done by hand."""

import json
import os
import tempfile
from pathlib import Path

import pytest

from lab import sendmail as lab_sendmail
from lab.processes import free_port
from spfmilter import units
from spfmilter.commands import mta as attaching
from spfmilter.commands import sendmail, sendmailcf
from spfmilter.commands.settingchange import SettingChange
from spfmilter.settings import Settings, parse
from tests.lab.recording_milter import RecordingMilter

THEN = "# Then build sendmail.cf, and restart Sendmail."


def settings(socket: str = "inet:8890@127.0.0.1", timeout: str = "20s") -> Settings:
    return parse(f"[milter]\nsocket = {socket}\n[dns]\ntimeout = {timeout}\n")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            "Xspfmilter, S=inet:8890@127.0.0.1, F=T, T=C:30s;S:30s",
            ("spfmilter", "inet:8890@127.0.0.1", "defers", True, "10s"),
        ),
        ("Xother,S=local:/run/o.sock", ("other", "local:/run/o.sock", "takes", False, "10s")),
        ("Xother, S=local:/o, T=S:1s; R:2m;E:1m, F=T", ("other", "local:/o", "defers", False, "2m")),
        ("Xother, T=R:40, S=local:/o", ("other", "local:/o", "takes", False, "40")),
    ],
)
def test_the_filters_of_a_sendmail_cf(line, found) -> None:
    name, socket, does, asked, answer = found
    [one] = sendmailcf.filters(f"# X, S=\n{line}\nO InputMailFilters=spfmilter, opendkim\nDnMAILER-DAEMON\n")
    assert (one.name, one.socket, one.asked, one.answer) == (name, socket, asked, answer)
    assert does in one.effect


@pytest.mark.parametrize(
    ("socket", "timeout", "line"),
    [
        ("inet:8890@127.0.0.1", "20s", "S=inet:8890@127.0.0.1, F=T, T=C:30s;S:30s;R:30s;E:1m"),
        ("inet:8890@0.0.0.0", "20s", "S=inet:8890@127.0.0.1, F=T, T=C:30s;S:30s;R:30s;E:1m"),
        ("inet6:8890@::1", "1500ms", "S=inet6:8890@::1, F=T, T=C:30s;S:30s;R:12s;E:1m"),
        ("unix:/run/a.sock", "60s", "S=unix:/run/a.sock, F=T, T=C:30s;S:30s;R:70s;E:1m"),
    ],
)
def test_sendmail(socket, timeout, line) -> None:
    assert attaching.sendmail_line(settings(socket, timeout)) == f"INPUT_MAIL_FILTER(`spfmilter', `{line}')dnl"


ATTACHED = "S=inet:8890@127.0.0.1, F=T, T=C:30s;S:30s;R:30s;E:1m"
LINE, ORDER = "INPUT_MAIL_FILTER(`spfmilter')", "confINPUT_MAIL_FILTERS"


@pytest.mark.parametrize(
    ("filters", "asked", "attach", "detach"),
    [
        ("", "", (LINE, "", ATTACHED), None),
        (f"Xspfmilter, {ATTACHED}", "spfmilter", None, (LINE, ATTACHED, None)),
        ("Xspfmilter,S=inet:1@::1, F=T", "spfmilter", (LINE, "S=inet:1@::1, F=T", ATTACHED), ...),
        ("Xspfmilter, S=inet:8890@127.0.0.1", "spfmilter", (LINE, "S=inet:8890@127.0.0.1", ATTACHED), ...),
        (
            f"Xdkim, S=local:/d\nXspfmilter, {ATTACHED}",
            "dkim",
            ("confINPUT_MAIL_FILTERS", "dkim", "spfmilter, dkim"),
            ...,
        ),
    ],
)
def test_what_is_to_be_changed_in_sendmail_mc(tmp_path, filters, asked, attach, detach) -> None:
    cf = tmp_path / "sendmail.cf"
    cf.write_text(f"{filters}\nO InputMailFilters={asked}\n")
    config = sendmailcf.read(cf)

    def changes(found: list[SettingChange]) -> list[tuple[str, str, str | None]]:
        assert all(change.file == "sendmail.mc" for change in found)
        return [(change.setting, change.before, change.after) for change in found]

    assert changes(sendmail.changes_to_attach(settings(), config)) == ([attach] if attach else [])
    if detach is not ...:
        assert changes(sendmail.changes_to_detach(config)) == ([detach] if detach else [])
    assert sendmail.changes_to_attach(settings(), None) == sendmail.changes_to_detach(None) == []


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
def test_programs_read_what_is_to_be_done_by_hand(run, write, tmp_path) -> None:
    cf = tmp_path / "sendmail.cf"
    cf.write_text("Xspfmilter, S=inet:8895@127.0.0.1\nO InputMailFilters=spfmilter\n")
    change = {"file": "sendmail.mc", "setting": LINE, "before": "S=inet:8895@127.0.0.1", "after": ATTACHED}
    options = ("--json", "-c", write(), "--sendmail-config", cf)
    shown = json.loads(run("attach", *options).stdout)
    assert (shown["by_hand"], shown["changes"], shown["changed"]) == ([change], [], False)
    shown = json.loads(run("detach", *options).stdout)
    assert (shown["by_hand"], shown["changes"], shown["changed"]) == ([{**change, "after": None}], [], False)


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Xspfmilter, S=inet:8890@127.0.0.1, F=T, T=R:30s", ""),
        ("Xspfmilter, S=inet:8890@127.0.0.1, F=T, T=S:1m;R:21s;E:1m", ""),
        ("Xspfmilter, S=inet:8895@127.0.0.1, F=T", ", in place of the line with S=inet:8895@127.0.0.1"),
        (
            "Xspfmilter, S=inet:8890@127.0.0.1, F=T",
            ", in place of the line that has it: Sendmail waits 10s for an answer, which is too short",
        ),
        (
            "Xspfmilter, S=inet:8890@127.0.0.1, F=T, T=R:20s",
            ", in place of the line that has it: Sendmail waits 20s for an answer, which is too short",
        ),
        ("Xother, S=inet:8895@127.0.0.1", ""),
    ],
)
def test_sendmail_is_looked_at_and_postfix_is_not_mentioned(run, write, tmp_path, line, said) -> None:
    cf = tmp_path / "sendmail.cf"
    cf.write_text(f"{line}\nO InputMailFilters=spfmilter\n")
    shown = run("attach", "-c", write(), "--sendmail-config", cf).stdout.splitlines()
    if said or "Xother" in line:
        assert shown == [f"# Sendmail, in sendmail.mc{said}:", attaching.sendmail_line(settings()), THEN]
    else:
        assert shown == ["# Sendmail is attached already: there is nothing to change."]


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
def test_a_makefile_beside_sendmail_mc_builds_it(run, write, tmp_path) -> None:
    cf = tmp_path / "sendmail.cf"
    cf.write_text("Xspfmilter, S=inet:8895@127.0.0.1, F=T\n")
    (tmp_path / "Makefile").touch()
    for command in ("attach", "detach"):
        shown = run(command, "-c", write(), "--sendmail-config", cf).stdout.splitlines()
        assert shown[-1] == f"# Then: make -C {tmp_path} && systemctl restart sendmail"


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
def test_a_filter_that_is_away_is_said(run, write, tmp_path) -> None:
    cf = tmp_path / "sendmail.cf"
    away = free_port()
    cf.write_text(f"Xdkim, S=inet:{away}@127.0.0.1, F=R\nO InputMailFilters=spfmilter, dkim\n")
    done = run("attach", "-c", write(), "--sendmail-config", cf)
    assert f"warning: sendmail.cf, Xdkim: inet:{away}@127.0.0.1: Connection refused. Sendmail refuses" in done.stderr


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
def test_a_changed_socket_is_said_with_what_sendmail_does_meanwhile_and_whether_the_daemon_has_it(
    run, write, tmp_path
) -> None:
    cf = tmp_path / "sendmail.cf"
    former = free_port()
    trust = "O DontBlameSendmail=TrustStickyBit"  # pytest's folders are below /tmp
    cf.write_text(f"Xspfmilter, S=inet:{former}@127.0.0.1, F=T\nO InputMailFilters=spfmilter\n{trust}\n")
    options = ("-c", write(f"[milter]\nsocket = unix:{tmp_path}/new\n"), "--sendmail-config", cf)
    defers = (
        f"warning: sendmail.cf, Xspfmilter: inet:{former}@127.0.0.1: Connection refused. Sendmail defers every message "
        f"(451) meanwhile. Fix: replace its line in sendmail.mc: [milter] socket is unix:{tmp_path}/new"
    )
    early = f"warning: unix:{tmp_path}/new: No such file or directory. Before Sendmail has the line: see whether the "
    done = run("attach", *options)
    assert done.returncode == 0
    assert f"in place of the line with S=inet:{former}@127.0.0.1" in done.stdout
    first, second = done.stderr.splitlines()
    assert first == defers
    assert second.startswith(early)
    assert json.loads(run("attach", "--json", *options).stdout)["notes"] == [second.removeprefix("warning: ")]
    with RecordingMilter(tmp_path / "new"):
        assert run("attach", *options).stderr.splitlines() == [defers]


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
def test_a_sendmail_that_has_not_read_its_sendmail_cf_is_said(run, write, tmp_path) -> None:
    cf, pid = tmp_path / "sendmail.cf", tmp_path / "pid"
    attached = f"Xspfmilter, S=inet:8890@127.0.0.1, F=T, T=R:30s\nO InputMailFilters=spfmilter\nO PidFile={pid}\n"
    stale = "# Sendmail was started before sendmail.cf was built, and works with its former settings. Run: systemctl "

    def shown(command: str, text: str, running: str, *, built: int) -> str:
        cf.write_text(text)
        pid.write_text(running)
        os.utime(pid, (1_000_000_000, 1_000_000_000))
        os.utime(cf, (1_000_000_000 + built, 1_000_000_000 + built))
        return str(run(command, "-c", write(), "--sendmail-config", cf).stdout)

    here = f"{os.getpid()}\n/usr/sbin/sendmail -bd\n"
    assert shown("attach", attached, here, built=1).startswith(stale)
    assert shown("attach", attached, here, built=-1) == "# Sendmail is attached already: there is nothing to change.\n"
    assert "attached already" in shown("attach", attached, "0\n", built=1), "no Sendmail is running"
    assert "attached already" in shown("attach", attached, "?\n", built=1)
    gone = f"O PidFile={pid}\n"
    assert shown("detach", gone, here, built=1).startswith(stale)
    assert shown("detach", gone, here, built=-1) == "# Sendmail is detached already: there is nothing to change.\n"
    taken = shown("detach", attached, here, built=1).splitlines()
    assert taken == ["# Sendmail: take the line INPUT_MAIL_FILTER(`spfmilter', ...) out of sendmail.mc.", THEN]


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
@pytest.mark.parametrize(
    ("mode", "trusted", "who"),
    [
        (0o755, "", ""),
        (0o2750, "", ""),
        (0o775, "", "its group"),
        (0o775, "GroupWritableDirPathSafe", ""),
        (0o777, "GroupWritableDirPathSafe", "all users"),
        (0o1777, "", "all users"),
        (0o1777, ",AssumeSafeChown,TrustStickyBit", ""),
        (0o777, "TrustStickyBit", "all users"),
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that is not below /tmp")
def test_a_folder_that_sendmail_takes_for_unsafe_is_said(run, write, mode, trusted, who) -> None:
    """As Debian's Sendmail 8.17 did. In a folder below /, since Sendmail would not trust /tmp either."""
    with tempfile.TemporaryDirectory(dir="/var/lib") as top, RecordingMilter(Path(top) / "socket"):
        cf, address = Path(top) / "sendmail.cf", f"unix:{top}/socket"
        Path(top).chmod(mode)
        said = f"Sendmail takes it for unsafe, because {who} may write to {top} (root:root, mode {mode:04o})"
        options = ("-c", write(f"[milter]\nsocket = {address}\n"), "--sendmail-config", cf)
        cf.write_text(f"O InputMailFilters=spfmilter\nO DontBlameSendmail={trusted}\n")
        elsewhere = "let it be in a folder of its own, such as /run/spfmilter"
        fix = elsewhere if mode & 0o1000 else f"chmod go-w {top}"
        before = run("attach", *options).stderr
        assert before == (who and f"warning: {address}: {said}. Before Sendmail has the line: {fix}\n")
        cf.write_text(f"{cf.read_text()}Xspfmilter, S={address}, F=T, T=R:30s\n")
        attached = run("attach", *options).stderr
        defers = "Sendmail defers every message (451) meanwhile"
        assert attached == (who and f"warning: sendmail.cf, Xspfmilter: {address}: {said}. {defers}. Fix: {fix}\n")


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
@pytest.mark.parametrize("command", ["attach", "detach"])
def test_a_sendmail_cf_that_is_named_must_be_there(run, write, command) -> None:
    done = run(command, "-c", write(), "--sendmail-config", "/nonexistent/mail.cf")
    assert (done.returncode, done.stdout) == (os.EX_UNAVAILABLE, "")
    assert done.stderr == "--sendmail-config /nonexistent/mail.cf: No such file or directory\n"


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
def test_without_an_mta_nothing_can_be_detached(run, write) -> None:
    shown = run("detach", "-c", write()).stdout
    assert shown == "# There is neither a Postfix here (no postconf in the PATH) nor /nonexistent/sendmail.cf.\n"


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
def test_a_socket_of_systemds_has_no_line_for_sendmail(run, write, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(units, "_ROOTS", [tmp_path])
    done = run("attach", "-c", write("[milter]\nsocket = systemd\n"))
    assert (done.returncode, done.stdout) == (os.EX_UNAVAILABLE, "")
    assert "spfmilter.socket is not installed" in done.stderr


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
def test_a_filter_that_sendmail_does_not_ask_is_said_if_it_is_ours_and_not_tried(run, write, tmp_path) -> None:
    cf = tmp_path / "sendmail.cf"
    away = free_port()
    line = "Xspfmilter, S=inet:8890@127.0.0.1, F=T, T=R:30s"
    cf.write_text(f"{line}\nXdkim, S=inet:{away}@127.0.0.1\nO InputMailFilters=other\n")
    done = run("attach", "-c", write(), "--sendmail-config", cf)
    assert (
        "# Sendmail, in sendmail.mc, where InputMailFilters leaves spfmilter out, so mail is not checked:"
        in done.stdout
    )
    assert "Xdkim" not in done.stderr


@pytest.mark.outside
@pytest.mark.skipif(bool(lab_sendmail.unavailable()), reason=lab_sendmail.unavailable() or "available")
@pytest.mark.usefixtures("no_postfix")
def test_the_printed_line_is_found_in_the_sendmail_cf_that_is_built_from_it(run, write, tmp_path) -> None:
    with RecordingMilter(tmp_path / "socket"):
        path = write(f"[milter]\nsocket = unix:{tmp_path}/socket\n")
        line = run("attach", "-c", path).stdout.splitlines()[-1]
        trust = "define(`confDONT_BLAME_SENDMAIL', `TrustStickyBit')dnl"  # pytest's folders are below /tmp
        server = lab_sendmail.Sendmail(mc=f"{trust}\n{line}")
        try:
            cf = ["--sendmail-config", server.folder / "sendmail.cf"]
            attached = run("attach", "-c", path, *cf)
            assert attached.stdout.splitlines()[-1] == "# Sendmail is attached already: there is nothing to change."
            assert attached.stderr == ""
            moved = run("attach", "-c", write(), *cf)
            assert f"in place of the line with S=unix:{tmp_path}/socket" in moved.stdout
        finally:
            server.stop()
