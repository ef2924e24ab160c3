"""The options of ``spfmilter requests``. What the commands do is in ``requests``."""

from __future__ import annotations

from pathlib import Path

import click

from spfmilter.commands import requests as answering
from spfmilter.commands.options import Commands, config, json_output

_say = click.option("--say", default="", metavar="TEXT", help="A sentence for the sender, which the help page shows.")
_answer = click.option(
    "--answer", is_flag=True, help="Also mail the answer to the sender's address, by sendmail. Shows the mail first."
)
_yes = click.option("-y", "--yes", is_flag=True, help="Do not ask, with --answer.")


@click.group(cls=Commands, short_help="Answer the requests of refused senders.")
def requests() -> None:
    """Answer what refused senders have asked on the help page ([web] requests)."""


@requests.command("list", short_help="List the open requests.")
@config
@json_output
@click.option("--all", "everything", is_flag=True, help="Also those that were answered.")
def list_requests(path: Path, *, everything: bool, json_output: bool) -> None:
    """List the open requests, the oldest first."""
    answering.show_all(path, everything=everything, json_output=json_output)


@requests.command("show", short_help="Show one request.")
@config
@json_output
@click.argument("case")
def show_request(path: Path, case: str, *, json_output: bool) -> None:
    """Show the request of a case, and the commands that answer it."""
    answering.show_one(path, case, json_output=json_output)


@requests.command("grant", short_help="Let the sender in for a time.")
@config
@json_output
@click.argument("case")
@click.option("--for", "lasts", default=answering.USUAL, show_default=True, metavar="TIME", help="How long: 12h, 7d.")
@_say
@_answer
@_yes
def grant_request(path: Path, case: str, lasts: str, **given: bool | str) -> None:
    """Let in the sender of a case: mail of their domain from their server. It ends by itself."""
    answering.grant(path, case, lasts, answering.AnswerOptions(**given))  # type: ignore[arg-type]  # the options above


@requests.command("decline", short_help="Do not let the sender in.")
@config
@json_output
@click.argument("case")
@_say
@_answer
@_yes
def decline_request(path: Path, case: str, **given: bool | str) -> None:
    """Answer the request of a case with no. The help page says so."""
    answering.decline(path, case, answering.AnswerOptions(**given))  # type: ignore[arg-type]  # the options above


@requests.command("digest", short_help="Mail the new requests to the administrator.")
@config
def digest_requests(path: Path) -> None:
    """Mail the requests that are new to [web] requests_mail, and nothing if there are none.

    No second mail is sent within an hour. The unit spfmilter-requests.timer runs this once a day.
    """
    answering.send_digest(path)
