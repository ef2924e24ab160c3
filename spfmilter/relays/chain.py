"""Walk along the Received chain, from the connected relay back to the originating client.

Knows which server may have written each field, and where to stop. Does not parse fields. Asks the DNS through a
function of the caller. The connected relay wrote the topmost field, since it adds its own above all others. Each field
names the server that wrote the field below. A field is believed only if it was written by the server found so far. The
first server that is not ours is the client. All further fields are untrusted and not read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv6Network

from spfmilter.addresses import dns_domain, embedded_ip4, is_private, parse_address
from spfmilter.model import Client, IPAddress
from spfmilter.relays import received as fields
from spfmilter.relays.received import Peer, Received
from spfmilter.settings.networklist import NetworkList

MAX_FIELDS = 50  # RFC 5321 section 6.3 lets a server take 100 for a loop; Postfix's hopcount_limit is 50
MAX_NAMES = 10  # host names that are looked up for a message, at most; the limit of RFC 7208 section 4.6.4

NamesOf = Callable[[str], frozenset[IPAddress]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginatingClient:
    """The client that sent the message to the first of our servers."""

    client: Client
    helo: str | None  # as that server recorded it; untrusted input
    hops: int  # from that server to the connected relay; 0 if they are the same


@dataclass(slots=True)
class _Server:
    """A server of ours that the message passed, with all its known addresses and names."""

    addresses: set[IPAddress]
    names: set[str]

    def wrote(self, field: Received, addresses_of: NamesOf) -> bool:
        """Return whether the field names this server as its writer: by name, address, or a name with its address."""
        if not field.by:
            return True  # a field of qmail's that names no writer; the field below has to name this server
        if _plain(field.by) in self.names or field.by_address in self.addresses:
            return True
        if parse_address(field.by.strip("[]")) in self.addresses:
            return True
        domain = dns_domain(field.by)
        return bool(domain) and not self.addresses.isdisjoint(addresses_of(domain))

    def also(self, peer: Peer) -> None:
        """Add the name under which the server has handed the message to itself."""
        self.names |= _names(peer.name, peer.helo or "", "localhost")


def originating_client(
    received: Sequence[str], relay: Client, trusted: NetworkList, names_of: NamesOf, helo: str | None,
    *, nat64: Sequence[IPv6Network] = (),
) -> OriginatingClient | None:  # fmt: skip
    """Return the client that sent the message to the first of our servers; None if it cannot be found.

    Return None also if the message does not come from outside: the client has logged in, or its address is private.

    Args:
        received: the values of the message's Received fields, topmost first, without the MTA's own.
        relay: the client that is connected.
        trusted: the networks of our own servers.
        names_of: returns the addresses of a host name; an empty set if there are none, or the DNS fails.
        helo: the HELO of the connected client.
        nat64: the prefixes of translators, whose clients are IPv4 hosts.
    """
    if relay.address is None or not trusted.covers(relay.address):
        return None
    server, hops = _Server({relay.address}, _names(relay.name, helo or "")), 0
    ask = _bounded(names_of)
    for value in received[:MAX_FIELDS]:
        field = fields.parse(value)
        if field is None or not server.wrote(field, ask):
            return None
        if field.peer is None:
            continue
        peer = replace(field.peer, address=embedded_ip4(field.peer.address, nat64))
        inside = peer.address.is_loopback or peer.address in {*server.addresses, field.by_address}
        if inside and not field.authenticated:
            server.also(peer)  # a content filter that returned the message
        elif trusted.covers(peer.address) and not inside:
            server, hops = _Server({peer.address}, _names(peer.name, peer.helo or "")), hops + 1
        elif field.authenticated or is_private(peer.address):
            return None
        else:
            return OriginatingClient(client=Client(address=peer.address, name=peer.name), helo=peer.helo, hops=hops)
    return None


def _plain(name: str) -> str:
    return name.removesuffix(".").lower()


def _names(*names: str) -> set[str]:
    """Return names for comparison, without those that name no host."""
    return {_plain(name) for name in names} - {"", "unknown"}


def _bounded(names_of: NamesOf) -> NamesOf:
    """Return the same function with a memory: it asks once for each name, and for ``MAX_NAMES`` names at most."""
    known: dict[str, frozenset[IPAddress]] = {}

    def ask(name: str) -> frozenset[IPAddress]:
        if name not in known:
            if len(known) == MAX_NAMES:
                return frozenset()
            known[name] = names_of(name)
        return known[name]

    return ask
