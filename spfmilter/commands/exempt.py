"""``spfmilter exempt``: let a sender in for a time, without a change of the INI file and without a reload.

Knows what a person gives, and what to tell them. What is kept, and where, is in ``exemptions``.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from spfmilter import caseid
from spfmilter.addresses import embedded_ip4
from spfmilter.commands.console import (
    EX_NOINPUT,
    EX_NOPERM,
    EX_UNAVAILABLE,
    EX_USAGE,
    command_line,
    print_result,
    settings_from,
)
from spfmilter.commands.storing import failed, go_on_as_owner, open_or_stop, stop, tell, who_acts
from spfmilter.daemon import statusfile
from spfmilter.exemptions import saved
from spfmilter.exemptions.dangers import dangers
from spfmilter.exemptions.exemption import (
    ID_BITS,
    MOST,
    MOST_BY_SPF,
    TEXT_LIMIT,
    Exemption,
    Subject,
    json_of,
    new_id,
    read_id,
    read_subject,
    valid,
)
from spfmilter.exemptions.opening import open_store
from spfmilter.exemptions.store import Store, place
from spfmilter.exemptions.when import end_after, end_at, local
from spfmilter.health.known import IniFile, known_from
from spfmilter.requests import opening as requests
from spfmilter.settings import Settings
from spfmilter.stores.choice import StoreError, is_shared
from spfmilter.stores.rows import Row
from spfmilter.text import unicode_line

USUAL = "7d"  # how long an exemption lasts
IN_FORCE = 2  # seconds until all workers follow a change


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Whom the options name."""

    network: str = ""
    domain: str = ""
    forwarder: str = ""
    forwarder_spf: str = ""

    def subject(self, settings: Settings) -> Subject:
        """Return it, as the policy compares it.

        Raises:
            click.UsageError: a text is wrong, or they do not go together.
        """
        try:
            found, subject = read_subject(
                network_text=self.network,
                domain=self.domain,
                forwarder=self.forwarder,
                forwarder_spf=self.forwarder_spf,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        if found is not None and found.num_addresses == 1:  # a translator's client counts as IPv4
            address = embedded_ip4(found.network_address, settings.policy.nat64_prefixes)
            subject = replace(subject, network=str(address))
        return subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The options of ``add``, not parsed yet."""

    whom: Whom
    case: str = ""
    lasts: str = ""
    until: str = ""
    because: str = ""
    force: bool = False
    yes: bool = False
    dry_run: bool = False
    json_output: bool = False


# -- add ---------------------------------------------------------------------------------------------------------------


def add(path: Path, wish: Wish) -> None:
    """Add an exemption. Print whom it lets in, until when, and how to remove it.

    Exits with 64 if it is not understood or needs ``--force``, 66 if the case is not known, 69 if the store cannot be
    used, 77 if this user may not write there, or may not read the journal of the case.
    """
    settings = settings_from(path)
    who = who_acts()
    store = open_or_stop(open_store, settings)
    go_on_as_owner(settings)
    case = _case(wish.case, settings) if wish.case else None
    subject = case or wish.whom.subject(settings)
    now = int(time.time())
    one = Exemption(
        id=new_id(secrets.randbits(ID_BITS)),
        network=read_subject(network_text=subject.network, domain=subject.domain)[0] if subject.network else None,
        domain=subject.domain,
        forwarder=subject.forwarder,
        forwarder_spf=subject.forwarder_spf,
        added=now,
        until=_end(wish, now),
        added_by=who,
        because=_because(wish),
    )
    _refuse_dangerous(one, force=wish.force)
    if wish.dry_run:
        _tell(one, settings, path, wish, done=False)
        return
    if case is not None:
        _ask(one, yes=wish.yes)
    keep(store, one)
    _tell(one, settings, path, wish, done=True)


def _end(wish: Wish, now: int) -> int | None:
    if wish.lasts and wish.until:
        raise click.UsageError("--for and --until exclude each other: write one of them")
    try:
        return end_at(wish.until, now) if wish.until else end_after(wish.lasts or USUAL, now)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--until" if wish.until else "--for") from None


def _because(wish: Wish) -> str:
    reason = wish.because or (f"case {wish.case}" if wish.case else "")
    if not reason.strip():
        raise click.UsageError('say why, for who reads the list later: --because "ticket 4711"')
    if len(reason) > TEXT_LIMIT:
        raise click.BadParameter(f"write at most {TEXT_LIMIT} characters", param_hint="--because")
    return unicode_line(reason, TEXT_LIMIT)


def _refuse_dangerous(one: Exemption, *, force: bool) -> None:
    found = list(dangers(one))
    for why in found:
        click.echo(f"{'warning' if force else 'refused'}: {why}", err=True)
    if found and not force:
        click.echo("to add it all the same: --force", err=True)
        sys.exit(EX_USAGE)
    if one.domain and one.network is None:
        click.echo(
            f"warning: anyone can write {one.domain} as the sender, from any address: --from names the client, too",
            err=True,
        )


def _case(text: str, settings: Settings) -> Subject:
    """Return the narrowest that lets the message of a case in: its domain from its client."""
    from spfmilter.journal.database import JournalError  # noqa: PLC0415 - SQLAlchemy takes its time to load
    from spfmilter.journal.reader import reading  # noqa: PLC0415

    try:
        case = caseid.read(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--case") from None
    if settings.journal.url is None:
        raise click.UsageError(
            "[journal] url is empty, so that no case is kept: take client and from of its line in the log, and write "
            "--domain DOMAIN --from ADDRESS"
        )
    try:
        with reading(settings.journal.url) as journal:
            found = journal.case(case)
    except JournalError as error:
        stop(EX_NOPERM if error.denied else EX_UNAVAILABLE, f"the journal cannot be read: {error}")
    if found is None:
        stop(EX_NOINPUT, f"the journal has no case {case}; it may be older than [journal] keep")
    if not found.client:
        stop(EX_NOINPUT, f"case {case}: the client's address is not known, so that nothing can be proposed")
    try:
        return read_subject(network_text=found.client, domain=found.sender_domain or "")[1]
    except ValueError:  # a name that the DNS can hold, and we cannot write
        return read_subject(network_text=found.client)[1]


def _ask(one: Exemption, *, yes: bool) -> None:
    if yes:
        return
    question = f"Let in {one.subject} until {local(one.until)}?"
    if not sys.stdin.isatty():
        stop(EX_USAGE, f"{question} Say --yes, or --dry-run to look at it first")
    click.confirm(question, abort=True, err=True)


def keep(store: Store, one: Exemption) -> None:
    """Add an exemption, if not too many are in force. Exits with 69 otherwise."""
    try:
        present = _in_force(store.read(), one.added)
        by_spf = sum(bool(each.forwarder_spf) for each in present)
        if len(present) >= MOST or (one.forwarder_spf and by_spf >= MOST_BY_SPF):
            most = f"{MOST_BY_SPF} forwarders by SPF" if one.forwarder_spf and by_spf >= MOST_BY_SPF else f"{MOST}"
            stop(EX_UNAVAILABLE, f"{most} exemptions are in force, which is the limit: put lists into the INI file")
        store.add(one)
    except StoreError as error:
        failed(error)


def when_in_force(settings: Settings, path: Path) -> str:
    """Return when an exemption that was added is in force: once the daemon runs, if there is no sign of it here.

    Args:
        settings: the daemon's. If hosts share the store, the daemon of another host may follow.
        path: the INI file.
    """
    found = statusfile.find(path)
    known = known_from(path, IniFile(settings=settings), found, deadline=0)
    runs = known.snapshot is not None or found.denied or is_shared(settings)
    return f"in force within {IN_FORCE} seconds{'' if runs else ' once the daemon runs'}"


def _tell(one: Exemption, settings: Settings, path: Path, wish: Wish, *, done: bool) -> None:
    shared = is_shared(settings)
    if wish.json_output:
        shown = {**json_of(one, one.added), "added_to": place(settings), "shared": shared, "dry_run": not done}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    where = "on all hosts that share the store" if shared else "on this host"
    said = f"{when_in_force(settings, path)}, {where}" if done else "would be added; nothing was changed"
    rows = [
        ("let in", str(one.subject)),
        ("until", f"{local(one.until)}{time_left(one, one.added)}"),
        ("because", one.because),
        ("by", one.added_by),
        *([("id", one.id), ("remove", f"{command_line('exempt remove', path)} {one.id}")] if done else []),
        ("", said),
    ]
    tell(rows)


# -- list --------------------------------------------------------------------------------------------------------------


def show(path: Path, *, everything: bool, json_output: bool) -> None:
    """Print the exemptions in force; with ``everything``, those that ended or were removed, too.

    Exits with 69 if the store cannot be used, or its file is gone with exemptions that are in force.
    """
    settings = settings_from(path)
    store = open_or_stop(open_store, settings)
    go_on_as_owner(settings)
    now = time.time()
    try:
        found = [one for one in _valid(store.read()) if everything or one.is_in_force(now)]
        saved.refuse_vanished(store, settings, now)
    except StoreError as error:
        failed(error)
    found.sort(key=lambda one: (not one.is_in_force(now), one.until is None, one.until or 0, one.id))
    if json_output:
        whole = {"store": place(settings), "exemptions": [json_of(one, now) for one in found]}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    elif not found:
        click.echo(f"no exemption {'is known' if everything else 'is in force'} ({place(settings)})")
    else:
        print_result(_table(found, now))


def _table(found: Sequence[Exemption], now: float) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("id", "lets in", "until", "by", "because"):
        table.add_column(name, overflow="fold")
    for one in found:
        end = f"{local(one.until)}{time_left(one, now)}"
        if one.removed is not None:
            end = f"removed {local(one.removed)} by {one.removed_by}"
        style = "" if one.is_in_force(now) else "dim"
        table.add_row(*(Text(text) for text in (one.id, str(one.subject), end, one.added_by, one.because)), style=style)
    return table


def time_left(one: Exemption, now: float) -> str:
    """Return how long it still lasts, for people."""
    if one.until is None:
        return ""
    left = one.until - now
    if left <= 0:
        return " (ended)"
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if left >= size:
            number = round(left / size)
            return f" (in {number} {name}{'' if number == 1 else 's'})"
    return f" (in {round(left)} seconds)"


# -- remove ------------------------------------------------------------------------------------------------------------


def remove(path: Path, ids: Sequence[str], whom: Whom, *, json_output: bool) -> None:
    """Remove exemptions in force: those with these ids, or those for exactly this client, domain or forwarder.

    Exits with 66 if there is none, and with 69 as ``show`` does.
    """
    settings = settings_from(path)
    who = who_acts()
    store = open_or_stop(open_store, settings)
    go_on_as_owner(settings)
    wanted = {_id(text) for text in ids}
    subject = whom.subject(settings) if whom != Whom() else None
    if not wanted and subject is None:
        raise click.UsageError("say which: an id of spfmilter exempt list, or the option with which it was added")
    now = int(time.time())
    try:
        found = [one for one in _in_force(store.read(), now) if one.id in wanted or one.subject == subject]
        missing = wanted - {one.id for one in found}
        saved.refuse_vanished(store, settings, now)
        if found:
            store.remove([one.id for one in found], now, who)
    except StoreError as error:
        failed(error)
    if found and settings.web.requests:
        _end_grants(settings, [one.id for one in found], now)
    if json_output:
        shown = [json_of(replace(one, removed=now, removed_by=who), now) for one in found]
        click.echo(json.dumps({"removed": shown, "missing": sorted(missing)}, indent=2, ensure_ascii=False))
    else:
        for one in found:
            click.echo(f"removed {one.id}: {one.subject}; no longer in force within {IN_FORCE} seconds")
    for identity in sorted(missing):
        click.echo(f"no exemption {identity} is in force", err=True)
    if not found and subject is not None:
        click.echo(f"no exemption for {subject} is in force", err=True)
    if missing or not found:
        sys.exit(EX_NOINPUT)


def _end_grants(settings: Settings, ids: Sequence[str], now: int) -> None:
    """Let the help page no longer say that a request is granted whose exemption was removed."""
    try:
        with closing(requests.open_store(settings)) as store:
            store.end(ids, now)
    except StoreError as error:
        click.echo(f"warning: the help page may still say that the sender is let in: {error}", err=True)


def _id(text: str) -> str:
    try:
        return read_id(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ID") from None


# -- all of them -------------------------------------------------------------------------------------------------------


def _valid(rows: Sequence[object]) -> list[Exemption]:
    """Return the exemptions of a store's rows. Name those that are none."""

    def refused(_row: Row, why: str) -> None:
        click.echo(f"warning: a row of the store is no exemption, and is ignored: {why}", err=True)

    return list(valid(rows, refused))


def _in_force(rows: Sequence[object], now: float) -> list[Exemption]:
    return [one for one in _valid(rows) if one.is_in_force(now)]
