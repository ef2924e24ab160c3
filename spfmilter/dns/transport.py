"""Send packets to a nameserver, as datagrams or over TCP. Does not know what they contain."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable

# Errors of this host, not of a server: it has run out of descriptors, memory or ports.
_OUR_LACK = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EADDRNOTAVAIL})


def is_our_lack(error: OSError) -> bool:
    """Return whether a packet could not be sent because this host has run out of descriptors, memory or ports."""
    return error.errno in _OUR_LACK


def connected(sock: socket.socket, endpoint: tuple[str, int]) -> socket.socket:
    """Connect a datagram socket and return it. It receives from that endpoint only, and never blocks.

    Raises:
        OSError: there is no route to the endpoint; the socket is closed.
    """
    try:
        sock.settimeout(0)
        sock.connect(endpoint)
    except OSError:
        sock.close()
        raise
    return sock


def send(sock: socket.socket, packet: bytes) -> None:
    """Send a datagram. Try again if the error is about an earlier datagram, which was refused (ICMP).

    Raises:
        OSError: the datagram cannot be sent.
    """
    try:
        sock.send(packet)
    except ConnectionRefusedError:  # reading this error clears it
        sock.send(packet)


def exchange(
    sock: socket.socket, endpoint: tuple[str, int], packet: bytes, deadline: float, clock: Callable[[], float]
) -> bytes:
    """Connect over TCP, send the question and return the answer (RFC 7766).

    The deadline is for all together, also if the bytes arrive one by one.

    Raises:
        OSError: the connection fails or takes too long.
    """

    def limit() -> None:
        left = deadline - clock()
        if left <= 0:
            raise TimeoutError("timeout")
        sock.settimeout(left)

    def exactly(count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            limit()
            piece = sock.recv(count - len(data))
            if not piece:
                raise ConnectionError("connection closed")
            data += piece
        return bytes(data)

    limit()
    sock.connect(endpoint)
    sock.sendall(struct.pack("!H", len(packet)) + packet)
    (length,) = struct.unpack("!H", exactly(2))
    return exactly(length)
