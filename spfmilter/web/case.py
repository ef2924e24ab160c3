"""A case as the page shows it: the result then, the result now, the tree of terms, the record to publish.

Knows which values the page needs. All untrusted input passes the sanitizer here, so a template only has to show it.
Decides nothing, and knows no HTML.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from spfmilter.model import Identity, LookupStep, RecordStep, Result, TermStep, Verdict
from spfmilter.reply.advice import NO_CLUES, Advice, Remedy, Situation, advice
from spfmilter.spf.clues import Clues
from spfmilter.spf.loops import loop_at
from spfmilter.text import unicode_line
from spfmilter.web import wording
from spfmilter.web.fixes import SuggestedRecord, suggest_record
from spfmilter.web.panel import Panel, panel_for
from spfmilter.zones import Delegation

_SHOWN_RECORD = 1500  # characters
_SHOWN_TERM = 300
_SHOWN_EXPLANATION = 400
_SHOWN_TERMS = 20  # of one record: a record of 16 KB may have a thousand terms
_SHOWN_ANSWERS = 12
_QUALIFIERS = {"-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}
_RECORD_CHANGES = frozenset({Remedy.ADD, Remedy.ADD_BEFORE, Remedy.PUBLISH})
_TERM = re.compile(r"[-+?~]?([A-Za-z0-9]+)[:=]?(.*)", re.DOTALL)


class Step(StrEnum):
    """How far the evaluation of a term went."""

    PASSED_OVER = "passed-over"
    MATCHED = "matched"
    LED_ON = "led-on"  # to another record, which decided
    BROKE_OFF = "broke-off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A DNS query and its answer, in short."""

    question: str
    answers: tuple[str, ...]
    more: int  # answers that are not shown
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A term of a record: its meaning and its effect."""

    text: str
    meaning: str  # a key of the catalogue; empty where there is none
    value: str  # for the meaning
    step: Step
    result: Result | None  # of a match
    decided: bool  # this term decided the result
    lookups: tuple[Lookup, ...]
    record: RecordView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordView:
    """A record, with the terms that were evaluated."""

    domain: str
    text: str | None
    unread: str  # why there is no text, in the trace's words, if the DNS failed; else empty
    problem: str  # the same, as a key of the catalogue, if what the DNS holds cannot be read; else empty
    terms: tuple[Term, ...]
    hidden: int  # terms that are not shown


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalResult:
    """The result at the time when the message came, from the token."""

    result: Result
    time: int
    case: str = ""  # the case id; empty in links of an older version


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """Everything that the page shows of a case."""

    identity: Identity
    address: str
    domain: str
    helo: str
    then: OriginalResult | None  # None: checked by hand
    now: Result
    title: str  # keys of the catalogue, which take address and domain
    lead: str
    term: str | None  # the term that decided
    record_domain: str  # the domain whose record has to be changed
    problem: str | None  # a key of the catalogue
    problem_term: str | None
    explanation: str | None
    record: RecordView | None
    remedies: tuple[Remedy, ...]  # alternatives for the sender, the most likely one first
    suggested: SuggestedRecord | None
    added: str  # the term for the address, if no whole record can be suggested
    service: str | None  # the service whose servers ``added`` stands for
    wait: int  # minutes until a change is seen
    lookups: int
    panel: Panel | None  # where the record is changed, if its DNS host is known
    partial: bool  # the record uses values that a link does not hold: the local part, or the HELO name

    @property
    def fixed(self) -> bool:
        """Return whether the check failed then and passes now."""
        return self.then is not None and self.then.result is not Result.PASS and self.now is Result.PASS

    @property
    def changes_record(self) -> bool:
        """Return whether a remedy changes a record to allow the server."""
        return not _RECORD_CHANGES.isdisjoint(self.remedies)


def build_view(
    verdict: Verdict,
    clues: Clues = NO_CLUES,
    *,
    own: bool = False,
    then: OriginalResult | None = None,
    longest_ttl: float = 3600.0,
    delegation: Delegation | None = None,
) -> CaseView:
    """Return the view of a current verdict and of the result ``then``.

    Args:
        verdict: the current one, with its trace.
        clues: what was looked up about the client.
        own: the receiver's own users have the domain.
        then: what the token says; None for a check by hand.
        longest_ttl: seconds for which the receiving server caches an answer at most.
        delegation: the zone that holds the record, if known.
    """
    check, problem = verdict.check, verdict.problem
    # If the record cannot be read now, show the reason of the refusal.
    told = then.result if then is not None and verdict.result is Result.TEMPERROR else verdict.result
    advised = advice(verdict, clues, own=own)
    suggested = suggest_record(verdict, advised.add)
    fixed = then is not None and then.result is not Result.PASS and verdict.result is Result.PASS
    return CaseView(
        identity=check.identity,
        address=str(check.address),
        domain=unicode_line(check.domain),
        helo=unicode_line(check.helo),
        then=then,
        now=verdict.result,
        title=wording.TITLE_FIXED if fixed else wording.TITLES[check.identity][told],
        lead=wording.FIXED if fixed else _lead(advised, told),
        term=unicode_line(verdict.term, _SHOWN_TERM) if verdict.term is not None else None,
        record_domain=unicode_line(suggested.domain if suggested is not None else advised.record_domain),
        problem=wording.PROBLEMS[problem.kind] if problem is not None else None,
        problem_term=unicode_line(problem.term, _SHOWN_TERM) if problem is not None and problem.term else None,
        explanation=unicode_line(" ".join(verdict.explanation.split()), _SHOWN_EXPLANATION)
        if verdict.explanation
        else None,
        record=_record(verdict.trace, verdict, last=True) if verdict.trace is not None else None,
        remedies=advised.remedies,
        suggested=suggested,
        added=advised.add,
        service=advised.service.name if advised.service is not None else None,
        wait=max(1, math.ceil(min(verdict.ttl or 0, longest_ttl) / 60)),
        lookups=verdict.lookups,
        panel=panel_for(advised, suggested.domain if suggested is not None else advised.record_domain, delegation),
        partial=then is not None and check.identity is Identity.MAILFROM and bool(verdict.letters & {"l", "s", "h"}),
    )


def _lead(advised: Advice, told: Result) -> str:
    if advised.situation is Situation.DENIED and advised.result is told and advised.identity is Identity.MAILFROM:
        return wording.RULED_OUT
    return wording.STORIES[advised.identity][told]


def _record(step: RecordStep, verdict: Verdict, above: tuple[RecordStep, ...] = (), *, last: bool) -> RecordView:
    """Return the view of a record in the trace.

    Args:
        step: the record.
        verdict: that of the evaluation.
        above: the records that led to it, the first one first.
        last: the term that matches in this record decided.
    """
    shown = step.terms[:_SHOWN_TERMS]
    if len(step.terms) > _SHOWN_TERMS:
        shown = (*shown[:-1], step.terms[-1])  # the last term is the one that decided
    failed = step.unread is not None and verdict.result is Result.TEMPERROR
    return RecordView(
        domain=unicode_line(step.domain),
        text=unicode_line(step.text, _SHOWN_RECORD) if step.text is not None else None,
        unread=unicode_line(step.lookups[-1].outcome) if failed and step.lookups else "",
        problem=wording.PROBLEMS[step.unread] if step.unread is not None and not failed else "",
        terms=tuple(_term(term, (*above, step), verdict, last=last) for term in shown),
        hidden=len(step.terms) - len(shown),
    )


def _term(term: TermStep, above: tuple[RecordStep, ...], verdict: Verdict, *, last: bool) -> Term:
    """Return the view of a term of the last record in ``above``.

    A term that leads back to one of these records ends the branch: the same terms would follow, until a limit.
    """
    loop = loop_at(term, above)
    if loop is not None:
        step = Step.BROKE_OFF
    elif term.matched:
        step = Step.MATCHED
    elif term.matched is not None:
        step = Step.PASSED_OVER
    else:
        step = Step.LED_ON if term.record is not None and (term.redirects or not verdict.problem) else Step.BROKE_OFF
    meaning, value = _meaning(term, above[-1].domain) if loop is None else (wording.LOOP, loop.domain)
    inside = term.record if loop is None else None
    return Term(
        text=unicode_line(term.text, _SHOWN_TERM),
        meaning=meaning,
        value=unicode_line(value),
        step=step,
        result=_QUALIFIERS.get(term.text[:1], Result.PASS) if term.matched else None,
        decided=last and term.matched is True,
        lookups=tuple(_lookups(term.lookups)) if loop is None else (),
        record=_record(inside, verdict, above, last=last and term.redirects) if inside is not None else None,
    )


def _meaning(term: TermStep, domain: str) -> tuple[str, str]:
    """Return the meaning of a term, as a key of the catalogue, and its value."""
    found = _TERM.fullmatch(term.text)
    if found is None:
        return "", ""
    value = term.target or found[2]
    if value.startswith("/") or not value:  # a, mx/24: the domain itself
        value = domain + value
    return wording.TERMS.get(found[1].lower(), ""), value


def _lookups(steps: tuple[LookupStep, ...]) -> Iterator[Lookup]:
    for step in steps:
        answers = () if step.type == "TXT" else step.answers  # the record itself is shown elsewhere
        yield Lookup(
            question=unicode_line(f"{step.type} {step.name}"),
            answers=tuple(unicode_line(answer) for answer in answers[:_SHOWN_ANSWERS]),
            more=max(0, len(answers) - _SHOWN_ANSWERS),
            outcome=unicode_line(step.outcome),
        )
