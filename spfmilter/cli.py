"""The commands. Exit codes follow sysexits.h; output for people is a table or a tree, ``--json`` is for machines.

Knows the options and how errors are said; the work is done elsewhere.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console, RenderableType

from spfmilter import __version__
from spfmilter.addresses import parse_address, parse_reverse_path
from spfmilter.commands import attach as attaching
from spfmilter.commands.explain import as_json, as_text
from spfmilter.language import available
from spfmilter.model import Client, Facts
from spfmilter.settings import DEFAULT_PATH, Settings, SettingsError, ini, load, show

# sysexits.h has no EX_* beyond these that we need.
EX_USAGE, EX_UNAVAILABLE, EX_CANTCREAT, EX_CONFIG = os.EX_USAGE, os.EX_UNAVAILABLE, os.EX_CANTCREAT, os.EX_CONFIG
_UNLIMITED = 100_000  # columns

_config = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_PATH,
    show_default=True,
    help="The INI file.",
)
_json = click.option("--json", "json_output", is_flag=True, help="Print JSON for machines.")


def main() -> NoReturn:
    """The console script: wrong usage is 64, not click's 2."""
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EX_USAGE)
    except click.Abort:
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="spfmilter")
def cli() -> None:
    """SPF for Postfix and Sendmail: refuses forged senders, and says why."""


def _settings(path: Path) -> Settings:
    """The settings, or the end of the program with every problem listed."""
    try:
        return load(path)
    except SettingsError as error:
        _complain(str(error))
        sys.exit(EX_CONFIG)


def _complain(text: str) -> None:
    """Say what is wrong. Where that cannot be written, the exit status says it, by which systemd goes."""
    try:
        click.echo(text, err=True)
    except OSError:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - Python writes what is left at its exit, or exits with 120


@cli.command()
@_config
@click.option("--self-test", is_flag=True, help="Ask the resolvers first, and say what is wrong if nothing answers.")
def run(path: Path, *, self_test: bool) -> None:
    """Run the daemon, in the foreground."""
    settings = _settings(path)
    # Imported here, so that the other commands do not need libmilter.
    from spfmilter.daemon.start import StartError, serve  # noqa: PLC0415

    try:
        sys.exit(serve(path, settings, self_test=self_test))
    except StartError:
        sys.exit(EX_CANTCREAT)


@cli.group()
def config() -> None:
    """Look at the INI file."""


@config.command("check", short_help="Validate the INI file.")
@_config
def config_check(path: Path) -> None:
    """Validate the INI file: every problem with its line; exit status 78 if there is one."""
    _settings(path)
    click.echo(f"{path}: no problems")


@config.command("show", short_help="Print the effective settings, defaults included.")
@_config
@_json
def config_show(path: Path, *, json_output: bool) -> None:
    """Print the effective settings, defaults included."""
    settings = _settings(path)
    if json_output:
        click.echo(json.dumps(_settings_json(settings), indent=2))
    else:
        click.echo(show(settings), nl=False)


def _settings_json(settings: Settings) -> dict[str, dict[str, str]]:
    sections: dict[str, dict[str, str]] = {}
    for name, section in ini.parse(show(settings)).sections.items():
        sections[name] = {key: entry.value for key, entry in section.entries.items()}
    return sections


@cli.command(short_help="Evaluate a message by hand: result, rule, reply and header fields.")
@_config
@_json
@click.option("--ip", required=True, help="The client's address.")
@click.option("--helo", default="", help="The name that it gives in HELO or EHLO.")
@click.option("--mail-from", "mail_from", required=True, help="The sender's address; empty or <> for a bounce.")
@click.option("--rcpt", default="", help="The recipient, where reject_at is rcpt or message.")
@click.option("--from", "author", default="", help="The From field, where reject_at is message: for yield_to_dmarc.")
@click.option("--auth", default="", help="The login, for a client that has authenticated.")
@click.option("--hostname", default="", help="The receiving server's own name.  [default: this host's]")
@click.option("--explain", is_flag=True, help="List the lines of the settings that were looked at, and why.")
@click.option("--smtputf8", is_flag=True, help="The client says SMTPUTF8, and so is answered in UTF-8.")
@click.option(
    "--language",
    type=click.Choice(available(), case_sensitive=False),
    metavar=f"[{'|'.join(available())}]",  # as the INI file writes them; click would have them in lower case
    help="The notice in this language, in UTF-8.",
)
def check(  # noqa: PLR0913 - one argument an option
    path: Path,
    ip: str,
    helo: str,
    mail_from: str,
    *,
    rcpt: str,
    author: str,
    auth: str,
    hostname: str,
    explain: bool,
    smtputf8: bool,
    language: str | None,
    json_output: bool,
) -> None:
    """Evaluate now: the tree of terms, the result, the rule that decides, the reply and the header fields."""
    settings = _settings(path)
    if language is not None:
        settings = replace(settings, reply=settings.reply.model_copy(update={"languages": (language,)}))
    address = parse_address(ip)
    if address is None:
        raise click.BadParameter(f"{ip!r} is not an IP address", param_hint="--ip")
    facts = Facts(
        client=Client(address=address),
        helo=helo,
        reverse_path=parse_reverse_path(mail_from),
        authenticated=auth,
        smtputf8=smtputf8 or language is not None or not mail_from.isascii(),
        hostname=hostname or socket.gethostname(),
    )
    from spfmilter.commands.simulation import simulate  # noqa: PLC0415 - dnspython takes its time to load

    explained = simulate(facts, settings, rcpt=rcpt, author=author, warn=lambda text: click.echo(text, err=True))
    for verdict in explained.verdicts:
        if verdict.fault is not None:
            click.echo(verdict.fault, err=True)
    if json_output:
        click.echo(json.dumps({**as_json(explained, rules=explain), "rcpt": rcpt or None}, indent=2))
    else:
        _print(as_text(explained, rules=explain))


def _print(shown: RenderableType) -> None:
    """Print for a person; into a file or a pipe without a line break that is not in the text."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no check mark shows a question mark
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _UNLIMITED
    console.print(shown)


@cli.command()
@_config
@_json
@click.option("--apply", "do_it", is_flag=True, help="Change Postfix's main.cf, and reload Postfix.")
@click.option("--postfix-config", metavar="DIR", help="Postfix's configuration directory, where it is not the default.")
def attach(path: Path, postfix_config: str | None, *, do_it: bool, json_output: bool) -> None:
    """Print the settings that attach Postfix or Sendmail to this daemon."""
    settings = _settings(path)
    try:
        postfix = attaching.read_postfix(postfix_config)
        wanted = attaching.postfix_settings(settings, postfix) if postfix else {}
        commands = attaching.postfix_commands(wanted, postfix_config) if postfix else []
        if do_it:
            commands = attaching.apply(commands)
    except attaching.AttachError as error:
        click.echo(str(error), err=True)
        sys.exit(EX_UNAVAILABLE)
    sendmail = attaching.sendmail_line(settings)
    if json_output:
        result: dict[str, Any] = {"postfix": wanted, "commands": commands, "sendmail": sendmail, "applied": do_it}
        click.echo(json.dumps(result, indent=2))
        return
    for command in commands:
        click.echo(("done: " if do_it else "") + shlex.join(command))
    if do_it:
        if commands[-1][-1] != "reload":
            click.echo("Postfix is not running; it will read this when it starts.")
        return
    if not commands:
        click.echo(f"# Postfix is not installed here. {_postfix_elsewhere(settings)}")
    click.echo(f"# Sendmail, in sendmail.mc:\n{sendmail}")


@cli.command()
@_config
def web(path: Path) -> None:
    """Serve the help page for refused senders, in the foreground."""
    settings = _settings(path)
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


def _postfix_elsewhere(settings: Settings) -> str:
    """What can be said for a Postfix that cannot be asked."""
    try:
        wanted = attaching.postfix_settings(settings, attaching.NO_POSTFIX)
    except attaching.AttachError:
        return "One on this host, as Debian sets it up (chrooted), could not reach this socket."
    return "In its main.cf: " + ", ".join(f"{name} = {value}" for name, value in wanted.items())
