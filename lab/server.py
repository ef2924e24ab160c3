"""The common part of private servers: an own folder, a start, a log and an end.

It knows processes and deadlines. Each server's own module knows its configuration, output and protocol.
"""

import os
import re
import shutil
import socketserver
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab import guard
from lab.processes import Found, end_group, group_members, until

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
_TAIL = 200  # lines of a log that an error shows: the tracebacks of several workers


def installed(*names: str) -> str:
    """Return the path of the first of these programs that is installed; empty if none is."""
    return next(filter(None, (shutil.which(name, path=_PATH) for name in names)), "")


class Server:
    """A server in a folder of its own. `with` starts it, and ends every process that it started.

    A subclass says what differs: `command_line()` and `is_ready()`. For a program that leaves the foreground it
    overrides `launch()`.
    """

    start_timeout = 10.0  # seconds
    readiness = "is ready"

    def __init__(self, name: str, missing: str = "") -> None:
        """Make the folder, which users other than root may enter.

        `missing` says why the server cannot run here; it is raised as a RuntimeError. The folder is removed with the
        server's end, or with this object where it never starts.
        """
        if missing:
            raise RuntimeError(missing)
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"lab-{name}-"))
        self.folder.chmod(0o755)
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.log_path = self.folder / "log"
        self._log = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._group = 0

    def command_line(self) -> Sequence[str | Path]:
        """Return the command that runs the server in the foreground."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Return whether it serves. An error that is raised here ends the start."""
        raise NotImplementedError

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The server's first process, the head of a process group; also after its end."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not started")
        return self._process

    @property
    def pid(self) -> int:
        """The process id of the server's first process."""
        return self.process.pid

    def start(self) -> Self:
        """Start it and wait until it is ready. After stop(), it can be started again, with an empty folder.

        Raises RuntimeError if it ends before, TimeoutError after `start_timeout`, with the last lines of its log.
        """
        self.folder.mkdir(exist_ok=True)
        try:
            self.launch()
            self.wait_for(self.is_ready, self.start_timeout, f"{self.name} {self.readiness}")
        except BaseException:
            self.discard()
            raise
        return self

    def launch(self, **options: Any) -> None:
        """Run the command in a session of its own, with its output in the log; `options` are Popen's.

        A Ctrl-C is for the caller, who then stops the server.
        """
        with self.log_path.open("ab") as log:
            outputs = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self._process = subprocess.Popen(self.command_line(), **{**outputs, **options}, start_new_session=True)
        self.own(self._process.pid)

    def own(self, group: int) -> None:
        """Take a process group for the server's: it is killed at the end, also where this process is killed."""
        self._group = group
        guard.watch(group)

    def kill(self) -> None:
        """End every process of the server's group with SIGKILL, and wait until they are gone."""
        if self._group:
            end_group(self._group)
            guard.forget(self._group)
            self._group = 0
        if self._process is not None:
            self._process.wait(60)

    def discard(self) -> None:
        """Kill it, keep its log, and remove its folder. A second call is harmless."""
        self.kill()
        self.log()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> int | None:
        """End it and remove its folder, started or not. Return the exit code of a process in the foreground."""
        self.discard()
        return self._process.returncode if self._process is not None else None

    def processes(self) -> list[int]:
        """Return the process ids of the server and its children."""
        return group_members(self._group) if self._group else []

    def log(self) -> str:
        """Return its output so far. It is kept after stop()."""
        with suppress(FileNotFoundError):
            self._log = self.log_path.read_text(encoding="utf-8", errors="replace")
        return self._log

    def wait_for_log(self, pattern: str, timeout: float = 10.0) -> re.Match[str]:
        """Return the first match in the log, waiting for it."""
        expression = re.compile(pattern)
        return self.wait_for(lambda: expression.search(self.log()), timeout, f"{pattern} in the log of {self.name}")

    def wait_for(self, probe: Callable[[], Found | None], timeout: float, what: str) -> Found:
        """Return the first truthy value of the probe.

        Raises RuntimeError once the server has ended, TimeoutError after `timeout` seconds, with the log's last lines.
        """

        def look() -> Found | None:
            ended = self._process.poll() if self._process is not None else None  # before the look at its last words
            if found := probe():
                return found
            if ended is not None:
                raise RuntimeError(f"{self.name} ended with {ended}:\n{self._tail()}")
            return None

        return until(look, timeout, lambda: f"{what}:\n{self._tail()}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.discard()  # an error of stop() would hide the error that matters

    def _tail(self) -> str:
        return "\n".join(self.log().splitlines()[-_TAIL:])


class ThreadServer(socketserver.ThreadingTCPServer):
    """A server in threads of this process, on a free port of 127.0.0.1. `with` starts and ends it."""

    daemon_threads = True  # a connection that is still open does not outlive us

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        """Bind the port. `with` begins to accept connections, each for a `handler`."""
        super().__init__(("127.0.0.1", 0), handler)
        self.port = int(self.server_address[1])
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
