"""Where the exemptions are kept: one interface, and which store the settings name.

Knows no store's own language. Nothing here is called by a worker: a store may take its time.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from spfmilter.exemptions.exemption import Exemption
from spfmilter.settings import Settings
from spfmilter.stores import choice
from spfmilter.stores.rows import Row

FILE = "exemptions.db"  # in [state] folder
KEPT = 90 * 86400  # seconds for which an exemption that has ended or been removed can still be listed


class Store(Protocol):
    """Keeps exemptions for the daemons of one host, or of several. All methods raise ``choice.StoreError``."""

    name: str  # for people, without a password
    forgets: bool  # it may lose what it was given: what is missing without a trace was not removed

    def version(self) -> Hashable:
        """Return what differs after each change by another process. Cheap: asked twice a second."""

    def read(self) -> Sequence[Row]:
        """Return all rows: also those that have ended or were removed. They are untrusted input."""

    def add(self, exemption: Exemption) -> None:
        """Keep another exemption, and forget those that ended long before it was added."""

    def remove(self, ids: Sequence[str], now: int, who: str) -> None:
        """Note that exemptions were removed."""

    def give_back(self, exemptions: Sequence[Exemption]) -> None:
        """Keep exemptions again that the store has lost. Does nothing where it forgets nothing."""

    def close(self) -> None:
        """Let go of the store."""


def place(settings: Settings) -> str:
    """Return the store that the settings name, for people; empty: none."""
    return choice.place(settings, FILE)
