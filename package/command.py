"""Run a command, with an error that shows what it said. Does not know what it runs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path


class CommandError(RuntimeError):
    """A command in a root ended with another status than 0; the text has its output."""


def run_command(
    command: Sequence[str | Path],
    *,
    check: bool = True,
    input_: str | None = None,
    timeout: float | None = None,
    shown: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a command, and return what it printed.

    Args:
        command: the program and its arguments.
        check: whether another exit status than 0 raises CommandError.
        input_: the text of its standard input; None: it is empty.
        timeout: in seconds.
        shown: what the error calls the command.
    """
    done = subprocess.run(
        command, input=input_ or "", capture_output=True, text=True, errors="replace", timeout=timeout, check=False
    )
    if check and done.returncode:
        name = " ".join(map(str, shown or command))
        raise CommandError(f"{name}: ended with {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done
