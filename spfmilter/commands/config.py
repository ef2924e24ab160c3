"""``spfmilter config``: check or show the INI file."""

from __future__ import annotations

import json
from pathlib import Path

import click

from spfmilter.commands.console import settings_from
from spfmilter.interfaces import has_public_address
from spfmilter.settings import Settings, ini, show, without_effect


def check(path: Path) -> None:
    """Print every problem of the file with its line, and exit with 78 if there is one.

    A setting without effect is no problem, but is printed as well.
    """
    settings = settings_from(path)
    for finding in without_effect(settings, is_public=has_public_address()):
        click.echo(f"{path}: warning: {finding}")
    click.echo(f"{path}: no problems")


def show_effective(path: Path, *, json_output: bool) -> None:
    """Print the effective settings, defaults included, as an INI file or as JSON."""
    settings = settings_from(path)
    if json_output:
        click.echo(json.dumps(_as_json(settings), indent=2))
    else:
        click.echo(show(settings), nl=False)


def _as_json(settings: Settings) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    for name, section in ini.parse(show(settings)).sections.items():
        sections[name] = {key: entry.value for key, entry in section.entries.items()}
    return sections
