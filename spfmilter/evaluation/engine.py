"""The evaluation as the rest of the daemon sees it: an Engine for the process, an Inquiry for each SMTP connection.

Knows how resolver, caches, prefetch and evaluator are put together from the settings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from spfmilter.evaluation.answer import Answer, Type
from spfmilter.evaluation.cache import AnswerCache
from spfmilter.evaluation.channel import Channel
from spfmilter.evaluation.evaluator import Evaluator, Limits
from spfmilter.evaluation.lookups import Resolver
from spfmilter.evaluation.prefetch import Prefetch
from spfmilter.evaluation.verdicts import VerdictCache
from spfmilter.model import Check, Counters, Identity, Result, Verdict
from spfmilter.settings.schema import DnsSection

# A verdict takes more memory than an answer, and one in five senders of a busy day comes again from the same address.
_ANSWERS_PER_VERDICT = 5
# Seconds between HELO and MAIL FROM after which HELO's lookups are made anew: their answers may have ended meanwhile.
_FRESH = 5.0


class Engine:
    """What all connections of a process share."""

    def __init__(
        self,
        settings: DnsSection,
        *,
        receiver: str = "unknown",
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[Answer], None] = lambda _: None,
    ) -> None:
        longest = settings.cache_max_ttl.seconds
        self.clock = clock
        self.prefetch = settings.prefetch
        self.limits = Limits(
            time=settings.timeout.seconds,
            lookups=settings.lookup_limit,
            void_lookups=settings.void_lookup_limit,
        )
        self.answers = AnswerCache(
            entries=settings.cache_entries,
            max_ttl=longest,
            serve_stale=settings.serve_stale.seconds,
            clock=clock,
        )
        self.verdicts = VerdictCache(
            entries=settings.cache_entries // _ANSWERS_PER_VERDICT, max_ttl=longest, clock=clock
        )
        self.resolver = Resolver(settings.nameservers, cache=self.answers, clock=clock, observe=observe)
        self.evaluator = Evaluator(self.resolver, self.limits, receiver=receiver, clock=clock)

    def inquiry(self) -> Inquiry:
        """What one connection needs."""
        return Inquiry(self)

    def counters(self) -> Mapping[str, Counters]:
        """What the caches have been good for, by name."""
        return {"answers": self.answers.counters, "verdicts": self.verdicts.counters}


class Inquiry:
    """The evaluations of one SMTP connection, over a channel to the DNS of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._channel = Channel(engine.resolver)
        self._expected: list[Check] = []  # two or three: comparing is cheaper than hashing
        self._since = 0.0  # when the first was expected

    def expect(self, checks: Iterable[Check]) -> None:
        """These will be evaluated: send their lookups now, and read the answers when they are needed."""
        if not self._engine.prefetch:
            return
        now = self._engine.clock()
        if self._expected and now - self._since > _FRESH:
            self.done()
        self._since = self._since if self._expected else now
        for check in checks:
            if check.domain and check not in self._expected and not self._engine.verdicts.knows(check):
                self._expected.append(check)
                Prefetch(check, self._channel, self._engine.limits.lookups).start()

    def evaluate(self, check: Check, *, deadline: float | None = None, trace: bool = False) -> Verdict:
        """The verdict on a check: a known one that still holds, unless its tree is wanted, or a fresh one."""
        known = self._engine.verdicts.get(check) if check.domain and not trace else None
        if known is not None:
            return known
        if deadline is not None and check.identity is Identity.HELO and not check.null_sender:
            # MAIL FROM's time is not the client's to waste: a HELO under a slow name of its own would be a way around.
            now = self._engine.clock()
            deadline = now + (deadline - now) / 2
        verdict = self._engine.evaluator.evaluate(check, lookups=self._channel, deadline=deadline, trace=trace)
        self._engine.verdicts.put(verdict)
        return verdict

    def passes(self, check: Check, deadline: float) -> bool:
        """Whether a check passes, for whoever can do without the answer: one that is not there in time is no temperror.

        So it is not kept as one, for a message whose fate would hang on it.
        """
        verdict = self._engine.verdicts.get(check)
        if verdict is None:
            verdict = self._engine.evaluator.evaluate(check, lookups=self._channel, deadline=deadline)
            if verdict.result is not Result.TEMPERROR:
                self._engine.verdicts.put(verdict)
        return verdict.result is Result.PASS

    def clock(self) -> float:
        """The time by which deadlines are set."""
        return self._engine.clock()

    def exchanges(self, domain: str, deadline: float) -> tuple[str, ...]:
        """The names of a domain's MX hosts, best first; none where they cannot be had in time."""
        records = self._channel.ask(domain, Type.MX, deadline).records
        return tuple(host for _, host in sorted(record for record in records if isinstance(record, tuple)))

    def done(self) -> None:
        """The message is judged: what is still in flight is of no use, and the next message begins afresh."""
        self._channel.forget()
        self._expected.clear()

    def close(self) -> None:
        """The connection is gone."""
        self._channel.close()
