"""What the policy may ask of the world: the DNS, and what has happened before. The shell answers.

Knows the questions only. Each is asked when the answer can change what is done with the message, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from spfmilter.model import Check, Condition, DmarcPolicy, IPAddress, Result, Verdict


class Evidence(Protocol):
    """Who answers, for one message; an answer that cannot be had in time is the one that changes nothing."""

    def expect(self, checks: Sequence[Check]) -> None:
        """These verdicts will be asked for."""

    def verdict(self, check: Check) -> Verdict:
        """What came out of a check."""

    def holds(self, condition: Condition, verdict: Verdict) -> bool:
        """Whether a condition of the verdict's result is given."""

    def host_name(self, address: IPAddress, wanted: Callable[[str], bool]) -> str | None:
        """A wanted name that the address has in the reverse DNS, and that leads back to the address; or None."""

    def addresses_of(self, host: str) -> frozenset[IPAddress]:
        """The addresses that a host name has."""

    def expect_dmarc(self, domain: str) -> None:
        """``dmarc`` will be asked for this domain."""

    def dmarc(self, domain: str) -> DmarcPolicy | None:
        """The DMARC policy for mail from a domain; None where there is none."""

    def deferred_for(self, key: str) -> float:
        """Seconds since a message like this one was deferred for the first time; 0.0 if it is the first."""

    def note(self, section: str, key: str, why: str, *, applied: bool) -> None:
        """A line of the settings was looked at; for whoever wants to know how a decision came about."""


class NoEvidence:
    """An Evidence that knows of nothing: no condition holds, nobody is pardoned, no verdict is to be had."""

    def expect(self, checks: Sequence[Check]) -> None:
        """NoEvidence is done ahead."""

    def verdict(self, check: Check) -> Verdict:
        """None was found."""
        return Verdict(check=check, result=Result.NONE)

    def holds(self, condition: Condition, verdict: Verdict) -> bool:
        """What the verdict itself says."""
        return verdict.condition is condition

    def host_name(self, address: IPAddress, wanted: Callable[[str], bool]) -> str | None:  # noqa: ARG002 - the protocol's
        """No name."""
        return None

    def addresses_of(self, host: str) -> frozenset[IPAddress]:  # noqa: ARG002 - the protocol's
        """No address."""
        return frozenset()

    def expect_dmarc(self, domain: str) -> None:
        """NoEvidence is done ahead."""

    def dmarc(self, domain: str) -> DmarcPolicy | None:  # noqa: ARG002 - the protocol's
        """No policy."""
        return None

    def deferred_for(self, key: str) -> float:  # noqa: ARG002 - the protocol's
        """The first time."""
        return 0.0

    def note(self, section: str, key: str, why: str, *, applied: bool) -> None:
        """Nobody wants to know."""


NO_EVIDENCE = NoEvidence()
