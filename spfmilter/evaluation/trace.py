"""Collect the tree of an evaluation: the terms that were evaluated, their lookups, and the point where it ended.

Used only if the tree is wanted, as by ``spfmilter check``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.model import LookupStep, ProblemKind, RecordStep, TermStep


@dataclass(slots=True)
class _Term:
    text: str
    matched: bool | None = None
    target: str | None = None
    lookups: list[LookupStep] = field(default_factory=list)
    record: RecordStep | None = None


@dataclass(slots=True)
class _Record:
    domain: str
    text: str | None
    lookups: list[LookupStep] = field(default_factory=list)
    terms: list[TermStep] = field(default_factory=list)
    term: _Term | None = None


class Tracer:
    """Collect the steps. If an evaluation ends early, ``finish`` closes the open records and terms."""

    def __init__(self) -> None:
        self._open: list[_Record] = []
        self._root: RecordStep | None = None
        self._loose: list[LookupStep] = []  # lookups that belong to no open term, such as that of the first record

    def lookup(self, name: str, rdtype: Type, answer: Answer, elapsed: float) -> None:
        """Add a lookup to the open term, or to the record that it will find."""
        step = lookup_step(name, rdtype, answer, elapsed)
        if self._open and self._open[-1].term is not None:
            self._open[-1].term.lookups.append(step)
        else:
            self._loose.append(step)

    def open_record(self, domain: str, text: str | None) -> None:
        """Begin a record: the first one, or one that the open term leads to."""
        self._open.append(_Record(domain, text, self._loose))
        self._loose = []

    def open_term(self, text: str) -> None:
        """Begin a term of the innermost record."""
        self._open[-1].term = _Term(text)

    def target(self, domain: str) -> None:
        """Set the name to which the domain-spec of the open term was expanded."""
        if self._open and self._open[-1].term is not None:
            self._open[-1].term.target = domain

    def close_term(self, *, matched: bool | None) -> None:
        """End the open term."""
        record = self._open[-1]
        term, record.term = record.term, None
        if term is not None:
            record.terms.append(
                TermStep(
                    text=term.text, matched=matched, lookups=tuple(term.lookups), record=term.record, target=term.target
                )
            )

    def close_record(self) -> None:
        """End the innermost record."""
        self.close_term(matched=None)
        record = self._open.pop()
        step = RecordStep(
            domain=record.domain, text=record.text, lookups=tuple(record.lookups), terms=tuple(record.terms)
        )
        if self._open and self._open[-1].term is not None:
            self._open[-1].term.record = step
        else:
            self._root = step

    def finish(self, domain: str, ended_by: ProblemKind | None) -> RecordStep:
        """Return the whole tree, also for an evaluation that ended early.

        Args:
            domain: the checked domain.
            ended_by: the problem that ended the evaluation; None: it reached a result.
        """
        while self._open:
            self.close_record()
        if self._root is None:
            return RecordStep(domain=domain, text=None, unread=ended_by, lookups=tuple(self._loose))
        # The lookup of the explanation comes after the record.
        return replace(self._root, lookups=(*self._root.lookups, *self._loose))


def lookup_step(name: str, rdtype: Type, answer: Answer, elapsed: float) -> LookupStep:
    """Return a lookup as it is shown. ``elapsed``: the seconds that it took."""
    texts = answer.texts(rdtype)
    return LookupStep(
        name=name, type=rdtype.name, outcome=_outcome(answer), answers=texts, elapsed=elapsed, heard=answer.heard
    )


def _outcome(answer: Answer) -> str:
    """Describe in a few words how a lookup ended."""
    match answer.status:
        case Status.DATA:
            return f"{len(answer.records)} answer{'s' if len(answer.records) != 1 else ''}"
        case Status.FAILED:
            return answer.failure
        case status:
            return str(status.value)
