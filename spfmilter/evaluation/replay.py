"""Evaluate a check again from recorded answers alone, as of the moment when they arrived.

Knows how a recording answers. Asks no DNS. Time passes as it did then: each lookup takes as long as it took.
"""

from __future__ import annotations

from collections.abc import Sequence

from spfmilter.dns.answer import Answer, Asked, Status, Type
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.limits import Limits, Share
from spfmilter.model import Check, Verdict

NOT_RECORDED = "not recorded"  # the failure of a question that the recording does not hold
_NO_LIMIT = float("inf")  # of time: a recording says itself for which question no time was left


class Recording:
    """Lookups that answer from a recording."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        """Keep the answers of one evaluation, in their order. A question may have been asked more than once."""
        self._answers: dict[tuple[Type, str], list[Answer]] = {}
        for name, rdtype, answer in reversed(asked):
            self._answers.setdefault((rdtype, _key(name)), []).append(answer)
        self._now = 0.0

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:  # noqa: ARG002 - no time passes
        """Return the recorded answer to the question; else a failure that says so."""
        answers = self._answers.get((rdtype, _key(name)))
        if not answers:
            return Answer(Status.FAILED, failure=NOT_RECORDED)
        answer = answers.pop() if len(answers) > 1 else answers[0]
        self._now += answer.took
        return answer

    def clock(self) -> float:
        """Return the seconds that the lookups so far took."""
        return self._now


def replay(check: Check, asked: Sequence[Asked], *, limits: Limits, receiver: str = "unknown") -> Verdict:
    """Return the verdict that the recorded answers lead to, with its tree.

    Args:
        check: what was evaluated.
        asked: the recorded lookups.
        limits: those on lookups count. Those on time do not.
        receiver: our own name, for ``%{r}``.
    """
    recording = Recording(asked)
    evaluator = Evaluator(limits, receiver=receiver, clock=recording.clock)
    return evaluator.evaluate(check, recording, deadline=_NO_LIMIT, share=Share(_NO_LIMIT), trace=True)


def _key(name: str) -> str:
    return name.lower().removesuffix(".")
