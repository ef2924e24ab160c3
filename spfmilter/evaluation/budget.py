"""The time that one message has for its lookups.

Knows that the client's own pauses between two commands do not count, and nothing of lookups.
"""

from __future__ import annotations

from collections.abc import Callable


class TimeBudget:
    """The time of the message under way on one connection; a new message starts it anew.

    | state   | ``start``       | ``resume``          | ``pause``              |
    | ------- | --------------- | ------------------- | ---------------------- |
    | paused  | runs, all of it | runs, what was left | stays                  |
    | running | runs, all of it | stays               | paused, keeps the rest |
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = 0.0  # seconds, while it is paused
        self._until: float | None = None  # on the clock, while it runs; None: paused

    def start(self, seconds: float) -> None:
        """Begin a message, which has this time for all of its lookups, and run."""
        self._until = self._clock() + seconds

    def pause(self) -> None:
        """Stop the clock until the client's next command."""
        self._left, self._until = self.left, None

    def resume(self) -> None:
        """Run again with what is left."""
        if self._until is None:
            self._until = self._clock() + self._left

    @property
    def left(self) -> float:
        """Seconds; never less than none."""
        return self._left if self._until is None else max(self._until - self._clock(), 0.0)

    @property
    def until(self) -> float:
        """When lookups have to end, on the clock, if the message goes on now."""
        return self._clock() + self._left if self._until is None else self._until
