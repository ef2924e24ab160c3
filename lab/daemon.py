"""The daemon under test as a process of its own, started as an administrator would, ready when it says so.

It knows command lines, signals and sd_notify(3). It does not know what stands in an INI file.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.processes import Found, end_group, group_members, until

# {ini} stands for the INI file's path.
COMMAND = (sys.executable, "-m", "spfmilter", "run", "-c", "{ini}")
# Puts the sockets where sd_listen_fds(3) says and becomes the daemon: only the process itself knows its LISTEN_PID.
# They are moved out of the way first, since one of them may be at a number where another has to go.
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


class SpfmilterDaemon:
    """`spfmilter run` with the given INI text; start() returns at READY=1, stop() after a clean end."""

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
        """Make the folder and the INI file; `environment` is added to this process's own.

        `sockets` are passed as systemd passes those of a .socket unit (sd_listen_fds(3)), at each start. `output` is a
        descriptor that takes the place of its standard output and error: log() is then empty.
        """
        self._command = command
        self._sockets = sockets
        self._environment = environment or {}
        self._output = output
        self._start_timeout = start_timeout
        self.folder = Path(tempfile.mkdtemp(prefix="lab-daemon-"))
        self.ini_path = self.folder / "spfmilter.ini"
        self.ini_path.write_text(ini, encoding="utf-8")
        self.log_path = self.folder / "stderr"
        self._notes = _NotifySocket(self.folder / "notify")
        self._process: subprocess.Popen[bytes] | None = None
        self._log = ""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The daemon's process; the head of a process group of its own, with its workers in it."""
        if self._process is None:
            raise RuntimeError("this daemon is not started")
        return self._process

    def start(self) -> Self:
        """Start it and wait for READY=1; where it ends before, the error holds what it said."""
        ready = sum(bool(re.search(_READY, text)) for text in self.notifications())  # of a start before a kill()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._passing(), *(part.replace("{ini}", str(self.ini_path)) for part in self._command)],
                pass_fds=[sock.fileno() for sock in self._sockets],
                stdin=subprocess.DEVNULL,
                stdout=log if self._output is None else self._output,
                stderr=log if self._output is None else self._output,
                env={**os.environ, **self._environment, "NOTIFY_SOCKET": str(self._notes.path)},
                start_new_session=True,
            )
        try:
            self.wait_for_notification(_READY, self._start_timeout, count=ready + 1)
        except BaseException:
            self._clean_up()
            raise
        return self

    def stop(self, timeout: float = 40.0) -> int:
        """SIGTERM, and its exit code; an error if it takes too long or leaves a process behind."""
        process = self.process
        try:
            if process.poll() is None:
                process.terminate()
            code = process.wait(timeout)
            if left := group_members(process.pid):
                raise RuntimeError(f"the daemon ended with {code} and left the processes {left}:\n{self.log()}")
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"not within {timeout:g} s: the daemon's end after SIGTERM:\n{self.log()}") from None
        finally:
            self._clean_up()
        return code

    def kill(self) -> None:
        """SIGKILL to the daemon and all its workers, as the power cord would; `process.kill()` is for it alone."""
        end_group(self.process.pid)
        self.process.wait()

    def rewrite(self, ini: str) -> None:
        """Give the INI file another content at once; the daemon does not learn of it before a SIGHUP."""
        fresh = self.ini_path.with_suffix(".new")
        fresh.write_text(ini, encoding="utf-8")
        fresh.replace(self.ini_path)

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon a signal, such as SIGHUP."""
        self.process.send_signal(number)

    def log(self) -> str:
        """What it wrote to its standard error (and output) so far; kept after stop()."""
        with suppress(FileNotFoundError):
            self._log = self.log_path.read_text(encoding="utf-8", errors="replace")
        return self._log

    def wait_for_log(self, pattern: str, timeout: float = 10.0) -> re.Match[str]:
        """The first match in the log, waiting for it; an error at once if the daemon has ended without it."""
        expression = re.compile(pattern)
        return until(
            self._unless_ended(lambda: expression.search(self.log())),
            timeout,
            lambda: f"{pattern} in the daemon's log:\n{self.log()}",
        )

    def notifications(self) -> list[str]:
        """The sd_notify datagrams that came so far."""
        return self._notes.received()

    def wait_for_notification(self, pattern: str, timeout: float = 10.0, count: int = 1) -> str:
        """The datagram that is the `count`th to match: a second READY=1 is the end of a reload."""
        expression = re.compile(pattern)

        def found() -> str | None:
            matching = [text for text in self.notifications() if expression.search(text)]
            return matching[count - 1] if len(matching) >= count else None

        return until(
            self._unless_ended(found),
            timeout,
            lambda: f"notification {count} of {pattern}; came: {self.notifications()}; the log:\n{self.log()}",
        )

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        if kind is None:
            self.stop()
        else:
            self._clean_up()  # a complaint about its end would hide the error that matters

    def _passing(self) -> list[str]:
        numbers = [str(sock.fileno()) for sock in self._sockets]
        return [sys.executable, "-c", _ACTIVATION, *numbers, "--"] if numbers else []

    def _unless_ended(self, probe: Callable[[], Found | None]) -> Callable[[], Found | None]:
        process = self.process

        def look() -> Found | None:
            ended = process.poll()  # asked before the look, so that its last words are not missed
            if found := probe():
                return found
            if ended is not None:
                raise RuntimeError(f"the daemon ended with {ended}:\n{self.log()}")
            return None

        return look

    def _clean_up(self) -> None:
        end_group(self.process.pid)
        self.process.wait()
        self.log()  # keeps it
        self._notes.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class _NotifySocket:
    """The service manager's end of sd_notify(3): a thread reads it, lest a full buffer ever block the daemon."""

    _GOODBYE = b"\0"  # sd_notify(3) sends text only

    def __init__(self, path: Path) -> None:
        self.path = path
        self._received: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)  # the daemon may have given up root
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def received(self) -> list[str]:
        """The datagrams so far, in order."""
        return list(self._received)

    def close(self) -> None:
        """End the thread; once more is harmless."""
        if self._thread.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
                own.sendto(self._GOODBYE, str(self.path))
            self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while (datagram := self._socket.recv(65536)) != self._GOODBYE:
            self._received.append(datagram.decode("utf-8", "replace"))
