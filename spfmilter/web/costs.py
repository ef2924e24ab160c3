"""The DNS lookups that each term of a record has cost, for a record that needs too many.

Pure: counts the terms of a trace that need a lookup (RFC 7208 section 4.6.4). All untrusted input passes the sanitizer
here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spfmilter.model import ProblemKind, RecordStep, TermStep, Verdict
from spfmilter.text import unicode_line

_NEEDS_LOOKUP = re.compile(r"[-+?~]?(?:include:|redirect=|exists:|(?:a|mx|ptr)(?:[:/]|$))", re.IGNORECASE)
_SHOWN_TERM = 100  # characters
_SHOWN = 12  # terms; a record of ten is over the limit with the next one


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A term of the domain's own record."""

    term: str
    lookups: int  # its own, and those of the records inside
    at_least: bool  # the limit was reached here, or before: it may need more


def costs_of(verdict: Verdict) -> tuple[Cost, ...]:
    """Return the cost of each term if the record needs too many lookups; else nothing.

    Args:
        verdict: with its trace.
    """
    problem, record = verdict.problem, verdict.trace
    if problem is None or problem.kind is not ProblemKind.LOOKUP_LIMIT or record is None:
        return ()
    needed = [term for term in record.terms if _NEEDS_LOOKUP.match(term.text)]
    unread = [word for word in (record.text or "").split(" ") if _NEEDS_LOOKUP.match(word)][len(needed) :]
    costs = [(term.text, _lookups(term), term is record.terms[-1]) for term in needed]
    costs += [(word, 1, True) for word in unread]
    return tuple(
        Cost(term=unicode_line(term, _SHOWN_TERM), lookups=lookups, at_least=least)
        for term, lookups, least in costs[:_SHOWN]
    )


def _lookups(term: TermStep) -> int:
    own = 1 if _NEEDS_LOOKUP.match(term.text) else 0
    return own + (_inside(term.record) if term.record is not None else 0)


def _inside(record: RecordStep) -> int:
    return sum(map(_lookups, record.terms))
