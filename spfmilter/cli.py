"""The commands and their options. What they do is in ``commands``, one file a command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from spfmilter import __version__
from spfmilter.commands import against as comparing
from spfmilter.commands import attach as attaching
from spfmilter.commands import check as checking
from spfmilter.commands import config as looking
from spfmilter.commands import exempt as exempting
from spfmilter.commands import report as reporting
from spfmilter.commands import requestoptions
from spfmilter.commands import run as running
from spfmilter.commands import status as asking
from spfmilter.commands import web as serving
from spfmilter.commands import why as explaining
from spfmilter.commands.console import EX_USAGE
from spfmilter.commands.options import Commands, Span
from spfmilter.commands.options import config as _config
from spfmilter.commands.options import json_output as _json
from spfmilter.health import parts as health
from spfmilter.language import available
from spfmilter.settings.values import Duration


def main() -> NoReturn:
    """Run the console script. Wrong usage exits with 64, not with click's 2."""
    try:
        status = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(EX_USAGE)
    except click.Abort:
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="spfmilter")
def cli() -> None:
    """Check SPF for Postfix and Sendmail: refuse forged mail, and say why."""


@cli.command()
@_config
@click.option("--self-test", is_flag=True, help="Ask the nameservers first, and log those that do not answer.")
def run(path: Path, *, self_test: bool) -> None:
    """Run the daemon, in the foreground."""
    running.run(path, self_test=self_test)


@cli.group()
def config() -> None:
    """Check or print the INI file."""


@config.command("check", short_help="Validate the INI file.")
@_config
@_json
@click.option("--try", "attempt", is_flag=True, help="Try what the daemon needs at its start: run it as its user.")
@click.option("--against", type=click.Choice(["journal"]), help="Say what this file would have done to recorded mail.")
@click.option("--since", type=Span(), default="7d", show_default=True, metavar="TIME", help="How far back to look.")
@click.option("--at-most", type=click.IntRange(min=0), metavar="N", help="Exit with 1 if more domains are refused.")
def config_check(
    path: Path, *, attempt: bool, against: str | None, since: Duration, at_most: int | None, json_output: bool
) -> None:
    """Validate the INI file. List every problem with its line; exit with 78 if there is one.

    With --against journal, say what it would have done to the mail that the journal has, beside what was done.
    """
    if against is None:
        looking.check(path, attempt=attempt, json_output=json_output)
    elif attempt:
        raise click.UsageError("--try and --against do not go together: run the command twice")
    else:
        wanted = comparing.Scope(since=since.seconds, at_most=at_most)
        looking.check_against(path, wanted, json_output=json_output)


@config.command("show", short_help="Print the effective settings, defaults included.")
@_config
@_json
@click.option("--changed", is_flag=True, help="Print only the settings that differ from their defaults.")
def config_show(path: Path, *, changed: bool, json_output: bool) -> None:
    """Print the effective settings, defaults included."""
    looking.show_effective(path, changed=changed, json_output=json_output)


@cli.command(short_help="Evaluate a message by hand: result, rule, reply and header fields.")
@_config
@_json
@click.option("--ip", required=True, help="The client's IPv4 or IPv6 address.")
@click.option("--helo", default="", help="The client's name in HELO or EHLO.")
@click.option(
    "--mail-from", "mail_from", required=True, help="The sender's address or domain; empty or <> for a bounce."
)
@click.option("--rcpt", default="", help="The recipient, for reject_at = rcpt or message.")
@click.option(
    "--from", "author", default="", help="The value of the From field, for yield_to_dmarc if reject_at is message."
)
@click.option("--auth", default="", help="The login of an authenticated client.")
@click.option(
    "--hostname",
    default="",
    help="The receiving server's own name.  [default: Postfix's myhostname, else this host's name]",
)
@click.option(
    "--explain",
    is_flag=True,
    help="List the rules that were looked at, the client's names, and what a forwarder needs.",
)
@click.option("--smtputf8", is_flag=True, help="Answer in UTF-8, as for a client that says SMTPUTF8.")
@click.option(
    "--language",
    type=click.Choice(available(), case_sensitive=False),
    metavar=f"[{'|'.join(available())}]",  # as the INI file writes them; click would have them in lower case
    help="Show the notice in this language, in UTF-8.",
)
def check(path: Path, *, explain: bool, json_output: bool, **given: str | bool | None) -> None:
    """Evaluate a message now. Print the tree of terms, result, deciding rule, reply and header fields."""
    message = checking.Given(**given)  # type: ignore[arg-type]  # its fields are the options above
    checking.check(path, message, explain=explain, json_output=json_output)


_mta = (
    click.option(
        "--postfix-config", metavar="DIR", help="Postfix's configuration directory, if it is not the default."
    ),
    click.option(
        "--sendmail-config",
        metavar="CF",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Sendmail's sendmail.cf, if it is not the default.",
    ),
    click.option(
        "--former",
        multiple=True,
        metavar="ADDRESS",
        help="An address in main.cf that was spfmilter's. May be repeated.",
    ),
)


def _mta_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that attach and detach share."""
    for option in reversed((_config, _json, *_mta)):
        command = option(command)
    return command


@cli.command(short_help="Print the settings that attach an MTA, or attach Postfix.")
@_mta_options
@click.option("--apply", is_flag=True, help="Change Postfix's settings, and reload Postfix.")
@click.option("--force", is_flag=True, help="Change Postfix's settings even if the daemon does not answer.")
def attach(path: Path, **given: Any) -> None:
    """Print the settings that attach Postfix or Sendmail to this daemon. Say which milter does not answer."""
    attaching.attach(path, attaching.Options(**given))


@cli.command(short_help="Print the settings that detach an MTA, or detach Postfix.")
@_mta_options
@click.option("--apply", is_flag=True, help="Change Postfix's settings, and reload Postfix.")
def detach(path: Path, **given: Any) -> None:
    """Print the commands that detach Postfix or Sendmail from this daemon."""
    attaching.detach(path, attaching.Options(**given))


_parts = click.Choice(health.NAMES)


@cli.command(short_help="Say whether the daemon is healthy, part by part.")
@_config
@_json
@click.option("--only", multiple=True, type=_parts, metavar="PART", help="Look at this part only. May be repeated.")
@click.option("--without", multiple=True, type=_parts, metavar="PART", help="Leave this part out. May be repeated.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=600),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest time for the command.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing: the exit status tells.")
def status(path: Path, **given: Any) -> None:
    """Say whether the daemon is healthy, part by part.

    Exit as a plugin for Nagios does: 0 if all is well, 1 with a warning, 2 if it is critical, 3 if it is unknown.
    """
    asking.status(path, asking.Wanted(**given))


@cli.command(short_help="Say why a message was refused, tagged or held.")
@_config
@_json
@click.argument("what", nargs=-1, metavar="[WHAT]...")
@click.option("--ip", default="", help="The client's address.")
@click.option(
    "--mail-from", "mail_from", default=None, help="The sender's address or domain; empty or <> for a bounce."
)
@click.option("--helo", default="", help="The client's name in HELO or EHLO.")
@click.option(
    "--since",
    default="7d",
    show_default=True,
    metavar="TIME",
    help="How far to look back for --ip, --mail-from, --helo.",
)
@click.option("--offline", is_flag=True, help="Do not ask the DNS: only show what was recorded.")
def why(path: Path, what: tuple[str, ...], **given: Any) -> None:
    """Show one decision of the journal: what was done, the DNS answers that it was made from, and what lets it in.

    WHAT is a case id, the link in the notice, or a queue id of the MTA. Exit with 1 if there is no such decision.
    """
    explaining.why(path, explaining.Sought(what=" ".join(what), **given))


@cli.group(short_help="Let a sender in for a time, now.")
def exempt() -> None:
    """Let a sender in for a time: in force on all workers within two seconds, without a reload."""


_whom = (
    click.option("--network", default="", metavar="NETWORK", help="Clients: an address or a network."),
    click.option(
        "--from", "origin", default="", metavar="NETWORK", help="The same as --network; reads well behind --domain."
    ),
    click.option("--domain", default="", help="The domain in MAIL FROM; .example.com for all names below it."),
    click.option(
        "--forwarder", default="", metavar="NAME", help="A client by its confirmed host name; .example.net for all."
    ),
    click.option(
        "--forwarder-spf", default="", metavar="DOMAIN", help="Clients that may send for this domain by its SPF record."
    ),
)


def _whom_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say whom an exemption is for."""
    for option in reversed(_whom):
        command = option(command)
    return command


def _whom_of(given: dict[str, Any]) -> exempting.Whom:
    """Return whom the options name, and take them out of the others."""
    network, origin = given.pop("network"), given.pop("origin")
    if network and origin:
        raise click.UsageError("--network and --from mean the same: write one of them")
    names = ("domain", "forwarder", "forwarder_spf")
    return exempting.Whom(network=network or origin, **{name: given.pop(name) for name in names})


@exempt.command("add", short_help="Add an exemption.")
@_config
@_json
@_whom_options
@click.option("--case", default="", metavar="CASE", help="The sender of this case: its domain from its client.")
@click.option("--for", "lasts", default="", metavar="TIME", help="How long: 12h, 7d, or forever.  [default: 7d]")
@click.option("--until", default="", metavar="TIME", help="Until when: 2026-12-31, 2026-12-31T18:00.")
@click.option("--because", default="", metavar="TEXT", help="Why, for who reads the list later. Needed without --case.")
@click.option("--force", is_flag=True, help="Add it even if it lets in more than one sender.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask, with --case.")
@click.option("-n", "--dry-run", is_flag=True, help="Print what would be added. Change nothing.")
def exempt_add(path: Path, **given: Any) -> None:
    """Let in a client, a sender domain, both together, or a forwarder. It ends by itself."""
    whom = _whom_of(given)
    if given["case"] and whom != exempting.Whom():
        raise click.UsageError("--case says whom: leave the other options out, or leave --case out")
    exempting.add(path, exempting.Wish(whom=whom, **given))


@exempt.command("list", short_help="List the exemptions in force.")
@_config
@_json
@click.option("--all", "everything", is_flag=True, help="Also those that have ended or were removed.")
def exempt_list(path: Path, *, everything: bool, json_output: bool) -> None:
    """List the exemptions in force, those that end first at the top."""
    exempting.show(path, everything=everything, json_output=json_output)


@exempt.command("remove", short_help="Remove exemptions.")
@_config
@_json
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_whom_options
def exempt_remove(path: Path, ids: tuple[str, ...], **given: Any) -> None:
    """Remove exemptions before they end: by their ids, or by the options with which they were added."""
    exempting.remove(path, ids, _whom_of(given), json_output=given["json_output"])


@cli.command(short_help="Say what was done with mail, and what to look at.")
@_config
@_json
@click.option(
    "--since",
    default="7d",
    show_default=True,
    metavar="TIME",
    help="How long ago (90m, 24h, 7d), or a date (2026-11-20, 2026-11-20T14:30).",
)
@click.option("--until", metavar="TIME", help="The same, for the end.  [default: now]")
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the report as one page. Needs the extra web.",
)
@click.option("--offline", is_flag=True, help="Do not confirm the names of likely forwarders in the DNS.")
def report(path: Path, **given: Any) -> None:
    """Say what was done with mail, and what to look at.

    The report is made from the journal: totals by result and action, the trend, the domains and networks that were
    refused, what monitor mode would have refused, likely forwarders and misconfigured partners, and the exceptions
    that were not used. Each finding has the command that acts on it.
    """
    reporting.report(path, reporting.ReportOptions(**given))


cli.add_command(requestoptions.requests)


@cli.command()
@_config
def web(path: Path) -> None:
    """Serve the help page for refused senders, in the foreground."""
    serving.web(path)
