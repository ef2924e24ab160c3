"""Find the flaws of the record that a verdict was made from, in the answers that the verdict keeps.

Knows which flaws explain which result. Makes no lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spfmilter.dns.answer import Asked, Status, Type
from spfmilter.model import Problem, ProblemKind, Result, Verdict
from spfmilter.spf import flaws
from spfmilter.spf.flaws import Flaw, FlawKind, Seen
from spfmilter.spf.services import Service

_BY_RECORD = frozenset({Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL})
# The error ends an evaluation at some term. What stands behind it was not read.
_LIMITS = frozenset({ProblemKind.LOOKUP_LIMIT, ProblemKind.VOID_LOOKUP_LIMIT, ProblemKind.HOST_LIMIT})
_OF_LIMITS = frozenset({FlawKind.ITSELF, FlawKind.PRESENT, FlawKind.VOID, FlawKind.MACRO_VOID, FlawKind.JOINED})


def record_flaws(verdict: Verdict, service: Service | None = None) -> tuple[Flaw, ...]:
    """Return the flaws that have to do with the result, the most important one first.

    Empty: none is known; the administrator's own record was used; or the verdict keeps no answers.

    Args:
        verdict: what was decided.
        service: the well-known service that the client belongs to, if known.
    """
    check, problem = verdict.check, verdict.problem
    if not check.domain or check.record or not verdict.asked:
        return ()
    broken = problem if verdict.result is Result.PERMERROR else None
    domain = (broken.domain if broken is not None else None) or check.domain
    text = flaws.meant_record(txt_records(verdict.asked, domain))
    seen = _seen(verdict, broken, domain, service)
    if broken is not None:
        return tuple(flaw for flaw in flaws.flaws_of(text, domain, seen) if _explains(flaw, broken))
    return flaws.flaws_of(text, domain, seen) if verdict.result in _BY_RECORD | {Result.NONE} else ()


def mended_record(verdict: Verdict, found: Sequence[Flaw]) -> str:
    """Return the checked domain's record without the flaws ``found``; empty: there are none, or one would stay.

    A flaw stays if only the record's owner can decide about it, or if it is another domain's.
    """
    domain = verdict.check.domain
    if not verdict.asked or verdict.check.record or not found:
        return ""
    if any(flaw.domain != domain or flaw.kind in flaws.UNMENDED for flaw in found):
        return ""
    return flaws.mended(flaws.meant_record(txt_records(verdict.asked, domain)), domain)


def txt_records(asked: Iterable[Asked], domain: str) -> list[bytes]:
    """Return the TXT records of a domain, from the lookups of an evaluation; none if they are not known."""
    wanted = domain.lower().removesuffix(".")
    for name, rdtype, answer in asked:
        if rdtype is Type.TXT and name.lower().removesuffix(".") == wanted:
            return [text for text in answer.records if isinstance(text, bytes)]
    return []


def _seen(verdict: Verdict, broken: Problem | None, domain: str, service: Service | None) -> Seen:
    check = verdict.check
    if domain != check.domain:  # of a record that the domain's own record includes
        return flaws.NOTHING_SEEN
    add = f"ip{check.address.version}:{check.address}"
    limited = broken is not None and broken.kind in _LIMITS
    decided = verdict.term if verdict.term_domain == domain else None
    return Seen(
        adds=(add, service.term) if service is not None else (add,),
        term=(broken.term if broken is not None and limited else decided) or "",
        void=_void(verdict.asked or ())
        if broken is not None and broken.kind is ProblemKind.VOID_LOOKUP_LIMIT
        else frozenset(),
    )


def _void(asked: Iterable[Asked]) -> frozenset[str]:
    """Return the names that do not exist, or have no record of a type that does not follow the client's address."""
    return frozenset(
        name.lower().removesuffix(".")
        for name, rdtype, answer in asked
        if answer.void and (answer.status is not Status.NO_DATA or rdtype in {Type.MX, Type.TXT})
    )


def _explains(flaw: Flaw, problem: Problem) -> bool:
    """Return whether the error is, or may well be, the flaw's."""
    if problem.kind in _LIMITS:
        return flaw.kind in _OF_LIMITS
    if problem.kind is ProblemKind.NOT_ASCII:
        return flaw.kind in {FlawKind.CHARACTERS, FlawKind.VERSION}
    return problem.term is not None and problem.term in flaw.term and flaw.kind is not FlawKind.BEHIND_ALL
