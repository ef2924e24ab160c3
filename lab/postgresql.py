"""A private PostgreSQL: the machine's own binaries with a folder, a port and a unix socket of its own.

It knows the command lines of initdb and postgres. It does not know the stored data. PostgreSQL refuses to run as root:
root runs it as the user whom Debian's package makes.
"""

import os
import pwd
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lab.processes import free_port
from lab.server import Server, installed

SUPERUSER, DATABASE = "postgres", "postgres"
_VERSIONS = Path("/usr/lib/postgresql")  # Debian keeps the binaries of each version apart
_SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # answered by one byte, before any login


def _binary(name: str) -> str:
    versions = sorted(_VERSIONS.glob("[0-9]*"), key=lambda folder: int(folder.name), reverse=True)
    return next((str(found) for folder in versions if (found := folder / "bin" / name).exists()), installed(name))


def unavailable() -> str:
    """Return why the server cannot be started here; empty if it can."""
    return "" if _binary("initdb") and _binary("postgres") else "postgresql is not installed (tools/setup.sh lab)"


def _as_owner(*command: str) -> Sequence[str]:
    """Return the command, run as another user if we are root."""
    if os.geteuid():
        return command
    return ("setpriv", "--reuid", SUPERUSER, "--regid", SUPERUSER, "--clear-groups", *command)


class PostgreSQL(Server):
    """A server on one free port of 127.0.0.1 and on a unix socket, with one database. Everyone is let in.

    Its data survive `kill()` and `launch()`, not `stop()`.
    """

    start_timeout = 60.0

    def __init__(self, *options: str) -> None:
        """Choose the port. `options` are added to the command line, such as "-c", "max_connections=5"."""
        super().__init__("postgresql", unavailable())
        self.port = free_port()
        self._options = options

    @property
    def url(self) -> str:
        """The URL of its database, as ``[journal] url`` takes it."""
        return f"postgresql+psycopg://{SUPERUSER}@127.0.0.1:{self.port}/{DATABASE}"

    def launch(self, **options: object) -> None:
        """Make the data folder if there is none, and run the server."""
        data = self.folder / "data"
        if not data.exists():
            data.mkdir(mode=0o700)
            if not os.geteuid():
                owner = pwd.getpwnam(SUPERUSER)
                for folder in (self.folder, data):
                    os.chown(folder, owner.pw_uid, owner.pw_gid)
            make = ("-D", str(data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale", "C", "--no-sync")
            subprocess.run(_as_owner(_binary("initdb"), *make), check=True, capture_output=True, cwd=self.folder)
        super().launch(cwd=self.folder, **options)

    def command_line(self) -> Sequence[str]:
        """Return the server's command line, all settings included."""
        listen = ("-c", "listen_addresses=127.0.0.1", "-p", str(self.port), "-k", str(self.folder), "-F")
        return _as_owner(_binary("postgres"), "-D", str(self.folder / "data"), *listen, *self._options)

    def is_ready(self) -> bool:
        """Return whether it lets somebody in: its log says so, and its port answers."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as client:
            client.sendall(_SSL_REQUEST)
            answers = client.recv(1) in {b"N", b"S"}
            return answers and self.log().count("database system is ready") >= self.log().count("starting PostgreSQL")
        return False
