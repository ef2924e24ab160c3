"""A recorded decision as of its own moment: what it was, and the evaluations repeated from the answers of then.

Knows how a row of the journal becomes values again. A row is untrusted input: each text is sanitized here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from spfmilter.addresses import parse_address
from spfmilter.commands.tree import Question, question
from spfmilter.evaluation.limits import Limits
from spfmilter.evaluation.replay import replay
from spfmilter.journal.answers import AnswersError, unpack
from spfmilter.journal.rows import TEXT_LIMIT, Cell, Decision
from spfmilter.model import LookupStep, RecordStep, Rule, Verdict
from spfmilter.settings import Settings
from spfmilter.text import unicode_line

_RULE = re.compile(r"\[(?P<section>[^\]]+)\] (?P<key>\S+) = (?P<value>.*)")
_PLACE = re.compile(r" \([^()]*line \d+\)(?:, .*)?$")  # and a remark behind it
_LISTS = frozenset({"exempt", "relays"})  # sections whose keys are lists: one entry of them decides
_NUMBERS = frozenset(
    ("time", "authenticated", "recipient_rules", "lookups", "void_lookups", "elapsed")
)  # columns of numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The evaluations of a decision, repeated from its answers."""

    verdicts: tuple[Verdict, ...] = ()
    missing: str = ""  # why they cannot be repeated; empty: they can
    doubts: tuple[str, ...] = ()  # where the repeated result is not the recorded one

    def lookups(self) -> dict[Question, LookupStep]:
        """Return the lookups of then, by what they asked."""
        traces = (verdict.trace for verdict in self.verdicts if verdict.trace is not None)
        return {question(step): step for trace in traces for step in lookups_of(trace)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleToday:
    """The line of the settings that decided, as it is today."""

    rule: Rule | None  # None: today's INI file has no such section or key
    same: bool  # the value is the same, or still contains the entry that decided


def cleaned(row: Decision) -> Decision:
    """Return a row with each text sanitized, and each number a number: SQLite stores what it is given."""
    return Decision._make(_cell(name, value) for name, value in zip(row._fields, row, strict=True))


def _cell(name: str, value: object) -> Cell:
    if name == "answers":
        return value if isinstance(value, bytes) else None
    if name in _NUMBERS:
        return value if isinstance(value, int) else 0
    return None if value is None else unicode_line(str(value), TEXT_LIMIT)


def moment_of(row: Decision, settings: Settings) -> Moment:
    """Return the evaluations of a cleaned row, repeated from its answers alone."""
    address = parse_address(row.client or "")
    if address is None:
        return Moment(missing="the client's address is not known")
    try:
        evaluations = unpack(row.answers)
    except AnswersError as error:
        return Moment(missing=str(error))
    limits = Limits(lookups=settings.dns.lookup_limit, void_lookups=settings.dns.void_lookup_limit)
    verdicts = tuple(
        replay(
            one.check(address, row.sender_local, row.helo or ""),
            one.asked,
            limits=limits,
            receiver=settings.headers.own_id or row.host or "unknown",
        )
        for one in evaluations
    )
    return Moment(verdicts=verdicts, doubts=tuple(_doubts(row, verdicts)))


def _doubts(row: Decision, verdicts: tuple[Verdict, ...]) -> Iterator[str]:
    recorded = {"mailfrom": row.mailfrom_result, "helo": row.helo_result}
    for verdict in verdicts:
        then = recorded[verdict.check.identity]
        if then != verdict.result:
            yield (
                f"repeated, {verdict.check.identity} is {verdict.result} and not {then}: the limits in [dns] or "
                "spfmilter itself have changed since, or the row has"
            )


def lookups_of(record: RecordStep) -> Iterator[LookupStep]:
    """Yield all lookups of a tree."""
    yield from record.lookups
    for term in record.terms:
        yield from term.lookups
        if term.record is not None:
            yield from lookups_of(term.record)


def rule_today(text: str, settings: Settings) -> RuleToday | None:
    """Return what today's settings say in the place of a recorded rule; None: that was no line of the INI file.

    Args:
        text: the rule as the journal has it.
        settings: today's.
    """
    found = _RULE.fullmatch(text)
    if found is None:
        return None
    try:
        today = settings.rule(found["section"], found["key"])
    except KeyError:
        return RuleToday(rule=None, same=False)
    then, now = _PLACE.sub("", found["value"]), today.value or "(empty)"
    # Without a place a remark follows the value; a long value is cut off.
    same = now == then or then.startswith(f"{now}, ") or (then.endswith("...") and now.startswith(then[:-3]))
    if found["section"] in _LISTS:
        same = same or set(then.split(", ")) <= set(now.split(", "))
    return RuleToday(rule=today, same=same)


def local_time(milliseconds: int) -> str:
    """Return a moment in this host's zone, and in UTC."""
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
        here = moment.astimezone()
    except (OverflowError, ValueError, OSError):
        return "unknown"
    utc = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return f"{here:%Y-%m-%d %H:%M:%S %Z} ({utc})" if here.utcoffset() else utc


def utc_time(milliseconds: int) -> str | None:
    """Return a moment for machines, such as ``2026-11-29T11:00:57.123Z``; None: it is out of all bounds."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
    except (OverflowError, ValueError, OSError):
        return None
