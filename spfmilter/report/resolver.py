"""When our own resolver was in trouble: the failures of ten minutes each, put together to outages. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spfmilter.journal.sums import MINUTES, ResolverFailure


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which none of a host's own nameservers answered, to the ten minutes."""

    host: str  # the MTA
    start: int
    end: int
    messages: int


def outages(failures: Iterable[ResolverFailure]) -> list[Outage]:
    """Return the outages, the newest first. Between two of a host lie ten minutes without a failure, or more."""
    joined: list[Outage] = []
    for host, time, messages in sorted((failure.host or "", failure.time, failure.messages) for failure in failures):
        last = joined[-1] if joined else None
        if last is not None and last.host == host and time - last.end <= MINUTES - 1:
            joined[-1] = Outage(host, last.start, time + MINUTES, last.messages + messages)
        else:
            joined.append(Outage(host, time, time + MINUTES, messages))
    joined.sort(key=lambda outage: (-outage.start, outage.host))
    return joined
