"""Any record is evaluated to a verdict that can be shown, and what is sent ahead for it stays within the limits."""

from collections.abc import Callable
from contextlib import suppress

from spfmilter.dns.answer import Answer, Type
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.prefetch import Prefetch
from spfmilter.model import Problem, Result, Verdict
from spfmilter.spf import record
from spfmilter.spf.record import RecordError
from tests.evaluation.world import CLIENT, CLIENT6, World, check


class Ahead:
    """A channel whose answers are there at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.terms = 0

    def start(self, name: str, rdtype: Type, then: Callable[[Answer], None] | None = None) -> None:
        """The question is answered before this returns."""
        answer = self.world.ask(name, rdtype)
        if then is not None:
            then(answer)


def one_input(data: bytes) -> None:
    """The records of two names, with a NUL between them; odd lengths are evaluated for an IPv6 client."""
    first, _, second = data.partition(b"\0")
    world = World(
        {
            "e.example": [{"TXT": b"v=spf1 " + first}, {"A": CLIENT}, {"MX": (1, "e.example")}],
            "i.example": [{"TXT": b"v=spf1 " + second}, {"AAAA": CLIENT6}, {"MX": (2, "i.example")}],
            "1.2.0.192.in-addr.arpa": [{"PTR": "e.example"}, {"PTR": "x.i.example"}],
            "why.example": [{"TXT": second}],
            "dead.example": ["TIMEOUT"],
        }
    )
    asked = check(client=CLIENT6 if len(data) % 2 else CLIENT)
    sound(Evaluator().evaluate(asked, world, trace=True))
    world.asked.clear()
    Prefetch(asked, Ahead(world), 10).start()  # type: ignore[arg-type]
    # The record, and for each of ten terms a name and ten hosts of it.
    assert sum(world.asked.values()) <= 1 + 10 * 11
    with suppress(RecordError):
        record.parse("v=spf1 " + first.decode("utf-8", "surrogateescape"))


def sound(verdict: Verdict) -> None:
    """No fault, a problem where there is an error, and everything of it in one line of ASCII."""
    assert verdict.fault is None, verdict.fault
    if verdict.result in {Result.PERMERROR, Result.TEMPERROR}:
        assert isinstance(verdict.problem, Problem)
    problem = verdict.problem
    for shown in (
        verdict.term,
        verdict.term_domain,
        *((problem.text, problem.term, problem.domain) if problem else ()),
    ):
        assert shown is None or (shown.isascii() and shown.isprintable())
