"""The evaluation as the rest of the daemon sees it: an Engine for the process, an Inquiry for each SMTP connection.

Knows how resolver, caches, prefetch and evaluator are put together from the settings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from spfmilter.counters import Counters
from spfmilter.dns.cache import AnswerCache
from spfmilter.dns.channel import Channel
from spfmilter.dns.private import Guarded
from spfmilter.dns.resolver import MIN_SHARED_TIMEOUT, Observe, Resolver
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.limits import Limits, Share
from spfmilter.evaluation.prefetch import Prefetch
from spfmilter.evaluation.verdicts import VerdictCache
from spfmilter.model import Check, Identity, Result, Verdict
from spfmilter.settings.schema import DnsSection

# A verdict takes more memory than an answer, and one in five senders of a busy day returns from the same address.
_ANSWERS_PER_VERDICT = 5
# Seconds at most for each of these. The client can delay them, and MAIL FROM's verdict does not depend on them:
# lookups in zones of the client's choice, for all checks of a message together; HELO's check; the DMARC policy.
CLIENT_TIME = 3.0
# Seconds between HELO and MAIL FROM after which HELO's lookups are made anew: their answers may have ended meanwhile.
_FRESH = 5.0
# The part of the time limit that a lookup must have had before its timeout is an answer to other messages. HELO's check
# and the client's zones have less: one session could otherwise make a slow domain a temperror in the next one.
_SHARED_TIMEOUT = 0.6


class Engine:
    """Resolver, caches and evaluator, which all connections of a process share."""

    def __init__(
        self,
        settings: DnsSection,
        *,
        receiver: str = "unknown",
        clock: Callable[[], float] = time.monotonic,
        observe: Observe = lambda *_: None,
    ) -> None:
        longest = settings.cache_max_ttl.seconds
        self.clock = clock
        self.prefetch = settings.prefetch
        self.limits = Limits(
            time=settings.timeout.seconds,
            lookups=settings.lookup_limit,
            void_lookups=settings.void_lookup_limit,
            client_time=CLIENT_TIME,
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
        self.private = settings.private_zones.zones
        self.resolver = Resolver(
            settings.nameservers,
            cache=self.answers,
            clock=clock,
            observe=observe,
            private=self.private,
            shared_timeout=max(MIN_SHARED_TIMEOUT, _SHARED_TIMEOUT * settings.timeout.seconds),
        )
        self.evaluator = Evaluator(self.limits, receiver=receiver, clock=clock, private=self.private)

    def inquiry(self) -> Inquiry:
        """Return an Inquiry, which evaluates the checks of one connection."""
        return Inquiry(self)

    def counters(self) -> Mapping[str, Counters]:
        """The counters of the caches, by name."""
        return {"answers": self.answers.counters, "verdicts": self.verdicts.counters}


class Inquiry:
    """The evaluations of one SMTP connection, over a channel to the DNS of its own.

    Attributes:
        channel: the connection's lookups.
        guarded: the same for names that the client or the sender chooses: no lookups in private zones.
        share: the time that is left to this message for zones of the client's choice.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.channel = Channel(engine.resolver)
        self.guarded = Guarded(self.channel, engine.private)
        self.share = Share(engine.limits.client_time)
        self._expected: list[Check] = []  # two or three: comparing is cheaper than hashing
        self._since = 0.0  # when the first was expected

    def expect(self, checks: Iterable[Check]) -> None:
        """Send the lookups of checks that will be evaluated; the answers are read when they are needed."""
        if not self._engine.prefetch:
            return
        now = self._engine.clock()
        if self._expected and now - self._since > _FRESH:
            self.done()
        self._since = self._since if self._expected else now
        for check in checks:
            if check.domain and check not in self._expected and not self._engine.verdicts.knows(check):
                self._expected.append(check)
                Prefetch(check, self.channel, self._engine.limits.lookups, self.guarded).start()

    def evaluate(self, check: Check, *, deadline: float | None = None, trace: bool = False) -> Verdict:
        """Return the verdict on a check: a cached one, unless its tree is wanted, else a fresh one."""
        known = self._engine.verdicts.get(check) if check.domain and not trace else None
        if known is not None:
            return known
        hurried = deadline is not None and check.identity is Identity.HELO and not check.null_sender
        if deadline is not None and hurried:
            # The client must not use up MAIL FROM's time by a HELO under a slow name of its own.
            now = self._engine.clock()
            deadline = min(now + (deadline - now) / 4, now + CLIENT_TIME)
        verdict = self._engine.evaluator.evaluate(check, self.channel, deadline=deadline, share=self.share, trace=trace)
        if not hurried or verdict.result is not Result.TEMPERROR:  # a bounce from there must have its full time
            self._engine.verdicts.put(verdict)
        return verdict

    def evaluate_best_effort(self, check: Check, deadline: float) -> Verdict:
        """Return the verdict on a check that nothing depends on, by the deadline.

        Best effort: a timeout here is not cached as temperror, which would decide about other messages.
        """
        verdict = self._engine.verdicts.get(check)
        if verdict is None:
            verdict = self._engine.evaluator.evaluate(check, self.channel, deadline=deadline, share=self.share)
            if verdict.result is not Result.TEMPERROR:
                self._engine.verdicts.put(verdict)
        return verdict

    def clock(self) -> float:
        """Return the time by which deadlines are set."""
        return self._engine.clock()

    def done(self) -> None:
        """End the message: give up what is still in flight, and begin the next message afresh."""
        self.channel.forget()
        self._expected.clear()
        self.share = Share(self._engine.limits.client_time)

    def close(self) -> None:
        """Close the connection's channel."""
        self.channel.close()
