"""Find likely forwarders: clients that fail for many unrelated domains, and are no strangers. Pure.

Knows how hosts are put together, and what speaks for a forwarder. A sender of spam fails for many domains as well: what
tells them apart is a name that the DNS confirms, a HELO that passes, and mail of its own that passes. None of these is
a proof, so a finding is a question to the administrator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from spfmilter.addresses import parse_address
from spfmilter.hostname import usable_name
from spfmilter.journal.sums import FailingHost
from spfmilter.organization import organization
from spfmilter.report.heaviest import Heaviest
from spfmilter.report.related import network_of

LEAST_DOMAINS = 3  # unrelated domains, if name and HELO speak for a forwarder
_LEAST_WITH_ONE = 6  # if only one of them does
_HOSTS = 40  # hosts of one group that are looked at: those with the most failures
_SHOWN = 5  # domains, names and addresses of a finding


@dataclass(slots=True)
class HostGroup:
    """Hosts that belong together: by their names, or by their network."""

    messages: int = 0
    refused: int = 0
    helo_passes: int = 0
    domains: int = 0  # of all hosts together, counted for each: an upper bound
    hosts: dict[str, int] = field(default_factory=dict)  # address: messages
    names: dict[str, str] = field(default_factory=dict)  # address: name
    helo: str | None = None  # one that passes
    first: int = 0
    last: int = 0
    last_client: str = ""

    def add(self, host: FailingHost, client: str, name: str) -> None:
        """Add what a host has sent."""
        self.first = min(self.first, host.first) if self.messages else host.first
        if host.last >= self.last:
            self.last, self.last_client = host.last, client
        self.messages += host.messages
        self.refused += host.refused
        self.helo_passes += host.helo_passes
        self.domains += host.domains
        self.helo = self.helo or host.helo
        self.hosts[client] = self.hosts.get(client, 0) + host.messages
        if name:
            self.names[client] = name
        if len(self.hosts) > 2 * _HOSTS:
            self.hosts = dict(Counter(self.hosts).most_common(_HOSTS))
            self.names = {address: named for address, named in self.names.items() if address in self.hosts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarder:
    """Hosts that probably forward mail of others."""

    name: str  # the domain of its hosts' names, or its network
    hosts: tuple[str, ...]  # addresses, those with the most failures first
    host_count: int
    names: tuple[str, ...]  # of the hosts, as the MTA gave them: confirmed, if the MTA does confirm
    helo: str | None  # a HELO that passes
    helo_passes: int
    messages: int  # that fail
    refused: int  # of them; or would have been, in monitor mode
    passes: int  # messages of the same hosts that pass
    domains: tuple[str, ...]  # unrelated ones, the most frequent first
    domain_count: int
    first: int
    last: int
    last_client: str  # from which the last of them came
    confirmed: tuple[str, ...] | None = None  # names that the DNS confirms now; None: not asked, or no answer

    @property
    def is_likely(self) -> bool:
        """Return whether more than one thing speaks for a forwarder."""
        name = self.names if self.confirmed is None else self.confirmed
        return bool(name) and bool(self.helo_passes)

    @property
    def trusted_name(self) -> str:
        """Return the name to list; empty if there is none: all of its names, or the only one."""
        names = self.names if self.confirmed is None else self.confirmed
        if not names:
            return ""
        return names[0] if self.host_count == 1 else f".{organization(names[0])}"


def grouped(hosts: Iterable[FailingHost], most: int) -> list[tuple[str, HostGroup]]:
    """Return the groups of hosts that fail for enough domains, those with the most domains first."""
    groups: Heaviest[HostGroup] = Heaviest(HostGroup, lambda group: group.domains)
    for host in hosts:
        if host.client is None or parse_address(host.client) is None:
            continue
        name = usable_name(host.name, host.client)
        groups[organization(name) if name else network_of(host.client)].add(host, host.client, name)
    return [found for found in groups.top(most) if _is_wanted(found[1])]


def _is_wanted(group: HostGroup) -> bool:
    signs = bool(group.names) + (2 * group.helo_passes >= group.messages)
    least = (None, _LEAST_WITH_ONE, LEAST_DOMAINS)[signs]
    return least is not None and group.domains >= least and group.refused > 0


def found(
    groups: Iterable[tuple[str, HostGroup]],
    senders: Iterable[tuple[str, str, int]],
    passes: Mapping[str, int],
    most: int,
) -> list[Forwarder]:
    """Return the groups that are likely forwarders, those with the most refused messages first.

    Args:
        groups: from ``grouped``.
        senders: client, domain and failures of the clients in the groups.
        passes: the messages that pass, by client.
        most: how many findings at most.
    """
    groups = list(groups)
    owner = {client: name for name, group in groups for client in group.hosts}
    domains: dict[str, Counter[str]] = {name: Counter() for name, _ in groups}
    for client, domain, messages in senders:
        if client in owner:
            domains[owner[client]][organization(domain)] += messages
    forwarders = [
        _forwarder(name, group, domains[name], passes)
        for name, group in groups
        if _are_enough(group, set(domains[name]) - {organization(name)})
    ]
    forwarders.sort(key=lambda one: (not one.is_likely, -one.refused, one.name))
    return forwarders[:most]


def _are_enough(group: HostGroup, unrelated: set[str]) -> bool:
    both = bool(group.names) and 2 * group.helo_passes >= group.messages
    return len(unrelated) >= (LEAST_DOMAINS if both else _LEAST_WITH_ONE)


def _forwarder(name: str, group: HostGroup, domains: Counter[str], passes: Mapping[str, int]) -> Forwarder:
    hosts = [client for client, _ in Counter(group.hosts).most_common(_HOSTS)]
    return Forwarder(
        name=name,
        hosts=tuple(hosts[:_SHOWN]),
        host_count=len(group.hosts),
        names=tuple(dict.fromkeys(group.names[client] for client in hosts if client in group.names))[:_SHOWN],
        helo=group.helo,
        helo_passes=group.helo_passes,
        messages=group.messages,
        refused=group.refused,
        passes=sum(passes.get(client, 0) for client in hosts),
        domains=tuple(domain for domain, _ in domains.most_common(_SHOWN)),
        domain_count=len(domains),
        first=group.first,
        last=group.last,
        last_client=group.last_client,
    )


def addresses(groups: Iterable[tuple[str, HostGroup]]) -> Iterator[str]:
    """Yield the addresses of all hosts of some groups."""
    for _, group in groups:
        yield from group.hosts
