"""``spfmilter status``: is the daemon healthy? Exits as monitoring plugins do: 0, 1, 2, or 3 if it is unknown."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from spfmilter.health import output
from spfmilter.health.parts import NAMES, Level

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.CRITICAL: "red", Level.UNKNOWN: "magenta"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The options of the command."""

    only: Sequence[str] = ()  # parts; empty: all
    without: Sequence[str] = ()
    timeout: float = 5.0  # seconds for all together
    quiet: bool = False
    json_output: bool = False


def status(path: Path, wanted: Wanted) -> None:
    """Print how each part of the daemon stands, and exit with the level of the worst.

    Args:
        path: the INI file with which the daemon was started.
        wanted: which parts to look at, for how long, and how to print them.
    """
    from spfmilter.health import probes  # noqa: PLC0415 - they load the DNS, which takes its time

    names = [name for name in wanted.only or NAMES if name not in wanted.without]
    parts = probes.look(path, names, wanted.timeout)
    try:
        if wanted.json_output and not wanted.quiet:
            click.echo(output.as_json(parts, time.time()))
        elif not wanted.quiet:
            for line, level in output.plugin_text(parts):
                click.echo(_coloured(line, level))
    except BrokenPipeError:  # the reader wanted the first line only; the exit status is for another
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - as in ``console``
    sys.exit(output.level_of(parts).value)


def _coloured(line: str, level: Level | None) -> str:
    """Return a line with its level in colour, at a terminal and without NO_COLOR."""
    if level is None or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return line
    return click.style(line[: len(level.word)], fg=_COLOURS[level]) + line[len(level.word) :]
