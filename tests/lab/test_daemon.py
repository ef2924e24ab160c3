"""The lab's way to run the daemon, tried with a stand-in that speaks sd_notify and nothing else."""

import signal
import sys

import pytest

from lab.daemon import SpfmilterDaemon
from lab.processes import group_members

STAND_IN = """
import os, signal, socket, subprocess, sys

def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])

behaviour = open(sys.argv[1]).read().strip()
print("settings:", behaviour, file=sys.stderr, flush=True)
if behaviour == "bad":
    sys.exit(78)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
if behaviour != "silent":
    notify("STATUS=hello\\nREADY=1")
child = [sys.executable, "-c", "import signal; signal.pause()"]
worker = None if behaviour == "alone" else subprocess.Popen(child)
if worker:
    print("worker", worker.pid, file=sys.stderr, flush=True)
while signal.sigwait({signal.SIGTERM, signal.SIGHUP}) == signal.SIGHUP:
    notify("RELOADING=1")
    print("again:", open(sys.argv[1]).read(), file=sys.stderr, flush=True)
    notify("READY=1")
if worker and behaviour != "careless":
    worker.kill()
    worker.wait()
print("bye", file=sys.stderr)
"""


def daemon(ini: str, start_timeout: float = 10.0) -> SpfmilterDaemon:
    return SpfmilterDaemon(ini, command=(sys.executable, "-c", STAND_IN, "{ini}"), start_timeout=start_timeout)


def test_it_starts_reads_its_ini_file_and_ends_cleanly() -> None:
    with daemon("alone") as running:
        assert running.process.poll() is None
        assert running.notifications() == ["STATUS=hello\nREADY=1"]
        assert "settings: alone" in running.log()
    assert running.process.returncode == 0
    assert running.log().endswith("bye\n"), "the log is kept after the end"
    assert not running.folder.exists()


def test_an_early_end_is_reported_with_its_output() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)ended with 78.*settings: bad"), daemon("bad"):
        pass


def test_a_daemon_that_is_never_ready_is_ended_at_the_deadline() -> None:
    silent = daemon("silent", start_timeout=1.0)
    with pytest.raises(TimeoutError, match=r"READY=1"):
        silent.start()
    assert silent.process.returncode == -signal.SIGKILL
    assert not group_members(silent.process.pid)


def test_a_reload_is_awaited_by_its_second_ready() -> None:
    with daemon("alone") as running:
        running.rewrite("other settings")
        running.signal(signal.SIGHUP)
        assert running.wait_for_notification("READY=1", count=2) == "READY=1"
        assert running.wait_for_log(r"again: (.*)")[1] == "other settings"


def test_waiting_for_a_line_ends_with_the_daemon() -> None:
    with daemon("alone") as running:
        running.signal(signal.SIGTERM)
        with pytest.raises(RuntimeError, match=r"(?s)ended with 0.*bye"):
            running.wait_for_log("never said", timeout=10)


def test_a_worker_left_behind_is_an_error_and_is_killed() -> None:
    with pytest.raises(RuntimeError, match=r"left the processes"), daemon("careless") as running:
        running.wait_for_log(r"worker \d+")
    assert not group_members(running.process.pid)


def test_kill_takes_the_workers_too_and_it_can_be_started_again() -> None:
    with daemon("with a worker") as running:
        worker = int(running.wait_for_log(r"worker (\d+)")[1])
        first = running.process.pid
        assert worker in group_members(first)
        running.kill()
        assert not group_members(first)
        running.start()
        assert running.process.pid != first
