"""A recursive resolver: the machine's own Unbound on loopback, with the lab's servers in place of the Internet's.

It knows Unbound's configuration and its start. It does not know the answers of the servers behind it.
"""

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

from lab.processes import free_port
from lab.server import Server, installed

_SERVER = installed("unbound")
# Zones of the documentation addresses and names. By default Unbound answers them itself.
_OWN = ("test.", "2.0.192.in-addr.arpa.", "100.51.198.in-addr.arpa.", "113.0.203.in-addr.arpa.")
_QUESTION = b"\0\x01\1\0\0\1\0\0\0\0\0\0\x09localhost\0\0\1\0\1"  # Unbound answers it itself


def unavailable() -> str:
    """Return why the resolver cannot be started here; empty if it can."""
    return "" if _SERVER else "unbound is not installed (tools/setup.sh lab)"


class SilentServers:
    """Name servers that never answer: their sockets are bound, but never read."""

    def __init__(self, count: int = 4) -> None:
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        for sock in self._sockets:
            sock.bind(("127.0.0.1", 0))
        self.ports = [int(sock.getsockname()[1]) for sock in self._sockets]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()


class Unbound(Server):
    """A resolver on one free port of 127.0.0.1 that caches and recurses, without DNSSEC."""

    start_timeout = 15.0

    def __init__(self, zones: Mapping[str, Sequence[int]]) -> None:
        """Choose the port. `zones` are all known zones, each with the ports of its servers."""
        super().__init__("unbound", unavailable())
        self.port = free_port()
        self._zones = zones

    @property
    def address(self) -> str:
        """Return the resolver's address as "HOST:PORT"."""
        return f"127.0.0.1:{self.port}"

    def command_line(self) -> list[str]:
        """Write the configuration, and return the command that reads it."""
        path = self.folder / "unbound.conf"
        path.write_text(self._configuration())
        return [_SERVER, "-d", "-p", "-c", str(path)]

    def is_ready(self) -> bool:
        """Return whether it answers a question."""
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.connect(("127.0.0.1", self.port))
            client.send(_QUESTION)
            return bool(client.recv(512))
        return False

    def _configuration(self) -> str:
        lines = [
            "server:",
            f'  directory: "{self.folder}"',
            '  chroot: ""',
            '  username: ""',
            '  pidfile: ""',
            "  use-syslog: no",
            "  num-threads: 1",
            "  interface: 127.0.0.1",
            f"  port: {self.port}",
            "  do-not-query-localhost: no",
            '  module-config: "iterator"',
            *(f'  local-zone: "{zone}" nodefault' for zone in _OWN),
            "remote-control:",
            "  control-enable: no",
        ]
        for zone, ports in self._zones.items():
            lines += ["stub-zone:", f'  name: "{zone}"', *(f"  stub-addr: 127.0.0.1@{port}" for port in ports)]
        return "\n".join(lines) + "\n"
