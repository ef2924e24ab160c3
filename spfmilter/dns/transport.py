"""Send packets to a nameserver, as datagrams or over TCP. Does not know what they contain.

An endpoint is an address and a port. A link-local address has its interface with it (``fe80::1%eth0``, RFC 4007).
"""

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


def _connect(sock: socket.socket, endpoint: tuple[str, int]) -> None:
    """Connect the socket.

    Raises:
        OSError: there is no way to the endpoint.
    """
    host, port = endpoint
    if "%" not in host:
        try:
            sock.connect(endpoint)
        except OSError as error:
            if error.errno == errno.EINVAL:  # only resolv.conf can have one: the settings refuse it
                raise OSError(error.errno, f"{host} is link-local and names no interface, as {host}%eth0") from None
            raise
        return
    # Python's connect() takes no interface with the address. Looked up each time: interfaces come and go.
    try:
        ((*_, where),) = socket.getaddrinfo(host, port, sock.family, sock.type, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        raise OSError(errno.ENODEV, f"there is no network interface {host.partition('%')[2]}") from None
    sock.connect(where)


def connected(sock: socket.socket, endpoint: tuple[str, int]) -> socket.socket:
    """Connect a datagram socket and return it. It receives from that endpoint only, and never blocks.

    Raises:
        OSError: there is no route to the endpoint; the socket is closed.
    """
    try:
        sock.settimeout(0)
        _connect(sock, endpoint)
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
    _connect(sock, endpoint)
    sock.sendall(struct.pack("!H", len(packet)) + packet)
    (length,) = struct.unpack("!H", exactly(2))
    return exactly(length)
