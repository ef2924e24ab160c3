"""For any answer of a state server, the host has an answer: a finite time, and no exception."""

import itertools
import logging
import math
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from spfmilter.settings.urls import StateUrl
from spfmilter.state.server import BACKOFF, PREFIX, OnAServer

NOW = 1_800_000_000.0
# Kept from the log, which says every time that there was no answer: the clock below leaps.
logging.getLogger("spfmilter").addHandler(logging.NullHandler())


class _Host:
    """This host's own memory, which has none."""

    def since(self, key: str, now: float) -> float:  # noqa: ARG002 - the protocol's
        """The first time."""
        return now


class _Server:
    """Greets as it should; says the same to everyone who asks for a time, and hangs up."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="fuzz-state-")) / "socket"
        self.says = b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, suppress(OSError):
                while PREFIX.encode() not in (asked := connection.recv(65536)) and asked:
                    connection.sendall(b"+OK\r\n" * asked.count(b"*"))
                connection.sendall(self.says)


SERVER = _Server()
_CLOCK = itertools.count(step=2 * BACKOFF)  # so that a server that has failed is asked again
DEFERRALS = OnAServer(
    StateUrl(scheme="unix", path=str(SERVER.path)), _Host(), keep=60.0, clock=lambda: float(next(_CLOCK))
)


def one_input(data: bytes) -> None:
    """What the server says."""
    SERVER.says = data
    assert math.isfinite(DEFERRALS.since("example.com 203.0.113.0/24", NOW))
