"""The tree of terms as the page shows it: each record with its terms, and how far the evaluation of each went.

Knows which parts of a trace are shown. All untrusted input passes the sanitizer here. A tree has a budget of octets, so
a hostile record makes no long page. Decides nothing, and knows no HTML but its sizes.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from spfmilter.model import LookupStep, RecordStep, Result, TermStep, Verdict
from spfmilter.spf.loops import loop_at
from spfmilter.text import unicode_line
from spfmilter.web import wording

SHOWN_RECORD = 1500  # characters
_SHOWN_TERM = 300
_SHOWN_TERMS = 20  # of one record: a record of 16 KB may have a thousand terms
_SHOWN_ANSWERS = 12
_BUDGET = 12_000  # octets of HTML for all terms and records of a tree
_MARKUP = 240  # octets around a term, or a record
_SPAN = len("<span></span>")
_QUALIFIERS = {"-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}
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


def size(text: str) -> int:
    """Return the octets of a text in the page: escaped, in UTF-8, and each word with a hyphen in an element."""
    spans = sum("-" in word for word in text.split(" ")) if "-" in text else 0
    return len(html.escape(text).encode()) + spans * _SPAN


def tree_of(verdict: Verdict) -> RecordView | None:
    """Return the view of the record that was evaluated, with the records inside it; None without a trace.

    Args:
        verdict: with its trace.
    """
    return _Tree(verdict).record(verdict.trace, last=True) if verdict.trace is not None else None


class _Tree:
    """Builds one tree, until the budget is used up."""

    def __init__(self, verdict: Verdict) -> None:
        self._verdict = verdict
        self._left = _BUDGET

    def record(self, step: RecordStep, above: tuple[RecordStep, ...] = (), *, last: bool) -> RecordView:
        """Return the view of a record in the trace.

        Args:
            step: the record.
            above: the records that led to it, the first one first.
            last: the term that matches in this record decided.
        """
        text = unicode_line(step.text, SHOWN_RECORD) if step.text is not None else None
        if text is not None and size(text) > max(self._left // 2, _MARKUP):
            text = unicode_line(text, _MARKUP // 2)
        self._left -= _MARKUP + size(text or "") + size(step.domain)
        failed = step.unread is not None and self._verdict.result is Result.TEMPERROR
        terms = self._terms(step, above, last=last)
        return RecordView(
            domain=unicode_line(step.domain),
            text=text,
            unread=unicode_line(step.lookups[-1].outcome) if failed and step.lookups else "",
            problem=wording.PROBLEMS[step.unread] if step.unread is not None and not failed else "",
            terms=terms,
            hidden=len(step.terms) - len(terms),
        )

    def _terms(self, step: RecordStep, above: tuple[RecordStep, ...], *, last: bool) -> tuple[Term, ...]:
        """Return the first terms of a record, and the last one, which decided, or led to what decided."""
        if not step.terms:
            return ()
        *first, final = step.terms
        here = (*above, step)
        self._left -= _MARKUP  # for the last one
        shown = []
        for term in first[: _SHOWN_TERMS - 1]:
            if self._left <= 0:
                break
            shown.append(self._term(term, here, last=last))
        return (*shown, self._term(final, here, last=last))

    def _term(self, term: TermStep, above: tuple[RecordStep, ...], *, last: bool) -> Term:
        """Return the view of a term of the last record in ``above``.

        A term that leads back to one of these records ends the branch: the same terms would follow, until a limit.
        """
        loop = loop_at(term, above)
        meaning, value = _meaning(term, above[-1].domain) if loop is None else (wording.LOOP, loop.domain)
        text, value = unicode_line(term.text, _SHOWN_TERM), unicode_line(value)
        lookups = tuple(_lookups(term.lookups)) if loop is None and self._left > 0 else ()
        self._left -= _MARKUP + size(text) + size(value) + sum(map(_lookup_size, lookups))
        inside = term.record if loop is None and (self._left > 0 or term.redirects) else None
        return Term(
            text=text,
            meaning=meaning,
            value=value,
            step=Step.BROKE_OFF if loop is not None else _step(term, self._verdict),
            result=_QUALIFIERS.get(term.text[:1], Result.PASS) if term.matched else None,
            decided=last and term.matched is True,
            lookups=lookups,
            record=self.record(inside, above, last=last and term.redirects) if inside is not None else None,
        )


def _step(term: TermStep, verdict: Verdict) -> Step:
    if term.matched:
        return Step.MATCHED
    if term.matched is not None:
        return Step.PASSED_OVER
    return Step.LED_ON if term.record is not None and (term.redirects or not verdict.problem) else Step.BROKE_OFF


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


def _lookup_size(lookup: Lookup) -> int:
    return _MARKUP // 2 + size(lookup.question) + sum(size(answer) + _MARKUP // 4 for answer in lookup.answers)
