"""``spfmilter requests``: read and answer what refused senders have asked on the help page.

Knows what a person gives, and what to tell them. What is kept, and where, is in ``spfmilter.requests``; what is let in,
in ``exemptions``.
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from spfmilter import caseid
from spfmilter.commands import exempt
from spfmilter.commands.console import EX_NOINPUT, EX_UNAVAILABLE, EX_USAGE, command_line, print_result, settings_from
from spfmilter.commands.storing import failed, go_on_as_owner, open_or_stop, stop, tell, who_acts
from spfmilter.exemptions import opening
from spfmilter.exemptions.dangers import LONGEST
from spfmilter.exemptions.exemption import ID_BITS, TEXT_LIMIT, Exemption, new_id
from spfmilter.exemptions.when import end_after, local
from spfmilter.requests import mail
from spfmilter.requests.opening import open_store
from spfmilter.requests.request import (
    SENTENCE_LIMIT,
    SenderRequest,
    State,
    exemption_for,
    json_of,
    one_line,
    read_address,
    valid,
)
from spfmilter.requests.store import RequestStore, place
from spfmilter.settings import Settings
from spfmilter.stores.choice import StoreError
from spfmilter.stores.rows import Row

USUAL = exempt.USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """The options of an answer, not parsed yet."""

    say: str = ""
    answer: bool = False
    yes: bool = False
    json_output: bool = False

    def sentence(self) -> str:
        """Return what the sender is told.

        Raises:
            click.UsageError: it is too long.
        """
        found = one_line(self.say)
        if len(found) > SENTENCE_LIMIT:
            raise click.BadParameter(f"write at most {SENTENCE_LIMIT} characters", param_hint="--say")
        return found


# -- read --------------------------------------------------------------------------------------------------------------


def show_all(path: Path, *, everything: bool, json_output: bool) -> None:
    """Print the open requests, the oldest first; with ``everything``, those that were answered, too."""
    settings = settings_from(path)
    store = _store(settings)
    found = [one for one in _read(store) if everything or one.state is State.OPEN]
    if json_output:
        whole = {"store": place(settings), "requests": [json_of(one) for one in found]}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    elif not found:
        click.echo(f"no request {'is known' if everything else 'is open'} ({place(settings)})")
    else:
        print_result(_table(found))


def _table(found: Sequence[SenderRequest]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("case", "asked", "sender", "says", "answer to", "state"):
        table.add_column(name, overflow="fold")
    for one in found:
        cells = (one.case_id, local(one.asked), _sender(one), one.sentence, one.answer_to, _state(one))
        table.add_row(*map(Text, cells), style="" if one.state is State.OPEN else "dim")
    return table


def show_one(path: Path, case: str, *, json_output: bool) -> None:
    """Print the request of a case. Exits with 66 if there is none."""
    settings = settings_from(path)
    one = _find(_store(settings), _case(case))
    if json_output:
        click.echo(json.dumps(json_of(one), indent=2, ensure_ascii=False))
        return
    rows = [
        ("case", f"{one.case_id} ({command_line('why', path)} {one.case_id})"),
        ("asked", local(one.asked)),
        ("sender", f"{_sender(one)}, refused with {one.result}"),
        ("says", one.sentence),
        ("reach", one.answer_to),
        ("state", _state(one)),
        *([("answer", one.answer)] if one.answer else []),
        ("kept", f"until {local(one.ends)}"),
    ]
    if one.state is State.OPEN:
        rows += [
            ("let in", f"{command_line('requests grant', path)} {one.case_id}"),
            ("or not", f"{command_line('requests decline', path)} {one.case_id}"),
        ]
    tell(rows)


def _sender(one: SenderRequest) -> str:
    return f"{one.domain} from {one.address}" if one.identity == "mailfrom" else f"{one.address}, as {one.domain}"


def _state(one: SenderRequest) -> str:
    if one.answered is None:
        return str(one.state)
    until = f" until {local(one.until)} ({one.exemption})" if one.state is State.GRANTED else ""
    return f"{one.state}{until}, by {one.answered_by} on {local(one.answered)}"


# -- answer ------------------------------------------------------------------------------------------------------------


def grant(path: Path, case: str, lasts: str, reply: AnswerOptions) -> None:
    """Add the narrowest exemption for the sender of a case, and answer the request.

    Exits with 64 if it is not understood, 66 if there is no open request, 69 if a store cannot be used or the mail not
    be sent, 77 if this user may not write.
    """
    settings, who, sentence = settings_from(path), who_acts(), reply.sentence()
    exemptions = open_or_stop(opening.open_store, settings)
    store = _store(settings)
    one, now = _open_one(store, _case(case)), int(time.time())
    try:
        until = end_after(lasts, now)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    if until is None:
        raise click.BadParameter("a request is granted for a time: write 7d", param_hint="--for")
    if until - now > LONGEST:
        raise click.BadParameter("a request is granted for a year at most", param_hint="--for")
    because = one_line(f"request {one.case_id}: {one.sentence}")[:TEXT_LIMIT]
    identity = new_id(secrets.randbits(ID_BITS))
    exemption = exemption_for(one, identity=identity, now=now, until=until, by=who, because=because)
    if not exemption.domain:
        click.echo(f"warning: the link names no sender domain, so all mail from {one.address} is let in", err=True)
    answered = replace(
        one,
        state=State.GRANTED,
        answered=now,
        answered_by=who,
        answer=sentence,
        until=until,
        exemption=exemption.id,
    )
    message = _message(answered, settings, reply)
    exempt.keep(exemptions, exemption)
    try:
        if not store.answer(answered):
            exemptions.remove([exemption.id], now, who)
            stop(EX_NOINPUT, f"case {one.case_id} was answered in the meantime; nothing was changed")
    except StoreError as error:
        click.echo(f"exemption {exemption.id} was added, but the help page does not say so", err=True)
        failed(error)
    mailed = _send(message)
    if reply.json_output:
        click.echo(json.dumps({**json_of(answered), "answer_sent": mailed}, indent=2, ensure_ascii=False))
    else:
        _tell_granted(answered, exemption, path, when=exempt.when_in_force(settings, path), mailed=mailed)


def _tell_granted(one: SenderRequest, exemption: Exemption, path: Path, *, when: str, mailed: bool) -> None:
    rows = [
        ("let in", str(exemption.subject)),
        ("until", f"{local(exemption.until)}{exempt.time_left(exemption, exemption.added)}"),
        ("remove", f"{command_line('exempt remove', path)} {exemption.id}"),
        ("told", f"on the help page{f', and by mail to {one.answer_to}' if mailed else ''}"),
        ("", when),
    ]
    tell(rows)


def decline(path: Path, case: str, reply: AnswerOptions) -> None:
    """Answer the request of a case with no. Exits as ``grant``."""
    settings, who, sentence = settings_from(path), who_acts(), reply.sentence()
    store = _store(settings)
    one, now = _open_one(store, _case(case)), int(time.time())
    answered = replace(one, state=State.DECLINED, answered=now, answered_by=who, answer=sentence)
    message = _message(answered, settings, reply)
    try:
        if not store.answer(answered):
            stop(EX_NOINPUT, f"case {one.case_id} was answered in the meantime; nothing was changed")
    except StoreError as error:
        failed(error)
    mailed = _send(message)
    if reply.json_output:
        click.echo(json.dumps({**json_of(answered), "answer_sent": mailed}, indent=2, ensure_ascii=False))
    else:
        click.echo(f"declined {one.case_id}; told on the help page{f', and by mail to {one.answer_to}' * mailed}")


def _message(answered: SenderRequest, settings: Settings, reply: AnswerOptions) -> EmailMessage | None:
    """Return the mail to the sender, if it is wanted, once the administrator has seen it."""
    if not reply.answer:
        return None
    message = mail.answer(answered, _our_address(settings), _hostname(settings))
    click.echo(f"To: {message['To']}\nSubject: {message['Subject']}\n\n{message.get_content()}", err=True)
    if not reply.yes:
        if not sys.stdin.isatty():
            stop(EX_USAGE, "Answer, and send this mail? Say --yes")
        click.confirm("Answer, and send this mail?", abort=True, err=True)
    return message


def _send(message: EmailMessage | None) -> bool:
    """Send the mail, if there is one. Exits with 69 if the MTA does not take it: the answer itself is kept by then."""
    if message is None:
        return False
    try:
        mail.send(message)
    except mail.MailError as error:
        stop(EX_UNAVAILABLE, f"the request was answered, but the mail was not sent: {error}")
    return True


# -- digest ------------------------------------------------------------------------------------------------------------


def send_digest(path: Path) -> None:
    """Mail the new requests. Exits with 64 without ``[web] requests_mail``, and with 69 if the mail cannot be sent."""
    settings = settings_from(path)
    if not settings.web.requests_mail:
        stop(EX_USAGE, "[web] requests_mail is empty, so there is no address for the digest")
    store, now = _store(settings), int(time.time())
    new = mail.new_ones(_read(store), now)
    if not new:
        click.echo("no mail was sent: nothing is new, or the last digest is less than an hour old")
        return
    cases = [one.case_id for one in new]
    try:
        store.note_mailed(cases, now)  # first: a store that cannot be written must not lead to a mail each time
        try:
            mail.send(mail.digest(new, settings.web.requests_mail, _hostname(settings)))
        except mail.MailError as error:
            store.note_mailed(cases, None)
            stop(EX_UNAVAILABLE, str(error))
    except StoreError as error:
        failed(error)
    click.echo(f"mailed to {settings.web.requests_mail}: {len(new)} new request{'' if len(new) == 1 else 's'}")


# -- all of them -------------------------------------------------------------------------------------------------------


def _store(settings: Settings) -> RequestStore:
    """Return the store. Go on as the daemon's user, if this is root."""
    store = open_or_stop(open_store, settings)
    go_on_as_owner(settings)
    return store


def _read(store: RequestStore) -> list[SenderRequest]:
    """Return all requests, the oldest first. Name the rows that are none. Forget those whose time has come."""

    def refused(_row: Row, why: str) -> None:
        click.echo(f"warning: a row of the store is no request, and is ignored: {why}", err=True)

    try:
        store.forget(int(time.time()))
        return sorted(valid(store.read(), refused), key=lambda one: (one.asked, one.case_id))
    except StoreError as error:
        failed(error)


def _find(store: RequestStore, case: str) -> SenderRequest:
    found = next((one for one in _read(store) if one.case_id == case), None)
    if found is None:
        stop(EX_NOINPUT, f"there is no request for case {case}")
    return found


def _open_one(store: RequestStore, case: str) -> SenderRequest:
    found = _find(store, case)
    if found.state is not State.OPEN:
        stop(EX_NOINPUT, f"the request of case {case} is not open: {_state(found)}")
    return found


def _case(text: str) -> str:
    try:
        return caseid.read(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="CASE") from None


def _hostname(settings: Settings) -> str:
    return settings.public_name or socket.gethostname()


def _our_address(settings: Settings) -> str:
    """Return the address in From of an answer: that for requests, else the contact, else the postmaster."""
    hostname = _hostname(settings)
    contact = settings.web.contact or settings.reply.contact.fill({"hostname": hostname})
    for text in (settings.web.requests_mail, contact):
        try:
            return read_address(text)
        except ValueError:
            continue
    return f"postmaster@{hostname}"
