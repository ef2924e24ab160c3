"""Counts of a cache, for the metrics. The caches write them, and the metrics read them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """How often a cache had an answer, and how often not."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    stale: int = 0  # expired answers that were used in place of fresh ones (RFC 8767)
    outdated: int = 0  # entries that were forgotten because the DNS has other answers by now

    def numbers(self) -> dict[str, int]:
        """Return the counts by the word under which the metrics show each."""
        return {
            "hit": self.hits,
            "miss": self.misses,
            "eviction": self.evictions,
            "stale": self.stale,
            "outdated": self.outdated,
        }
