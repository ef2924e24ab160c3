"""The evaluation as the rest of the daemon sees it: an Engine for the process, an Inquiry for each SMTP connection.

Knows how resolver, caches, prefetch and evaluator are put together from the settings.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from spfmilter.dns.answer import Type
from spfmilter.dns.cache import AnswerCache
from spfmilter.dns.channel import Channel
from spfmilter.dns.private import Guarded
from spfmilter.dns.resolver import MIN_SHARED_TIMEOUT, Observe, Resolver
from spfmilter.evaluation import hosts
from spfmilter.evaluation.budget import TimeBudget
from spfmilter.evaluation.conditions import is_unreachable
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.limits import Limits, Share
from spfmilter.evaluation.prefetch import Prefetch
from spfmilter.evaluation.verdicts import VerdictCache
from spfmilter.model import Check, Condition, Counters, DmarcPolicy, Identity, IPAddress, Result, Verdict
from spfmilter.settings.schema import DnsSection
from spfmilter.zones import Zones

# Unix time at which a key was seen for the first time, given the present.
Since = Callable[[str, float], float]
# A verdict takes more memory than an answer, and one in five senders of a busy day comes again from the same address.
_ANSWERS_PER_VERDICT = 5
# Seconds at most for each of these, which the client can stretch, and on which MAIL FROM's verdict does not depend:
# lookups in zones of the client's choice, for all checks of a message together; HELO's check; the DMARC policy.
_CLIENT_TIME = 3.0
# Seconds between HELO and MAIL FROM after which HELO's lookups are made anew: their answers may have ended meanwhile.
_FRESH = 5.0
# The part of the time limit that a lookup must have had before its timeout is an answer to other messages. HELO's check
# and the client's zones have less: one session could otherwise make a slow domain a temperror in the next one.
_SHARED_TIMEOUT = 0.6


class Engine:
    """What all connections of a process share."""

    def __init__(
        self,
        settings: DnsSection,
        *,
        receiver: str = "unknown",
        own_addresses: Sequence[IPAddress] = (),
        clock: Callable[[], float] = time.monotonic,
        observe: Observe = lambda *_: None,
    ) -> None:
        longest = settings.cache_max_ttl.seconds
        self.clock, self.own_addresses = clock, own_addresses
        self.prefetch = settings.prefetch
        self.limits = Limits(
            time=settings.timeout.seconds,
            lookups=settings.lookup_limit,
            void_lookups=settings.void_lookup_limit,
            client_time=_CLIENT_TIME,
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
        self.private = Zones(settings.private_zones)
        self.resolver = Resolver(
            settings.nameservers,
            cache=self.answers,
            clock=clock,
            observe=observe,
            private=self.private,
            shared_timeout=max(MIN_SHARED_TIMEOUT, _SHARED_TIMEOUT * settings.timeout.seconds),
        )
        self.evaluator = Evaluator(self.limits, receiver=receiver, clock=clock, private=self.private)

    def inquiry(self, since: Since | None = None) -> Inquiry:
        """What one connection needs; ``since`` remembers when something was first deferred (Unix time)."""
        return Inquiry(self, since)

    def counters(self) -> Mapping[str, Counters]:
        """What the caches have been good for, by name."""
        return {"answers": self.answers.counters, "verdicts": self.verdicts.counters}


class Inquiry:
    """The evaluations of one SMTP connection, over a channel to the DNS of its own: the policy's Evidence.

    Attributes:
        budget: the time of the message under way, in which its lookups have to end.
        own_address: where the MTA has taken the connection, so far as it tells.
        trace: whether the trees of evaluations are kept.
        notes: the lines of the settings that were looked at, if `check --explain` asks for them: section, key,
            whether it applied, and why.
    """

    def __init__(self, engine: Engine, since: Since | None = None) -> None:
        self._engine, self._deferred_since = engine, since
        self.budget = TimeBudget(engine.clock)
        self.own_address: IPAddress | None = None
        self.trace = False
        self.notes: list[tuple[str, str, bool, str]] | None = None
        self._channel = Channel(engine.resolver)
        self._for_strangers = Guarded(self._channel, engine.private)
        self._share = Share(engine.limits.client_time)  # of this message
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
                Prefetch(check, self._channel, self._engine.limits.lookups, self._for_strangers).start()

    def evaluate(self, check: Check, *, deadline: float | None = None, trace: bool = False) -> Verdict:
        """Return the verdict on a check: a cached one, unless its tree is wanted, else a fresh one."""
        known = self._engine.verdicts.get(check) if check.domain and not trace else None
        if known is not None:
            return known
        hurried = deadline is not None and check.identity is Identity.HELO and not check.null_sender
        if deadline is not None and hurried:
            # MAIL FROM's time is not the client's to waste: a HELO under a slow name of its own would be a way around.
            now = self._engine.clock()
            deadline = min(now + (deadline - now) / 4, now + _CLIENT_TIME)
        verdict = self._engine.evaluator.evaluate(
            check, self._channel, deadline=deadline, share=self._share, trace=trace
        )
        if not hurried or verdict.result is not Result.TEMPERROR:  # a bounce from there is to have its full time
            self._engine.verdicts.put(verdict)
        return verdict

    # -- what else the policy asks -----------------------------------------------------------------------------------

    def verdict(self, check: Check) -> Verdict:
        """Return the verdict on a check, in the time that is left."""
        return self.evaluate(check, deadline=self.budget.until, trace=self.trace)

    def holds(self, condition: Condition, verdict: Verdict) -> bool:
        """Tell whether a condition of the verdict's result holds: seen in the record, or looked up."""
        if verdict.condition is condition or not verdict.check.domain:
            return verdict.condition is condition
        match condition:
            case Condition.WIDE_OPEN:
                return self._lets_us_send(verdict.check)
            case Condition.UNREACHABLE:
                return is_unreachable(self._for_strangers, verdict.check.domain, self.budget.until)
            case Condition.NO_MAIL:
                return False

    def _lets_us_send(self, check: Check) -> bool:
        """Tell whether the record would let this server send for the domain, although it is not the domain's."""
        own = self._engine.own_addresses or tuple(filter(None, [self.own_address]))
        checks = [replace(check, address=address) for address in own if address.is_global and address != check.address]
        self.expect(checks)
        return any(self.verdict(probe).result is Result.PASS for probe in checks)

    def host_name(self, address: IPAddress, wanted: Callable[[str], bool]) -> str | None:
        """Return a wanted name of the address, confirmed in both directions; None if there is none."""
        start = self._engine.clock()
        name = hosts.confirmed_name(self._channel, address, wanted, min(self.budget.until, start + self._share.left))
        self._share.left -= self._engine.clock() - start
        return name

    def addresses_of(self, host: str) -> frozenset[IPAddress]:
        """Return the addresses of a host name."""
        return hosts.addresses_of(self._channel, host, self.budget.until)

    def expect_dmarc(self, domain: str) -> None:
        """Send the questions for the DMARC policy of a domain."""
        from spfmilter.evaluation import dmarc  # noqa: PLC0415 - the public suffix list is large, and seldom asked for

        dmarc.expect(self._for_strangers, domain)

    def dmarc(self, domain: str) -> DmarcPolicy | None:
        """Return the DMARC policy for mail from a domain; None if there is none."""
        from spfmilter.evaluation import dmarc  # noqa: PLC0415

        return dmarc.policy_of(self._for_strangers, domain, min(self.budget.until, self._engine.clock() + _CLIENT_TIME))

    def deferred_for(self, key: str) -> float:
        """Return the seconds since ``key`` was first deferred; 0 if that is not known."""
        if self._deferred_since is None:
            return 0.0
        now = time.time()
        return now - self._deferred_since(key, now)

    def note(self, section: str, key: str, why: str, *, applied: bool) -> None:
        """Note that a policy entry was considered, if notes are kept."""
        if self.notes is not None:
            self.notes.append((section, key, applied, why))

    # -- for the notice of a refusal ---------------------------------------------------------------------------------

    def evaluate_best_effort(self, check: Check, deadline: float) -> Verdict:
        """Return the verdict on a check that nothing depends on, by the deadline.

        Best effort: a timeout here is not cached as temperror, which would decide about other messages.
        """
        verdict = self._engine.verdicts.get(check)
        if verdict is None:
            verdict = self._engine.evaluator.evaluate(check, self._channel, deadline=deadline, share=self._share)
            if verdict.result is not Result.TEMPERROR:
                self._engine.verdicts.put(verdict)
        return verdict

    def clock(self) -> float:
        """Return the time by which deadlines are set."""
        return self._engine.clock()

    def exchanges(self, domain: str, deadline: float) -> tuple[str, ...]:
        """Return the names of a domain's MX hosts, best first; none if they do not come in time."""
        records = self._for_strangers.ask(domain, Type.MX, deadline).records
        return tuple(host for _, host in sorted(record for record in records if isinstance(record, tuple)))

    # ----------------------------------------------------------------------------------------------------------------

    def done(self) -> None:
        """End the message: give up what is still in flight, and begin the next message afresh."""
        self._channel.forget()
        self._expected.clear()
        self._share = Share(self._engine.limits.client_time)

    def close(self) -> None:
        """Close the connection's channel."""
        self._channel.close()
