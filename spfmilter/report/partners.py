"""Find likely misconfigured partners: domains that passed, and now fail from a few steady addresses. Pure.

A server that its domain has forgotten to list fails again and again from the same address, on several days. Forgeries
come from many addresses, each for a short time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from spfmilter.addresses import parse_address
from spfmilter.journal.sums import BrokenDomain, SenderHost
from spfmilter.organization import organization

LEAST_FAILURES = 3  # of one address
_FEW = 5  # addresses
_LEAST_HOURS = 2  # different hours in which an address failed
_SHARE = 2  # the steady addresses have at least one in this many of the domain's failures


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A domain whose own servers probably fail."""

    domain: str
    addresses: tuple[str, ...]  # steady, those with the most failures first
    passes: int
    failures: int  # of these addresses
    refused: int  # of them; or would have been, in monitor mode
    first: int  # failure
    last: int
    passed_before: tuple[str, ...]  # those of the addresses that passed for this domain before

    @property
    def changed(self) -> bool:
        """Return whether the domain's record has changed: the same server passed before."""
        return bool(self.passed_before)


def found(
    domains: Iterable[BrokenDomain], hosts: Iterable[SenderHost], forwarders: Collection[str], most: int
) -> list[Partner]:
    """Return the domains that are likely misconfigured, those with the most refused messages first.

    Args:
        domains: that have passed and failed.
        hosts: what each client sent for each of them, the most failures first.
        forwarders: addresses that fail for many domains: what they do tells nothing of one domain.
        most: how many at most.
    """
    by_domain: dict[str, list[SenderHost]] = defaultdict(list)
    for host in hosts:
        if host.domain is not None and host.client is not None and parse_address(host.client) is not None:
            by_domain[host.domain].append(host)
    organizations: dict[str, set[str]] = defaultdict(set)
    for domain, sent in by_domain.items():
        for host in sent:
            organizations[str(host.client)].add(organization(domain))
    strangers = {*forwarders, *(client for client, several in organizations.items() if len(several) > 2)}
    partners = [
        partner
        for domain in domains
        if domain.domain in by_domain and (partner := _partner(domain, by_domain[domain.domain], strangers)) is not None
    ]
    partners.sort(key=lambda one: (-one.refused, -one.failures, one.domain))
    return partners[:most]


def _partner(domain: BrokenDomain, hosts: list[SenderHost], strangers: Collection[str]) -> Partner | None:
    steady = [host for host in hosts if host.hours >= _LEAST_HOURS and host.client not in strangers]
    failures = sum(host.failures for host in steady)
    if not 0 < len(steady) <= _FEW or failures * _SHARE < domain.failures or not sum(host.refused for host in steady):
        return None
    before = [
        str(host.client)
        for host in steady
        if host.passes and host.last_failure is not None and (host.last_pass or 0) < host.last_failure
    ]
    return Partner(
        domain=str(domain.domain),
        addresses=tuple(str(host.client) for host in steady),
        passes=domain.passes,
        failures=failures,
        refused=sum(host.refused for host in steady),
        first=min(host.first_failure or 0 for host in steady),
        last=max(host.last_failure or 0 for host in steady),
        passed_before=tuple(before),
    )
