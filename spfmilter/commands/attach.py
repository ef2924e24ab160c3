"""``spfmilter attach`` and ``detach``: print what attaches an MTA to this daemon or detaches it, or do it.

Postfix is changed on request. Sendmail is not: its sendmail.cf is built from sendmail.mc by hand.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from spfmilter.commands import activation, mta, postconf, sendmail, sendmailcf, survey
from spfmilter.commands.console import EX_UNAVAILABLE, settings_from
from spfmilter.commands.postconf import AttachError, Changes, Postfix
from spfmilter.commands.settingchange import SettingChange
from spfmilter.commands.survey import Silent
from spfmilter.settings import Settings, SettingsError, load

_NO_POSTFIX = "there is no Postfix here to apply it to (postconf is not in the PATH)"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of both commands."""

    postfix_config: str | None = None  # Postfix's configuration directory; None: the default one
    sendmail_config: Path | None = None  # Sendmail's sendmail.cf; None: the default one
    former: tuple[str, ...] = ()  # addresses that were ours, in Postfix's notation
    apply: bool = False  # change Postfix's settings, and reload it
    force: bool = False  # change them also where the daemon does not answer
    json_output: bool = False


def attach(path: Path, options: Options) -> None:
    """Print the settings for the MTAs, and apply those of Postfix on request.

    Exits with 69 if the MTA cannot be attached as configured, or if Postfix runs and the daemon does not answer it.

    Args:
        path: the INI file.
        options: of the command.
    """
    settings = settings_from(path)
    activated = activation.is_activated(settings)
    silent, skipping, changes, changed = [], [], Changes(), list[SettingChange]()
    try:
        config = sendmailcf.read(options.sendmail_config)
        settings = activation.resolved(settings)
        postfix = postconf.read(options.postfix_config)
        if postfix is not None:
            ours = _our_socket(settings, postfix, activated=activated)
            old = {*options.former, *survey.former(postfix, ours)}
            changes = mta.attached(settings, postfix, old)
            changed = changes.each(postfix)
            silent = list(survey.of_postfix(postfix, ours, {*old, postfix.socket} - {ours}, activated=activated))
            skipping = mta.bypasses(postfix, ours)
            own = next((found for found in silent if found.ours), None)
            refused = own if options.apply and not options.force and own is not None else None
            commands = _commands(changes, postfix, options, unless=refused)
            if options.apply:
                silent = [dataclasses.replace(found, asked=True) for found in silent]
        else:
            commands = _commands(changes, None, options)
        by_hand = sendmail.to_attach(settings, config)
    except AttachError as error:
        _fail(str(error))
    if config is not None:
        silent += survey.of_sendmail(config, mta.sendmail_socket(settings), activated=activated)
    notes = [
        f"master.cf, {name}: it has an smtpd_milters of its own without spfmilter, so its mail is not checked"
        for name in skipping
    ]
    if postfix is None:
        notes += sendmail.notes(settings, config, activated=activated)
    if options.json_output:
        result: dict[str, Any] = {
            "postfix": {**changes.main, **{f"{name}/smtpd_milters": to for name, to in changes.services.items()}},
            **_as_json(commands, changed, options),
            "sendmail": mta.sendmail_line(settings),
            "by_hand": [change.as_json() for change in sendmail.changes_to_attach(settings, config)],
            "silent": [dataclasses.asdict(found) for found in silent],
            "notes": notes,
        }
        click.echo(json.dumps(result, indent=2))
        return
    _print(commands, changed, options, unchanged="Postfix is attached already" if postfix else None)
    if not options.apply:
        if postfix is None and config is None:  # then neither is here, and the daemon may serve another host
            click.echo(f"# Postfix is not installed here. {_postfix_elsewhere(settings)}")
        if postfix is None or config is not None:
            click.echo("\n".join(by_hand))
    _warn([*map(str, silent), *notes])


def detach(path: Path, options: Options) -> None:
    """Print the commands that detach Postfix, or run them; and name the line of sendmail.mc to remove.

    The INI file may be missing: Postfix then has our address only if ``attach`` has written it.

    Args:
        path: the INI file.
        options: of the command.
    """
    settings: Settings | None = None
    with suppress(SettingsError):
        settings = loaded = load(path)
        with suppress(AttachError):  # without an address, the parameter in main.cf is left
            settings = activation.resolved(loaded)
    changes, changed = Changes(), list[SettingChange]()
    try:
        config = sendmailcf.read(options.sendmail_config)
        postfix = postconf.read(options.postfix_config)
        if postfix is not None:
            changes = mta.detached(settings, postfix, {*options.former, *survey.former(postfix, "")})
            changed = changes.each(postfix)
        commands = _commands(changes, postfix, options)
    except AttachError as error:
        _fail(str(error))
    if options.json_output:
        present = config.ours if config is not None else None
        result = {
            **_as_json(commands, changed, options),
            "sendmail": [f"X{present.name}, S={present.socket}"] if present is not None else [],
            "by_hand": [change.as_json() for change in sendmail.changes_to_detach(config)],
        }
        click.echo(json.dumps(result, indent=2))
        return
    _print(commands, changed, options, unchanged="Postfix is detached already" if postfix else None)
    if postfix is None and config is None:
        click.echo(f"# There is neither a Postfix here (no postconf in the PATH) nor {sendmailcf.DEFAULT_PATH}.")
    for line in sendmail.to_detach(config):
        click.echo(line)


def _our_socket(settings: Settings, postfix: Postfix, *, activated: bool) -> str:
    """Return our socket in Postfix's notation.

    Raises:
        AttachError: Postfix cannot reach it.
    """
    try:
        return mta.postfix_socket(settings.milter.socket, postfix)
    except AttachError as error:
        where = "; with socket = systemd, the address is ListenStream= of spfmilter.socket" if activated else ""
        raise AttachError(f"{error}{where}") from None


def _commands(
    changes: Changes, postfix: Postfix | None, options: Options, *, unless: Silent | None = None
) -> list[list[str]]:
    """Return the commands for Postfix; run them first if they are to be applied.

    Args:
        changes: what to change.
        postfix: its settings now; None: there is no Postfix.
        options: of the command.
        unless: our own milter, which does not answer: then leave a running Postfix unchanged.

    Raises:
        AttachError: they cannot be applied, or one failed.
    """
    commands = changes.commands(postfix.config_directory) if postfix is not None else []
    if not options.apply:
        return commands
    if postfix is None:
        raise AttachError(f"{_NO_POSTFIX}; for Sendmail, leave out --apply")
    running = postconf.is_running(postfix.config_directory)
    if running and unless is not None:
        raise AttachError(f"{unless}\nPostfix was left as it is; --force changes it all the same")
    return postconf.apply(commands, running=running)


def _reloaded(commands: list[list[str]], options: Options) -> bool:
    return options.apply and bool(commands) and commands[-1][-1] == "reload"


def _as_json(commands: list[list[str]], changed: list[SettingChange], options: Options) -> dict[str, Any]:
    """Return what both commands say of Postfix for programs."""
    return {
        "commands": commands,
        "changes": [change.as_json() for change in changed],
        "applied": options.apply,
        "changed": options.apply and bool(changed),
        "reloaded": _reloaded(commands, options),
    }


def _print(commands: list[list[str]], changed: list[SettingChange], options: Options, *, unchanged: str | None) -> None:
    """Print the commands for Postfix; or, once they are applied, what has changed.

    Args:
        commands: those to run, or those that were run.
        changed: what they change.
        options: of the command.
        unchanged: how to say that Postfix needs no change; None: there is no Postfix.
    """
    if unchanged is None:
        return
    if not commands:
        click.echo(f"{'' if options.apply else '# '}{unchanged}: there is nothing to change.")
    elif not options.apply:
        for command in commands:
            click.echo(shlex.join(command))
    else:
        for change in changed:
            click.echo(f"changed: {change}")
        if _reloaded(commands, options):
            click.echo(f"done: {shlex.join(commands[-1])}")
        else:
            click.echo("Postfix is not running; it will read this when it starts.")


def _postfix_elsewhere(settings: Settings) -> str:
    """Return advice for a Postfix on another host."""
    try:
        ours = mta.postfix_socket(settings.milter.socket, mta.NO_POSTFIX)
        changes = mta.attached(settings, mta.NO_POSTFIX)
    except AttachError:
        return "One on this host, as Debian sets it up (chrooted), could not reach this socket."
    wanted = {"smtpd_milters": ours, **{name: to for name, to in changes.main.items() if name.endswith("timeout")}}
    return "In its main.cf: " + ", ".join(f"{name} = {value}" for name, value in wanted.items())


def _warn(warnings: list[str]) -> None:
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)


def _fail(text: str) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(EX_UNAVAILABLE)
