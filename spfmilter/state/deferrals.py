"""The interface of the stores: one question, since when a key has been deferred."""

from __future__ import annotations

from typing import Protocol


class Deferrals(Protocol):
    """Knows since when each key has been deferred."""

    def since(self, key: str, now: float) -> float:
        """Return the Unix time in seconds at which ``key`` was first deferred; ``now`` if that is not known.

        Never raises. Waits at most a quarter of a second. If the store cannot remember anything, it returns ``now``
        every time. May be called by any thread.
        """
