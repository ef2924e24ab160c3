"""The daemon as the wire tests run it: its zone, its settings, and a client of it.

Nothing here or in these tests assumes how many processes serve the socket.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.daemon import SpfmilterDaemon
from lab.dnsserver import ScriptedDNS
from lab.dnszone import ZoneData
from lab.milterclient import MilterClient
from lab.processes import free_port
from lab.unbound import Unbound
from tests.values import at_mail

CLIENT = "192.0.2.1"  # of pass.example only
ZONE: ZoneData = {
    "pass.example": [{"TXT": "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/48 -all"}],
    "fail.example": [{"TXT": "v=spf1 ip4:203.0.113.99 -all"}],
    "never.example": [{"TXT": "v=spf1 -all"}],
    "soft.example": [{"TXT": "v=spf1 ~all"}],
    "neutral.example": [{"TXT": "v=spf1 ?all"}],
    "perm.example": [{"TXT": "v=spf1 ipv4:192.0.2.1 -all"}],
    "temp.example": [{"RCODE": "SERVFAIL"}],
    "100%.example": [{"TXT": "v=spf1 ip4:203.0.113.99 exp=why.100%%.example -all"}],
    "why.100%.example": [{"TXT": "100%% sure: %{i} is %{c}, not %{d}"}],
    "xn--bcher-kva.example": [{"TXT": "v=spf1 ip4:203.0.113.99 -all"}],
    "open.example": [{"TXT": "v=spf1 ip4:0.0.0.0/0 -all"}],
    "wide.example": [{"TXT": "v=spf1 ip4:192.0.2.0/28 ip4:9.0.0.0/8 -all"}],
    "strict.example": [{"TXT": "v=spf1 ip4:203.0.113.99 -all"}],
    "_dmarc.strict.example": [{"TXT": "v=DMARC1; p=reject"}],
    "nobody.example": [{"MX": (0, "")}],
    "fwd.example": [{"TXT": "v=spf1 ip4:198.51.100.8 -all"}],
    "7.100.51.198.in-addr.arpa": [{"PTR": "mx.hosts.example"}],
    "mx.hosts.example": [{"A": "198.51.100.7"}],
    "9.100.51.198.in-addr.arpa": [{"PTR": "liar.hosts.example"}],  # a name that does not lead back
    "liar.hosts.example": [{"A": "198.51.100.99"}],
}


@dataclass(frozen=True)
class Running:
    """A daemon that serves, and where."""

    daemon: SpfmilterDaemon
    address: str  # in Sendmail's notation

    def client(self, timeout: float = 15.0) -> MilterClient:
        """A connection from the MTA."""
        return MilterClient(self.address, timeout=timeout)

    def line(self, queue_id: str) -> str:
        """The line of the message with this queue id."""
        return self.daemon.wait_for_log(rf"(?m)^.*[ \"]queue_id\"?[=:] ?\"?{queue_id}\b.*$")[0]


def ini(dns: ScriptedDNS | Unbound, address: str, text: str = "", *, lookups: str = "") -> str:
    """Settings for this DNS server and socket; `text` may begin with more keys of [milter], `lookups` is of [dns].

    Refusals come at MAIL FROM, unless the text names a stage.
    """
    return at_mail(f"[dns]\nnameservers = {dns.address}\n{lookups}\n[milter]\nsocket = {address}\n{text}")


@contextmanager
def running(
    dns: ScriptedDNS | Unbound, text: str = "", *, address: str | None = None, lookups: str = ""
) -> Iterator[Running]:
    """A daemon with these settings, on a socket of its own if no other is given."""
    address = address or f"inet:{free_port()}@127.0.0.1"
    with SpfmilterDaemon(ini(dns, address, text, lookups=lookups)) as daemon:
        yield Running(daemon, address)


@contextmanager
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a unix socket's name."""
    with tempfile.TemporaryDirectory(prefix="wire-") as path:
        yield Path(path)
