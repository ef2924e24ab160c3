"""``spfmilter web``: the help page for refused senders, in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from spfmilter.commands.console import EX_CANTCREAT, EX_UNAVAILABLE, settings_from


def web(path: Path) -> None:
    """Serve the page until it is stopped; exit with 69 where its packages are missing."""
    settings = settings_from(path)
    try:
        from spfmilter.web import server  # noqa: PLC0415 - its packages are an extra
    except ModuleNotFoundError as error:
        click.echo(
            f"there is no package {error.name} here: pip install 'spfmilter[web]' brings what this needs", err=True
        )
        sys.exit(EX_UNAVAILABLE)
    try:
        server.serve(settings)
    except server.PageStartError:
        sys.exit(EX_CANTCREAT)
