"""Count what one evaluation costs, and end it at the limits of RFC 7208 section 4.6.4.

Knows the limits on time, lookups, void lookups, and the amount of text and records. Knows no DNS and no mechanism, and
has no clock: the caller says what time it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from spfmilter.model import ProblemKind
from spfmilter.spf.record import MAX_RECORD, MAX_TERMS, RecordError

# For all SPF records of one evaluation. A record of 1000 terms takes 5 ms to read, and it may include ten others.
MAX_CHARACTERS = 2 * MAX_RECORD
MAX_ALL_TERMS = 2 * MAX_TERMS
MAX_DNS_RECORDS = 1000  # for one evaluation: ten mx of ten hosts with some addresses each are a few hundred


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one evaluation (RFC 7208 section 4.6.4)."""

    time: float = 20.0  # seconds
    lookups: int = 10
    void_lookups: int = 2
    client_time: float = 3.0  # seconds of ``time`` at most for zones of the client's choice


@dataclass(slots=True)
class Share:
    """The seconds left for lookups in zones of the client's choice; all checks of one message have one share."""

    left: float


class Usage:
    """What one evaluation has cost so far.

    A limit on all records together is blamed on the checked domain's record, which led to the others.

    Attributes:
        deadline: when the evaluation ends, on the caller's clock.
        client_deadline: when lookups in zones of the client's choice end.
        lookups: how many terms needed a lookup so far.
        void_lookups: how many of them found nothing.
        void_counted: whether the term being evaluated is counted among those already.
        top_domain: whose record is at the top level: the checked domain's, or where that redirects.
        top_term: the term of that record that is being evaluated; None before the first.
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
            limits: what it may cost.
            domain: the checked domain.
            now: the present, on the caller's clock.
            deadline: when it ends at the latest; by default the time limit from now.
            share: the time for zones of the client's choice; by default a new share.
        """
        self._limits = limits
        self._share = share or Share(limits.client_time)
        self.deadline = now + limits.time if deadline is None else deadline
        self.client_deadline = now + (self.deadline - now) / 2  # the record's own zones have the other half
        self.lookups = self.void_lookups = 0
        self.top_domain = domain
        self.top_term: str | None = None
        self.void_counted = True  # before the first term nothing is counted
        self._characters = self._terms = 0  # of SPF records
        self._records = self._client_records = 0  # of the DNS: in the record's zones, and in the client's

    # -- time --------------------------------------------------------------------------------------------------------

    def deadline_of_client(self, now: float) -> float:
        """Return when a lookup in a zone of the client's choice has to end."""
        return min(self.client_deadline, now + self._share.left)

    def spend_of_client(self, seconds: float) -> None:
        """Count the time of a lookup in a zone of the client's choice."""
        self._share.left -= seconds

    def time_limit(self) -> str:
        """Return what is wrong when a lookup is left out because the time is over."""
        return f"the lookups took longer than {self._limits.time:g} s"

    # -- terms -------------------------------------------------------------------------------------------------------

    def count_term(self) -> None:
        """Count a term that needs a lookup.

        Raises:
            RecordError: there are too many of them.
        """
        self.lookups += 1
        if self.lookups > self._limits.lookups:
            text = f"more than {self._limits.lookups} terms that need a DNS lookup"
            raise self._exceeded(ProblemKind.LOOKUP_LIMIT, text)

    def count_void(self, name: str) -> None:
        """Count a lookup that found nothing, once for each term.

        Raises:
            RecordError: there are too many of them.
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
            RecordError: it is too much for one evaluation.
        """
        self._characters += count
        if self._characters > MAX_CHARACTERS:
            raise self._too_long()

    def count_terms(self, count: int) -> None:
        """Count the terms of an SPF record, before they are evaluated.

        Raises:
            RecordError: there are too many for one evaluation.
        """
        self._terms += count
        if self._terms > MAX_ALL_TERMS:
            raise self._too_long()

    def count_records(self, count: int, *, cut_after: int = 0) -> None:
        """Count the DNS records of an answer.

        Args:
            count: how many there are.
            cut_after: the answer holds more than these, which were not read; 0: it holds no more.

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
