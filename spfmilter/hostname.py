"""Names of hosts: which of them can be the name of a mail server. Pure.

Knows their form, and what providers make of an address to name a subscriber's line.
"""

from __future__ import annotations

import re

from spfmilter.addresses import parse_address
from spfmilter.model import IPAddress

_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_MAX_NAME = 253  # characters (RFC 1035)
_HEX = re.compile(r"[0-9a-f]{8}")


def is_host(name: str) -> bool:
    """Tell whether a text is a host name of two labels or more, in lower case and without a final dot."""
    return len(name) <= _MAX_NAME and _HOST.fullmatch(name) is not None and parse_address(name) is None


def usable_name(name: str | None, client: str) -> str:
    """Return a client's name in lower case if it can be the name of a mail server; empty: it cannot.

    An MTA writes "unknown" or the address in brackets if there is no name, or none that is confirmed. Names that are
    made of the address are those of subscribers' lines.
    """
    host = (name or "").lower().rstrip(".")
    if not is_host(host):
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
