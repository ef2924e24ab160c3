"""Cache verdicts for as long as the DNS answers that they depend on.

Knows what a verdict depends on (its key) and how long it is valid. Evaluates nothing.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from sys import getsizeof

from spfmilter.counters import Counters
from spfmilter.model import Check, ProblemKind, Result, Verdict

# The key: address, its bits, domain, identity, pinned record. The address is a number because hashing the object takes
# ten times as long.
_Where = tuple[int, int, str, str, str]
_TEMPERROR_TTL = 5.0  # seconds
_OWN_TEMPERROR_TTL = 1.0  # seconds, if our own resolver does not answer
_MAX_EXPLANATION = 512  # characters; a verdict with a longer one is not kept, which bounds the memory
_MAX_NAMES = 768  # characters of local part, HELO and the identity as sent, for the same reason
# Overhead of a verdict in bytes, measured: its objects, keys and links; more if it has letters or a problem.
_OVERHEAD, _OVERHEAD_LETTERS, _OVERHEAD_PROBLEM = 1100, 550, 100
_MAX_VARIANTS = 16  # verdicts of one client and domain, by local part and HELO; few records depend on these


@dataclass(slots=True)
class _Kept:
    verdict: Verdict
    ends: float
    size: int


@dataclass(slots=True)
class _Known:
    """The verdicts of one client for one domain."""

    letters: frozenset[str] = frozenset()  # of l and h, those that a macro has used in any evaluation
    verdicts: dict[tuple[str, str], _Kept] = field(default_factory=dict)

    def key(self, check: Check) -> tuple[str, str]:
        """Return the local part and the HELO name, each empty if no macro has used it."""
        return check.local if "l" in self.letters else "", check.helo if "h" in self.letters else ""


def _where(check: Check) -> _Where:
    return int(check.address), check.address.max_prefixlen, check.domain, check.identity, check.record


@dataclass(slots=True)
class VerdictCache:
    """Verdicts by check; safe for use by several threads at once.

    A cached verdict is always the one that an evaluation would give. If an evaluation has not used the local part, it
    runs the same for every local part. The same holds for HELO. A verdict whose explanation contains the time of day
    (``%{t}``) is not kept.

    Attributes:
        entries: how many verdicts are kept at most; 0 keeps none.
        size: how many bytes they may take, roughly.
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
        """Tell whether there is a valid verdict."""
        return self._find(check, _where(check)) is not None

    def get(self, check: Check) -> Verdict | None:
        """Return the valid verdict, with this check in it and no time elapsed; None if there is none."""
        with self._lock:
            where = _where(check)
            kept = self._find(check, where)
            if kept is None:
                self.counters.misses += 1
                return None
            self._known.move_to_end(where)
            self.counters.hits += 1
            if kept.verdict.elapsed:  # here, not in put(): most verdicts are never asked for again
                kept.verdict = replace(kept.verdict, elapsed=0.0)
            found = kept.verdict
        return found if found.check == check else replace(found, check=check)

    def _find(self, check: Check, where: _Where) -> _Kept | None:
        known = self._known.get(where)
        kept = known.verdicts.get(known.key(check)) if known is not None else None
        return kept if kept is not None and kept.ends > self.clock() else None

    def put(self, verdict: Verdict) -> None:
        """Keep a verdict for as long as the DNS answer with the shortest TTL that it used."""
        ttl = _ttl(verdict)
        if not self.entries or ttl <= 0 or verdict.fault is not None or "t" in verdict.letters:
            return
        length = len(verdict.check.local) + len(verdict.check.helo) + len(verdict.check.as_sent)
        if len(verdict.explanation or "") > _MAX_EXPLANATION or length > _MAX_NAMES:
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
                self._drop(known)  # the keys of these verdicts lack the letter that has turned out to matter
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

    def forget(self, domains: Collection[str]) -> int:
        """Remove the verdicts on these domains, given in lower case. Return how many there were."""
        with self._lock:
            gone = [where for where in self._known if where[2].lower() in domains]
            before = self._count
            for where in gone:
                self._drop(self._known.pop(where))
            self.counters.outdated += before - self._count
            return before - self._count

    def __len__(self) -> int:
        return self._count

    def _drop(self, known: _Known) -> None:
        """Forget all verdicts of one client for one domain."""
        for kept in known.verdicts.values():
            self._uncount(kept)
        known.verdicts.clear()

    def _uncount(self, kept: _Kept) -> None:
        self._count -= 1
        self._bytes -= kept.size


def _size(verdict: Verdict) -> int:
    """Return roughly the bytes that a verdict takes. A pinned record is not counted: the settings hold it anyway."""
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
    return size + sum(map(getsizeof, filter(None, texts))) + verdict.asked_size


def _ttl(verdict: Verdict) -> float:
    if verdict.result is not Result.TEMPERROR:
        return (verdict.ttl or 0) - verdict.elapsed  # the first answer came when the evaluation began
    ours = verdict.problem is not None and verdict.problem.kind is ProblemKind.OWN_RESOLVER
    return _OWN_TEMPERROR_TTL if ours else _TEMPERROR_TTL
