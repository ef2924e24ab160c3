"""The network of an address: addresses of one network belong together. Pure."""

from __future__ import annotations

from ipaddress import ip_network

from spfmilter.addresses import parse_address

# Addresses of this network count as one, as for deferrals.
_PREFIX = {4: 24, 6: 64}


def network_of(client: str) -> str:
    """Return the network of an address: /24 or /64. What is no address is returned as it is."""
    address = parse_address(client)
    return str(ip_network((address, _PREFIX[address.version]), strict=False)) if address is not None else client
