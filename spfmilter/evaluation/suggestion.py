"""Find the well-known mail service that a refused client belongs to, so that the notice can name its ``include:``.

Knows how to find it cheaply. Names that are known already hint at a service, or one lookup does. The service's own SPF
record then confirms that the client is one of its hosts. Used for refused messages only. The answers are in the caches
that all messages share.
"""

from __future__ import annotations

from ipaddress import ip_address

from spfmilter.evaluation import hosts
from spfmilter.evaluation.engine import Inquiry
from spfmilter.model import Check, Facts, Identity, IPAddress, Result, Verdict
from spfmilter.spf.checks import domain_check
from spfmilter.spf.services import Service, hinted

# Seconds after the evaluation: the MTA waits at least this much longer than [dns] timeout.
_TIME = 1.0
# The limits of RFC 7208 section 4.6.4. If the advice exceeds them, it breaks the record for all mail of the domain.
_LOOKUPS, _VOID_LOOKUPS = 10, 2
_UNKNOWN_CLIENT = {4: ip_address("0.0.0.0"), 6: ip_address("::")}  # noqa: S104 - addresses that no record passes
# The results that one more term in the domain's record would change.
_FIXABLE = frozenset({Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.NONE})


def service_of(verdict: Verdict, facts: Facts, inquiry: Inquiry) -> Service | None:
    """Return the service that a name hints at, if its published record passes the client; else None."""
    check = verdict.check
    if verdict.result not in _FIXABLE or check.identity is not Identity.MAILFROM or not check.domain or check.record:
        return None
    deadline = inquiry.clock() + _TIME
    services = hinted((facts.client.name, facts.helo or ""))
    if not services:
        services = hinted(hosts.exchanges_of(inquiry.guarded, check.domain, deadline))
    checks = [_check_of(service, check.address) for service in services]
    inquiry.expect(checks)
    for service, about in zip(services, checks, strict=True):
        if inquiry.evaluate_best_effort(about, deadline).result is Result.PASS and _fits(
            verdict, service, inquiry, deadline
        ):
            return service
    return None


def _fits(verdict: Verdict, service: Service, inquiry: Inquiry, deadline: float) -> bool:
    """Tell whether the refused record has enough lookups left for the service's. Evaluate for an unknown client."""
    whole = inquiry.evaluate_best_effort(_check_of(service, _UNKNOWN_CLIENT[verdict.check.address.version]), deadline)
    return (
        whole.result not in {Result.TEMPERROR, Result.PERMERROR}
        and verdict.lookups + 1 + whole.lookups <= _LOOKUPS
        and verdict.void_lookups + whole.void_lookups <= _VOID_LOOKUPS
    )


def _check_of(service: Service, address: IPAddress) -> Check:
    """Return the check of the service's record for an address. All messages share its cached verdict."""
    return domain_check(address, service.include, helo="", record="")
