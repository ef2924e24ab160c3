"""Speak the first packets of the milter protocol with a socket, as an MTA would. Sends no mail events."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# What Postfix 3 offers: version 6, all changes of a message, all steps that may be left out.
_OFFER = struct.pack(">IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_QUIT = struct.pack(">Ic", 1, b"Q")
_LONGEST = 4096  # bytes of an answer: three numbers, and lists of macros
_CREDENTIALS = struct.Struct("=iII")  # pid, user and group (unix(7))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a milter listens, as this process sees it."""

    family: str  # inet, unix
    host: str = ""
    port: str = ""  # or the name of a service
    path: Path = Path()
    root: Path = Path("/")  # of the MTA, which may be chrooted


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """A milter has answered."""

    seconds: float
    version: int  # of the protocol
    pid: int  # of the process that made the socket; 0 if the kernel does not tell


class SilentError(Exception):
    """No milter answers. The message says why."""

    def __init__(self, reason: str, number: int | None = None) -> None:
        super().__init__(reason)
        self.number = number  # of the system's error (errno)


def shake(place: Place, timeout: float) -> Handshake:
    """Negotiate with the milter at a place, within so many seconds.

    Raises:
        SilentError: none answers.
    """
    began = time.monotonic()
    deadline = began + timeout
    try:
        with _connected(place, timeout) as sock:
            pid = _pid(sock) if place.family == "unix" else 0
            sock.settimeout(_left(deadline))
            sock.sendall(_OFFER)
            answer = _answer(sock, deadline)
            seconds = time.monotonic() - began
            with suppress(OSError):
                sock.sendall(_QUIT)
    except TimeoutError:
        raise SilentError(f"no answer within {timeout:.2g} s") from None
    except BlockingIOError as error:  # of a unix socket only
        raise SilentError("its queue of connections is full", error.errno) from None
    except OSError as error:
        raise SilentError(error.strerror or str(error), error.errno) from None
    if answer[:1] == b"O" and len(answer) >= 13:
        return Handshake(seconds=seconds, version=int.from_bytes(answer[1:5], "big"), pid=pid)
    raise SilentError("what answers there does not speak the milter protocol" if answer else "it closed the connection")


def _connected(place: Place, timeout: float) -> socket.socket:
    if place.family == "inet":
        return socket.create_connection((place.host, place.port), timeout)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(str(place.path))
    except OSError:
        sock.close()
        raise
    return sock


def _pid(sock: socket.socket) -> int:
    """Return the pid of the process that called listen(2) on the other end's socket."""
    pid, _, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(pid)


def _answer(sock: socket.socket, deadline: float) -> bytes:
    """Return the first packet without its length; the first bytes of the answer if it is no packet of a negotiation."""
    head = _read(sock, 4, deadline)
    length = int.from_bytes(head, "big")
    return _read(sock, length, deadline) if len(head) == 4 and 13 <= length <= _LONGEST else head


def _read(sock: socket.socket, length: int, deadline: float) -> bytes:
    data = b""
    while len(data) < length:
        sock.settimeout(_left(deadline))
        more = sock.recv(length - len(data))
        if not more:
            break
        data += more
    return data


def _left(deadline: float) -> float:
    """Return the seconds that are left.

    Raises:
        TimeoutError: none are.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
