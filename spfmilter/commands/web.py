"""``spfmilter web``: the help page for refused senders, in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from spfmilter.commands.console import EX_CANTCREAT, EX_UNAVAILABLE, settings_from
from spfmilter.daemon.notify import cannot_start
from spfmilter.packages import how_to_install


def web(path: Path) -> None:
    """Serve the page until it is stopped. Exit with 69 if its packages are missing, with 73 if it cannot start."""
    settings = settings_from(path, tell=cannot_start)
    try:
        from spfmilter.web import server  # noqa: PLC0415 - its packages are an extra
    except ModuleNotFoundError as error:
        reason = f"the package {error.name} is missing: {how_to_install('web', error.name or 'its package')}"
        click.echo(reason, err=True)
        cannot_start(reason)
        sys.exit(EX_UNAVAILABLE)
    try:
        server.serve(settings)
    except server.PageStartError as error:
        cannot_start(str(error))
        sys.exit(EX_CANTCREAT)
