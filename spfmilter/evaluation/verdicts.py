"""Verdicts that are still true: the same check, asked again before any of its answers has ended.

Knows on what a verdict depends (its key) and for how long it holds; evaluates nothing.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from spfmilter.model import Check, Counters, IPAddress, Result, Verdict

# (address, domain, identity) -> what else the verdict has depended on, and the verdicts by that.
_Where = tuple[IPAddress, str, str]
_TEMPERROR_TTL = 5.0  # seconds
_MAX_VARIANTS = 16  # local parts or HELO names of one pair: a record that asks for them is rare


@dataclass(slots=True)
class _Known:
    """The verdicts of one client for one domain."""

    letters: frozenset[str] = frozenset()  # l and h, as far as macros have ever asked for them
    verdicts: dict[tuple[str, str], tuple[Verdict, float]] = field(default_factory=dict)  # with the time of its end

    def key(self, check: Check) -> tuple[str, str]:
        """Local part and HELO, as far as they matter."""
        return check.local if "l" in self.letters else "", check.helo if "h" in self.letters else ""


@dataclass(slots=True)
class VerdictCache:
    """Verdicts by check; safe for use by several threads at once.

    Exact: an evaluation that never asked for the local part runs the same for every local part, and so for HELO.
    One whose explanation holds the time of day (``%{t}``) is not kept.

    Attributes:
        entries: how many (client, domain) pairs are kept at most; 0 keeps none.
        max_ttl: seconds that a verdict is kept at most.
    """

    entries: int = 10_000
    max_ttl: float = 3600.0
    clock: Callable[[], float] = time.monotonic
    counters: Counters = field(default_factory=Counters)
    _known: OrderedDict[_Where, _Known] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, check: Check) -> Verdict | None:
        """The verdict, as that of this very check; None where none is known to hold."""
        where = (check.address, check.domain, check.identity)
        with self._lock:
            known = self._known.get(where)
            found = known.verdicts.get(known.key(check)) if known is not None else None
            left = found[1] - self.clock() if found is not None else 0.0
            if found is None or left <= 0:
                self.counters.misses += 1
                return None
            self._known.move_to_end(where)
            self.counters.hits += 1
        return replace(found[0], check=check, elapsed=0.0, ttl=int(left))

    def put(self, verdict: Verdict) -> None:
        """Keep a verdict for as long as the shortest-lived answer that it used."""
        ttl = _TEMPERROR_TTL if verdict.result is Result.TEMPERROR else float(verdict.ttl or 0)
        if not self.entries or ttl <= 0 or verdict.fault is not None or "t" in verdict.letters:
            return
        matters = frozenset("l" if letter == "s" else letter for letter in verdict.letters) & {"l", "h"}
        check = verdict.check
        with self._lock:
            known = self._known.setdefault((check.address, check.domain, check.identity), _Known())
            if not matters <= known.letters:
                known.letters |= matters
                known.verdicts.clear()  # their keys left out what has turned out to matter
            if len(known.verdicts) >= _MAX_VARIANTS:
                known.verdicts.clear()
            known.verdicts[known.key(check)] = (verdict, self.clock() + min(ttl, self.max_ttl))
            while len(self._known) > self.entries:
                self._known.popitem(last=False)
                self.counters.evictions += 1
