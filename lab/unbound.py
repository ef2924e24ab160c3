"""A recursive resolver: the machine's own Unbound on loopback, with the lab's servers in the place of the world's.

It knows Unbound's configuration and its start. What the servers behind it answer, or that they never do, it does not
know.
"""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.processes import end_group, free_port, launch, until

START_TIMEOUT = 15.0
_SERVER = shutil.which("unbound") or shutil.which("unbound", path="/usr/sbin")
# Zones of the documentation addresses and names, which Unbound would answer by itself.
_OWN = ("test.", "2.0.192.in-addr.arpa.", "100.51.198.in-addr.arpa.", "113.0.203.in-addr.arpa.")
_QUESTION = b"\0\x01\1\0\0\1\0\0\0\0\0\0\x09localhost\0\0\1\0\1"  # which it answers by itself


def unavailable() -> str:
    """Why no resolver can be started here; empty if one can."""
    return "" if _SERVER else "unbound is not installed (tools/setup.sh lab)"


class SilentServers:
    """Name servers that take every question and answer none: bound, and never read."""

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


class Unbound:
    """A resolver on one free port of 127.0.0.1 that caches and recurses, without DNSSEC."""

    def __init__(self, zones: Mapping[str, Sequence[int]]) -> None:
        """Choose the port; `zones` are those that there are, each with the ports of the servers that have it."""
        if _SERVER is None:
            raise RuntimeError(unavailable())
        self.port = free_port()
        self._zones = zones
        self._exit = ExitStack()
        self._folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="lab-unbound-")))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """The resolver as "HOST:PORT"."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        (self._folder / "unbound.conf").write_text(self._configuration())
        command = [str(_SERVER), "-d", "-p", "-c", str(self._folder / "unbound.conf")]
        self._process = launch(command, self._folder / "log")
        try:
            until(self._answers, START_TIMEOUT, lambda: f"unbound answers:\n{self.log()}")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            end_group(self._process.pid)
            self._process.wait(5)
            self._process = None
        self._exit.close()

    def log(self) -> str:
        """What it wrote so far."""
        return (self._folder / "log").read_text(errors="replace")

    def _configuration(self) -> str:
        lines = [
            "server:",
            f'  directory: "{self._folder}"',
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

    def _answers(self) -> bool:
        assert self._process is not None
        if (code := self._process.poll()) is not None:
            raise RuntimeError(f"unbound ended with {code}:\n{self.log()}")
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.connect(("127.0.0.1", self.port))
            client.send(_QUESTION)
            return bool(client.recv(512))
        return False
