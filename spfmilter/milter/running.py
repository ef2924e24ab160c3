"""Callbacks that are at work: since when, and how impatiently their threads wait for Python's lock.

Knows how many there are and how old the oldest is; knows nothing of messages.

A thread that waits for Python's lock wakes up after each switch interval to ask for it. With Python's own 5 ms, a
thousand threads that wait leave no processor time to the one that works. A long interval ends this, but costs up to a
tenth of the rate where a few threads are at work. So it is long only while there are many
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
    """The callbacks of one process that evaluate, each known by a number; for several threads at once."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}  # when each began
        self._usual_interval = sys.getswitchinterval()
        self._is_patient = False

    def begin(self, number: int, now: float) -> None:
        """Note that a callback has begun, on the clock of ``time.monotonic``; with many, threads become patient."""
        self._since[number] = now
        if len(self._since) > _MANY and not self._is_patient:
            self._is_patient = True
            sys.setswitchinterval(_LONG_INTERVAL)

    def end(self, number: int) -> None:
        """Note that a callback has ended."""
        del self._since[number]

    def longest(self) -> float:
        """Return the seconds that the oldest callback has taken so far."""
        now = time.monotonic()
        return now - min(list(self._since.values()), default=now)

    def settle(self) -> None:
        """Let threads wait as usual again if there are few; to be called every second or so.

        Not as soon as a callback ends: after many have ended at the same time, their threads have other work to do.
        """
        if self._is_patient and len(self._since) <= _MANY // 2:
            sys.setswitchinterval(self._usual_interval)
            self._is_patient = False
