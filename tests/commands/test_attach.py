"""``spfmilter attach``: what an MTA has to be told, and telling Postfix really."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from lab import postfix as lab_postfix
from spfmilter.commands import mta as attaching
from spfmilter.commands.mta import AttachError, Postfix
from spfmilter.settings import Settings, parse

QUEUE = "/var/spool/postfix"


def a_postfix(smtpd_milters: str = "", *, chroot: bool = True, command_timeout: str = "30s") -> Postfix:
    return Postfix(smtpd_milters=smtpd_milters, queue_directory=QUEUE, chroot=chroot, command_timeout=command_timeout)


def settings(socket: str = "inet:8890@127.0.0.1", timeout: str = "20s") -> Settings:
    return parse(f"[milter]\nsocket = {socket}\n[dns]\ntimeout = {timeout}\n")


@pytest.mark.parametrize(
    ("socket", "chroot", "postfix"),
    [
        ("inet:8890@127.0.0.1", True, "inet:127.0.0.1:8890"),
        ("inet:8890@0.0.0.0", True, "inet:127.0.0.1:8890"),
        ("inet:8890@192.0.2.1", False, "inet:192.0.2.1:8890"),
        ("inet6:8890@::1", True, "inet:[::1]:8890"),
        ("inet6:8890@::", True, "inet:[::1]:8890"),
        ("inet6:8890@2001:db8::1", True, "inet:[2001:db8::1]:8890"),
        ("unix:/var/spool/postfix/spfmilter/a.sock", True, "unix:spfmilter/a.sock"),
        ("unix:/var/spool/postfix/spfmilter/a.sock", False, "unix:spfmilter/a.sock"),
        ("unix:/run/spfmilter/a.sock", False, "unix:/run/spfmilter/a.sock"),
        ("unix:/var/spool/postfix-out/a.sock", False, "unix:/var/spool/postfix-out/a.sock"),
    ],
)
def test_the_socket_as_postfix_writes_it(socket, chroot, postfix) -> None:
    assert attaching.postfix_socket(settings(socket).milter.socket, a_postfix(chroot=chroot)) == postfix


@pytest.mark.parametrize("path", ["/run/spfmilter/a.sock", "/var/spool/postfix-out/a.sock"])
def test_a_chrooted_smtpd_that_cannot_reach_the_socket_is_reported_with_what_to_write(path) -> None:
    with pytest.raises(
        AttachError, match=r"set \[milter\] socket = unix:/var/spool/postfix/spfmilter/a\.sock, or an inet"
    ):
        attaching.postfix_settings(settings(f"unix:{path}"), a_postfix(chroot=True))


@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        ("", "inet:127.0.0.1:8890"),
        ("inet:127.0.0.1:8890", "inet:127.0.0.1:8890"),
        ("inet:localhost:8890", "inet:localhost:8890"),
        ("inet:127.0.0.1:8891", "inet:127.0.0.1:8890, inet:127.0.0.1:8891"),
        ("unix:a.sock inet:localhost:8891", "inet:127.0.0.1:8890, unix:a.sock, inet:localhost:8891"),
        ("unix:a.sock,inet:127.0.0.1:8890,unix:b.sock", "inet:127.0.0.1:8890, unix:a.sock, unix:b.sock"),
        ("unix:a,inet:localhost:8890 inet:127.0.0.1:8890", "inet:localhost:8890, unix:a"),
        ("$other_milters", "inet:127.0.0.1:8890, $other_milters"),
        (
            "{ unix:a.sock, default_action = accept }, unix:b.sock",
            "inet:127.0.0.1:8890, { unix:a.sock, default_action = accept }, unix:b.sock",
        ),
        (
            "unix:a.sock { inet:127.0.0.1:8890, {command_timeout = 40s} }",
            "{ inet:127.0.0.1:8890, {command_timeout = 40s} }, unix:a.sock",
        ),
    ],
)
def test_other_filters_stay_behind_ours_which_is_not_repeated(present, wanted) -> None:
    assert attaching.postfix_settings(settings(), a_postfix(present)) == {"smtpd_milters": wanted}


@pytest.mark.parametrize("present", ["unix:spf/a.sock", "unix:/var/spool/postfix/spf/a.sock", "local:spf/a.sock"])
def test_a_unix_socket_is_known_however_it_is_written(present) -> None:
    wanted = attaching.postfix_settings(settings(f"unix:{QUEUE}/spf/a.sock"), a_postfix(f"unix:b.sock, {present}"))
    assert wanted == {"smtpd_milters": f"{present}, unix:b.sock"}


@pytest.mark.parametrize(
    ("timeout", "present", "wanted"),
    [
        ("20s", "30s", None),
        ("20s", "30", None),
        ("20s", "29s", "30s"),
        ("20s", "1m", None),
        ("30s", "30s", "40s"),
        ("1500ms", "11s", "12s"),
        ("2m", "2m", "130s"),
        ("2m", "1h", None),
        ("20s", "$something", "30s"),
    ],
)
def test_postfix_waits_longer_than_we_do(timeout, present, wanted) -> None:
    found = attaching.postfix_settings(settings(timeout=timeout), a_postfix(command_timeout=present))
    assert found.get("milter_command_timeout") == wanted


@pytest.mark.parametrize(
    ("master", "level", "chroot"),
    [
        ("smtp inet n - y - - smtpd", "3.6", True),
        ("smtp inet n - n - - smtpd", "3.6", False),
        ("smtp inet n - - - - smtpd", "3.6", False),
        ("smtp inet n - - - - smtpd", "0", True),  # master(5): the default before Postfix 3.0
        ("smtp inet n - n - 1 postscreen\nsmtpd pass - - y - - smtpd", "2", True),
        ("smtp unix - - y - - smtp\nsmtp inet n - n - - smtpd -o a=b", "2", False),
        ("", "0", False),
    ],
)
def test_whether_smtpd_is_chrooted(master, level, chroot) -> None:
    assert attaching.chrooted(master, level) is chroot


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


def test_applying_where_there_is_no_postfix_is_refused() -> None:
    with pytest.raises(AttachError, match="there is no Postfix here"):
        attaching.apply([])


@pytest.fixture
def no_postfix(monkeypatch) -> None:
    monkeypatch.setattr(attaching, "read_postfix", lambda _directory: None)


@pytest.mark.outside
@pytest.mark.parametrize(
    ("socket", "said"),
    [
        ("inet:8890@127.0.0.1", "In its main.cf: smtpd_milters = inet:127.0.0.1:8890"),
        ("unix:/run/a.sock", "could not reach this socket"),
    ],
)
@pytest.mark.usefixtures("no_postfix")
def test_without_a_postfix_sendmails_line_is_printed(write, capsys, socket, said) -> None:
    from spfmilter.cli import cli  # noqa: PLC0415 - as it is for this test alone

    cli.main(["attach", "-c", str(write(f"[milter]\nsocket = {socket}\n"))], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("# Postfix is not installed here. ")
    assert said in lines[0]
    assert lines[1:] == ["# Sendmail, in sendmail.mc:", attaching.sendmail_line(settings(socket))]


# -- with a real Postfix -----------------------------------------------------------------------------------------------

with_postfix = pytest.mark.skipif(bool(lab_postfix.unavailable()), reason=lab_postfix.unavailable() or "available")


@pytest.fixture
def mta() -> Iterator[lab_postfix.Postfix]:
    """A Postfix that is laid out, and does not run."""
    server = lab_postfix.Postfix(chroot=True, smtpd_milters="inet:127.0.0.1:8891")
    yield server
    server.stop()


def postconf(mta: lab_postfix.Postfix, name: str) -> str:
    command = ["/usr/sbin/postconf", "-c", str(mta.folder / "etc"), "-h", name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - our own


@pytest.mark.outside
@with_postfix
def test_what_is_printed_is_what_apply_does(run, write, mta) -> None:
    path, directory = write(), mta.folder / "etc"
    printed = run("attach", "-c", path, "--postfix-config", directory)
    assert printed.stdout.splitlines()[:2] == [
        f"postconf -c {directory} -e 'smtpd_milters = inet:127.0.0.1:8890, inet:127.0.0.1:8891'",
        f"postfix -c {directory} reload",
    ]
    assert printed.stdout.splitlines()[2:] == ["# Sendmail, in sendmail.mc:", attaching.sendmail_line(settings())]
    assert postconf(mta, "smtpd_milters") == "inet:127.0.0.1:8891", "printing changes nothing"

    applied = run("attach", "-c", path, "--postfix-config", directory, "--apply")
    assert (applied.returncode, applied.stderr) == (0, "")
    assert applied.stdout.splitlines() == [
        f"done: postconf -c {directory} -e 'smtpd_milters = inet:127.0.0.1:8890, inet:127.0.0.1:8891'",
        "Postfix is not running; it will read this when it starts.",
    ]
    assert postconf(mta, "smtpd_milters") == "inet:127.0.0.1:8890, inet:127.0.0.1:8891"


@pytest.mark.outside
@with_postfix
def test_applying_reloads_a_running_postfix(run, write, mta) -> None:
    directory = mta.folder / "etc"
    mta.start()
    done = run("attach", "--json", "-c", write(), "--postfix-config", directory, "--apply")
    shown = json.loads(done.stdout)
    assert shown["applied"] is True
    assert shown["postfix"] == {"smtpd_milters": "inet:127.0.0.1:8890, inet:127.0.0.1:8891"}
    assert shown["commands"][-1] == ["postfix", "-c", str(directory), "reload"]
    mta.wait_for_log("reload -- version")


@pytest.mark.outside
@with_postfix
def test_a_chrooted_postfix_that_cannot_reach_the_socket_is_left_alone(run, write, mta) -> None:
    path = write("[milter]\nsocket = unix:/run/spfmilter/a.sock\n")
    done = run("attach", "-c", path, "--postfix-config", mta.folder / "etc", "--apply")
    assert (done.returncode, done.stdout) == (os.EX_UNAVAILABLE, "")
    assert f"set [milter] socket = unix:{mta.queue_directory}/spfmilter/a.sock" in done.stderr
    assert postconf(mta, "smtpd_milters") == "inet:127.0.0.1:8891"


@pytest.mark.outside
@with_postfix
def test_a_directory_without_a_postfix_configuration_is_reported(run, write, tmp_path) -> None:
    done = run("attach", "-c", write(), "--postfix-config", tmp_path / "none")
    assert done.returncode == os.EX_UNAVAILABLE
    assert "postconf" in done.stderr
