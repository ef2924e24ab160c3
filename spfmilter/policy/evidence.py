"""The questions that the policy may ask: of the DNS, and about earlier messages. Code outside of the policy answers.

Knows the questions only. The policy asks one only if the answer can change the action.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from spfmilter.exemptions.inforce import NONE_IN_FORCE, InForce
from spfmilter.model import Check, Condition, DmarcPolicy, IPAddress, Result, Verdict


class Evidence(Protocol):
    """Answers questions about one message. If no answer arrives in time, return the neutral one."""

    def expect(self, checks: Sequence[Check]) -> None:
        """Prepare the verdicts on these checks, which the policy is about to ask for."""

    def verdict(self, check: Check) -> Verdict:
        """Return the verdict on a check."""

    def holds(self, condition: Condition, verdict: Verdict) -> bool:
        """Return whether a condition of the verdict's result is met."""

    def host_name(self, address: IPAddress, wanted: Callable[[str], bool]) -> str | None:
        """Return a wanted name of the address, confirmed in both directions; None if there is none."""

    def addresses_of(self, host: str) -> frozenset[IPAddress]:
        """Return the addresses of a host name."""

    def expect_dmarc(self, domain: str) -> None:
        """Prepare the DMARC policy of this domain, which the policy may ask for."""

    def dmarc(self, domain: str) -> DmarcPolicy | None:
        """Return the DMARC policy for mail from a domain; None where the domain publishes none."""

    def deferred_for(self, key: str) -> float:
        """Return the seconds since mail with this key was first deferred; 0.0 if this is the first."""

    def exemptions(self) -> InForce:
        """Return the temporary exemptions, as they are now."""

    def note(self, section: str, key: str, why: str, *, applied: bool) -> None:
        """Record that a line of the settings was considered, and why it applied or not (``check --explain``).

        The section EXEMPTION stands for the temporary exemptions; the key is then an id, or empty for all of them.
        """


class NoEvidence:
    """An Evidence without any finding: every result is none, no condition is met, no override applies."""

    def expect(self, checks: Sequence[Check]) -> None:
        """Ask nothing ahead."""

    def verdict(self, check: Check) -> Verdict:
        """Return the result none."""
        return Verdict(check=check, result=Result.NONE)

    def holds(self, condition: Condition, verdict: Verdict) -> bool:
        """Return what the verdict itself shows."""
        return verdict.condition is condition

    def host_name(self, address: IPAddress, wanted: Callable[[str], bool]) -> str | None:  # noqa: ARG002 - the protocol's
        """Return no name."""
        return None

    def addresses_of(self, host: str) -> frozenset[IPAddress]:  # noqa: ARG002 - the protocol's
        """Return no address."""
        return frozenset()

    def expect_dmarc(self, domain: str) -> None:
        """Ask nothing ahead."""

    def dmarc(self, domain: str) -> DmarcPolicy | None:  # noqa: ARG002 - the protocol's
        """Return no policy."""
        return None

    def deferred_for(self, key: str) -> float:  # noqa: ARG002 - the protocol's
        """Return the age of a first message."""
        return 0.0

    def exemptions(self) -> InForce:
        """Return that there are none."""
        return NONE_IN_FORCE

    def note(self, section: str, key: str, why: str, *, applied: bool) -> None:
        """Record nothing."""


NO_EVIDENCE = NoEvidence()
