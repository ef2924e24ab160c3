"""The walk from the relay that is connected to the client from which our first server had the message.

Knows whose field each one may be, and where to stop; does not read fields, and asks the DNS through a function that it
is given. The first field was written by the relay itself, since it stands above all that the relay received. So each
field is believed only if the server found so far has written it, and it says who wrote the one below: once a server is
reached that is not ours, that is the client, and all further fields are its word and are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spfmilter.addresses import dns_domain, is_private, parse_address
from spfmilter.model import Client, IPAddress
from spfmilter.relays import received as fields
from spfmilter.relays.received import Peer, Received
from spfmilter.settings.values import Network

MOST_FIELDS = 50  # RFC 5321 section 6.3 lets a server take 100 for a loop; Postfix's hopcount_limit is 50
MOST_NAMES = 10  # whose addresses are asked for, as RFC 7208 section 4.6.4 has it for all that looks up

NamesOf = Callable[[str], frozenset[IPAddress]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginatingClient:
    """Who gave the message to the first of our servers."""

    client: Client
    helo: str | None  # as that server recorded it; a stranger's text
    hops: int  # our servers between that one and the connected relay, which counts; 0: they are the same


@dataclass(slots=True)
class _Server:
    """A server of ours that the message passed, by all that it is known under."""

    addresses: set[IPAddress]
    names: set[str]

    def wrote(self, field: Received, addresses_of: NamesOf) -> bool:
        """Whether the field names this server as its writer: by name, by address, or by a name with the address."""
        if not field.by:
            return True  # a step of qmail's: whoever wrote the field above it, which stays to be shown by the one below
        if _plain(field.by) in self.names or field.by_address in self.addresses:
            return True
        if parse_address(field.by.strip("[]")) in self.addresses:
            return True
        domain = dns_domain(field.by)
        return bool(domain) and not self.addresses.isdisjoint(addresses_of(domain))

    def also(self, peer: Peer) -> None:
        """It has handed the message to itself, under this name."""
        self.names |= _names(peer.name, peer.helo or "", "localhost")


def originating_client(
    received: Sequence[str], relay: Client, trusted: Sequence[Network], names_of: NamesOf, helo: str | None = None
) -> OriginatingClient | None:
    """Who gave the message to the first of our servers, or None: it cannot be told.

    ``received`` are the values of the message's Received fields, topmost first and without the MTA's own; ``relay`` is
    the client that is connected, with its ``helo``; ``names_of`` gives the addresses that a host name has, none where
    it has none or the DNS fails. None is also the answer where nobody sent it to us from outside: the client has
    logged in, or its address is private.
    """
    if relay.address is None or not _within(relay.address, trusted):
        return None
    server, hops = _Server({relay.address}, _names(relay.name, helo or "")), 0
    ask = _bounded(names_of)
    for value in received[:MOST_FIELDS]:
        field = fields.parse(value)
        if field is None or not server.wrote(field, ask):
            return None
        peer = field.peer
        if peer is None:
            continue
        inside = peer.address.is_loopback or peer.address in {*server.addresses, field.by_address}
        if inside and not field.authenticated:
            server.also(peer)  # a content filter, which hands back what it was given
        elif _within(peer.address, trusted) and not inside:
            server, hops = _Server({peer.address}, _names(peer.name, peer.helo or "")), hops + 1
        elif field.authenticated or is_private(peer.address):
            return None
        else:
            return OriginatingClient(client=Client(address=peer.address, name=peer.name), helo=peer.helo, hops=hops)
    return None


def _within(address: IPAddress, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _plain(name: str) -> str:
    return name.removesuffix(".").lower()


def _names(*names: str) -> set[str]:
    """As they are compared, without those that name nobody."""
    return {_plain(name) for name in names} - {"", "unknown"}


def _bounded(names_of: NamesOf) -> NamesOf:
    """The same, asked once a name and for so many names only."""
    known: dict[str, frozenset[IPAddress]] = {}

    def ask(name: str) -> frozenset[IPAddress]:
        if name not in known:
            if len(known) == MOST_NAMES:
                return frozenset()
            known[name] = names_of(name)
        return known[name]

    return ask
