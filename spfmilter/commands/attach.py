"""``spfmilter attach``: print the settings that attach Postfix or Sendmail to this daemon, or apply them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from spfmilter.commands import mta
from spfmilter.commands.console import EX_UNAVAILABLE, settings_from
from spfmilter.settings import Settings


def attach(path: Path, postfix_config: str | None, *, apply: bool, json_output: bool) -> None:
    """Print the settings for the MTAs, and apply those of Postfix on request.

    Exits with 69 if the MTA cannot be attached as configured.

    Args:
        path: the INI file.
        postfix_config: Postfix's configuration directory; None: the default one.
        apply: whether to change Postfix's main.cf and reload Postfix.
        json_output: whether to print JSON.
    """
    settings = settings_from(path)
    try:
        postfix = mta.read_postfix(postfix_config)
        wanted = mta.postfix_settings(settings, postfix) if postfix else {}
        commands = mta.postfix_commands(wanted, postfix_config) if postfix else []
        if apply:
            commands = mta.apply(commands)
    except mta.AttachError as error:
        click.echo(str(error), err=True)
        sys.exit(EX_UNAVAILABLE)
    sendmail = mta.sendmail_line(settings)
    if json_output:
        result: dict[str, Any] = {"postfix": wanted, "commands": commands, "sendmail": sendmail, "applied": apply}
        click.echo(json.dumps(result, indent=2))
        return
    for command in commands:
        click.echo(("done: " if apply else "") + shlex.join(command))
    if apply:
        if commands[-1][-1] != "reload":
            click.echo("Postfix is not running; it will read this when it starts.")
        return
    if not commands:
        click.echo(f"# Postfix is not installed here. {_postfix_elsewhere(settings)}")
    click.echo(f"# Sendmail, in sendmail.mc:\n{sendmail}")


def _postfix_elsewhere(settings: Settings) -> str:
    """Return advice for a Postfix on another host."""
    try:
        wanted = mta.postfix_settings(settings, mta.NO_POSTFIX)
    except mta.AttachError:
        return "One on this host, as Debian sets it up (chrooted), could not reach this socket."
    return "In its main.cf: " + ", ".join(f"{name} = {value}" for name, value in wanted.items())
