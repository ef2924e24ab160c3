"""How often a network may have something looked up: the only owner of ``limits``.

Knows client networks and the rate; does not know what is looked up. All of it is in memory, since one process
serves the page.
"""

from __future__ import annotations

import time
from ipaddress import ip_network

import limits

from spfmilter.addresses import parse_address

# What one customer of a provider usually has, at least: an address of his own is too little to stop him, and more would
# hit his neighbours.
_PREFIXES = {4: 24, 6: 48}


class RateLimit:
    """Counts lookups by client network, in windows of a fixed length."""

    def __init__(self, rate: str) -> None:
        """Args: rate: a number per second, minute or hour, such as ``30/minute``."""
        self._rate = limits.parse(rate)
        self._strategy = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())

    def wait(self, host: str) -> int | None:
        """Count a lookup for the client at ``host``; the seconds to wait where it is one too many, else None."""
        network = network_of(host)
        if self._strategy.hit(self._rate, network):
            return None
        reset = self._strategy.get_window_stats(self._rate, network).reset_time
        return max(1, int(reset - time.time()) + 1)


def network_of(host: str) -> str:
    """The network that a client counts as; whatever is no address counts as one and the same."""
    address = parse_address(host)
    if address is None:
        return "unknown"
    return str(ip_network((address, _PREFIXES[address.version]), strict=False))
