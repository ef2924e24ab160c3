"""Count what one evaluation costs, and end it at the limits of RFC 7208 section 4.6.4.

Knows the limits on time, lookups, void lookups, and the amount of text and records. Knows no DNS and no mechanism. Has
no clock: the caller passes the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from spfmilter.model import ProblemKind
from spfmilter.spf.record import MAX_RECORD, MAX_TERMS, RecordError

# For all SPF records of one evaluation. Parsing a record of 1000 terms takes 5 ms, and it may include ten others.
MAX_CHARACTERS = 2 * MAX_RECORD
MAX_ALL_TERMS = 2 * MAX_TERMS
MAX_DNS_RECORDS = 1000  # for one evaluation; ten mx mechanisms of ten hosts need a few hundred


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one evaluation (RFC 7208 section 4.6.4)."""

    time: float = 20.0  # seconds
    lookups: int = 10
    void_lookups: int = 2
    client_time: float = 3.0  # seconds: the part of ``time`` for lookups in zones of the client's choice


@dataclass(slots=True)
class Share:
    """The seconds left for lookups in zones of the client's choice. All checks of one message use the same one."""

    left: float


class Usage:
    """Count what one evaluation has cost so far.

    Limits on all records together are blamed on the record at the top level, which led to the others.

    Attributes:
        deadline: when the evaluation ends, on the caller's clock.
        client_deadline: when lookups in zones of the client's choice end.
        lookups: how many terms have needed a lookup.
        void_lookups: how many of these terms had a void lookup.
        void_counted: the term being evaluated is already in ``void_lookups``.
        top_domain: the domain of the record at the top level: the checked domain, or the target of its redirect.
        top_term: the term of the top-level record that is being evaluated; None before the first.
    """

    __slots__ = (
        "_characters", "_client_records", "_limits", "_records", "_share", "_terms",
        "client_deadline", "deadline", "lookups", "top_domain", "top_term", "void_counted", "void_lookups",
    )  # fmt: skip

    def __init__(
        self, limits: Limits, domain: str, now: float, *, deadline: float | None = None, share: Share | None = None
    ) -> None:
        """Begin an evaluation.

        Args:
            limits: of this evaluation.
            domain: the checked domain.
            now: the present, on the caller's clock.
            deadline: when it ends at the latest. The default is the time limit, counted from now.
            share: the time for lookups in zones of the client's choice. The default is a new share.
        """
        self._limits = limits
        self._share = share or Share(limits.client_time)
        self.deadline = now + limits.time if deadline is None else deadline
        self.client_deadline = now + (self.deadline - now) / 2  # half of the time is for the record's own zones
        self.lookups = self.void_lookups = 0
        self.top_domain = domain
        self.top_term: str | None = None
        self.void_counted = True  # the lookup of the record itself belongs to no term, and is not counted
        self._characters = self._terms = 0  # of SPF records
        self._records = self._client_records = 0  # DNS records, in the record's zones and in the client's

    # -- time --------------------------------------------------------------------------------------------------------

    def deadline_of_client(self, now: float) -> float:
        """Return when a lookup in a zone of the client's choice has to end."""
        return min(self.client_deadline, now + self._share.left)

    def spend_of_client(self, seconds: float) -> None:
        """Count the time of a lookup in a zone of the client's choice."""
        self._share.left -= seconds

    def time_limit(self) -> str:
        """Return the problem's text for a lookup that was not made because the time is over."""
        return f"the lookups took longer than {self._limits.time:g} s"

    # -- terms -------------------------------------------------------------------------------------------------------

    def count_term(self) -> None:
        """Count a term that needs a lookup.

        Raises:
            RecordError: there are too many such terms.
        """
        self.lookups += 1
        if self.lookups > self._limits.lookups:
            text = f"more than {self._limits.lookups} terms that need a DNS lookup"
            raise self._exceeded(ProblemKind.LOOKUP_LIMIT, text)

    def count_void(self, name: str) -> None:
        """Count a void lookup, once for each term.

        Raises:
            RecordError: there are too many void lookups.
        """
        if self.void_counted:
            return
        self.void_counted = True
        self.void_lookups += 1
        if self.void_lookups > self._limits.void_lookups:
            limit = f"more than {self._limits.void_lookups} terms whose lookup finds nothing"
            raise self._exceeded(ProblemKind.VOID_LOOKUP_LIMIT, f"{limit} (the last: {name})")

    # -- text and records --------------------------------------------------------------------------------------------

    def count_characters(self, count: int) -> None:
        """Count the text of an SPF record, before it is parsed.

        Raises:
            RecordError: the records of this evaluation are too long.
        """
        self._characters += count
        if self._characters > MAX_CHARACTERS:
            raise self._too_long()

    def count_terms(self, count: int) -> None:
        """Count the terms of an SPF record, before they are evaluated.

        Raises:
            RecordError: the records of this evaluation have too many terms.
        """
        self._terms += count
        if self._terms > MAX_ALL_TERMS:
            raise self._too_long()

    def count_records(self, count: int, *, cut_after: int = 0) -> None:
        """Count the DNS records of an answer.

        Args:
            count: how many records were read.
            cut_after: how many were read of an answer that holds more; 0 if the whole answer was read.

        Raises:
            RecordError: there are too many for one evaluation, or some were not read.
        """
        self._records += count
        if cut_after or self._records > MAX_DNS_RECORDS:
            read = f"{MAX_DNS_RECORDS}" + (f", and {cut_after} in one answer" if cut_after else "")
            text = f"the lookups bring more DNS records than are read ({read})"
            raise self._exceeded(ProblemKind.TOO_LONG, text)

    def counts_client_records(self, count: int) -> bool:
        """Count the DNS records of an answer from a zone of the client's choice; False if there are too many."""
        self._client_records += count
        return self._client_records <= MAX_DNS_RECORDS

    def _too_long(self) -> RecordError:
        text = f"the records have more than {MAX_CHARACTERS} characters or {MAX_ALL_TERMS} terms in all"
        return self._exceeded(ProblemKind.TOO_LONG, text)

    def _exceeded(self, kind: ProblemKind, text: str) -> RecordError:
        return RecordError(kind, text, term=self.top_term, domain=self.top_domain)
