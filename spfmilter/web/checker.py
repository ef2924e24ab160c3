"""Evaluate checks for the page in a few threads, with a limit on their time and on their number.

Knows the Engine and how much of it visitors may use. Does not know who asks, nor what is shown.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from spfmilter.evaluation.engine import Engine, Inquiry
from spfmilter.evaluation.hosts import delegation_of
from spfmilter.evaluation.suggestion import service_of
from spfmilter.model import Check, Client, Facts, Result, ReversePath, Verdict
from spfmilter.settings.schema import DnsSection
from spfmilter.settings.values import Duration, Nameserver
from spfmilter.spf.clues import Clues
from spfmilter.zones import Delegation

_THREADS = 8
_PLACES = 4 * _THREADS  # evaluated or waiting
_SHARE = _THREADS // 2  # places of one network: otherwise it could block all threads with silent name servers
_TIME = 10.0  # seconds, waiting included: a person looks at an empty page meanwhile
_ZONE_TIME = 1.0  # seconds for the nameservers of a zone, which are a help and not needed
_FRESH = 60.0  # seconds for which an answer is cached at most: a person who fixes a record wants to see the effect


class BusyError(Exception):
    """Too many evaluations are running; try again in some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The result of an evaluation for a visitor."""

    verdict: Verdict
    clues: Clues = field(default_factory=Clues)  # to the client
    delegation: Delegation | None = None  # the zone that holds the record; None if it is not needed, or unknown


class Checker:
    """Evaluate checks for the page."""

    def __init__(self, settings: DnsSection, nameservers: Sequence[Nameserver] = (), *, suggest: bool = False) -> None:
        """Prepare to query the DNS as the daemon does.

        Args:
            settings: the daemon's DNS settings.
            nameservers: queried in place of the daemon's; empty: the daemon's.
            suggest: whether to look for the mail service of a client that is not allowed.
        """
        longest = Duration(min(_FRESH, settings.cache_max_ttl.seconds))
        time = Duration(min(_TIME, settings.timeout.seconds))
        limited = settings.model_copy(update={"cache_max_ttl": longest, "serve_stale": Duration(0), "timeout": time})
        if nameservers:
            limited = limited.model_copy(update={"nameservers": nameservers})
        self._engine = Engine(limited)
        self._time, self._suggest = time.seconds, suggest
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="check")
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()  # places, by network

    async def evaluate(self, check: Check, network: str = "") -> Checked:
        """Return the current verdict, with its tree, and the client's service.

        Args:
            check: what to evaluate.
            network: the visitor's network; empty if unknown.

        Raises:
            BusyError: all places are taken, or the network has used its share of them.
        """
        with self._lock:
            if self._taken.total() >= _PLACES or (network and self._taken[network] >= _SHARE):
                raise BusyError
            self._taken[network] += 1
        try:
            future = self._pool.submit(self._evaluate, check, self._engine.clock() + self._time)
        except RuntimeError:  # it has been closed
            self._free(network)
            raise
        future.add_done_callback(lambda _: self._free(network))
        return await asyncio.wrap_future(future)

    def _free(self, network: str) -> None:
        with self._lock:
            self._taken[network] -= 1
            if not self._taken[network]:
                del self._taken[network]

    def close(self) -> None:
        """Stop. Waiting evaluations are not started."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _evaluate(self, check: Check, deadline: float) -> Checked:
        if self._engine.clock() >= deadline:
            raise BusyError
        inquiry = self._engine.inquiry()
        try:
            inquiry.expect([check])
            verdict = inquiry.evaluate(check, deadline=deadline, trace=True)
            service = service_of(verdict, _facts(check), inquiry) if self._suggest else None
            return Checked(verdict=verdict, clues=Clues(service=service), delegation=_delegation(verdict, inquiry))
        finally:
            inquiry.close()


def _delegation(verdict: Verdict, inquiry: Inquiry) -> Delegation | None:
    """Return the zone whose record a person may have to change. Best effort, for a second at most."""
    if verdict.result in {Result.PASS, Result.TEMPERROR} or not verdict.check.domain:
        return None
    return delegation_of(inquiry.guarded, verdict.check.domain, inquiry.clock() + _ZONE_TIME)


def _facts(check: Check) -> Facts:
    """Return the few facts known about the message. Its host names hint at a service."""
    return Facts(
        client=Client(address=check.address),
        helo=check.helo,
        reverse_path=ReversePath(local=check.local, domain=check.domain),
    )
