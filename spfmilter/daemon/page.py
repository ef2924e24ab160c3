"""The help page's listening socket: ``spfmilter web`` serves it, and ``spfmilter config check --try`` opens it once."""

from __future__ import annotations

import socket

_BACKLOG = 256  # connections that the kernel holds for us


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: the address is in use, not ours, or not permitted, or its interface (``fe80::1%eth0``) is not there.
    """
    # A link-local address has its interface with it, which only getaddrinfo() understands.
    ((family, *_, place),) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return socket.create_server(place, family=family, backlog=_BACKLOG)
