"""What a report says: totals, the trend, and the findings. Pure values, made from the sums of the journal.

Knows how the sums are put together. How they are shown is for others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spfmilter.hostname import usable_name
from spfmilter.journal.sums import Count, RefusedClient, RefusedDomain, Temperrors, UsedOverride
from spfmilter.model import Disposition, Result
from spfmilter.report.exceptions import ExemptEntry
from spfmilter.report.forwarders import Forwarder
from spfmilter.report.heaviest import Heaviest
from spfmilter.report.partners import Partner
from spfmilter.report.period import Period, place
from spfmilter.report.related import network_of
from spfmilter.report.resolver import Outage

ACTIONS = tuple(map(str, Disposition))
_RESULTS = (
    Result.PASS,
    Result.FAIL,
    Result.SOFTFAIL,
    Result.NEUTRAL,
    Result.NONE,
    Result.TEMPERROR,
    Result.PERMERROR,
)
RESULTS = tuple(map(str, _RESULTS))
REFUSING = tuple(str(disposition) for disposition in Disposition if disposition.refuses)
_HOSTS = 200  # MTAs that are counted at a time


class _Counted:
    """Messages counted by action, and by what enforce mode would have done."""

    __slots__ = ()
    actions: Counter[str]
    would: Counter[str]

    @property
    def messages(self) -> int:
        """Return how many messages there were."""
        return self.actions.total()

    @property
    def refused(self) -> int:
        """Return how many messages were refused."""
        return sum(self.actions[action] for action in REFUSING)

    @property
    def would_refuse(self) -> int:
        """Return how many messages monitor mode would have refused."""
        return sum(self.would[action] for action in REFUSING)


@dataclass(frozen=True, slots=True)
class TrendStep(_Counted):
    """One step of the trend."""

    start: int
    label: str
    actions: Counter[str]  # messages, by action
    would: Counter[str]  # messages, by what enforce mode would have done


@dataclass(frozen=True, slots=True)
class Totals(_Counted):
    """The messages of the whole span, by what was found and what was done."""

    actions: Counter[str]
    would: Counter[str]  # only messages that monitor mode spared
    mailfrom: Counter[str]  # by result; those that were not evaluated are missing
    helo: Counter[str]
    decided: Counter[tuple[str, str, str]]  # of the messages not accepted: action, identity, result
    skips: Counter[str]
    overrides: Counter[str]
    hosts: Counter[str]


@dataclass(slots=True)
class RefusedNetwork:
    """A network from which messages were refused, or would have been."""

    network: str = ""
    messages: int = 0
    clients: int = 0
    name: str = ""  # of one of its hosts; empty: none has one that can be used


@dataclass(frozen=True, slots=True)
class TopRefused:
    """The domains and networks for which most messages were refused, or would have been."""

    domains: Sequence[RefusedDomain] = ()
    networks: Sequence[RefusedNetwork] = ()
    cases: Sequence[str | None] = ()  # the newest case id, for each of the domains


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReport:
    """Everything that a report says."""

    period: Period
    made: int
    monitor: bool  # the INI file says monitor mode now
    asked: int  # since when; the journal may begin later
    oldest: int | None  # row of the journal; None: it is empty
    newest: int | None
    totals: Totals
    trend: Sequence[TrendStep]
    refused: TopRefused
    would: TopRefused
    forwarders: Sequence[Forwarder]
    forwarder_cases: Sequence[str | None]
    partners: Sequence[Partner]
    partner_cases: Sequence[str | None]
    asked_dns: bool  # whether the names of forwarders were confirmed now
    temperrors: Sequence[Temperrors]
    outages: Sequence[Outage]
    overrides: Sequence[UsedOverride]
    entries: Sequence[ExemptEntry]

    @property
    def never_used(self) -> list[ExemptEntry]:
        """Return the exceptions that were no reason for anything in the span."""
        return [entry for entry in self.entries if not entry.used]

    @property
    def ending(self) -> list[ExemptEntry]:
        """Return the exceptions that end soon."""
        return [entry for entry in self.entries if entry.ends_soon(self.made)]

    @property
    def findings(self) -> int:
        """Return how many things there are to look at."""
        return len(self.forwarders) + len(self.partners) + len(self.outages) + len(self.never_used) + len(self.ending)


def tallied(counts: Iterable[Count], period: Period) -> tuple[Totals, list[TrendStep]]:
    """Return the totals and the trend."""
    totals = Totals(*(Counter() for _ in range(8)))
    starts = period.starts()
    steps = [TrendStep(start, period.label(start), Counter(), Counter()) for start in starts]
    for count in counts:
        step = steps[place(starts, count.time)]
        for actions, would in ((totals.actions, totals.would), (step.actions, step.would)):
            actions[str(count.action)] += count.messages
            if count.would is not None:
                would[count.would] += count.messages
        for counter, word in (
            (totals.mailfrom, count.mailfrom),
            (totals.helo, count.helo),
            (totals.skips, count.skip),
            (totals.overrides, count.override),
            (totals.hosts, count.host or ""),
        ):
            if word is not None:
                counter[word] += count.messages
        if len(totals.hosts) > _HOSTS:  # untrusted input: there may be as many as rows
            for host, _ in totals.hosts.most_common()[_HOSTS // 2 :]:
                del totals.hosts[host]
        done = count.would or count.action
        if done != Disposition.ACCEPT and count.decided_by is not None:
            totals.decided[done, count.decided_by, count.result or ""] += count.messages
    return totals, steps


def networks(clients: Iterable[RefusedClient], most: int) -> list[RefusedNetwork]:
    """Return the networks (/24 and /64) from which most messages were refused."""
    found: Heaviest[RefusedNetwork] = Heaviest(RefusedNetwork, lambda network: network.messages)
    for client in clients:
        address = client.client or ""
        network = found[network_of(address)]
        network.messages += client.messages
        network.clients += client.clients
        network.name = network.name or usable_name(client.name, address)
    top = list(found.top(most))
    for name, network in top:
        network.network = name
    return [network for _, network in top]
