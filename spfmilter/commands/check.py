"""``spfmilter check``: evaluate one message by hand, without an MTA."""

from __future__ import annotations

import json
import socket
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import click

from spfmilter.addresses import dns_domain, parse_address, parse_reverse_path, written_address
from spfmilter.commands import postconf
from spfmilter.commands.console import print_result, settings_from, waiting
from spfmilter.commands.explain import as_json, as_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The message, as the command's options give it, not parsed yet."""

    ip: str
    helo: str
    mail_from: str
    rcpt: str
    author: str  # the value of the From field
    auth: str
    hostname: str  # empty: Postfix's myhostname, else this host's name
    smtputf8: bool
    language: str | None  # of the notice; None: the settings decide


def check(path: Path, given: Given, *, explain: bool, json_output: bool) -> None:
    """Print the tree of terms, the result, the rule that decides, the reply and the header fields.

    Args:
        path: the INI file.
        given: the message.
        explain: whether to list the lines of the settings that were considered, and what a forwarder would need.
        json_output: whether to print JSON.

    Raises:
        click.BadParameter: ``ip`` is not an IP address, or ``rcpt`` is not an address of a recipient.
    """
    settings = settings_from(path)
    if given.language is not None:
        settings = replace(settings, reply=settings.reply.model_copy(update={"languages": (given.language,)}))
    address = parse_address(given.ip)
    if address is None:
        raise click.BadParameter(
            f"{given.ip!r} is not an IP address: write 192.0.2.1 or 2001:db8::1", param_hint="--ip"
        )
    sender, recipient = _sender(given.mail_from), _recipient(given.rcpt)
    from spfmilter.commands.simulation import Conversation, simulate  # noqa: PLC0415 - dnspython takes its time to load

    conversation = Conversation(
        address=address,
        helo=given.helo,
        sender=sender,
        recipient=recipient,
        author=given.author,
        login=given.auth,
        smtputf8=given.smtputf8 or given.language is not None or not sender.isascii(),
        hostname=given.hostname or postconf.own_name() or socket.gethostname(),
    )
    warnings: list[str] = []
    with nullcontext() if json_output else waiting("asking the DNS"):
        explained = simulate(conversation, settings, explain=explain, warn=warnings.append)
    for text in warnings:
        click.echo(text, err=True)
    for verdict in explained.verdicts:
        if verdict.fault is not None:
            click.echo(verdict.fault, err=True)
    if json_output:
        click.echo(json.dumps({**as_json(explained, rules=explain), "rcpt": recipient or None}, indent=2))
    else:
        print_result(as_text(explained, rules=explain))


def _bare(text: str) -> str:
    return text.strip().removeprefix("<").removesuffix(">")


def _sender(text: str) -> str:
    """Return the address for MAIL FROM. If it differs from the text, say so on standard error.

    A domain alone becomes the sender postmaster at that domain. A sender without a domain is used unchanged.
    """
    sender = written_address(text)
    if "@" not in sender and dns_domain(sender):
        sender = f"postmaster@{sender}"
    path = parse_reverse_path(sender)
    if _bare(sender) != _bare(text):
        click.echo(f"--mail-from {text!r} is taken for {sender}", err=True)
    elif not path.null and not dns_domain(path.domain):
        click.echo(
            f"--mail-from {text!r} names no domain that can be looked up: write an address such as alice@example.com",
            err=True,
        )
    return sender


def _recipient(text: str) -> str:
    """Return the address for RCPT TO. If it differs from the text, say so on standard error.

    Raises:
        click.BadParameter: the text is a domain alone.
    """
    recipient = written_address(text)
    if "@" not in recipient and dns_domain(recipient):
        raise click.BadParameter(f"{text!r} is a domain: write an address such as bob@{recipient}", param_hint="--rcpt")
    if _bare(recipient) != _bare(text):
        click.echo(f"--rcpt {text!r} is taken for {recipient}", err=True)
    return recipient
