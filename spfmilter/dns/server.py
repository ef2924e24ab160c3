"""A nameserver and its health."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from ipaddress import ip_address

from spfmilter.dns.answer import ANSWERED, Heard
from spfmilter.settings.values import Nameserver

_PLAIN_FOR = 3600.0  # seconds without EDNS for a server that seems not to know it


@dataclass(slots=True, eq=False)
class Server:
    """A nameserver; times are on the resolver's clock.

    Attributes:
        address: its address and port.
        avoid_until: other servers are asked first until then.
        last_heard: when it last answered any question of this process.
        plain_until: it is asked without EDNS until then.
        speaks_edns: it has answered a question with EDNS.
        is_local: it is on this host, so no other host can forge its answers.
        name: its address and port, for people.
        alone: what an answer tells of the nameservers, if this one was asked and has answered.
    """

    address: Nameserver
    avoid_until: float = 0.0
    last_heard: float = float("-inf")
    plain_until: float = 0.0
    speaks_edns: bool = False
    is_local: bool = field(init=False)
    name: str = field(init=False)
    alone: tuple[Heard, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.is_local = ip_address(self.address.address).is_loopback
        self.name = str(self.address)
        self.alone = ((self.name, ANSWERED),)

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        """Return a new socket of the server's address family."""
        family = socket.AF_INET6 if ":" in self.address.address else socket.AF_INET
        return socket.socket(family, kind)

    def knows_edns(self, now: float) -> bool:
        """Tell whether to ask with EDNS (RFC 6891)."""
        return now >= self.plain_until

    def hear(self, now: float, *, edns: bool) -> None:
        """Record a packet from the server. With ``edns``, it answers a question with EDNS."""
        self.last_heard = now
        if edns:
            self.speaks_edns, self.plain_until = True, 0.0

    def answered(self, *, edns: bool, now: float) -> None:
        """Record that the server has answered without an error. If needed, stop asking it with EDNS for a while.

        Some nameservers pass on what a domain's own servers do. So one domain's refusal of EDNS, or silence, counts
        only if the same question was then answered without EDNS, and if this server has never answered one with EDNS.
        """
        self.avoid_until = 0.0
        if edns:
            self.hear(now, edns=True)
        elif not self.speaks_edns and self.knows_edns(now):
            self.plain_until = now + _PLAIN_FOR

    @property
    def endpoint(self) -> tuple[str, int]:
        """Return its address and port, as sockets take them."""
        return self.address.address, self.address.port
