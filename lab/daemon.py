"""Run the daemon under test as a separate process, as an administrator would, and wait until it reports READY=1.

It knows command lines, signals and sd_notify(3). It does not know the content of an INI file.
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lab.datagrams import Datagrams
from lab.processes import patience
from lab.server import Server

# {ini} stands for the INI file's path.
COMMAND = (sys.executable, "-m", "spfmilter", "run", "-c", "{ini}")
# Moves the sockets to the numbers of sd_listen_fds(3) and becomes the daemon: only the process itself knows its
# LISTEN_PID. It moves all sockets away first, since one may have the number that another one needs.
_ACTIVATION = """
import fcntl, os, sys
end = sys.argv.index("--")
given = [int(number) for number in sys.argv[1:end]]
moved = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in given]
for number in given:
    os.close(number)
for place, descriptor in enumerate(moved, start=3):
    os.dup2(descriptor, place)
    os.close(descriptor)
os.environ.update(LISTEN_FDS=str(len(moved)), LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[end + 1], sys.argv[end + 1:])
"""
_READY = r"(?m)^READY=1$"


class SpfmilterDaemon(Server):
    """`spfmilter run` with the given INI text; start() returns at READY=1, stop() after a clean end."""

    readiness = "says READY=1"

    def __init__(
        self,
        ini: str,
        *,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
        sockets: Sequence[socket.socket] = (),
        output: int | None = None,
        start_timeout: float = 15.0,
    ) -> None:
        """Make the folder and the INI file.

        `environment` is added to this process's own, and to `RUNTIME_DIRECTORY`, which names the folder here.
        `sockets` are passed as systemd passes those of a .socket unit (sd_listen_fds(3)), at each start. `output` is a
        descriptor that takes the place of its standard output and error: log() is then empty.
        """
        super().__init__("daemon")
        self._command = command
        self._sockets = sockets
        self._environment = environment or {}
        self._output = output
        self.start_timeout = start_timeout
        self.ini_path = self.folder / "spfmilter.ini"
        self.ini_path.write_text(ini, encoding="utf-8")
        self._notes = Datagrams(self.folder / "notify")
        self._ready_before = 0  # notes of a start before a kill()

    def command_line(self) -> list[str]:
        """Return the command. If sockets are passed, it begins with a program that passes them."""
        numbers = [str(sock.fileno()) for sock in self._sockets]
        passing = [sys.executable, "-c", _ACTIVATION, *numbers, "--"] if numbers else []
        return [*passing, *(part.replace("{ini}", str(self.ini_path)) for part in self._command)]

    def launch(self, **_: Any) -> None:
        """Run the command with its environment, its sockets and its output."""
        self._ready_before = self._count_ready()
        outputs = {} if self._output is None else {"stdout": self._output, "stderr": self._output}
        super().launch(
            pass_fds=[sock.fileno() for sock in self._sockets],
            env={
                **os.environ,
                "RUNTIME_DIRECTORY": str(self.folder),
                **self._environment,
                "NOTIFY_SOCKET": str(self._notes.path),
            },
            **outputs,
        )

    def is_ready(self) -> bool:
        """Return whether it has said READY=1 since launch()."""
        return self._count_ready() > self._ready_before

    def stop(self, timeout: float = 40.0) -> int:
        """Send SIGTERM and return the exit code.

        Raises TimeoutError if the end takes too long, RuntimeError if a process is left.
        """
        try:
            if self.process.poll() is None:
                self.process.terminate()
            code = self.process.wait(timeout * patience())
            if left := self.processes():
                raise RuntimeError(f"the daemon ended with {code} and left the processes {left}:\n{self.log()}")
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"not within {timeout:g} s: the daemon's end after SIGTERM:\n{self.log()}") from None
        finally:
            self.discard()
        return code

    def discard(self) -> None:
        """Kill it and all its workers, and remove its folder."""
        self.kill()
        self._notes.close()
        super().discard()

    def rewrite(self, ini: str) -> None:
        """Replace the INI file atomically. The daemon reads it at the next SIGHUP."""
        fresh = self.ini_path.with_suffix(".new")
        fresh.write_text(ini, encoding="utf-8")
        fresh.replace(self.ini_path)

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal, such as SIGHUP."""
        self.process.send_signal(number)

    def notifications(self) -> list[str]:
        """Return the sd_notify datagrams so far."""
        return self._notes.received()

    def wait_for_notification(self, pattern: str, timeout: float = 10.0, count: int = 1) -> str:
        """Return the `count`th matching datagram, waiting for it. A second READY=1 is the end of a reload."""
        expression = re.compile(pattern)

        def found() -> str | None:
            matching = [text for text in self.notifications() if expression.search(text)]
            return matching[count - 1] if len(matching) >= count else None

        return self.wait_for(found, timeout, f"notification {count} of {pattern}")

    def _count_ready(self) -> int:
        return sum(bool(re.search(_READY, text)) for text in self.notifications())
