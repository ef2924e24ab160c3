"""The policy's Evidence for one SMTP connection: answers the policy's questions in the time that the message has left.

Knows which lookups answer which question, our own addresses, the deferral memory and the notes of ``check --explain``.
Evaluates nothing itself: the Inquiry does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from spfmilter.evaluation import dmarc, hosts
from spfmilter.evaluation.budget import TimeBudget
from spfmilter.evaluation.conditions import is_unreachable
from spfmilter.evaluation.engine import CLIENT_TIME, Inquiry
from spfmilter.exemptions.inforce import NO_EXEMPTIONS, NONE_IN_FORCE, Exemptions, InForce
from spfmilter.model import Check, Condition, DmarcPolicy, IPAddress, Result, Verdict
from spfmilter.policy import Evidence

# Return the Unix time at which a key was seen for the first time, given the present.
Since = Callable[[str, float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A line of the settings that the policy has considered."""

    section: str
    key: str
    applied: bool
    why: str


class ConnectionEvidence(Evidence):
    """Answers the policy's questions about the messages of one connection.

    Attributes:
        inquiry: evaluates the checks.
        budget: the time of the present message, in which its lookups have to end.
        own_address: the address at which the MTA has accepted the connection; None: the MTA does not tell.
        notes: the lines of the settings that were considered; kept for ``check --explain`` only.
    """

    def __init__(
        self,
        inquiry: Inquiry,
        *,
        own_addresses: Sequence[IPAddress],
        deferred_since: Since | None,
        exemptions: Callable[[], Exemptions] = lambda: NO_EXEMPTIONS,
        explain: bool = False,
    ) -> None:
        """Prepare for a connection.

        Args:
            inquiry: evaluates the checks.
            own_addresses: ours, as configured; empty: ``own_address`` is used.
            deferred_since: remembers when a message was first deferred; None: nothing is remembered.
            exemptions: returns the temporary exemptions.
            explain: keep the trees of evaluations, and the notes.
        """
        self.inquiry = inquiry
        self.budget = TimeBudget(inquiry.clock)
        self.own_address: IPAddress | None = None
        self.notes: list[Note] = []
        self._own_addresses, self._deferred_since, self._explain = own_addresses, deferred_since, explain
        self._exemptions = exemptions

    def expect(self, checks: Iterable[Check]) -> None:
        """Send the lookups of checks that the policy is about to ask for."""
        self.inquiry.expect(checks)

    def verdict(self, check: Check) -> Verdict:
        """Return the verdict on a check."""
        return self.inquiry.evaluate(check, deadline=self.budget.until, trace=self._explain)

    def holds(self, condition: Condition, verdict: Verdict) -> bool:
        """Return whether a condition of the verdict's result is met: seen in the record, or looked up."""
        if verdict.condition is condition or not verdict.check.domain:
            return verdict.condition is condition
        match condition:
            case Condition.WIDE_OPEN:
                return self._lets_us_send(verdict.check)
            case Condition.UNREACHABLE:
                return is_unreachable(self.inquiry.guarded, verdict.check.domain, self.budget.until)
            case Condition.NO_MAIL:
                return False

    def _lets_us_send(self, check: Check) -> bool:
        """Return whether the record allows this server, although it is no server of the domain."""
        own = self._own_addresses or tuple(filter(None, [self.own_address]))
        checks = [replace(check, address=address) for address in own if address.is_global and address != check.address]
        self.expect(checks)
        return any(self.verdict(probe).result is Result.PASS for probe in checks)

    def host_name(self, address: IPAddress, wanted: Callable[[str], bool]) -> str | None:
        """Return a wanted name of the address, confirmed in both directions; None if there is none."""
        inquiry, start = self.inquiry, self.inquiry.clock()
        deadline = min(self.budget.until, start + inquiry.share.left)
        name = hosts.confirmed_name(inquiry.channel, address, wanted, deadline)
        inquiry.share.left -= inquiry.clock() - start
        return name

    def addresses_of(self, host: str) -> frozenset[IPAddress]:
        """Return the addresses of a host name."""
        return hosts.addresses_of(self.inquiry.channel, host, self.budget.until)

    def expect_dmarc(self, domain: str) -> None:
        """Send the questions for the DMARC policy of a domain."""
        dmarc.expect(self.inquiry.guarded, domain)

    def dmarc(self, domain: str) -> DmarcPolicy | None:
        """Return the DMARC policy for mail from a domain; None where the domain publishes none."""
        deadline = min(self.budget.until, self.inquiry.clock() + CLIENT_TIME)
        return dmarc.policy_of(self.inquiry.guarded, domain, deadline)

    def deferred_for(self, key: str) -> float:
        """Return the seconds since ``key`` was first deferred; 0.0 if that is not known."""
        if self._deferred_since is None:
            return 0.0
        now = time.time()
        return now - self._deferred_since(key, now)

    def exemptions(self) -> InForce:
        """Return the temporary exemptions, by this host's clock."""
        found = self._exemptions()
        return InForce(exemptions=found, now=time.time()) if found else NONE_IN_FORCE

    def note(self, section: str, key: str, why: str, *, applied: bool) -> None:
        """Note that a policy entry was considered, if notes are kept."""
        if self._explain:
            self.notes.append(Note(section=section, key=key, applied=applied, why=why))
