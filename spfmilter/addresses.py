"""The door for what a client says of itself: its address, its HELO, its MAIL FROM.

Knows how to read these from the MTA, whatever a stranger put there, and which of them name a domain that the DNS can
hold. Nothing here raises for bad input: what cannot be read is "unknown" or "no domain".
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

import idna

from spfmilter.model import Client, IPAddress, ReversePath

# Addresses that say nothing of who sent the mail: RFC 1918, RFC 6598 (CGNAT), RFC 3927, RFC 4193, RFC 4291 link-local.
_PRIVATE4 = tuple(
    IPv4Network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
)
_PRIVATE6 = tuple(IPv6Network(n) for n in ("fc00::/7", "fe80::/10"))
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what UTS 46 takes for a dot


def parse_address(text: str) -> IPAddress | None:
    """An IP address as MTAs write it: ``IPv6:`` prefix and zone are dropped, IPv4-mapped becomes IPv4; else None."""
    text = text.strip()
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped  # RFC 7208 section 5: evaluated as IPv4
    return address


def client_of(name: str, hostaddr: object) -> Client:
    """The client in libmilter's terms: (address, port, ...), the path of a unix socket, or None for unknown."""
    if isinstance(hostaddr, tuple) and hostaddr and isinstance(hostaddr[0], str):
        return Client(address=parse_address(hostaddr[0]), name=name)
    return Client(address=None, name=name, local=isinstance(hostaddr, str))


def is_private(address: IPAddress) -> bool:
    """Whether the address is of a private network, about which the public DNS says nothing."""
    return any(address in network for network in (_PRIVATE4 if address.version == 4 else _PRIVATE6))


def parse_reverse_path(text: str) -> ReversePath:
    """The address in MAIL FROM, with or without its angle brackets; a source route (RFC 5321 appendix C) is dropped.

    The domain begins after the *last* ``@``: a quoted local part may hold others.
    """
    text = text.strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if text.startswith("@") and ":" in text:
        text = text.partition(":")[2]
    local, at, domain = text.rpartition("@")
    return ReversePath(local=local, domain=domain.strip()) if at else ReversePath(local=text, domain="")


def dns_domain(text: str) -> str:
    """The name as ASCII if the DNS can hold it and it has more than one label (RFC 7208 section 4.3), else empty.

    U-labels become A-labels by IDNA 2008 with the usual mapping (UTS 46). Address literals are no domains.
    """
    name = (text if text.isascii() else _a_labels(text)).removesuffix(".")
    labels = name.split(".")
    if len(labels) < 2 or len(name) > 253 or any(not 0 < len(label) < 64 for label in labels):
        return ""
    # Blanks and controls stand in no name that anybody publishes; brackets and colons make an address literal.
    if any(not "!" <= c <= "~" or c in '[]:"\\@' for c in name) or _is_ip4(labels):
        return ""
    return name


def _a_labels(name: str) -> str:
    """The name with A-labels for its U-labels, empty where that cannot be; ASCII labels stay as they are."""
    if len(name) > 254:  # no A-label is shorter than its U-label
        return ""
    try:
        return ".".join(
            label if label.isascii() else idna.encode(label, uts46=True).decode() for label in _DOTS.split(name)
        )
    except ValueError:  # idna's errors are UnicodeErrors, which are ValueErrors
        return ""


def _is_ip4(labels: list[str]) -> bool:
    return len(labels) == 4 and all(label.isdigit() for label in labels)
