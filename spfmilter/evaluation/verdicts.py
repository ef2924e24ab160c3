"""Cache verdicts for as long as the DNS answers that they depend on.

Knows what a verdict depends on (its key) and how long it holds. Evaluates nothing.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from sys import getsizeof

from spfmilter.model import Check, Counters, ProblemKind, Result, Verdict

# (address, its bits, domain, identity, pinned record) -> what else the verdict has depended on, and the verdicts by it.
# The address as a number: hashing the object takes ten times as long.
_Where = tuple[int, int, str, str, str]
_TEMPERROR_TTL = 5.0  # seconds
_OWN_TEMPERROR_TTL = 1.0  # when it is our own resolver that does not answer
_MAX_EXPLANATION = 512  # characters of untrusted text: longer ones are not kept, which bounds the memory
_MAX_SAID = 768  # characters of what the client says of itself, for the same reason
# Bytes of a verdict beside its texts, measured: its objects, keys and links; more where it has letters or a problem.
_OVERHEAD, _OVERHEAD_LETTERS, _OVERHEAD_PROBLEM = 1100, 550, 100
_MAX_VARIANTS = 16  # local parts or HELO names of one pair: a record that asks for them is rare


@dataclass(slots=True)
class _Kept:
    verdict: Verdict
    ends: float
    size: int


@dataclass(slots=True)
class _Known:
    """The verdicts of one client for one domain."""

    letters: frozenset[str] = frozenset()  # l and h, as far as macros have ever asked for them
    verdicts: dict[tuple[str, str], _Kept] = field(default_factory=dict)

    def key(self, check: Check) -> tuple[str, str]:
        """Return local part and HELO name, each empty if no macro has used it."""
        return check.local if "l" in self.letters else "", check.helo if "h" in self.letters else ""


def _where(check: Check) -> _Where:
    return int(check.address), check.address.max_prefixlen, check.domain, check.identity, check.record


@dataclass(slots=True)
class VerdictCache:
    """Verdicts by check; safe for use by several threads at once.

    Exact: an evaluation that never asked for the local part runs the same for every local part, and so for HELO.
    One whose explanation holds the time of day (``%{t}``) is not kept.

    Attributes:
        entries: how many verdicts are kept at most; 0 keeps none.
        size: how many bytes they may take, as far as that can be counted.
        max_ttl: seconds that a verdict is kept at most.
    """

    entries: int = 10_000
    size: int = 64 << 20
    max_ttl: float = 3600.0
    clock: Callable[[], float] = time.monotonic
    counters: Counters = field(default_factory=Counters)
    _known: OrderedDict[_Where, _Known] = field(default_factory=OrderedDict)
    _count: int = 0
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def knows(self, check: Check) -> bool:
        """Tell whether there is a verdict that still holds."""
        return self._find(check, _where(check)) is not None

    def get(self, check: Check) -> Verdict | None:
        """Return the verdict that still holds, with this check in it and no time elapsed; None if there is none."""
        with self._lock:
            where = _where(check)
            kept = self._find(check, where)
            if kept is None:
                self.counters.misses += 1
                return None
            self._known.move_to_end(where)
            self.counters.hits += 1
            if kept.verdict.elapsed:  # from now on it is had in no time; most are never asked for again
                kept.verdict = replace(kept.verdict, elapsed=0.0)
            found = kept.verdict
        return found if found.check == check else replace(found, check=check)

    def _find(self, check: Check, where: _Where) -> _Kept | None:
        known = self._known.get(where)
        kept = known.verdicts.get(known.key(check)) if known is not None else None
        return kept if kept is not None and kept.ends > self.clock() else None

    def put(self, verdict: Verdict) -> None:
        """Keep a verdict for as long as the shortest-lived DNS answer that it used."""
        ttl = _ttl(verdict)
        if not self.entries or ttl <= 0 or verdict.fault is not None or "t" in verdict.letters:
            return
        said = len(verdict.check.local) + len(verdict.check.helo) + len(verdict.check.as_sent)
        if len(verdict.explanation or "") > _MAX_EXPLANATION or said > _MAX_SAID:
            return
        matters = frozenset("l" if letter == "s" else letter for letter in verdict.letters) & {"l", "h"}
        check, where = verdict.check, _where(verdict.check)
        ends = self.clock() + min(ttl, self.max_ttl)
        kept = _Kept(verdict if verdict.trace is None else replace(verdict, trace=None), ends, _size(verdict))
        with self._lock:
            known = self._known.get(where)
            if known is None:
                known = self._known[where] = _Known()
            else:
                self._known.move_to_end(where)
            if not matters <= known.letters:
                known.letters |= matters
                self._drop(known)  # their keys left out what has turned out to matter
            key = known.key(check)
            if len(known.verdicts) >= _MAX_VARIANTS:
                self._drop(known)
            elif key in known.verdicts:
                self._uncount(known.verdicts[key])
            known.verdicts[key] = kept
            self._count += 1
            self._bytes += kept.size
            while self._count > self.entries or self._bytes > self.size:
                _, gone = self._known.popitem(last=False)
                self.counters.evictions += len(gone.verdicts)
                self._drop(gone)

    def _drop(self, known: _Known) -> None:
        """Forget all verdicts of one client for one domain."""
        for kept in known.verdicts.values():
            self._uncount(kept)
        known.verdicts.clear()

    def _uncount(self, kept: _Kept) -> None:
        self._count -= 1
        self._bytes -= kept.size


def _size(verdict: Verdict) -> int:
    """Return the bytes that a verdict takes, about; a pinned record is the settings', and shared."""
    check, problem = verdict.check, verdict.problem
    size = _OVERHEAD + _OVERHEAD_LETTERS * bool(verdict.letters)
    texts = [
        check.local,
        check.domain,
        check.helo,
        check.as_sent,
        verdict.term,
        verdict.term_domain,
        verdict.explanation,
    ]
    if problem is not None:
        size += _OVERHEAD_PROBLEM
        texts += [problem.text, problem.domain, problem.term]
    return size + sum(map(getsizeof, filter(None, texts)))


def _ttl(verdict: Verdict) -> float:
    if verdict.result is not Result.TEMPERROR:
        return (verdict.ttl or 0) - verdict.elapsed  # the first answer is as old as the evaluation took
    ours = verdict.problem is not None and verdict.problem.kind is ProblemKind.OWN_RESOLVER
    return _OWN_TEMPERROR_TTL if ours else _TEMPERROR_TTL
