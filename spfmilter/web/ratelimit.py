"""Limit how often a network may start a lookup. The only owner of ``limits``.

Knows client networks and the rate. Does not know what is looked up. Keeps all counts in memory, since one process
serves the page.
"""

from __future__ import annotations

import time
from ipaddress import ip_network

import limits

from spfmilter.addresses import parse_address

# The smallest network that one customer of a provider usually has. A limit for a single address would not stop such a
# customer, and a limit for a larger network would hit their neighbours.
_PREFIXES = {4: 24, 6: 48}


class RateLimit:
    """Count lookups by client network, in windows of a fixed length."""

    def __init__(self, rate: str) -> None:
        """Args: rate: a number per second, minute or hour, such as ``30/minute``."""
        self._rate = limits.parse(rate)
        self._strategy = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage())

    def wait(self, host: str) -> int | None:
        """Count a lookup for the client at ``host``. Return the seconds to wait if it exceeds the rate, else None."""
        network = network_of(host)
        if self._strategy.hit(self._rate, network):
            return None
        reset = self._strategy.get_window_stats(self._rate, network).reset_time
        return max(1, int(reset - time.time()) + 1)


def network_of(host: str) -> str:
    """Return the network that a client counts for. All hosts that are no IP address share one."""
    address = parse_address(host)
    if address is None:
        return "unknown"
    return str(ip_network((address, _PREFIXES[address.version]), strict=False))
