"""A private NSD: a real authoritative name server on loopback, with zones given as text.

It knows NSD's configuration and zone files. It does not know SPF: what is in a zone is the caller's business.
"""

import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from lab.processes import end_group, free_port, group_members, launch, until

START_TIMEOUT = 10.0
_NSD = shutil.which("nsd", path="/usr/sbin:/usr/local/sbin:/usr/bin")

# rrl-ratelimit: NSD as built by Debian answers 200 queries a second and client, then truncates; a lab asks more.
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

# The apex NS points below .invalid (RFC 6761 section 6.4), so that no zone needs an address record for it.
_APEX = """\
$ORIGIN {origin}
$TTL 60
@ IN SOA ns.invalid. hostmaster.invalid. {serial} 3600 600 86400 60
@ IN NS ns.invalid.
"""


def unavailable() -> str:
    """Why no NSD can be started here; empty if one can."""
    return "" if _NSD else "nsd is not installed (tools/setup.sh mta)"


def own_address() -> str:
    """An address of loopback that nobody else is likely to have taken, not even its port 53."""
    return f"127.84.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"


class Nsd:
    """An authoritative server for the given zones, on one address and port of loopback, UDP and TCP."""

    def __init__(self, zones: Mapping[str, str], *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Zones by name; a zone's text holds records only: $ORIGIN, $TTL 60, SOA and NS are added. Port 0: a free one.

        For programs that go by resolv.conf, which knows port 53 only, take `own_address()` and 53.
        """
        self._zones = dict(zones)
        self._chosen_port = port
        self._serials: dict[str, int] = {}
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.host = host
        self.port = 0

    @property
    def address(self) -> str:
        """Where it answers, as the INI file's `nameservers` takes it."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        """The process that reads changed zone files again when it gets a SIGHUP."""
        return self._running().pid

    def zone_file(self, zone: str) -> Path:
        """Where the zone's records are, with $ORIGIN, SOA and NS above them."""
        return self._home() / f"{zone.rstrip('.').replace('/', '_')}.zone"

    def start(self) -> Self:
        """Start it and wait until it answers for every zone over UDP."""
        if _NSD is None:
            raise RuntimeError(unavailable())
        folder = self._folder = Path(tempfile.mkdtemp(prefix="lab-nsd-"))
        self.port = self._chosen_port or free_port()
        config = _CONFIG.format(host=self.host, port=self.port, folder=folder)
        for zone, text in self._zones.items():
            self._write(zone, text)
            config += f'zone:\n    name: "{zone}"\n    zonefile: "{self.zone_file(zone)}"\n'
        (folder / "nsd.conf").write_text(config)
        # -d keeps it in the foreground: a child of ours, which ends with stop() and no other process of that name.
        self._process = launch([_NSD, "-d", "-c", folder / "nsd.conf"], folder / "log")
        try:
            for zone in self._zones:
                self._wait_for(zone)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it, wait for its end, remove its files."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            finally:
                end_group(self._process.pid)
                self._process.wait(5)
                self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def replace(self, zone: str, text: str) -> None:
        """Give a zone other records; returns when they are served."""
        if zone not in self._zones:
            raise KeyError(f"{zone} is not a zone of this server: {', '.join(self._zones)}")
        logged = len(self.log())
        process = self._running()
        before = set(group_members(process.pid))
        self._zones[zone] = text
        self._write(zone, text)
        process.send_signal(signal.SIGHUP)
        # The child with the old zones shares its socket with the one that replaces it, and may take a last query.
        until(lambda: before - set(group_members(process.pid)), START_TIMEOUT, lambda: f"nsd reloads:\n{self.log()}")
        self._wait_for(zone, logged)

    def log(self) -> str:
        """What it wrote to its standard error so far, such as the line of a zone file that it refuses."""
        return (self._home() / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _home(self) -> Path:
        if self._folder is None:
            raise RuntimeError("this NSD is not started")
        return self._folder

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("this NSD is not started")
        return self._process

    def _write(self, zone: str, text: str) -> None:
        self._serials[zone] = self._serials.get(zone, 0) + 1
        apex = _APEX.format(origin=zone.rstrip(".") + ".", serial=self._serials[zone])
        # Renamed into place, so that a reload at this instant reads the old zone or the new, never half of one.
        fresh = self.zone_file(zone).with_suffix(".new")
        fresh.write_text(apex + text.rstrip("\n") + "\n")
        fresh.replace(self.zone_file(zone))

    def _wait_for(self, zone: str, logged: int = 0) -> None:
        process, serial = self._running(), self._serials[zone]
        refusal = f"file {self.zone_file(zone)} read with "  # "... errors"; a zone in order is "read with success"

        def serves() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"nsd ended with {process.returncode}:\n{self.log()}")
            if refusal in self.log()[logged:]:
                raise ValueError(f"nsd refuses the zone {zone}:\n{self.log()[logged:]}")
            # Several times: where one reload follows another, the processes of both answer for a moment.
            return all(self._serial(zone) == serial for _ in range(8))

        until(serves, START_TIMEOUT, lambda: f"nsd serves {zone} with serial {serial}:\n{self.log()}")

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
