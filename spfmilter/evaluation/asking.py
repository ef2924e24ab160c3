"""The lookups of one evaluation: how long each may take, what all of them may bring, and which are void.

Knows the bounds of RFC 7208 section 4.6.4 on lookups, and who is to blame where one fails; knows no mechanism.
"""

from __future__ import annotations

from collections.abc import Callable

import spf

from spfmilter.dns import wire
from spfmilter.dns.answer import Answer, Lookups, Status, Type
from spfmilter.dns.private import NOT_ASKED
from spfmilter.evaluation.influence import Influence, Share
from spfmilter.evaluation.trace import Tracer
from spfmilter.model import Check, Problem, ProblemKind
from spfmilter.spf.record import Limits, Record, RecordError
from spfmilter.text import ascii_line
from spfmilter.zones import Zones

_MAX_RECORDS = 1000  # DNS records for one evaluation: ten mx of ten hosts with some addresses each are a few hundred


class Asking(spf.query):  # type: ignore[misc]  # pyspf has no type hints
    """pyspf's query, as far as it asks the DNS for one check."""

    _check: Check
    _private: Zones  # where no record of a stranger's may lead
    _trusted = False  # the record that is being read is our administrator's, and so are its names
    _tracer: Tracer | None = None
    _term: str | None = None  # the one being evaluated
    _top_term: str | None = None  # the one of the top level's record that led there
    _top: tuple[Record, str] | None = None  # the record that exp= is taken from (section 6.2)
    _void_counted = True  # whether this term's void lookup is counted already; before any term nothing counts
    _influence = Influence.NONE  # of the client, on which record is being evaluated
    _ttl: int | None = None  # seconds that the shortest-lived answer holds
    _trouble: Problem | None = None  # why the DNS could not be asked
    _records = _aside = 0  # read so far, in the record's zones and in the client's

    def _begin(
        self, lookups: Lookups, limits: Limits, clock: Callable[[], float], deadline: float, share: Share | None
    ) -> None:
        """Set who answers, and until when."""
        self._lookups_of, self._limits, self._clock, self._deadline = lookups, limits, clock, deadline
        self._share = share or Share(limits.client_time)
        now = clock()
        self._client_until = now + (deadline - now) / 2  # the record's own zones have the other half for themselves

    def _ask_client(self, name: str, rdtype: Type) -> Answer:
        """A lookup in the client's reverse DNS, or of an explanation: whose failure is never an error."""
        return self._ask(name, rdtype, Influence.ZONE)

    def _ask(self, name: str, rdtype: Type, chosen: Influence = Influence.NONE, *, of_family: bool = False) -> Answer:
        """One lookup, in the time that is left for its kind; a void one of the record's making counts for its term.

        What a zone of the client's choice does not tell in its share of the time is as if it were not there.

        Args:
            name: whom to ask for.
            rdtype: what to ask for.
            chosen: how far the client chooses the name.
            of_family: the type follows the client's address family, so that a name without it is not void.
        """
        chosen = max(chosen, self._influence)
        start = self._clock()
        aside = chosen is Influence.ZONE
        until = min(self._client_until, start + self._share.left) if aside else self._deadline
        # Only the client's own address is asked for as PTR. The administrator chose to check it, private or not.
        hidden = rdtype is not Type.PTR and not self._trusted and self._private.holds(name)
        answer = NOT_ASKED if hidden else self._lookups_of.ask(name, rdtype, until)
        if aside or self._tracer:
            spent = self._clock() - start
            self._share.left -= spent if aside else 0.0
            if self._tracer:
                self._tracer.lookup(name, rdtype, answer, spent)
        if answer.status is Status.FAILED and not aside:
            raise self._temperror(name, rdtype, answer, late=start >= self._deadline)
        if answer.status is not Status.NOT_ASKED:
            self._ttl = answer.ttl if self._ttl is None else min(self._ttl, answer.ttl)
        if aside:  # too much of it counts as nothing
            self._aside += len(answer.records)
            return answer if self._aside <= _MAX_RECORDS else Answer(Status.NOT_ASKED)
        self._records += len(answer.records)
        if self._records > _MAX_RECORDS or (answer.cut and rdtype is not Type.MX):
            read = f"{_MAX_RECORDS}, and {wire.MAX_RECORDS} in one answer"
            raise self._too_much(ProblemKind.TOO_LONG, f"the lookups bring more DNS records than are read ({read})")
        if (
            not answer.records
            and chosen is Influence.NONE
            and answer.void
            and not (of_family and answer.status is Status.NO_DATA)
        ):
            self._count_void(name)
        return answer

    def _count_void(self, name: str) -> None:
        """Count a void lookup, once for its term (section 4.6.4)."""
        if self._void_counted:
            return
        self._void_counted = True
        self.void_lookups += 1
        if self.void_lookups > self._limits.void_lookups:
            limit = f"more than {self._limits.void_lookups} terms whose lookup finds nothing"
            raise self._too_much(ProblemKind.VOID_LOOKUP_LIMIT, f"{limit} (the last: {name})")

    def _temperror(self, name: str, rdtype: Type, answer: Answer, *, late: bool) -> Exception:
        """The end of an evaluation for want of an answer; ``late``: no time was left to ask for it."""
        if late:
            kind, text = ProblemKind.TIME_LIMIT, f"the lookups took longer than {self._limits.time:g} s"
        else:
            kind = ProblemKind.OWN_RESOLVER if answer.ours else ProblemKind.DNS_FAILURE
            text = f"DNS lookup of {name} ({rdtype.name}) failed: {answer.failure}"
        term = ascii_line(self._term, 120) if self._term else None
        self._trouble = Problem(kind=kind, text=ascii_line(text), domain=ascii_line(name), term=term)
        error: Exception = spf.TempError(text)
        return error

    def _too_much(self, kind: ProblemKind, text: str) -> RecordError:
        """What all records of an evaluation come to is the fault of the first one, which leads to the others."""
        return RecordError(kind, text, term=self._top_term, domain=self._top[1] if self._top else self._check.domain)
