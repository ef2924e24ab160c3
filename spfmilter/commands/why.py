"""``spfmilter why``: one decision of the journal, explained from the answers of its moment."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from spfmilter import caseid
from spfmilter.addresses import dns_domain, parse_address, parse_reverse_path, written_address
from spfmilter.commands.console import EX_CONFIG, EX_UNAVAILABLE, print_result, settings_from, waiting
from spfmilter.settings import Settings
from spfmilter.settings.values import duration

if TYPE_CHECKING:
    from spfmilter.commands.explain import Explained
    from spfmilter.journal.reader import Journal
    from spfmilter.journal.rows import Decision

NOT_FOUND = 1  # exit status
_MOST = 100  # decisions that are shown
_NO_JOURNAL = """\
the journal is off: [journal] url in {path} is empty, so no decision is kept. To keep them from now on, write
  [journal]
  url = sqlite:////var/lib/spfmilter/journal.db"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """The options of the command, not parsed yet."""

    what: str  # a case id, the notice's link, or a queue id; empty: the options below say what
    ip: str = ""
    mail_from: str | None = None
    helo: str = ""
    since: str = "7d"
    offline: bool = False
    json_output: bool = False


def why(path: Path, sought: Sought) -> None:
    """Print the decision that is sought, or a table if there are several. Exit with 1 if there is none.

    Args:
        path: the INI file.
        sought: which decision, and how to show it.

    Raises:
        click.UsageError: the options contradict each other, or one is wrong.
    """
    search = _search_of(sought)
    settings = settings_from(path)
    if settings.journal.url is None:
        _stop(_NO_JOURNAL.format(path=path), EX_CONFIG)
    # Imported here: SQLAlchemy and dnspython take their time to load.
    from spfmilter.commands.moment import cleaned  # noqa: PLC0415
    from spfmilter.journal.database import JournalError  # noqa: PLC0415
    from spfmilter.journal.reader import reading  # noqa: PLC0415

    try:
        with reading(settings.journal.url) as journal:
            found = [cleaned(row) for row in search.rows(journal)]
    except JournalError as error:
        _stop(f"the journal {settings.journal.url} cannot be read: {error}", EX_UNAVAILABLE)
    if not found:
        _stop(search.nothing(settings), NOT_FOUND)
    if len(found) > 1:
        _show_several(found, sought)
    else:
        _show(found[0], settings, path, sought)


# -- what is sought ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What to look for, parsed."""

    case: str = ""
    queue_id: str = ""
    not_a_case: str = ""  # why the text is no case id
    client: str = ""
    domain: str | None = None  # of the sender; empty: the null sender; None: any
    local: str = ""  # of the sender
    helo: str = ""
    since: float = 0.0  # seconds

    def rows(self, journal: Journal) -> Sequence[Decision]:
        """Return the decisions, the newest first."""
        if self.case and (found := journal.case(self.case)) is not None:
            return [found]
        if self.queue_id:
            return journal.queue_id(self.queue_id)
        if self.case:
            return []
        since = int((time.time() - self.since) * 1000)
        rows = journal.found(since=since, client=self.client, sender_domain=self.domain, helo=self.helo, limit=_MOST)
        return [row for row in rows if not self.local or row.sender_local in {None, self.local}]

    def nothing(self, settings: Settings) -> str:
        """Return what to tell if there is none."""
        kept = f"[journal] keep = {settings.journal.keep}"
        if not self.case and not self.queue_id:
            return f"the journal holds no such decision; it keeps them for {kept}: try another --since"
        if self.not_a_case:
            return f"the journal holds no decision with the queue id {self.queue_id!a}; as a case id: {self.not_a_case}"
        return f"the journal holds no case {self.case}: it is older than {kept}, or another journal's"


def _search_of(sought: Sought) -> _Search:
    chosen = sought.ip or sought.mail_from is not None or sought.helo
    if bool(sought.what) == bool(chosen):
        raise click.UsageError(
            "say which decision: a case id, the notice's link or a queue id; or --ip, --mail-from, --helo"
        )
    return _search_by_name(sought.what.strip()) if sought.what else _search_by_options(sought)


def _search_by_name(what: str) -> _Search:
    from spfmilter.helplink.token import case_in  # noqa: PLC0415 - itsdangerous is needed only here

    linked = case_in(what)
    if linked is not None:
        if not linked.id:
            day = time.strftime("%Y-%m-%d", time.gmtime(linked.time))
            raise click.UsageError(
                f"the link is of an older version and holds no case id; it is about {linked.address} and "
                f"{linked.domain}, on {day}: write --ip {linked.address} --since with a time that reaches back to it"
            )
        return _Search(case=linked.id)
    try:
        return _Search(case=caseid.read(what), queue_id=what)  # it may be either
    except ValueError as error:
        return _Search(queue_id=what, not_a_case=str(error))


def _search_by_options(sought: Sought) -> _Search:
    address = parse_address(sought.ip) if sought.ip else None
    if sought.ip and address is None:
        raise click.BadParameter(
            f"{sought.ip!r} is not an IP address: write 192.0.2.1 or 2001:db8::1", param_hint="--ip"
        )
    try:
        since = duration(sought.since).seconds
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--since") from None
    domain, local = None, ""
    if sought.mail_from is not None:
        path = parse_reverse_path(written_address(sought.mail_from))
        whole = path.domain or path.local  # a domain alone
        domain, local = (dns_domain(whole) or whole).lower(), path.local if path.domain else ""
    return _Search(
        client=str(address) if address is not None else "",
        domain=domain,
        local=local,
        helo=sought.helo,
        since=since,
    )


# -- showing it --------------------------------------------------------------------------------------------------------


def _show_several(found: Sequence[Decision], sought: Sought) -> None:
    from spfmilter.commands import whyview  # noqa: PLC0415 - see ``why``

    if sought.json_output:
        click.echo(json.dumps({"decisions": [whyview.summary_json(row) for row in found]}, indent=2))
        return
    print_result(whyview.table(found))
    most = f"the newest {_MOST}; " if len(found) >= _MOST else ""
    click.echo(f"{most}for one of them: spfmilter why CASE")


def _show(row: Decision, settings: Settings, path: Path, sought: Sought) -> None:
    from spfmilter.commands import letin, moment, whyview  # noqa: PLC0415 - see ``why``

    with nullcontext() if sought.json_output else waiting("asking the DNS"):
        now, not_now = (None, "") if sought.offline else _now(row, settings)
    story = whyview.Story(
        row=row,
        moment=moment.moment_of(row, settings),
        rule=moment.rule_today(row.rule, settings),
        now=now,
        not_now=not_now,
        ways=tuple(letin.ways_in(row, now.forwarder if now is not None else None, settings, path)),
    )
    if sought.json_output:
        click.echo(json.dumps({"decisions": [whyview.as_json(story)]}, indent=2))
    else:
        print_result(whyview.as_text(story))


def _now(row: Decision, settings: Settings) -> tuple[Explained | None, str]:
    """Return what would be done with the same message now; or None, and why it cannot be told."""
    from spfmilter.commands.simulation import Conversation, simulate  # noqa: PLC0415 - see ``why``

    address = parse_address(row.client or "")
    if address is None:
        return None, "the client's address is not known"
    domain = row.sender_domain or ""
    conversation = Conversation(
        address=address,
        helo=row.helo or "",
        sender=f"{row.sender_local or 'postmaster'}@{domain}" if domain else "",
        login="unknown" if row.authenticated else "",
        hostname=row.host or socket.gethostname(),
    )
    return simulate(conversation, settings, explain=True, warn=lambda _: None), ""


def _stop(text: str, status: int) -> NoReturn:
    click.echo(text, err=True)
    sys.exit(status)
