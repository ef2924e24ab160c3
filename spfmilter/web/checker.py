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
from spfmilter.evaluation.suggestion import clues_of
from spfmilter.model import Check, Client, Facts, Result, ReversePath, Verdict
from spfmilter.refresh import pagelink
from spfmilter.refresh.limits import RefreshOutcome
from spfmilter.settings.schema import DnsSection
from spfmilter.settings.values import Duration, Nameserver
from spfmilter.spf.clues import Clues
from spfmilter.spf.services import Service
from spfmilter.zones import Delegation

_THREADS = 8
_PLACES = 4 * _THREADS  # evaluated or waiting
_SHARE = _THREADS // 2  # places of one network: otherwise it could block all threads with silent name servers
_TIME = 10.0  # seconds, waiting included: a person looks at an empty page meanwhile
_ZONE_TIME = 1.0  # seconds for the nameservers of a zone, which are a help and not needed


class BusyError(Exception):
    """Too many evaluations are running; try again in some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The result of an evaluation for a visitor."""

    verdict: Verdict
    clues: Clues = field(default_factory=Clues)  # to the client
    refreshed: bool = False  # the daemon has confirmed that it does not use the former record any more
    delegation: Delegation | None = None  # the zone that holds the record; None if it is not needed, or unknown


class Checker:
    """Evaluate checks for the page."""

    def __init__(
        self,
        settings: DnsSection,
        nameservers: Sequence[Nameserver] = (),
        *,
        suggest: bool = False,
        services: Sequence[Service] = (),
        folder: str = "",
    ) -> None:
        """Prepare to query the DNS as the daemon does.

        Args:
            settings: the daemon's DNS settings.
            nameservers: queried in place of the daemon's; empty: the daemon's.
            suggest: whether to look for the name and the mail service of a client that is not allowed.
            services: the administrator's, in addition to the well-known ones.
            folder: ``[state] folder``, in which the daemon of this host listens; empty: there is none.
        """
        time = Duration(min(_TIME, settings.timeout.seconds))
        # No cache: a person who corrects a record and loads the page again wants to see the effect at once.
        limited = settings.uncached().model_copy(update={"timeout": time})
        if nameservers:
            limited = limited.model_copy(update={"nameservers": nameservers})
        self._engine = Engine(limited)
        self._time, self._suggest, self._services, self._folder = time.seconds, suggest, services, folder
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="check")
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()  # places, by network

    async def evaluate(self, check: Check, network: str = "", *, name: str = "", refused: str = "") -> Checked:
        """Return the current verdict, with its tree, and the clues to the client.

        Args:
            check: what to evaluate.
            network: the visitor's network; empty if unknown.
            name: what the client was called when its message came; empty if unknown. The DNS has to confirm it now.
            refused: the token of a case that was not passed. If it passes now, the daemon is told; empty: none.

        Raises:
            BusyError: all places are taken, or the network has used its share of them.
        """
        with self._lock:
            if self._taken.total() >= _PLACES or (network and self._taken[network] >= _SHARE):
                raise BusyError
            self._taken[network] += 1
        try:
            future = self._pool.submit(self._evaluate, check, self._engine.clock() + self._time, name, refused)
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

    def _evaluate(self, check: Check, deadline: float, name: str, refused: str) -> Checked:
        if self._engine.clock() >= deadline:
            raise BusyError
        inquiry = self._engine.inquiry()
        try:
            inquiry.expect([check])
            verdict = inquiry.evaluate(check, deadline=deadline, trace=True)
            passes = bool(refused) and verdict.result is Result.PASS
            return Checked(
                verdict=verdict,
                clues=clues_of(verdict, _facts(check, name), inquiry, self._services, suggest=self._suggest),
                refreshed=passes and pagelink.ask(self._folder, refused) is RefreshOutcome.REFRESHED,
                delegation=_delegation(verdict, inquiry),
            )
        finally:
            inquiry.close()


def _delegation(verdict: Verdict, inquiry: Inquiry) -> Delegation | None:
    """Return the zone whose record a person may have to change. Best effort, for a second at most."""
    if verdict.result in {Result.PASS, Result.TEMPERROR} or not verdict.check.domain:
        return None
    return delegation_of(inquiry.guarded, verdict.check.domain, inquiry.clock() + _ZONE_TIME)


def _facts(check: Check, name: str) -> Facts:
    """Return the few facts known about the message. Its host names hint at a service."""
    return Facts(
        client=Client(address=check.address, name=name),
        helo=check.helo,
        reverse_path=ReversePath(local=check.local, domain=check.domain),
    )
