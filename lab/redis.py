"""A private Redis (or Valkey): the machine's own binary with a folder, a port and a unix socket of its own.

It knows the server's command line and its PING. It does not know the stored data.
"""

import socket
from contextlib import suppress

from lab.processes import free_port
from lab.server import Server, installed

_SERVER = installed("redis-server", "valkey-server")


def unavailable() -> str:
    """Return why the server cannot be started here; empty if it can."""
    return "" if _SERVER else "redis-server is not installed (tools/setup.sh lab)"


class Redis(Server):
    """A server on one free port of 127.0.0.1 and on a unix socket. It loses all data when it stops."""

    def __init__(self, *options: str) -> None:
        """Choose the port. `options` are added to the command line, such as "--requirepass", "secret"."""
        super().__init__("redis", unavailable())
        self.port = free_port()
        self.path = self.folder / "socket"
        self._options = options

    def command_line(self) -> list[str]:
        """Return the server's command line, all settings included."""
        return [
            *(_SERVER, "--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.path)),
            *("--save", "", "--appendonly", "no", "--dir", str(self.folder), *self._options),
        ]

    def is_ready(self) -> bool:
        """Return whether it answers a PING."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(self.path))
            client.sendall(b"PING\r\n")
            return client.recv(100).startswith((b"+PONG", b"-NOAUTH"))  # a request for a password is an answer, too
        return False
