"""Count the running callbacks, and adapt Python's thread switch interval to their number.

Knows how many callbacks run and how long the oldest has run. Knows nothing about messages.

A thread that waits for Python's global lock (GIL) wakes up after each switch interval to request it. With Python's
default of 5 ms, a thousand waiting threads leave no processor time to the one that works. A long interval prevents
this, but costs up to a tenth of the rate if few threads work. So the interval is long only while there are many
(docs/decisions/0025-one-question.md).
"""

from __future__ import annotations

import sys
import time

from spfmilter.evaluation.budget import TimeBudget

_MANY = 32  # callbacks at work in one process
_LONG_INTERVAL = 0.1  # seconds


class AtWork:
    """A callback at work for a message of one connection: ``with at_work:`` counts it, and lets the message's time run.

    The client's own pauses between two steps do not count. One object serves a whole connection: a connection has one
    callback at a time.
    """

    __slots__ = ("_budget", "_running")

    def __init__(self, running: Running, budget: TimeBudget) -> None:
        self._running, self._budget = running, budget

    def __enter__(self) -> None:
        self._running.begin(id(self), time.monotonic())
        self._budget.resume()

    def __exit__(self, *_: object) -> None:
        self._running.end(id(self))
        self._budget.pause()


class Running:
    """The running callbacks of one process that evaluate, by number; safe for use by several threads at once."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}  # when each began
        self._usual_interval = sys.getswitchinterval()
        self._is_patient = False

    def begin(self, number: int, now: float) -> None:
        """Add a callback. ``now`` is its start, on the clock of ``time.monotonic``. Lengthen the interval for many."""
        self._since[number] = now
        if len(self._since) > _MANY and not self._is_patient:
            self._is_patient = True
            sys.setswitchinterval(_LONG_INTERVAL)

    def end(self, number: int) -> None:
        """Remove a callback."""
        del self._since[number]

    def longest(self) -> float:
        """Return for how many seconds the oldest callback has run."""
        now = time.monotonic()
        return now - min(list(self._since.values()), default=now)

    def settle(self) -> None:
        """Restore the usual interval if few callbacks run. Call this about once a second.

        Do not call it when a callback ends: if many end at the same time, their threads still have other work to do.
        """
        if self._is_patient and len(self._since) <= _MANY // 2:
            sys.setswitchinterval(self._usual_interval)
            self._is_patient = False
