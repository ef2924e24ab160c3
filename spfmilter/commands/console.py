"""What all commands share: exit statuses, reading the settings, and printing for people.

Exit statuses follow sysexits.h. Errors go to standard error, results to standard output.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console, RenderableType

from spfmilter.observe import journal
from spfmilter.settings import DEFAULT_PATH, Settings, SettingsError, load

EX_USAGE, EX_UNAVAILABLE, EX_CANTCREAT, EX_CONFIG = os.EX_USAGE, os.EX_UNAVAILABLE, os.EX_CANTCREAT, os.EX_CONFIG
EX_NOINPUT, EX_NOPERM = os.EX_NOINPUT, os.EX_NOPERM
_ERROR = 3  # the priority (syslog(3))
_STDERR = 2
_UNLIMITED = 100_000  # columns


def settings_from(path: Path, *, tell: Callable[[str], None] = lambda _: None) -> Settings:
    """Return the settings of a file. If they have problems, print all of them and exit with 78.

    Args:
        path: the INI file.
        tell: is told the first problem, in one sentence, and how many more there are.
    """
    try:
        return load(path)
    except SettingsError as error:
        _complain(str(error))
        more = len(error.problems) - 1
        tell(f"{error.source}: {error.problems[0]}" + (f" (and {more} more)" if more else ""))
        sys.exit(EX_CONFIG)


def command_line(command: str, path: Path) -> str:
    """Return what a person types to run a command of spfmilter with the same INI file."""
    return f"spfmilter {command}" + ("" if path == DEFAULT_PATH else f" -c {shlex.quote(str(path))}")


def _complain(text: str) -> None:
    """Print an error, with its priority if it goes to the journal, so that ``journalctl -p err`` shows it.

    If it cannot be written, systemd still sees the exit status.
    """
    try:
        click.echo(journal.with_priority(text, _ERROR) if journal.takes_stream(_STDERR) else text, err=True)
    except OSError:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - Python flushes stderr at exit, and exits with 120 if that fails


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show a spinner, a text and the time that has passed, until the block ends. Print nothing inside the block.

    It is drawn on standard error, and only at a terminal. It needs control sequences, so NO_COLOR hides it.
    """
    at_terminal = sys.stderr is not None and sys.stderr.isatty()
    if not at_terminal or os.environ.get("NO_COLOR") or os.environ.get("TERM") in {None, "", "dumb", "unknown"}:
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - takes its time to load

    columns = SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        progress.add_task(text, total=None)
        yield


def _console() -> Console:
    """Return the terminal. With NO_COLOR set and not empty, it shows no colours and no other styles (no-color.org)."""
    if os.environ.get("NO_COLOR"):
        return Console(highlight=False, color_system=None)
    # rich treats an empty variable as set.
    return Console(highlight=False, no_color=False)


def print_result(shown: RenderableType) -> None:
    """Print for a person. Into a file or a pipe, print without additional line breaks."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no check mark shows a question mark
    console = _console()
    if not console.is_terminal:
        console.width = _UNLIMITED
    console.print(shown, crop=False)
