"""``spfmilter check`` at a terminal shows that it waits for the DNS, and nowhere else."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.processes import HUNG, until
from tests.commands.conftest import MESSAGE

pytestmark = pytest.mark.outside

SHOWN = "asking the DNS"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"  # the cursor


class AtTerminal:
    """A command whose standard error is a terminal, and whose standard output is a pipe."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self._terminal, side = os.openpty()
        os.set_blocking(self._terminal, False)
        self.seen = ""
        names = {"COLUMNS", "FORCE_COLOR", "NO_COLOR"}
        kept = {name: value for name, value in os.environ.items() if name not in names}
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "spfmilter", *arguments],
            env={**kept, "PYTHONUTF8": "1", "TERM": "xterm", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=side,
            text=True,
            # Where pytest runs in the background of a shell, SIGINT is ignored, and its children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - takes no lock
        )
        os.close(side)

    def read(self) -> str:
        """Return all that the terminal has shown."""
        try:
            while more := os.read(self._terminal, 65536):
                self.seen += more.decode()
        except OSError:  # nothing more now, or the command has closed the terminal
            pass
        return self.seen

    def end(self) -> str:
        """Wait for the end, and return the standard output."""
        printed, _ = self.process.communicate(timeout=HUNG)
        self.read()
        os.close(self._terminal)
        return printed


@contextmanager
def at_terminal(path: Path, *arguments: str, **environment: str) -> Iterator[AtTerminal]:
    command = AtTerminal(["check", "-c", str(path), *MESSAGE, *arguments], environment)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.wait()


def untimed(text: str) -> str:
    return re.sub(r"\d+\.\d ms", "N ms", text)


def test_a_terminal_shows_that_it_waits_and_the_result_is_the_same(run, write) -> None:
    path = write()
    with at_terminal(path, "alice@example.com") as command:
        printed = command.end()
    assert SHOWN in command.seen
    assert command.seen.count(HIDE) == command.seen.count(SHOW)
    assert untimed(printed) == untimed(run("check", "-c", path, *MESSAGE, "alice@example.com").stdout)


@pytest.mark.parametrize(
    ("options", "environment"),
    [(["--json"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"}), (["--json"], {"FORCE_COLOR": "1"})],
)
def test_machines_and_plain_terminals_are_not_shown_it(write, options: list[str], environment: dict[str, str]) -> None:
    with at_terminal(write(), "alice@example.com", *options, **environment) as command:
        assert command.end()
    assert command.seen == ""


def test_warnings_are_on_lines_of_their_own(write) -> None:
    with at_terminal(write(), "alice@example.com", "--from", "a@x.example") as command:
        command.end()
    warned = "the From field is not known, and so has no effect, with [policy] reject_at = rcpt\r\n"
    assert re.search(f"[\\nK]{re.escape(warned)}$", command.seen), "it begins where the spinner was erased"


def test_an_interrupted_command_leaves_the_terminal_as_it_was(write) -> None:
    with at_terminal(write(), "alice@silent.example.com") as command:
        until(lambda: SHOWN in command.read(), 60, "the spinner")
        command.process.send_signal(signal.SIGINT)
        command.end()
    assert command.process.returncode != 0
    assert command.seen.count(HIDE) == command.seen.count(SHOW)
