"""IP addresses in the INI file: which texts are one, and which addresses a socket can use, or what to write instead.

Knows which well-formed addresses no socket can use. Knows no keys, and looks at no interface.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from spfmilter.settings.ini import quoted

# An address and a port, in the notation of another program or of another key of ours.
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://)?")  # inet:, tcp:, http://, and the host in localhost:8890
_ENDPOINTS = tuple(
    map(
        re.compile,
        (
            r"(?P<port>[0-9]{1,5})@\[?(?P<host>[^\[\]]*)\]?",
            r"(?P<host>[^:\[\]]*):(?P<port>[0-9]{1,5})",
            r"\[(?P<host>[^\[\]]*)\]:(?P<port>[0-9]{1,5})",
            r"(?P<port>[0-9]{1,5})(?P<host>)",
            r"\[?(?P<host>[^\[\]]*)\]?(?P<port>)",
        ),
    )
)
_BROADCAST = IPv4Address("255.255.255.255")


def is_address(host: str) -> bool:
    """Return whether the text is an IP address, perhaps with a zone (``fe80::1%eth0``)."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """Return whether the text is an IP address or network, with or without bits set below the prefix."""
    if ":" not in text and not text[-1:].isdigit():  # most names, of which a list can have many
        return False
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def reachable_host(host: str) -> str:
    """Return an address at which this host reaches a listener of its own: loopback if it listens on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound to


def meant_endpoint(text: str, usual: int, *, ipv6: bool = False) -> tuple[str, int]:
    """Return address and port that a text without the right notation most likely means, for an example in its error.

    Args:
        text: as it was typed.
        usual: the port if it has none that can be used.
        ipv6: whether the text asks for IPv6 otherwise, which counts if it has no address.
    """
    rest = text if is_address(text) else _KIND.sub("", text, count=1)
    found = next((match for pattern in _ENDPOINTS if (match := pattern.fullmatch(rest))), None)
    host, port = (found["host"], int(found["port"] or usual)) if found is not None else ("", usual)
    loopback = "::1" if ipv6 else "127.0.0.1"
    return host if is_address(host) else loopback, port if 0 < port < 65536 else usual


def usable_address(text: str, host: str) -> str:
    """Return the address, with the zone of a link-local one: its interface (RFC 4007 section 11).

    Args:
        text: the whole value, for the error.
        host: the part of it that is an IP address.

    Raises:
        ValueError: no socket can use the address.
    """
    address = ip_address(host)
    if address.is_multicast or address == _BROADCAST:
        raise ValueError(f"{quoted(text)} is an address of many hosts: write that of one host")
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        raise ValueError(f"{quoted(text)} is an IPv4 address in the form of IPv6: write {address.ipv4_mapped}")
    if address.is_link_local and not address.scope_id:
        raise ValueError(
            f"{quoted(text)} is a link-local address, which each interface can have: name it, as {address}%eth0"
        )
    if address.scope_id and not address.is_link_local:
        plain = IPv6Address(int(address))
        raise ValueError(f"{quoted(text)}: only a link-local address names its interface: write {plain}")
    return str(address)
