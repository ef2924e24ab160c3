"""What the DNS said, kept for as long as it may be; shared by all sessions of a process.

Knows lifetimes (RFC 2308, RFC 8767), bounds and the order of eviction; asks nobody.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from spfmilter.evaluation.answer import Answer, Status, Type
from spfmilter.model import Counters

Key = tuple[Type, str]  # the name in lower case, without a final dot
_FAILURE_TTL = 5.0  # seconds: long enough for the other sessions of a burst, short enough for the next attempt
_OWN_FAILURE_TTL = 1.0  # when it is our own resolver that does not answer
_STALE_TTL = 30  # seconds that a stale answer lives on (RFC 8767 section 4)
_OVERHEAD = 400  # bytes of an entry beside its data: keys, objects, links (measured with sys.getsizeof)


@dataclass(slots=True)
class _Entry:
    answer: Answer
    expires: float
    size: int


@dataclass(slots=True)
class AnswerCache:
    """Answers by question; safe for use by several threads at once.

    Attributes:
        entries: how many answers are kept at most; 0 keeps none.
        size: how many bytes they may take, as far as that can be counted.
        max_ttl: seconds that an answer is kept at most, whatever its own TTL.
        serve_stale: seconds beyond its end that an answer may stand in for one that cannot be had.
    """

    entries: int = 50_000
    size: int = 64 << 20
    max_ttl: float = 3600.0
    serve_stale: float = 0.0
    clock: Callable[[], float] = time.monotonic
    counters: Counters = field(default_factory=Counters)
    _kept: OrderedDict[Key, _Entry] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Key) -> Answer | None:
        """The answer, its TTL being what is left of it; None where there is none that still holds."""
        with self._lock:
            entry = self._kept.get(key)
            left = entry.expires - self.clock() if entry is not None else 0.0
            if entry is None or left <= 0:
                self.counters.misses += 1
                return None
            self._kept.move_to_end(key)
            self.counters.hits += 1
            answer = entry.answer
        return replace(answer, ttl=int(left))

    def stale(self, key: Key) -> Answer | None:
        """An answer that has ended, but may still be used because no fresh one can be had."""
        with self._lock:
            entry = self._kept.get(key)
            if entry is None or entry.answer.status is Status.FAILED:
                return None
            if self.clock() > entry.expires + self.serve_stale:
                return None
            self.counters.stale += 1
            return replace(entry.answer, ttl=_STALE_TTL)

    def put(self, key: Key, answer: Answer) -> None:
        """Keep an answer; a failure takes the place of nothing that could be served stale."""
        if answer.status is Status.FAILED:
            ttl = _OWN_FAILURE_TTL if answer.ours else _FAILURE_TTL
        else:
            ttl = min(float(answer.ttl), self.max_ttl)
        if answer.status is Status.NOT_ASKED or ttl <= 0 or self.entries <= 0:
            return
        size = _OVERHEAD + len(key[1]) + sum(map(_length, answer.records))
        with self._lock:
            old = self._kept.pop(key, None)
            if old is not None:
                self._bytes -= old.size
            self._kept[key] = _Entry(answer, self.clock() + ttl, size)
            self._bytes += size
            while len(self._kept) > self.entries or self._bytes > self.size:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= gone.size
                self.counters.evictions += 1

    def __len__(self) -> int:
        return len(self._kept)


def _length(record: object) -> int:
    return len(record) if isinstance(record, bytes | str) else 64
