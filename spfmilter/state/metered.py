"""A connected socket to a server that is not believed: an answer has an end, in bytes and in time.

Knows neither the server's protocol nor its library. A library that reads an answer piece by piece, each piece with a
time limit of its own, would read a flood, or one byte now and then, for as long as the server likes.
"""

from __future__ import annotations

import socket
import time
from typing import Any

MOST = 8 * 1024  # bytes that may come for what has been sent at once; our answers have some hundred


class Metered:
    """The socket, in all but ``recv``; a new budget begins whenever something is sent."""

    def __init__(self, sock: socket.socket, patience: float) -> None:
        """Args: patience: seconds that all of an answer may take."""
        self._sock, self._patience = sock, patience
        self._begin()

    def _begin(self) -> None:
        self._left, self._until = MOST, time.monotonic() + self._patience

    def sendall(self, data: bytes) -> None:
        """See ``socket.socket.sendall``."""
        self._begin()
        self._sock.sendall(data)

    def recv(self, size: int) -> bytes:
        """See ``socket.socket.recv``.

        Raises:
            OSError: the answer is too long, or takes too long.
        """
        if self._left <= 0:
            raise ConnectionError(f"an answer of more than {MOST} bytes")
        # Whoever does not wait at all only looks whether an idle connection is still there.
        if self._sock.gettimeout() != 0 and time.monotonic() >= self._until:
            raise TimeoutError("an answer that takes too long")
        data = self._sock.recv(min(size, self._left))
        self._left -= len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
