"""A host on which spfmilter is installed: its systemd, its files, and an MTA's sessions with the daemon.

Knows systemctl(1), journalctl(1) and where the settings are. Does not know how spfmilter was installed.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from package.roots import Booted, Root

SOURCES = Path(__file__).parents[2]
ADDRESS = "inet:8890@127.0.0.1"
INI = "/etc/spfmilter/spfmilter.ini"
PLAIN = """
[milter]
workers = 2
[policy]
reject_at = mail
[dns]
nameservers = 127.0.0.1
[reply]
help_url = https://mx.example.net/spf/{token}
"""
MONITOR = PLAIN.replace("[policy]", "[policy]\nmode = monitor")
BAD = PLAIN.replace("workers = 2", "workers = many")
ZONE = {
    "mail.example": [{"A": "192.0.2.1"}],
    "fail.example": [{"TXT": "v=spf1 ip4:198.51.100.1 -all"}],
    "pass.example": [{"TXT": "v=spf1 ip4:192.0.2.1 -all"}],
}
REFUSED, ACCEPTED = "a@fail.example", "a@pass.example"


@dataclass(frozen=True, slots=True)
class Host:
    """A booted root with spfmilter, and with a name server of this machine beside it."""

    booted: Booted
    at_boot: str  # what systemd says of the daemon directly after the boot

    def systemctl(self, *arguments: str, check: bool = True, timeout: float = 120) -> str:
        """Return what systemctl prints."""
        done = self.booted.run("systemctl", *arguments, check=check, timeout=timeout)
        return done.stdout.strip()

    def shell(self, command: str, *, check: bool = True) -> str:
        """Return what a command line prints."""
        return self.booted.run("sh", "-c", command, check=check).stdout.strip()

    def show(self, name: str, unit: str = "spfmilter") -> str:
        """Return a property of a unit."""
        return self.systemctl("show", "--value", "-p", name, unit)

    def write(self, path: str, text: str) -> None:
        """Write a file, and the folders above it."""
        self.booted.run("sh", "-c", 'mkdir -p "${1%/*}" && cat > "$1"', "sh", path, input=text)

    def drop_in(self, unit: str, text: str) -> None:
        """Change a unit as `systemctl edit` would."""
        self.write(f"/etc/systemd/system/{unit}.d/test.conf", text)
        self.systemctl("daemon-reload")

    def start(self, ini: str = PLAIN) -> None:
        """Write the INI file, and start the daemon."""
        self.write(INI, ini)
        self.systemctl("start", "spfmilter")

    def until(self, name: str, value: str, *, unit: str = "spfmilter", timeout: float = 30) -> None:
        """Wait until a property has a value."""
        self.booted.until(lambda: self.show(name, unit) == value, timeout, f"{name}={value} of {unit}")

    def until_status(self, part: str, timeout: float = 30) -> None:
        """Wait until the status text of the daemon has a part."""
        self.booted.until(lambda: part in self.show("StatusText"), timeout, f"a status with {part!r}")

    def processes(self, unit: str = "spfmilter") -> list[str]:
        """Return the pids of a service, as they are inside."""
        group = self.show("ControlGroup", unit)
        return self.shell(f"cat /sys/fs/cgroup{group}/cgroup.procs", check=False).split() if group else []

    def journal(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the fields of each entry that journalctl finds."""
        said = self.booted.run("journalctl", "--no-pager", "--all", "-o", "json", *arguments, check=False).stdout
        return [json.loads(line) for line in said.splitlines()]

    @contextmanager
    def session(self, address: str = ADDRESS) -> Iterator["Session"]:
        """Hold an SMTP session with the daemon."""
        call = self.booted.beside_call(sys.executable, "-m", "package.tests.session", address)
        with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=SOURCES) as mta:
            held = Session(mta)
            assert held.answer()["kind"] in {"continue", "noreply"}
            yield held

    def ask(self, sender: str, address: str = ADDRESS) -> str:
        """Send one message in a session of its own. Return the SMTP code, or the kind of a reply that has none."""
        with self.session(address) as session:
            return session.send(sender)


@dataclass(frozen=True, slots=True)
class Session:
    """An SMTP session that stays open until the `with` ends."""

    mta: subprocess.Popen[str]

    def answer(self) -> dict[str, str]:
        """Return the next reply."""
        assert self.mta.stdout is not None
        line = self.mta.stdout.readline()
        assert line, "the session was lost"
        return dict(json.loads(line))

    def send(self, sender: str) -> str:
        """Send a message. Return the SMTP code, or the kind of a reply that has none."""
        assert self.mta.stdin is not None
        self.mta.stdin.write(f"{sender}\n")
        self.mta.stdin.flush()
        reply = self.answer()
        return reply["code"] or reply["kind"]


@contextmanager
def booted_host(root: Root) -> Iterator[Host]:
    """Boot a root in which spfmilter is installed, and serve ZONE in its network."""
    with tempfile.TemporaryDirectory(prefix="package-zone-") as folder, root.boot() as booted:
        at_boot = booted.run("systemctl", "is-active", "spfmilter", check=False).stdout.strip()
        zone = Path(folder, "zone.yml")
        zone.write_text(json.dumps(ZONE))
        call = booted.beside_call(sys.executable, "-m", "lab.dnsserver", str(zone), "--port", "53")
        with subprocess.Popen(call, stdout=subprocess.PIPE, text=True, cwd=SOURCES) as dns:
            assert dns.stdout is not None
            assert dns.stdout.readline().startswith("ready ")
            try:
                yield Host(booted, at_boot)
            finally:
                dns.kill()
