"""Count the time that one message has for its lookups.

The client's pauses between two commands do not count. Knows nothing about lookups.
"""

from __future__ import annotations

from collections.abc import Callable


class TimeBudget:
    """The time of the present message on one connection. Each new message starts with its full time.

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
        """Begin a message. It has this time for all its lookups together. Let the time run."""
        self._until = self._clock() + seconds

    def pause(self) -> None:
        """Stop the clock until the client's next command."""
        self._left, self._until = self.left, None

    def resume(self) -> None:
        """Let the remaining time run again."""
        if self._until is None:
            self._until = self._clock() + self._left

    @property
    def left(self) -> float:
        """Return the remaining time in seconds; 0 if it is over."""
        return self._left if self._until is None else max(self._until - self._clock(), 0.0)

    @property
    def until(self) -> float:
        """Return when lookups have to end, on the clock, if the message continues now."""
        return self._clock() + self._left if self._until is None else self._until
