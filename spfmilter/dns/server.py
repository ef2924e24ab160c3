"""A nameserver, and what is known of its health."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from ipaddress import ip_address

from spfmilter.settings.values import Nameserver

_PLAIN_FOR = 3600.0  # seconds without EDNS for a server that seems not to know it


@dataclass(slots=True, eq=False)
class Server:
    """A nameserver; times are on the resolver's clock.

    Attributes:
        address: where it is.
        avoid_until: other servers are asked first until then.
        last_heard: when it last answered any question of this process.
        plain_until: it is asked without EDNS until then.
        speaks_edns: it has answered a question with EDNS.
        is_local: it is on this host: a packet from elsewhere cannot pass for its answer.
    """

    address: Nameserver
    avoid_until: float = 0.0
    last_heard: float = float("-inf")
    plain_until: float = 0.0
    speaks_edns: bool = False
    is_local: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_local = ip_address(self.address.address).is_loopback

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        """Return a new socket of the server's address family."""
        family = socket.AF_INET6 if ":" in self.address.address else socket.AF_INET
        return socket.socket(family, kind)

    def knows_edns(self, now: float) -> bool:
        """Whether to ask with EDNS (RFC 6891)."""
        return now >= self.plain_until

    def hear(self, now: float, *, edns: bool) -> None:
        """Note a packet of the server. With ``edns``, it takes a question with EDNS for one."""
        self.last_heard = now
        if edns:
            self.speaks_edns, self.plain_until = True, 0.0

    def answered(self, *, edns: bool, now: float) -> None:
        """Note an answer that is no error: the server works, and maybe only without EDNS.

        Domains differ, and some nameservers pass on what a domain's own servers say. One domain's refusal of EDNS, or
        silence to it, counts only if the same question without EDNS is answered, and only while no other question has
        been answered with it.
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
