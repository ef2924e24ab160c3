"""Make the lookups of one evaluation: decide which are allowed, how long each may take, and what a failure means.

Knows which failures are a temperror, and which lookups are void (RFC 7208 section 4.6.4). ``Usage`` counts them. Knows
no mechanism.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import spf

from spfmilter.dns import wire
from spfmilter.dns.answer import OUT_OF_TIME, Answer, Asked, Lookups, Status, Type
from spfmilter.dns.private import NOT_ASKED
from spfmilter.evaluation.influence import Influence
from spfmilter.evaluation.limits import Usage
from spfmilter.evaluation.trace import Tracer
from spfmilter.model import Problem, ProblemKind
from spfmilter.text import ascii_line
from spfmilter.zones import Zones


class Asking(spf.query):  # type: ignore[misc]  # pyspf has no type hints
    """The part of pyspf's query that asks the DNS for one check.

    Attributes:
        _lookups: answers the questions.
        _usage: counts them.
        _clock: returns the time in seconds, as ``_usage`` takes it.
        _private: the zones that a published record may not lead to.
        _tracer: collects the steps; None if they are not wanted.
        _trusted: the administrator wrote the record being evaluated, and the names in it.
        _influence: how far the client has chosen the record being evaluated.
        _term: the term being evaluated.
        _asked: all lookups so far, with their answers.
        _ttl: seconds: the shortest TTL of all answers so far.
        _trouble: the problem of the lookup that has failed.
    """

    _lookups: Lookups
    _usage: Usage
    _clock: Callable[[], float]
    _private: Zones
    _tracer: Tracer | None = None
    _trusted = False
    _influence = Influence.NONE
    _term: str | None = None
    _asked: list[Asked]
    _ttl: int | None = None
    _trouble: Problem | None = None

    def _ask_client(self, name: str, rdtype: Type) -> Answer:
        """Look up a name in the client's reverse DNS, or an explanation. A failure counts as an empty answer."""
        return self._ask(name, rdtype, Influence.ZONE)

    def _ask(self, name: str, rdtype: Type, chosen: Influence = Influence.NONE, *, of_family: bool = False) -> Answer:
        """Look up a name, in the time that is left for this kind of lookup.

        If a lookup in a zone of the client's choice fails or is out of time, it counts as an empty answer.

        Args:
            name: the name.
            rdtype: the type of its records.
            chosen: how far the client chooses the name.
            of_family: the type follows the client's address family. A name without this type is then not void.

        Raises:
            spf.TempError: the lookup failed.
            RecordError: a limit on void lookups or records is exceeded.
        """
        chosen = max(chosen, self._influence)
        usage, start = self._usage, self._clock()
        of_client = chosen is Influence.ZONE
        until = usage.deadline_of_client(start) if of_client else usage.deadline
        # PTR is asked only for the client's own address, which may be private: the administrator chose to check it.
        hidden = rdtype is not Type.PTR and not self._trusted and self._private.holds(name)
        answer = NOT_ASKED if hidden else self._lookups.ask(name, rdtype, until)
        if of_client or self._tracer:
            spent = self._clock() - start
            if of_client:
                usage.spend_of_client(spent)
            if self._tracer:
                self._tracer.lookup(name, rdtype, answer, spent)
        self._asked.append((name, rdtype, answer))
        if answer.status is Status.FAILED and not of_client:
            raise self._temperror(name, rdtype, answer, late=start >= usage.deadline)
        if answer.status is not Status.NOT_ASKED:
            self._ttl = answer.ttl if self._ttl is None else min(self._ttl, answer.ttl)
        if of_client:
            return answer if usage.counts_client_records(len(answer.records)) else Answer(Status.NOT_ASKED)
        # A cut MX answer is no problem: it has more than ten hosts in any case.
        is_cut = answer.cut and rdtype is not Type.MX
        usage.count_records(len(answer.records), cut_after=wire.MAX_RECORDS if is_cut else 0)
        if (
            not answer.records
            and chosen is Influence.NONE
            and answer.void
            and not (of_family and answer.status is Status.NO_DATA)
        ):
            usage.count_void(name)
        return answer

    def _temperror(self, name: str, rdtype: Type, answer: Answer, *, late: bool) -> Exception:
        """Set the problem of a failed lookup, and return the exception that ends the evaluation.

        Args:
            name: the name that was looked up.
            rdtype: the type of its records.
            answer: the failure.
            late: no time was left to ask.
        """
        if late or answer.failure == OUT_OF_TIME:  # in a recording, the second one tells
            self._asked[-1] = name, rdtype, replace(answer, failure=OUT_OF_TIME)
            kind, text = ProblemKind.TIME_LIMIT, self._usage.time_limit()
        else:
            kind = ProblemKind.OWN_RESOLVER if answer.local_failure else ProblemKind.DNS_FAILURE
            text = f"DNS lookup of {name} ({rdtype.name}) failed: {answer.failure}"
        term = ascii_line(self._term, 120) if self._term else None
        self._trouble = Problem(kind=kind, text=ascii_line(text), domain=ascii_line(name), term=term)
        error: Exception = spf.TempError(text)
        return error
