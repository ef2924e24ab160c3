"""Suggest a record with which the client would pass: the published one with one more term, or a first one.

Pure: takes a verdict with its trace, returns a value. Knows where the new term has to be. The returned record has
passed the sanitizer, so a person can copy it. Does not know how it is shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spfmilter.model import Result, Verdict
from spfmilter.text import unicode_line
from spfmilter.web.tree import size

_MAX_SIZE = 3000  # octets in the page: a longer record is not suggested, since people do not copy it
_STRING = 255  # characters of one string of a TXT record (RFC 1035 section 3.3.14)
_WORD = re.compile(r"[^ ]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedRecord:
    """A record to publish: the new part, and the published parts before and after it."""

    domain: str  # in whose DNS
    before: str
    added: str
    after: str
    first: bool = False  # the domain has no record yet

    @property
    def record(self) -> str:
        """Return the whole record."""
        return self.before + self.added + self.after

    @property
    def long(self) -> bool:
        """Return whether the record takes several strings of a TXT record."""
        return len(self.record) > _STRING


def suggest_record(verdict: Verdict, added: str) -> SuggestedRecord | None:
    """Return a record with which the same client would pass; None if there is none to suggest.

    A record in error is not extended. A record with characters that a person should not copy is not repeated.

    Args:
        verdict: with its trace.
        added: the term that allows the client.
    """
    if verdict.result is Result.NONE and verdict.check.domain:
        return SuggestedRecord(domain=verdict.check.domain, before="v=spf1 ", added=added, after=" -all", first=True)
    if verdict.result not in {Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL} or verdict.trace is None:
        return None
    record = verdict.trace  # the domain's own record, which is read before the one that it redirects to
    text = record.text
    if text is None or not text.isascii() or size(text) > _MAX_SIZE or unicode_line(text, len(text)) != text:
        return None
    last = record.terms[-1] if record.terms else None
    place = _place(text, last.text if last is not None and last.redirects else verdict.term)
    if place is None:  # the default decided: a new term goes to the end
        return SuggestedRecord(domain=record.domain, before=text.rstrip(" ") + " ", added=added, after="")
    return SuggestedRecord(domain=record.domain, before=text[:place], added=added, after=" " + text[place:])


def _place(text: str, term: str | None) -> int | None:
    """Return where a term begins. Of several equal terms, take the first."""
    for word in _WORD.finditer(text):
        if word[0] == term:
            return word.start()
    return None
