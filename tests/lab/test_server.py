"""What every private server does: it starts and ends whole, says why it could not, and does not outlive its tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.processes import group_members, until
from lab.server import Server

ROOT = Path(__file__).parents[2]
# Says a word, starts a child, and goes on forever; or ends with 7 after many lines.
SCRIPTS = {
    "serves": "echo ready; sleep 1000 & wait",
    "hangs": "echo waiting; sleep 1000 & wait",
    "fails": "seq 1000; echo no such option; exit 7",
}
KILLED = """
import sys
from tests.lab.test_server import Script
server = Script("serves").start()
print(server.pid, flush=True)
sys.stdin.read()
"""


class Script(Server):
    """A server that is a shell script."""

    start_timeout = 5.0

    def __init__(self, script: str) -> None:
        super().__init__("script")
        self.script = SCRIPTS[script]

    def command_line(self) -> list[str]:
        """Run it with a shell."""
        return ["sh", "-c", self.script]

    def is_ready(self) -> bool:
        """Return whether it has said so."""
        return "ready" in self.log()


def test_it_ends_with_its_children_and_its_folder_and_can_be_started_again() -> None:
    server = Script("serves")
    for _ in range(2):
        with server:
            group = server.pid
            until(lambda: len(server.processes()) == 2, 5, "the script has a child")
        assert not group_members(group)
        assert not server.folder.exists()
        assert server.log() == "ready\n"


def test_a_failed_start_shows_the_end_of_the_log_and_leaves_nothing() -> None:
    server = Script("fails")
    with pytest.raises(RuntimeError, match=r"script ended with 7:\n802\n(.*\n)*no such option$"):
        server.start()
    assert not server.folder.exists()


def test_one_that_is_never_ready_is_killed_at_the_deadline() -> None:
    server = Script("hangs")
    server.start_timeout = 0.5
    with pytest.raises(TimeoutError, match=r"not within 0\.5 s: script is ready:\nwaiting$"):
        server.start()
    assert not group_members(server.pid)
    assert not server.folder.exists()


def test_an_interrupt_while_it_starts_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Server) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Script, "is_ready", interrupt)
    server = Script("serves")
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert not group_members(server.pid)


def test_one_that_is_never_started_leaves_no_folder() -> None:
    folder = Script("serves").folder
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_the_tests_that_started_it(tmp_path: Path, number: signal.Signals) -> None:
    """No `finally` of theirs is run, and its folder stays."""
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, "-c", KILLED], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as tests:
        assert tests.stdout is not None
        group = int(tests.stdout.readline())
        try:
            assert group_members(group)
            tests.send_signal(number)
            tests.wait(120)
            until(lambda: not group_members(group), 10, "the server is gone")
        finally:
            if group_members(group):
                os.killpg(group, signal.SIGKILL)
