"""Which well-known mail service a refused client belongs to, so that the notice can name its ``include:``.

Knows how to find out cheaply: whose record is worth asking is guessed from names that are at hand, or else from one
lookup; whether it is the service's address, the service's own published record says. Only refused messages are asked
about, and the answers are in the caches that all messages share.
"""

from __future__ import annotations

from spfmilter.evaluation.engine import Inquiry
from spfmilter.model import Check, Facts, Identity, Result, Verdict
from spfmilter.services import Service, hinted

# Seconds on top of what the evaluation took: the MTA waits at least so much longer than [dns] timeout.
_TIME = 1.0
# What a further term in the domain's record would change.
_MENDABLE = frozenset({Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.NONE})


def service_of(verdict: Verdict, facts: Facts, inquiry: Inquiry) -> Service | None:
    """The service whose published record passes the client, where a name hints at one; None where nothing is sure."""
    check = verdict.check
    if verdict.result not in _MENDABLE or check.identity is not Identity.MAILFROM or not check.domain or check.record:
        return None
    deadline = inquiry.clock() + _TIME
    services = hinted((facts.client.name, facts.helo or "")) or hinted(inquiry.exchanges(check.domain, deadline))
    checks = [_check_of(service, check) for service in services]
    inquiry.expect(checks)
    for service, about in zip(services, checks, strict=True):
        if inquiry.passes(about, deadline):
            return service
    return None


def _check_of(service: Service, refused: Check) -> Check:
    """What evaluates the service's record for the client; the same for all messages, so that its verdict is kept."""
    return Check(
        identity=Identity.MAILFROM,
        address=refused.address,
        local="postmaster",
        domain=service.include,
        helo="unknown",
        said=service.include,
    )
