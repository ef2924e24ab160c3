"""Limit each answer of an untrusted server, in bytes and in time.

Knows neither the server's protocol nor its library. A library reads an answer piece by piece, each with its own time
limit. Without these limits, a server could keep it busy forever, with a flood or with one byte now and then.
"""

from __future__ import annotations

import socket
import time
from typing import Any

MAX_ANSWER = 8 * 1024  # bytes of the answers to one write; expected are a few hundred


class Metered:
    """Wrap a socket and limit ``recv``. Each ``sendall`` begins a new budget."""

    def __init__(self, sock: socket.socket, timeout: float, most: int = MAX_ANSWER) -> None:
        """Args: timeout: seconds that a whole answer may take. most: its bytes."""
        self._sock, self._timeout, self._most = sock, timeout, most
        self._begin()

    def _begin(self) -> None:
        self._left, self._until = self._most, time.monotonic() + self._timeout

    def sendall(self, data: bytes) -> None:
        """See ``socket.socket.sendall``."""
        self._begin()
        self._sock.sendall(data)

    def recv(self, size: int) -> bytes:
        """See ``socket.socket.recv``.

        Raises:
            OSError: the answer is too long or takes too long.
        """
        if self._left <= 0:
            raise ConnectionError(f"an answer of more than {self._most} bytes")
        # A non-blocking read only checks whether an idle connection is still open.
        if self._sock.gettimeout() != 0 and time.monotonic() >= self._until:
            raise TimeoutError("an answer that takes too long")
        data = self._sock.recv(min(size, self._left))
        self._left -= len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
