"""Cache DNS answers for all sessions of a process.

Knows lifetimes (RFC 2308, RFC 8767), bounds and the order of eviction. Makes no lookup.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from spfmilter.counters import Counters
from spfmilter.dns.answer import Answer, RecordData, Status, Type

Key = tuple[Type, str]  # the name in lower case, without a final dot
_FAILURE_TTL = 5.0  # seconds: helps the other sessions of a burst, and has ended by the next attempt
_OWN_FAILURE_TTL = 1.0  # seconds, if our own resolver does not answer
_STEP = 20  # seconds for which a message may use an answer after its TTL, so that one evaluation sees one state
_STALE_TTL = 30  # seconds for which a stale answer is used before the DNS is asked again (RFC 8767 section 4)
# Overhead in bytes, measured with sys.getsizeof: of an entry (keys, objects, links), and of each record in it.
_OVERHEAD, _OVERHEAD_BYTES, _OVERHEAD_NAME, _OVERHEAD_MX = 600, 56, 72, 168


@dataclass(slots=True)
class _Entry:
    answer: Answer
    expires: float
    ends: float  # until when it may be served stale; not before ``expires``
    size: int


@dataclass(slots=True)
class AnswerCache:
    """Answers by question; safe for use by several threads at once.

    Attributes:
        entries: how many answers are kept at most; 0 keeps none.
        size: how many bytes they may take, roughly.
        max_ttl: seconds that an answer is kept at most, even if its own TTL is longer.
        serve_stale: seconds after its TTL for which an answer is used if the lookup fails.
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

    def get(self, key: Key, *, counted: bool = True) -> Answer | None:
        """Return the answer with its remaining TTL; None if there is none, or it has expired.

        Args:
            key: type and name.
            counted: count a hit or a miss. False when a connection looks again while it waits.
        """
        with self._lock:
            entry = self._kept.get(key)
            left = entry.expires - self.clock() if entry is not None else 0.0
            if entry is None or left <= 0:
                self.counters.misses += counted
                return None
            self._kept.move_to_end(key)
            self.counters.hits += counted
            answer = entry.answer
        return answer.lasting(int(left))

    def stale(self, key: Key) -> Answer | None:
        """Return an expired answer that may be used because the lookup failed (RFC 8767); None if there is none.

        The answer is then valid for ``_STALE_TTL`` seconds, so that not every message repeats the failing lookup. It
        is never used later than ``serve_stale`` seconds after its TTL.
        """
        with self._lock:
            entry, now = self._kept.get(key), self.clock()
            if entry is None or entry.answer.status is Status.FAILED or entry.ends <= now:
                return None
            if entry.expires <= now:
                entry.expires = min(now + _STALE_TTL, entry.ends)
                self.counters.stale += 1
            self._kept.move_to_end(key)
            return entry.answer.lasting(int(entry.expires - now))

    def put(self, key: Key, answer: Answer) -> None:
        """Keep an answer. A failure does not replace data that is valid or may be served stale."""
        ttl, failed = min(float(answer.ttl), self.max_ttl), answer.status is Status.FAILED
        if failed:
            ttl = _OWN_FAILURE_TTL if answer.local_failure else _FAILURE_TTL
        size = _OVERHEAD + len(key[1]) + sum(map(_length, answer.records))
        if answer.status is Status.NOT_ASKED or ttl <= 0 or self.entries <= 0 or size > self.size:
            return
        with self._lock:
            now, old = self.clock(), self._kept.get(key)
            if old is not None:
                if failed and old.ends > now and old.answer.status is not Status.FAILED:
                    return
                del self._kept[key]
                self._bytes -= old.size
            expires = now + ttl
            self._kept[key] = _Entry(answer, expires, expires if failed else expires + self.serve_stale, size)
            self._bytes += size
            while len(self._kept) > self.entries or self._bytes > self.size:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= gone.size
                self.counters.evictions += 1

    def forget(self, key: Key, *, unless: Callable[[Answer], bool]) -> bool:
        """Remove an answer, unless it is what the caller takes for the present one. Return whether it was removed.

        It is not served stale, either: it is known to be wrong.
        """
        with self._lock:
            entry = self._kept.get(key)
            if entry is None or unless(entry.answer):
                return False
            del self._kept[key]
            self._bytes -= entry.size
            self.counters.outdated += 1
            return True

    def __contains__(self, key: Key) -> bool:
        """Tell whether there is an answer, even an expired one."""
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)


def _length(record: RecordData) -> int:
    if isinstance(record, bytes):
        return _OVERHEAD_BYTES + len(record)
    return _OVERHEAD_NAME + len(record) if isinstance(record, str) else _OVERHEAD_MX + len(record[1])


class MessageAnswers:
    """Hold the answers of one message, also those that must not be cached for other messages (TTL 0).

    Each answer keeps its age. The client may idle between two evaluations, and the verdict cache must not keep a
    verdict for longer than its answers are valid.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._answers: dict[Key, tuple[Answer, float]] = {}  # with the time at which each arrived

    def get(self, key: Key) -> Answer | None:
        """Return the answer with its remaining TTL; None if there is none, or it is too old."""
        found = self._answers.get(key)
        if found is None:
            return None
        answer, came = found
        age = int(self._clock() - came)
        if age > _STEP and age >= answer.ttl:
            del self._answers[key]
            return None
        return answer.lasting(max(0, answer.ttl - age))

    def put(self, key: Key, answer: Answer, came: float | None = None) -> None:
        """Keep an answer that arrived at that time, by default now."""
        self._answers[key] = answer, self._clock() if came is None else came

    def clear(self) -> None:
        """Forget all answers: another message begins."""
        self._answers.clear()

    def __bool__(self) -> bool:
        """Tell whether there are any answers."""
        return bool(self._answers)
