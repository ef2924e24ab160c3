"""A private NSD: a real authoritative name server on loopback, with zones given as text.

It knows NSD's configuration and zone files. It does not know SPF: the caller provides the zones' content.
"""

import secrets
import signal
from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from lab.processes import free_port
from lab.server import Server, installed

_NSD = installed("nsd")

# rrl-ratelimit: Debian's NSD answers 200 queries a second for each client, then truncates. The lab sends more.
# database, xfrdfile, zonelistfile: the compiled-in paths belong to the system's NSD.
_CONFIG = """\
server:
    ip-address: {host}@{port}
    port: {port}
    server-count: 1
    username: ""
    zonesdir: "{folder}"
    database: ""
    pidfile: "{folder}/nsd.pid"
    xfrdfile: "{folder}/xfrd.state"
    zonelistfile: "{folder}/zone.list"
    xfrdir: "{folder}"
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
    hide-version: yes
    verbosity: 1
remote-control:
    control-enable: no
"""

# The NS of the apex is below .invalid (RFC 6761 section 6.4), so no zone needs an address record for it.
_APEX = """\
$ORIGIN {origin}
$TTL 60
@ IN SOA ns.invalid. hostmaster.invalid. {serial} 3600 600 86400 60
@ IN NS ns.invalid.
"""


def unavailable() -> str:
    """Return why NSD cannot be started here; empty if it can."""
    return "" if _NSD else "nsd is not installed (tools/setup.sh mta)"


def own_address() -> str:
    """Return a random loopback address: its port 53 is most likely free."""
    return f"127.84.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"


class Nsd(Server):
    """An authoritative server for the given zones, on one loopback address and port, over UDP and TCP."""

    def __init__(self, zones: Mapping[str, str], *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Take zones by name. A zone's text has records only: $ORIGIN, $TTL 60, SOA and NS are added.

        Port 0 stands for a free one. Programs that read resolv.conf need port 53: give `own_address()` and 53.
        """
        super().__init__("nsd", unavailable())
        self._zones = dict(zones)
        self._serials: dict[str, int] = {}
        self.host = host
        self.port = port or free_port()

    @property
    def address(self) -> str:
        """Return its address in the form of the INI file's `nameservers`."""
        return f"{self.host}:{self.port}"

    def zone_file(self, zone: str) -> Path:
        """Return the path of the zone file, which begins with $ORIGIN, SOA and NS."""
        return self.folder / f"{zone.rstrip('.').replace('/', '_')}.zone"

    def command_line(self) -> list[str | Path]:
        """Write the configuration and the zones, and return the command that reads them."""
        config = _CONFIG.format(host=self.host, port=self.port, folder=self.folder)
        for zone, text in self._zones.items():
            self._write(zone, text)
            config += f'zone:\n    name: "{zone}"\n    zonefile: "{self.zone_file(zone)}"\n'
        path = self.folder / "nsd.conf"
        path.write_text(config)
        return [_NSD, "-d", "-c", path]  # -d: in the foreground

    def is_ready(self) -> bool:
        """Return whether it answers for every zone over UDP; ValueError if it refuses one."""
        return all(self._serves(zone) for zone in self._zones)

    def replace(self, zone: str, text: str) -> None:
        """Replace the records of a zone, and wait until they are served."""
        if zone not in self._zones:
            raise KeyError(f"{zone} is not a zone of this server: {', '.join(self._zones)}")
        logged = len(self.log())
        before = set(self.processes())
        self._zones[zone] = text
        self._write(zone, text)
        self.process.send_signal(signal.SIGHUP)
        # The child with the old zones shares its socket with its successor, and may still answer a query.
        self.wait_for(lambda: before - set(self.processes()), self.start_timeout, "nsd reloads")
        self.wait_for(lambda: self._serves(zone, logged), self.start_timeout, f"nsd serves the new {zone}")

    def _write(self, zone: str, text: str) -> None:
        self._serials[zone] = self._serials.get(zone, 0) + 1
        apex = _APEX.format(origin=zone.rstrip(".") + ".", serial=self._serials[zone])
        # Rename the file into place, so a reload at this moment reads the old zone or the new one, never half of it.
        fresh = self.zone_file(zone).with_suffix(".new")
        fresh.write_text(apex + text.rstrip("\n") + "\n")
        fresh.replace(self.zone_file(zone))

    def _serves(self, zone: str, logged: int = 0) -> bool:
        """Return whether the last written zone is served. ValueError: the log has an error after `logged`."""
        log = self.log()[logged:]
        if f"file {self.zone_file(zone)} read with " in log:  # "... errors"; a zone in order is "read with success"
            raise ValueError(f"nsd refuses the zone {zone}:\n{log}")
        # Ask several times: if one reload follows another, the processes of both answer for a moment.
        return all(self._serial(zone) == self._serials[zone] for _ in range(8))

    def _serial(self, zone: str) -> int | None:
        query = dns.message.make_query(zone.rstrip(".") + ".", dns.rdatatype.SOA)
        try:
            answer = dns.query.udp(query, self.host, timeout=0.2, port=self.port)
        except (OSError, dns.exception.DNSException):
            return None  # not bound yet, or starting
        for rrset in answer.answer:
            if rrset.rdtype == dns.rdatatype.SOA:
                return int(rrset[0].serial)
        return None
