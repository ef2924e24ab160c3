"""Limit how often cases are evaluated anew, so that a flood of visits costs little. Knows no DNS and no page."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from enum import StrEnum
from ipaddress import ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spfmilter.helplink.token import Case


_WINDOW = 60.0  # seconds
_AGAIN = 5.0  # seconds for which the outcome of a case stands
# In a window. All cases together cost the storage process a few per cent of a processor at most.
MOST, MOST_OF_NETWORK, MOST_OF_DOMAIN = 300, 30, 30
_PREFIXES = {4: 24, 6: 48}  # the smallest network that one customer of a provider usually has


class RefreshOutcome(StrEnum):
    """What has become of a token; the values are the words of the answer to the page."""

    REFRESHED = "refreshed"  # the case passes, and no worker keeps what it knew before
    NOT_PASSING = "not passing"  # by the daemon's own nameservers
    LIMITED = "limited"
    INVALID = "invalid"  # not our signature, expired, or the token of a check that had passed


class RefreshLimits:
    """Count the cases in a window of a minute; bounded by the most that it admits. For one thread at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        self._counts: Counter[Hashable] = Counter()
        self._outcomes: dict[Case, tuple[float, RefreshOutcome]] = {}

    def known(self, case: Case) -> RefreshOutcome | None:
        """Return what has become of this case just now; None: evaluate it, if it is admitted."""
        found = self._outcomes.get(case)
        return found[1] if found is not None and self._clock() < found[0] + _AGAIN else None

    def admit(self, case: Case) -> bool:
        """Count a case. Return False if it is one too many: of its domain, of its client's network, or of all."""
        now = self._clock()
        if now >= self._begun + _WINDOW:
            self._begun = now
            self._counts.clear()
            self._outcomes.clear()
        bounds = {"": MOST, network_of(case): MOST_OF_NETWORK, case.domain: MOST_OF_DOMAIN}
        if any(self._counts[key] >= most for key, most in bounds.items()):
            return False
        self._counts.update(bounds.keys())
        return True

    def note(self, case: Case, outcome: RefreshOutcome) -> None:
        """Remember what has become of an admitted case."""
        self._outcomes[case] = self._clock(), outcome


def network_of(case: Case) -> str:
    """Return the network of the case's client."""
    return str(ip_network((case.address, _PREFIXES[case.address.version]), strict=False))
