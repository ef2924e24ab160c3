"""`spfmilter status` beside a real daemon: healthy, and in each of the ways in which it can be ill.

It must say what is the case, and end within its time. Mail is answered meanwhile.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from lab import redis as lab_redis
from lab import users
from lab.daemon import SpfmilterDaemon
from lab.milterclient import MilterClient
from lab.processes import free_port, patience, until
from lab.redis import Redis
from lab.users import NOBODY, as_user
from spfmilter.daemon.statusfile import name_for
from tests.survival.site import (
    CLIENT,
    FAIL,
    NameServer,
    ask,
    frozen,
    inet_socket,
    ini,
    wait_for_workers,
    workers,
)
from tests.survival.test_full_disk import Runtime
from tests.survival.test_reload import reload

OK, WARNING, CRITICAL, UNKNOWN = range(4)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user, or mount")


class Answer:
    """What the command has said."""

    def __init__(self, done: subprocess.CompletedProcess[str], seconds: float) -> None:
        """Read its JSON."""
        assert done.stderr == ""
        self.status, self.seconds = done.returncode, seconds
        self.whole: dict[str, Any] = json.loads(done.stdout)
        self.parts: dict[str, dict[str, Any]] = {part["name"]: part for part in self.whole["parts"]}

    def levels(self, *names: str) -> list[str]:
        """The levels of some parts."""
        return [self.parts[name]["status"] for name in names]

    def text(self, name: str) -> str:
        """The text of a part."""
        return str(self.parts[name]["text"])

    def __repr__(self) -> str:
        return "\n".join(f"{part['status']} {name}: {part['text']}" for name, part in self.parts.items())


def command(path: Path, *options: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "spfmilter", "status", "-c", str(path), *options]


def status(
    daemon: SpfmilterDaemon | Path, *options: str, runtime: Path | None = None, prefix: tuple[str, ...] = ()
) -> Answer:
    """The answer of `spfmilter status --json` about a daemon, or about an INI file that no daemon has."""
    path = daemon.ini_path if isinstance(daemon, SpfmilterDaemon) else daemon
    environment = {**os.environ, "RUNTIME_DIRECTORY": str(runtime or path.parent), "TMPDIR": "/nonexistent"}
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own command
        [*prefix, *command(path, "--json", "--timeout", str(min(600.0, 5 * patience())), *options)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * patience(),
    )
    return Answer(done, time.monotonic() - began)


def awaited(daemon: SpfmilterDaemon | Path, as_wanted: Callable[[Answer], bool], *options: str) -> Answer:
    """The first answer that is as wanted.

    How long an answer takes, Python's start included, depends on what else the machine does at that moment. So a limit
    on it is for the best of some answers.
    """
    last: list[Answer] = []

    def asked() -> Answer | None:
        last[:] = [status(daemon, *options)]
        return last[0] if as_wanted(last[0]) else None

    return until(asked, 30, lambda: f"the awaited status: {last}, {last[0].seconds:.1f} s")


# What programs may rely on: the keys of each part's data. A change that takes one away needs another FORMAT.
WORKER = ("slot", "pid", "phase", "generation", "seconds", "silent", "sessions", "memory", "restarts", "processor")
CACHE = ("entries", "hits", "misses", "hit_rate")
SCHEMA: dict[str, dict[str, tuple[str, ...]]] = {
    "socket": {"address": (), "seconds": (), "protocol": ()},
    "daemon": dict.fromkeys(("pid", "phase", "life", "seconds", "mode", "status_file", "status_age"), ()),
    "workers": {
        **dict.fromkeys(("serving", "wanted", "generation", "sessions", "memory", "restarts"), ()),
        "workers": WORKER,
    },
    "configuration": dict.fromkeys(
        (
            "file",
            "valid",
            "problems",
            "further_files",
            "variables",
            "list_files",
            "reload_needed",
            "restart_needed",
            "reload",
        ),
        (),
    ),
    "resolver": {"nameservers": ("address", "answers", "seconds", "failure"), "silence": (), "errors": ()},
    "caches": {"answers": CACHE, "verdicts": CACHE},
    "versions": {
        "running": ("spfmilter", "python", "pyspf", "pymilter", "dnspython"),
        "installed": ("spfmilter", "python", "pyspf", "pymilter", "dnspython", "SQLite"),
    },
}


def schema(data: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """The keys of a part's data, and those one level below."""
    first = {key: value[0] if isinstance(value, list) and value else value for key, value in data.items()}
    return {key: tuple(value) if isinstance(value, dict) else () for key, value in first.items()}


# -- health ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["inet", "unix"])
def test_a_healthy_daemon(dns: NameServer, family: str, tmp_path: Path) -> None:
    address = inet_socket() if family == "inet" else f"unix:{tmp_path}/m.sock"
    with SpfmilterDaemon(ini(address, dns.address)) as daemon, MilterClient(address) as mta:
        mta.greet(CLIENT)
        for _ in range(3):
            assert ask(address, FAIL) == "550"
        answer = awaited(
            daemon,
            lambda answer: (
                answer.status == OK
                and answer.parts["workers"]["data"].get("sessions") == 1
                and all(worker["memory"] for worker in answer.parts["workers"]["data"]["workers"])
                and answer.parts["caches"]["data"]["verdicts"]["misses"] > 0
                and answer.seconds < 1 * patience()
            ),
        )
        assert answer.status == OK, answer
        assert list(answer.parts) == ["socket", "daemon", "workers", "configuration", "resolver", "caches", "versions"]
        assert answer.parts["daemon"]["data"]["pid"] == daemon.process.pid
        found = answer.parts["workers"]["data"]
        assert sorted(worker["pid"] for worker in found["workers"]) == workers(daemon)
        assert all(20e6 < worker["memory"] < 200e6 for worker in found["workers"])
        assert sorted(worker["processor"] for worker in found["workers"]) == sorted(os.sched_getaffinity(0))[:2]
        assert answer.parts["socket"]["data"]["address"] == address
        assert (
            answer.parts["caches"]["data"]["verdicts"]["hits"] + answer.parts["caches"]["data"]["verdicts"]["misses"]
            > 0
        )
        assert answer.text("resolver").startswith(f"{dns.address} answers in")
        assert {name: schema(part["data"]) for name, part in answer.parts.items()} == SCHEMA
        assert list(answer.whole) == ["format", "time", "status", "exit_status", "summary", "parts", "performance"]


def test_a_plugin_as_it_stands(dns: NameServer) -> None:
    with SpfmilterDaemon(ini(inet_socket(), dns.address)) as daemon:
        awaited(daemon, lambda answer: answer.status == OK)
        environment = {**os.environ, "RUNTIME_DIRECTORY": str(daemon.folder)}

        def printed(*options: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(  # noqa: S603 - our own command
                command(daemon.ini_path, *options), env=environment, capture_output=True, text=True, check=False
            )

        first, *lines = printed().stdout.splitlines()
        assert first.startswith("SPFMILTER OK - socket answers in ")
        assert " | handshake=0." in first
        assert [line.split()[1] for line in lines if not line.startswith(" ")][:3] == ["socket", "daemon", "workers"]
        assert (printed("--quiet").returncode, printed("-q", "--json").stdout) == (OK, "")
        only = printed("--only", "workers", "--only", "daemon", "--without", "daemon").stdout.splitlines()
        assert only[0].startswith("SPFMILTER OK - 2 of 2 workers serve | workers=2;2:;1:;0 ")


def test_a_socket_from_systemd(dns: NameServer) -> None:
    """The INI file does not tell its address; the daemon does."""
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        SpfmilterDaemon(ini("systemd", dns.address), sockets=[sock]) as daemon,
    ):
        answer = awaited(daemon, lambda answer: answer.status == OK)
        assert answer.parts["socket"]["data"]["address"] == f"inet:{sock.getsockname()[1]}@127.0.0.1"


def test_a_daemon_that_is_stopped_leaves_nothing_behind(dns: NameServer, tmp_path: Path) -> None:
    daemon = SpfmilterDaemon(ini(inet_socket(), dns.address), environment={"RUNTIME_DIRECTORY": str(tmp_path)})
    with daemon:
        assert [path.name for path in tmp_path.glob("status*")] == [name_for(daemon.ini_path)]
    assert list(tmp_path.iterdir()) == []


# -- no daemon ---------------------------------------------------------------------------------------------------------


def test_no_daemon(dns: NameServer, tmp_path: Path) -> None:
    path = tmp_path / "spfmilter.ini"
    path.write_text(ini(inet_socket(), dns.address))
    answer = status(path)
    assert answer.status == CRITICAL
    assert "Connection refused: no process listens there" in answer.text("socket")
    assert f"does not run: there is no status file in {tmp_path}" in answer.text("daemon")
    assert answer.levels("socket", "daemon", "workers", "configuration") == ["critical", "critical", "unknown", "ok"]


@pytest.mark.parametrize("text", [None, "[nonsense]\n"])
def test_no_daemon_and_no_usable_file(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "spfmilter.ini"
    if text is not None:
        path.write_text(text)
    answer = status(path)
    assert answer.status == CRITICAL
    assert answer.levels("socket", "daemon") == ["unknown", "critical"]
    assert ("a restart would fail" if text else "no such file") in answer.text("configuration")


def test_a_daemon_that_was_killed(dns: NameServer) -> None:
    """Its status file and its unix socket are left behind."""
    daemon = SpfmilterDaemon(ini("unix:/tmp/unused", dns.address))
    daemon.rewrite(ini(f"unix:{daemon.folder}/m.sock", dns.address))
    with suppress(RuntimeError), daemon:
        awaited(daemon, lambda answer: answer.status == OK)
        daemon.process.kill()
        daemon.process.wait()
        until(lambda: not daemon.processes(), 20, "the workers have ended")
        answer = status(daemon)
        assert answer.status == CRITICAL
        assert f"process {daemon.process.pid} ended without removing its status file" in answer.text("daemon")
        assert "Connection refused" in answer.text("socket")
        assert answer.levels("workers") == ["unknown"]


@contextmanager
def another_program(answer: bytes) -> Iterator[str]:
    """A server that greets, and never speaks the milter protocol."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pid = os.fork()
        if pid == 0:
            while True:
                connection, _ = listener.accept()
                connection.sendall(answer)
        try:
            yield f"inet:{listener.getsockname()[1]}@127.0.0.1"
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("answer", "text"),
    [(b"220 mx.example.net ESMTP\r\n", "does not speak the milter protocol"), (b"", "no answer within")],
)
def test_something_else_listens_there(dns: NameServer, tmp_path: Path, answer: bytes, text: str) -> None:
    path = tmp_path / "spfmilter.ini"
    with another_program(answer) as address:
        path.write_text(ini(address, dns.address))
        found = awaited(
            path, lambda answer: text in answer.text("socket") and answer.seconds < 3 * patience(), "--timeout", "2"
        )
    assert found.status == CRITICAL
    assert text in found.text("socket")


def test_another_daemon_has_taken_the_unix_socket(dns: NameServer) -> None:
    daemon = SpfmilterDaemon(ini("unix:/tmp/unused", dns.address))
    daemon.rewrite(ini(f"unix:{daemon.folder}/m.sock", dns.address))
    with daemon:
        (daemon.folder / "m.sock").unlink()
        with SpfmilterDaemon(ini(f"unix:{daemon.folder}/m.sock", dns.address)) as other:
            answer = awaited(daemon, lambda answer: answer.levels("workers") == ["ok"])
            assert answer.status == CRITICAL
            assert f"not the daemon's any more: process {other.process.pid} listens" in answer.text("socket")


# -- processes that stop -----------------------------------------------------------------------------------------------


def test_a_worker_that_dies_and_comes_back(dns: NameServer) -> None:
    with SpfmilterDaemon(ini(inet_socket(), dns.address)) as daemon:
        first = wait_for_workers(daemon, 2)[0]
        os.kill(first, signal.SIGKILL)
        answer = awaited(daemon, lambda answer: answer.parts["workers"]["data"].get("restarts") == 1)
        assert answer.status == WARNING, answer
        assert "1 exited unexpectedly, the last" in answer.text("workers")
        assert answer.text("workers").endswith("killed by SIGKILL")
        answer = awaited(daemon, lambda answer: answer.parts["workers"]["data"].get("serving") == 2)
        back = answer.parts["workers"]["data"]
        assert first not in [worker["pid"] for worker in back["workers"]]
        assert sorted(worker["restarts"] for worker in back["workers"]) == [0, 1]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process, with all its threads, for a while."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: frozen(pid), 10, "every thread is stopped")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_worker_that_hangs(dns: NameServer) -> None:
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address)) as daemon:
        hung = wait_for_workers(daemon, 2)[0]
        with stopped(hung):
            answer = status(daemon)
            assert answer.status == WARNING, answer
            assert "1 of 2 serve" in answer.text("workers")
            assert f"process {hung} gives no sign of life" in answer.text("workers")
            assert answer.levels("socket", "daemon") == ["ok", "ok"]
            assert ask(address) == "continue"


def test_all_workers_hang(dns: NameServer) -> None:
    with SpfmilterDaemon(ini(inet_socket(), dns.address)) as daemon:
        first, second = wait_for_workers(daemon, 2)
        with stopped(first), stopped(second):
            answer = awaited(
                daemon,
                lambda answer: (
                    answer.levels("socket", "workers", "daemon") == ["critical", "critical", "ok"]
                    and "no answer within" in answer.text("socket")
                    and answer.seconds < 3 * patience()
                ),
                "--timeout",
                "2",
            )
            assert answer.status == CRITICAL


def test_a_supervisor_that_hangs(dns: NameServer) -> None:
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address)) as daemon:
        awaited(daemon, lambda answer: answer.status == OK)
        with stopped(daemon.process.pid):
            answer = status(daemon)
            assert answer.status == CRITICAL
            assert answer.text("daemon") == f"process {daemon.process.pid} is stopped (SIGSTOP)"
            assert answer.levels("socket") == ["ok"]
            assert ask(address) == "continue", "mail is answered meanwhile"
        awaited(daemon, lambda answer: answer.status == OK)


# -- what a daemon depends on ------------------------------------------------------------------------------------------


def test_a_dead_resolver(dns: NameServer) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{silent.getsockname()[1]}"
        with SpfmilterDaemon(ini(inet_socket(), f"{dns.address}, {dead}")) as daemon:
            answer = awaited(
                daemon,
                lambda answer: (
                    f"{dead} does not answer: timeout" in answer.text("resolver") and answer.seconds < 4 * patience()
                ),
                "--timeout",
                "3",
            )
            assert (answer.status, answer.levels("resolver")) == (WARNING, ["warning"])
        with SpfmilterDaemon(ini(inet_socket(), dead)) as daemon:
            answer = status(daemon, "--timeout", "3")
            assert (answer.status, answer.levels("resolver")) == (CRITICAL, ["critical"])
            assert answer.text("resolver").startswith("no nameserver answers, so mail is not checked")
            assert status(daemon, "--without", "resolver").status == OK


@pytest.mark.skipif(bool(lab_redis.unavailable()), reason=lab_redis.unavailable() or "available")
def test_a_state_server(dns: NameServer) -> None:
    with Redis() as server:
        text = ini(inet_socket(), dns.address, state=f"url = redis://127.0.0.1:{server.port}/0")
        with SpfmilterDaemon(text) as daemon:
            assert awaited(daemon, lambda answer: answer.status == OK).levels("state") == ["ok"]
            server.stop()
            answer = status(daemon)
            assert (answer.status, answer.levels("state")) == (WARNING, ["warning"])
            assert "this host's own memory stands in" in answer.text("state")


def test_the_metrics(dns: NameServer) -> None:
    with SpfmilterDaemon(ini(inet_socket(), dns.address, metrics=f"listen = 127.0.0.1:{free_port()}")) as daemon:
        daemon.wait_for_log("metrics served")
        answer = awaited(daemon, lambda answer: answer.status == OK)
        assert answer.levels("metrics") == ["ok"]


# -- settings ----------------------------------------------------------------------------------------------------------


def test_a_change_that_waits_for_a_reload(dns: NameServer) -> None:
    text = ini(inet_socket(), dns.address)
    with SpfmilterDaemon(text) as daemon:
        daemon.rewrite(text.replace("reject_at = mail", "reject_at = rcpt"))
        answer = status(daemon)
        assert (answer.status, answer.parts["configuration"]["data"]["reload_needed"]) == (WARNING, True)
        reload(daemon, daemon.ini_path.read_text())
        answer = awaited(daemon, lambda answer: answer.status == OK)
        assert "is valid; reloaded" in answer.text("configuration")
        assert answer.parts["workers"]["data"]["generation"] == 1


def test_a_refused_reload(dns: NameServer) -> None:
    """The daemon serves on with the old settings, and the file is judged as it is now."""
    text = ini(inet_socket(), dns.address)
    with SpfmilterDaemon(text) as daemon:
        reload(daemon, f"{text}[nonsense]\n")
        answer = awaited(daemon, lambda answer: "reload refused" in answer.text("configuration"))
        assert answer.status == WARNING
        assert "has problems, and a restart would fail: line" in answer.text("configuration")
        assert answer.levels("socket", "workers") == ["ok", "ok"]
        assert answer.parts["configuration"]["data"]["reload"]["reason"].startswith("1 problem in ")
        daemon.rewrite(text)
        answer = status(daemon)
        assert (answer.status, answer.parts["configuration"]["data"]["reload_needed"]) == (OK, False)


def test_a_change_of_the_socket_that_waits_for_a_restart(dns: NameServer) -> None:
    old, new = inet_socket(), inet_socket()
    with SpfmilterDaemon(ini(old, dns.address)) as daemon:
        reload(daemon, ini(new, dns.address))
        answer = awaited(daemon, lambda answer: "reloaded" in answer.text("configuration"))
        assert answer.status == WARNING
        assert "a restart is needed for [milter] socket" in answer.text("configuration")
        assert answer.parts["socket"]["data"]["address"] == old
        assert answer.levels("socket") == ["ok"]


# -- rights and files --------------------------------------------------------------------------------------------------


@as_root
def test_another_user(dns: NameServer) -> None:
    """They learn what they may: the status file is for all, the INI file and the socket here are not."""
    if reason := users.unavailable():
        pytest.skip(reason)
    nobody = as_user(NOBODY)
    daemon = SpfmilterDaemon(ini("unix:/tmp/unused", dns.address))
    daemon.folder.chmod(0o755)
    daemon.rewrite(ini(f"unix:{daemon.folder}/m.sock", dns.address))
    daemon.ini_path.chmod(0o640)
    with daemon:
        awaited(daemon, lambda answer: answer.status == OK)
        # Their Python may be another one: that of these tests may be where they cannot go.
        answer = status(daemon, "--without", "versions", prefix=nobody)
        assert answer.status == UNKNOWN, answer
        assert answer.levels("socket", "configuration") == ["unknown", "unknown"]
        assert answer.levels("daemon", "workers", "resolver", "caches") == ["ok"] * 4
        assert "Permission denied: user nobody may not connect" in answer.text("socket")
        with stopped(daemon.process.pid):
            next(daemon.folder.glob("status-*")).chmod(0o600)
            denied = status(daemon, "--without", "versions", prefix=nobody)
        assert (denied.status, denied.levels("daemon")) == (UNKNOWN, ["unknown"])
        assert "cannot be read: Permission denied" in denied.text("daemon")


@as_root
def test_a_runtime_folder_that_becomes_full(dns: NameServer, tmp_path: Path) -> None:
    """The file is overwritten in place, so that it stays true. New space ends the warning."""
    address, runtime = inet_socket(), Runtime(tmp_path, "empty")
    with SpfmilterDaemon(ini(address, dns.address), command=runtime.command, environment=runtime.environment) as daemon:
        inside = Path(f"/proc/{daemon.process.pid}/root{tmp_path}")
        until(lambda: list(inside.glob("status-*")), 10, "the status file")
        runtime.fill(daemon)

        def seen() -> Answer:
            return status(daemon, runtime=inside)

        full = until(lambda: a if (a := seen()).levels("daemon") == ["warning"] else None, 20, lambda: repr(seen()))
        assert full.status == WARNING
        assert "its status file cannot be replaced: No space left on device" in full.text("daemon")
        assert full.parts["daemon"]["data"]["status_age"] < 10
        assert ask(address) == "continue"
        runtime.free(daemon)
        until(lambda: seen().status == OK, 20, lambda: repr(seen()))


@as_root
def test_no_folder_for_the_status_file(dns: NameServer, tmp_path: Path) -> None:
    address, runtime = inet_socket(), Runtime(tmp_path, "full")
    environment = {**runtime.environment, "TMPDIR": "/nonexistent"}
    with SpfmilterDaemon(ini(address, dns.address), command=runtime.command, environment=environment) as daemon:
        daemon.wait_for_log('status file cannot be written reason="No space left on device"')
        answer = status(daemon, runtime=Path(f"/proc/{daemon.process.pid}/root{tmp_path}"))
        assert (answer.status, answer.levels("socket", "daemon")) == (WARNING, ["ok", "warning"])
        assert answer.text("daemon").startswith("there is no status file in")
        assert ask(address) == "continue"
        assert daemon.log().count("status file cannot be written") == 1


def test_a_hostile_status_file(dns: NameServer) -> None:
    """A text from there reaches a terminal and the pages of a monitoring system."""
    with SpfmilterDaemon(ini(inet_socket(), dns.address)) as daemon:
        awaited(daemon, lambda answer: answer.status == OK)
        with stopped(daemon.process.pid):
            path = daemon.folder / name_for(daemon.ini_path)
            said = json.loads(path.read_text())
            hostile = "\x1b[2J\r\n|x=1 \u202e<script>"
            said |= {"versions": {hostile: hostile}, "socket": hostile, "mode": hostile, "trouble": hostile}
            said["workers"][0]["phase"] = hostile
            said["workers"][1]["pid"] = 1 << 61
            path.write_text(json.dumps(said))
            done = subprocess.run(  # noqa: S603 - our own command
                command(daemon.ini_path),
                env={**os.environ, "RUNTIME_DIRECTORY": str(daemon.folder)},
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == CRITICAL
        assert all(line.isprintable() for line in done.stdout.splitlines())
        assert done.stdout.count("|") == 1, "the one before the performance data"
