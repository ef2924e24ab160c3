"""``spfmilter config``: check or show the INI file."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spfmilter import ownership, units
from spfmilter.commands import against
from spfmilter.commands.console import EX_CANTCREAT, EX_CONFIG, command_line, settings_from
from spfmilter.interfaces import has_public_address
from spfmilter.settings import Settings, SettingsError, ini, load, show, without_effect

if TYPE_CHECKING:
    from spfmilter.daemon.trial import Finding


def check_against(path: Path, wanted: against.Scope, *, json_output: bool) -> None:
    """Print what the settings of a file would have done to the recorded mail.

    Exit with 78 if the file has problems or names no journal, with 69 if the journal cannot be read, and with 1 if more
    domains would be refused than allowed.
    """
    against.compare(settings_from(path), wanted, json_output=json_output)


def check(path: Path, *, attempt: bool, json_output: bool) -> None:
    """Print every problem of the file with its line, and exit with 78 if there is one.

    A setting without effect is no problem, but is printed as well.

    Args:
        path: the INI file.
        attempt: whether to try the daemon's start as well; exit with 73 if it could not start.
        json_output: whether to print JSON.
    """
    if not json_output:
        settings = settings_from(path)
        for idle in without_effect(settings, is_public=has_public_address()):
            click.echo(f"{idle.file or path}: warning: {idle}")
        click.echo(f"{path}{_with_variables(settings)}: no problems")
        found = _printed(_tried(settings, path)) if attempt else []
    else:
        problems, warnings, found, variables = [], [], [], []
        try:
            settings = load(path)
            variables = list(settings.variables)
            warnings = [
                f"{idle.file}: {idle}" if idle.file else str(idle)
                for idle in without_effect(settings, is_public=has_public_address())
            ]
            found = list(_tried(settings, path)) if attempt else []
        except SettingsError as error:
            problems = [{**dataclasses.asdict(each), "file": error.file_of(each)} for each in error.problems]
        result = {
            "file": str(path),
            "variables": variables,
            "problems": problems,
            "warnings": warnings,
            "tried": [dataclasses.asdict(finding) for finding in found] if attempt else None,
            "tried_as": ownership.user() if attempt else None,
        }
        click.echo(json.dumps(result, indent=2))
        if problems:
            sys.exit(EX_CONFIG)
    if any(finding.outcome == "problem" for finding in found):
        sys.exit(EX_CANTCREAT)


def _with_variables(settings: Settings) -> str:
    """Return how many environment variables set something; empty: none does."""
    number = len(settings.variables)
    return f" and {number} environment {'variable' if number == 1 else 'variables'}" if number else ""


def _tried(settings: Settings, path: Path) -> Iterator[Finding]:
    """Yield the findings of a start with these settings, step by step, or that a package for it is missing."""
    try:
        from spfmilter.daemon.trial import attempt  # noqa: PLC0415 - it needs libmilter, as the daemon does
    except ImportError as error:
        click.echo(f"the daemon cannot run here: {error}. See the README on how to install it", err=True)
        sys.exit(EX_CANTCREAT)
    click.echo(f"tried with the rights of user {ownership.user()}{_as_the_daemon(path)}", err=True)
    yield from attempt(settings)


def _as_the_daemon(path: Path) -> str:
    """Return how root tries it as the daemon's user; empty if this is that user."""
    daemon = units.daemon_user()
    if ownership.user() == daemon:
        return ""
    again = ownership.as_user(daemon, command_line("config check --try", path))
    return f", who is not the daemon's. As root: {again}"


def _printed(findings: Iterable[Finding]) -> list[Finding]:
    """Print each finding as soon as it is known. Return all of them."""
    seen = []
    for finding in findings:
        click.echo(f"{finding.outcome}: {finding.what}: {finding.detail}")
        seen.append(finding)
    return seen


def show_effective(path: Path, *, changed: bool, json_output: bool) -> None:
    """Print the effective settings as an INI file or as JSON.

    Args:
        path: the INI file.
        changed: only the settings that differ from their defaults.
        json_output: whether to print JSON.
    """
    text = show(settings_from(path), changed=changed, variables=True)
    if json_output:
        click.echo(json.dumps(_as_json(text), indent=2))
    else:
        click.echo(text or "# No setting differs from its default.\n", nl=False)


def _as_json(text: str) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    for name, section in ini.parse(text).sections.items():
        sections[name] = {key: entry.value for key, entry in section.entries.items()}
    return sections
