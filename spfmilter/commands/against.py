"""``spfmilter config check --against journal``: what the settings would have done to the recorded mail."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import click

from spfmilter.commands.console import EX_CONFIG, EX_UNAVAILABLE, waiting
from spfmilter.commands.redecide import Recorded, Unjudged, redecide
from spfmilter.model import Disposition
from spfmilter.text import unicode_line

if TYPE_CHECKING:
    from spfmilter.settings import Settings

_K = TypeVar("_K")
EX_BEYOND = 1  # more domains would be refused than --at-most allows
_SHOWN = 20  # domains of a list, for people


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The options of the comparison."""

    since: float = 7 * 86400.0  # seconds
    at_most: int | None = None  # domains that may be refused beside those of today; None: any number


@dataclass(slots=True)
class DomainChange:
    """The messages of one domain that are treated otherwise in the same way."""

    messages: int = 0
    rule: str = ""  # the line that decides about the last one of them


@dataclass(slots=True)
class Comparison:
    """What the settings would have done, beside what was done."""

    messages: int = 0
    unjudged: Counter[str] = field(default_factory=Counter)  # messages by reason
    assumed: Counter[str] = field(default_factory=Counter)  # refused messages for which something was assumed
    changes: Counter[tuple[Disposition, Disposition]] = field(default_factory=Counter)  # messages: before, now
    refused: dict[str, DomainChange] = field(default_factory=dict)  # by domain; <>: the null sender
    released: dict[str, DomainChange] = field(default_factory=dict)

    def add(self, recorded: Recorded, number: int, settings: Settings) -> None:
        """Take in a number of equal messages."""
        self.messages += number
        try:
            change = redecide(recorded, settings)
        except Unjudged as reason:
            self.unjudged[str(reason)] += number
            return
        if change.now.refuses:
            for assumption in change.assumed:
                self.assumed[assumption] += number
        if change.before is change.now:
            return
        self.changes[change.before, change.now] += number
        if change.before.refuses != change.now.refuses:
            among = self.refused if change.now.refuses else self.released
            of_domain = among.setdefault(recorded.sender_domain or "<>", DomainChange())
            of_domain.messages += number
            of_domain.rule = change.rule


def compared(groups: Iterable[tuple[Recorded, int]], settings: Settings) -> Comparison:
    """Return the comparison for messages; equal ones come together, with their number."""
    result = Comparison()
    for recorded, number in groups:
        if recorded.ended != "abandoned":  # no message came, so nothing was done to it
            result.add(recorded, number, settings)
    return result


def compare(settings: Settings, wanted: Scope, *, json_output: bool) -> None:
    """Print the comparison. Exit with 1 if more domains than allowed would be refused.

    Exit with 78 if the settings have no journal, and with 69 if it cannot be read.
    """
    if settings.journal.url is None:
        click.echo("[journal] url is empty, so no mail is recorded: set it, and reload the daemon", err=True)
        sys.exit(EX_CONFIG)
    from spfmilter.journal.database import JournalError  # noqa: PLC0415 - SQLAlchemy takes its time to load
    from spfmilter.journal.reader import reading  # noqa: PLC0415 - the same

    since = int((time.time() - wanted.since) * 1000)
    try:
        with waiting("deciding again"), reading(settings.journal.url) as journal:
            groups = (
                (Recorded._make(cells), number) for cells, number in journal.counted(Recorded._fields, since=since)
            )
            result = compared(groups, settings)
    except JournalError as error:
        click.echo(f"[journal] url = {settings.journal.url}: {error}", err=True)
        sys.exit(EX_UNAVAILABLE)
    click.echo(json.dumps(as_json(result), indent=2) if json_output else "\n".join(as_text(result)))
    if wanted.at_most is not None and len(result.refused) > wanted.at_most:
        sys.exit(EX_BEYOND)


# -- as text and as JSON -----------------------------------------------------------------------------------------------


def as_json(result: Comparison) -> dict[str, object]:
    """Return the comparison for machines."""
    return {
        "messages": result.messages,
        "would_refuse": _domains_json(result.refused),
        "would_release": _domains_json(result.released),
        "changes": [{"before": old, "now": new, "messages": number} for (old, new), number in _most(result.changes)],
        "unjudged": [{"reason": reason, "messages": number} for reason, number in _most(result.unjudged)],
        "assumed": [{"assumption": text, "messages": number} for text, number in _most(result.assumed)],
    }


def _domains_json(domains: dict[str, DomainChange]) -> list[dict[str, object]]:
    return [
        {"domain": unicode_line(domain), "messages": change.messages, "rule": change.rule}
        for domain, change in _ordered(domains)
    ]


def as_text(result: Comparison) -> Iterator[str]:
    """Yield the lines of the comparison for people."""
    judged = result.messages - result.unjudged.total()
    yield f"{_counted(result.messages, 'recorded message')}, {judged} of them judged"
    yield from _domains(result.refused, "would refuse", "more ")
    yield from _domains(result.released, "would release", "")
    others = {pair: number for pair, number in result.changes.items() if pair[0].refuses == pair[1].refuses}
    for (old, new), number in _most(Counter(others)):
        yield f"would {new} instead of {old}: {_counted(number, 'message')}"
    if not result.changes:
        yield "nothing would change"
    for reason, number in _most(result.unjudged):
        yield f"not judged: {_counted(number, 'message')}: {reason}"
    for assumption, number in _most(result.assumed):
        yield f"assumed for {_counted(number, 'message')} that would be refused: {assumption}"


def _domains(domains: dict[str, DomainChange], what: str, more: str) -> Iterator[str]:
    messages = sum(change.messages for change in domains.values())
    noun = f"{more}{'domain' if len(domains) == 1 else 'domains'}"
    yield f"{what} {len(domains)} {noun}, {_counted(messages, 'message')}{':' if domains else ''}"
    for domain, change in _ordered(domains)[:_SHOWN]:
        yield f"  {unicode_line(domain)}  {_counted(change.messages, 'message')}  by {change.rule}"
    if len(domains) > _SHOWN:
        yield f"  and {len(domains) - _SHOWN} more: --json lists all"


def _ordered(domains: dict[str, DomainChange]) -> list[tuple[str, DomainChange]]:
    return sorted(domains.items(), key=lambda item: (-item[1].messages, item[0]))


def _most(counted: Counter[_K]) -> list[tuple[_K, int]]:
    return sorted(counted.items(), key=lambda item: (-item[1], str(item[0])))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun if number == 1 else noun + 's'}"
