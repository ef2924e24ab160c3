"""The one question that is asked: since when something has been deferred."""

from __future__ import annotations

from typing import Protocol


class Deferrals(Protocol):
    """Since when something has been deferred."""

    def since(self, key: str, now: float) -> float:
        """The Unix time in seconds at which ``key`` was first deferred: ``now``, if that is not known.

        Never raises, and never waits longer than a quarter of a second. Where nothing can be remembered, each time is
        the first. May be called by any thread.
        """
