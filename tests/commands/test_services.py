"""Why a service does not start, for the line `Status:` of systemctl status (sd_notify(3))."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lab.datagrams import Datagrams
from lab.processes import until
from spfmilter.daemon.notify import notify

pytestmark = pytest.mark.outside


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Datagrams]:
    with closing(Datagrams(tmp_path / "notify")) as datagrams:
        yield datagrams


def said(manager: Datagrams) -> list[str]:
    """All that it was told; it has been told something."""
    until(manager.received, 10, "the service manager was told something")
    return manager.received()


@pytest.mark.parametrize("service", ["run", "web"])
@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("[policy]\nmode = off\n", ""),
        ("[policy]\nmode = off\n[milter]\nworkers = many\n[dns]\ntimeout = long\n", " (and 2 more)"),
    ],
)
def test_the_first_problem_of_the_ini_file(run, tmp_path, manager, service: str, text: str, more: str) -> None:
    path = tmp_path / "spfmilter.ini"
    path.write_text(text)
    done = run(service, "-c", path, NOTIFY_SOCKET=str(manager.path))
    assert done.returncode == os.EX_CONFIG
    first = next(line for line in done.stderr.splitlines() if "mode" in line)
    assert said(manager) == [f"STATUS=cannot start: {first}{more}"]


def test_a_missing_file_and_a_name_that_would_be_an_assignment(run, tmp_path, manager) -> None:
    done = run("run", "-c", tmp_path / "no\nREADY=1", NOTIFY_SOCKET=str(manager.path))
    assert done.returncode == os.EX_CONFIG
    (told,) = said(manager)
    assert told.startswith(f"STATUS=cannot start: {tmp_path}/no?READY=1: ")
    assert "\n" not in told


@pytest.mark.parametrize(("service", "section"), [("run", "milter"), ("web", "web")])
def test_a_socket_that_cannot_be_opened(run, write, tmp_path, manager, service: str, section: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        key = f"socket = inet:{port}@127.0.0.1" if service == "run" else f"listen = 127.0.0.1:{port}"
        secret = f"\n[web]\nsecret_file = {tmp_path}/secret\n"
        path = write(f"[{section}]\n{key}{secret.replace('[web]', '') if section == 'web' else secret}")
        done = run(service, "-c", path, NOTIFY_SOCKET=str(manager.path))
    assert done.returncode == os.EX_CANTCREAT
    (told,) = said(manager)
    assert told.startswith("STATUS=cannot start: ")
    assert f"another process has port {port}" in told


def test_an_assignment_is_one_line(monkeypatch: pytest.MonkeyPatch, manager: Datagrams) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    notify("STATUS=a\nREADY=1\udcff", f"STATUS={'x' * 5000}")
    first, second = said(manager)[0].splitlines()
    assert first == "STATUS=a?READY=1?"
    assert len(second) < 2000
