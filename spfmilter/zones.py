"""Zones of the DNS, and whether a name is in one of them; their nameservers; the zones of a network's reverse DNS.

Pure. Does not know what the zones are used for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network


def is_within(name: str, zone: str) -> bool:
    """Return whether a name is in or below a zone; both in the same case, and without a final dot."""
    return name == zone or name.endswith("." + zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """A zone, and the nameservers that its NS records name (RFC 1034 section 4.2). Both are untrusted."""

    zone: str
    nameservers: tuple[str, ...]


class Zones:
    """A set of zones."""

    def __init__(self, zones: Iterable[str] = (), *, names: Collection[object] = ()) -> None:
        """Make the set.

        Args:
            zones: their names.
            names: further ones, in a collection that is kept; what is no text there is left out.
        """
        self._zones, self._names = frozenset(zones), names
        tops = (zone.rpartition(".")[2] for known in (self._zones, names) for zone in known if isinstance(zone, str))
        self._tops = frozenset(tops)  # most names are not even below these

    def holds(self, name: str) -> bool:
        """Return whether a name, in any case and with or without a final dot, is in or below one of the zones."""
        rest = name.lower().removesuffix(".")
        if rest.rpartition(".")[2] not in self._tops:
            return False
        while rest not in self._zones and rest not in self._names:
            _, _, rest = rest.partition(".")
            if not rest:
                return False
        return True

    def enters(self, name: tuple[bytes, ...], target: tuple[bytes, ...]) -> bool:
        """Return whether an alias leads from outside the zones into one of them; both names as lower-case labels."""
        return self.holds(_text(target)) and not self.holds(_text(name))


def reverse_zones(network: IPv4Network | IPv6Network) -> Iterator[str]:
    """Yield the zones of a network's reverse DNS (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    bits, suffix = (8, "in-addr.arpa") if network.version == 4 else (4, "ip6.arpa")
    labels = -(-network.prefixlen // bits)  # a prefix that ends within a label has several zones
    for part in network.subnets(new_prefix=labels * bits):
        parts = part.network_address.reverse_pointer.removesuffix(f".{suffix}").split(".")
        yield ".".join([*parts[len(parts) - labels :], suffix])


def _text(labels: tuple[bytes, ...]) -> str:
    return b".".join(labels).decode("latin-1")
