"""The network of an address, and the name of a client as far as it can be a mail server's. Pure."""

from __future__ import annotations

import re
from ipaddress import ip_network

from spfmilter.addresses import parse_address
from spfmilter.model import IPAddress

# Addresses of this network count as one, as for deferrals.
_PREFIX = {4: 24, 6: 64}
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_HEX = re.compile(r"[0-9a-f]{8}")


def network_of(client: str) -> str:
    """Return the network of an address: /24 or /64. What is no address is returned as it is."""
    address = parse_address(client)
    return str(ip_network((address, _PREFIX[address.version]), strict=False)) if address is not None else client


def usable_name(name: str | None, client: str) -> str:
    """Return a client's name in lower case if it can be the name of a mail server; empty: it cannot.

    An MTA writes "unknown" or the address in brackets if there is no name, or none that is confirmed. Names that are
    made of the address are those of subscribers' lines.
    """
    host = (name or "").lower().rstrip(".")
    if _HOST.fullmatch(host) is None or parse_address(host) is not None:
        return ""
    address = parse_address(client)
    return "" if address is not None and _is_made_of(host, address) else host


def _is_made_of(host: str, address: IPAddress) -> bool:
    if address.version == 6:
        return any(piece in address.exploded.replace(":", "") for piece in _HEX.findall(host.replace("-", "")))
    octets = str(address).split(".")
    numbers = [number.lstrip("0") or "0" for number in re.findall(r"[0-9]+", host)]
    joined = re.findall(r"[0-9a-f]{8,}", host)
    if f"{int(address):08x}" in joined or "".join(f"{int(octet):03}" for octet in octets) in joined:
        return True
    pairs = [numbers[at : at + 4] for at in range(len(numbers) - 3)]
    return octets in pairs or octets[::-1] in pairs
