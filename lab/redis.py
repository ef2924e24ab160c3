"""A private Redis (or Valkey): the machine's own binary with a folder, a port and a unix socket of its own.

It knows the server's command line and its PING. It does not know what is kept in it.
"""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.processes import end_group, free_port, launch, until

START_TIMEOUT = 10.0
_SERVER = shutil.which("redis-server") or shutil.which("valkey-server")


def unavailable() -> str:
    """Why no server can be started here; empty if one can."""
    return "" if _SERVER else "redis-server is not installed (tools/setup.sh lab)"


class Redis:
    """A server on one free port of 127.0.0.1 and on a unix socket, which forgets everything when it stops."""

    def __init__(self, *options: str) -> None:
        """Choose the port; `options` are further ones of its command line, such as "--requirepass", "secret"."""
        if _SERVER is None:
            raise RuntimeError(unavailable())
        self.folder = Path(tempfile.mkdtemp(prefix="lab-redis-"))
        self.port = free_port()
        self.path = self.folder / "socket"
        self._options: Sequence[str] = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        if self._process is None:
            raise RuntimeError("this server is not started")
        return self._process.pid

    def start(self) -> Self:
        """Start it, empty, and wait until it answers; also once more after stop()."""
        command = [
            *(str(_SERVER), "--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.path)),
            *("--save", "", "--appendonly", "no", "--dir", str(self.folder), *self._options),
        ]
        self._process = launch(command, self.folder / "log")
        try:
            until(self._answers, START_TIMEOUT, lambda: f"redis answers:\n{self.log()}")
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it and wait for its end; what it held is lost."""
        if self._process is not None:
            end_group(self._process.pid)
            self._process.wait(5)
            self._process = None

    def log(self) -> str:
        """What it wrote so far."""
        return (self.folder / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"the server ended with {code}:\n{self.log()}")
        with suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(self.path))
            client.sendall(b"PING\r\n")
            return client.recv(100).startswith((b"+PONG", b"-NOAUTH"))  # to ask for a password is an answer, too
        return False
