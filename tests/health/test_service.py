"""How the socket and the supervisor stand: from what was found out to level, text and what to do."""

import errno
import os

import pytest

from spfmilter.daemon.life import Life
from spfmilter.health.handshake import Handshake, SilentError
from spfmilter.health.known import IniFile, Known
from spfmilter.health.parts import Level
from spfmilter.health.service import daemon_part, service, socket_part
from spfmilter.settings.sockets import socket_address
from tests.health.snapshots import PID, known, snapshot
from tests.values import settings

OK, WARNING, CRITICAL, UNKNOWN = Level
UNIX = socket_address("unix:/run/spfmilter/spfmilter.sock")
NOTHING = SilentError("Connection refused", errno.ECONNREFUSED)


def shaken(pid: int = 0) -> Handshake:
    return Handshake(seconds=0.002, version=6, pid=pid)


@pytest.mark.parametrize(
    ("answer", "running", "level", "text", "fix"),
    [
        (shaken(), True, OK, "answers in 2 ms (milter protocol 6)", ""),
        (shaken(PID), True, OK, "answers", ""),
        (shaken(99), True, CRITICAL, "not the daemon's any more: process 99 listens there", "stop process 99"),
        (shaken(99), False, OK, "answers", ""),
        (NOTHING, True, CRITICAL, "Connection refused: no process listens there", "systemctl start"),
        (SilentError("No such file or directory", errno.ENOENT), False, CRITICAL, "No such file", "systemctl start"),
        (
            SilentError("Permission denied", errno.EACCES),
            True,
            UNKNOWN,
            "may not connect",
            "runuser -u spfmilter -- ",
        ),
        (SilentError("no answer within 4 s"), True, CRITICAL, "no answer within 4 s", "systemctl restart"),
        (SilentError("no answer within 4 s"), False, CRITICAL, "no answer within 4 s", "stop what listens there"),
        (SilentError("it closed the connection"), False, CRITICAL, "it closed", "stop what listens there"),
    ],
)
def test_the_socket(answer, running: bool, level: Level, text: str, fix: str) -> None:
    part = socket_part(known(snapshot() if running else None), UNIX, answer)
    assert part.level is level
    assert text in part.text
    assert part.fix.startswith(fix) or fix in part.fix
    assert (part.data["seconds"] is not None) == isinstance(answer, Handshake)


def test_a_socket_of_systemd_belongs_to_systemd() -> None:
    assert socket_part(known(snapshot(activated=True)), UNIX, shaken(1)).level is OK


def test_a_pid_of_another_container_proves_nothing() -> None:
    assert socket_part(known(snapshot(), life=Life.UNKNOWN), UNIX, shaken(99)).level is OK


@pytest.mark.parametrize(
    ("ini", "text"),
    [
        (IniFile(settings=settings("[milter]\nsocket = systemd\n")), "systemd has the socket"),
        (IniFile(problems=("line 3: no",)), "neither the INI file nor the daemon tells the socket"),
    ],
)
def test_a_socket_whose_address_is_unknown(ini: IniFile, text: str) -> None:
    parts = list(service(known(ini=ini)))
    assert [part.name for part in parts] == ["socket", "daemon"]
    assert parts[0].level is UNKNOWN
    assert text in parts[0].text


@pytest.mark.parametrize(
    ("seen", "level", "text", "fix"),
    [
        (known(snapshot()), OK, "process 4711 has run for 2 h, mode enforce", ""),
        (known(snapshot(), age=11), WARNING, "hangs or is very busy", "systemctl restart"),
        (known(snapshot(), age=31), CRITICAL, "hangs or is very busy: its status file /run/spfmilter/status.json", ""),
        (known(snapshot(), life=Life.UNKNOWN), OK, "has run for", ""),
        (known(snapshot(), life=Life.UNKNOWN, age=31), CRITICAL, "written 31 s ago", ""),
        (known(snapshot(), life=Life.STOPPED), CRITICAL, "is stopped (SIGSTOP)", "kill -CONT 4711"),
        (known(snapshot(), life=Life.GONE), CRITICAL, "ended without removing its status file", "systemctl start"),
        (known(snapshot(phase="starting")), CRITICAL, "has been starting for 2 h", ""),
        (known(snapshot(phase="stopping")), CRITICAL, "is stopping", ""),
        (known(snapshot(trouble="Permission denied")), WARNING, "cannot be replaced: Permission denied", "make space"),
    ],
)
def test_the_supervisor(seen: Known, level: Level, text: str, fix: str) -> None:
    part = daemon_part(seen, answers=True, full="")
    assert part.level is level
    assert text in part.text
    assert fix in part.fix
    assert part.data["pid"] == PID


def test_a_full_folder_explains_an_old_file() -> None:
    part = daemon_part(known(snapshot(), age=400), answers=True, full="No space left on device")
    assert part.level is WARNING, "mail is checked"
    assert "cannot write how it stands: No space left on device; its status file" in part.text


@pytest.mark.parametrize(
    ("answers", "denied", "level", "text"),
    [
        (True, False, WARNING, "there is no status file"),
        (False, False, CRITICAL, "does not run: there is no status file"),
        (True, True, UNKNOWN, "there is no status file"),
        (False, True, UNKNOWN, "there is no status file"),
    ],
)
def test_without_a_status_file(answers: bool, denied: bool, level: Level, text: str) -> None:
    seen = known(trouble="there is no status file in /run/spfmilter", denied=denied)
    part = daemon_part(seen, answers=answers, full="")
    assert (part.level, part.text.startswith(text), bool(part.fix)) == (level, True, True)


def test_a_running_daemon_tells_its_own_socket(tmp_path) -> None:
    """Not the one that the INI file has since it was changed."""
    path = tmp_path / "none"
    seen = known(snapshot(socket=f"unix:{path}"), ini=IniFile(settings=settings("[milter]\nsocket = unix:/other\n")))
    part, _ = service(seen)
    assert part.data["address"] == f"unix:{path}"
    assert os.strerror(errno.ENOENT) in part.text
