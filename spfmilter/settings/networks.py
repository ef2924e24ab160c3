"""Addresses and networks with a meaning of their own: text to a typed value, or what to write instead.

Knows which of them can have that meaning. Knows no keys. Their notation is in ``values``.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

from spfmilter.addresses import is_private
from spfmilter.settings.ini import quoted
from spfmilter.settings.values import address, network

# Of documentation and laboratories (RFC 5737, RFC 3849).
_EXAMPLES = tuple(map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")))
_LENGTHS = (32, 40, 48, 56, 64, 96)  # bits of a translator's prefix (RFC 6052 section 2.2)


def public_address(text: str) -> IPv4Address | IPv6Address:
    """Read one IP address that a host of the Internet can have."""
    found = address(text)
    if is_private(found) or not (found.is_global or _is_example(found)):
        raise ValueError(
            f"{quoted(text)} is no public address: write the one at which others reach this server (behind NAT, the "
            "router's)"
        )
    return found


def _is_example(found: IPv4Address | IPv6Address) -> bool:
    return any(found in network for network in _EXAMPLES if network.version == found.version)


def nat64_prefix(text: str) -> IPv6Network:
    """Read the prefix of a translator between IPv6 and IPv4, of a length that RFC 6052 section 2.2 knows."""
    found = network(text)
    if not isinstance(found, IPv6Network) or found.prefixlen not in _LENGTHS:
        lengths = ", ".join(map(str, _LENGTHS))
        raise ValueError(f"{quoted(text)} is no prefix of a translator: write a network of IPv6 of {lengths} bits")
    return found
