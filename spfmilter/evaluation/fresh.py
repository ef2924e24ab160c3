"""Tell which cached answers and verdicts are outdated, by an evaluation that asks the DNS and no cache.

An evaluation depends on its questions and their answers, and on nothing else. So a worker that forgets those of its
answers that differ comes to the same verdict. An answer that the DNS still gives is never forgotten: a flood of
evaluations leaves the cache as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from spfmilter.dns.answer import Answer, Lookups, Status, Type
from spfmilter.dns.cache import Key
from spfmilter.evaluation.engine import Engine
from spfmilter.model import Check, Verdict

_MARGIN = 10.0  # seconds beyond the time limit of an evaluation
MAX_QUESTIONS = 256  # of one evaluation; the usual limits allow half as many
_DIGEST = 8  # bytes
_NOT_KEPT = frozenset({Status.FAILED, Status.PRIVATE, Status.NOT_ASKED})  # no answers of the DNS


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What the DNS has answered to the questions of one evaluation."""

    domain: str  # of the check, in lower case
    digests: Mapping[Key, str]  # of the answers, by question
    # On the clock that all processes of a host share: by then, every evaluation with former answers has ended.
    until: float


class _Recorded:
    """Lookups that note the digest of each answer."""

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups
        self.digests: dict[Key, str] = {}

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """See ``Lookups``."""
        answer = self._lookups.ask(name, rdtype, deadline)
        if answer.status not in _NOT_KEPT and len(self.digests) < MAX_QUESTIONS:
            self.digests[rdtype, name.lower().removesuffix(".")] = digest(answer)
        return answer


def evaluate_afresh(engine: Engine, check: Check, deadline: float) -> tuple[Verdict, Fresh]:
    """Evaluate a check, and return what the DNS has answered meanwhile.

    Args:
        engine: one whose caches keep nothing.
        check: what to evaluate.
        deadline: when the evaluation ends at the latest, on the engine's clock.
    """
    inquiry = engine.inquiry()
    try:
        inquiry.expect([check])
        recorded = _Recorded(inquiry.channel)
        verdict = engine.evaluator.evaluate(check, recorded, deadline=deadline)
    finally:
        inquiry.close()
    until = engine.clock() + engine.limits.time + _MARGIN
    return verdict, Fresh(domain=check.domain.lower(), digests=recorded.digests, until=until)


def digest(answer: Answer) -> str:
    """Return what two answers have in common that lead to the same verdict. The order of records does not count."""
    text = repr((answer.status.value, sorted(map(repr, answer.records)), answer.cut))
    return blake2b(text.encode(), digest_size=_DIGEST).hexdigest()


def forget_outdated(engine: Engine, fresh: Iterable[Fresh]) -> int:
    """Forget the answers that differ from fresh ones, and all verdicts on their domains.

    Returns:
        How many answers and verdicts were forgotten.
    """
    domains, number = set(), 0
    for one in fresh:
        domains.add(one.domain)
        for key, wanted in one.digests.items():
            number += engine.answers.forget(key, unless=lambda answer, wanted=wanted: digest(answer) == wanted)  # type: ignore[misc]
    return number + (engine.verdicts.forget(domains) if domains else 0)


def pack(fresh: Sequence[Fresh]) -> bytes:
    """Return fresh answers as bytes for ``unpack``."""
    rows = [[one.domain, one.until, [[*key, text] for key, text in one.digests.items()]] for one in fresh]
    return json.dumps(rows, separators=(",", ":")).encode()


def unpack(data: bytes) -> Sequence[Fresh]:
    """Return the fresh answers of ``pack``. For bytes of our own processes only."""
    return [
        Fresh(domain=domain, until=until, digests={(Type(rdtype), name): text for rdtype, name, text in digests})
        for domain, until, digests in json.loads(data)
    ]
