"""Let libmilter serve our listening socket, and take it away from it again.

Knows how libmilter opens its socket: it takes no descriptor, so that we replace the one that it has opened. Does not
know who serves, nor when.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

import milter

from spfmilter.daemon import connections, folders

_MTA_TIMEOUT = 7210  # seconds without a command from the MTA: libmilter's default, an SMTP session's longest pause


class CannotServeError(Exception):
    """The system lacks what libmilter needs. The message says what, and ``fix`` says what to do."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.fix = fix


def dead_end() -> socket.socket:
    """Return an unreachable listening socket: it is bound to an abstract name that the kernel chooses."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.bind("")
    sock.listen(1)
    return sock


def hand_over(listener: socket.socket) -> int:
    """Replace the socket that libmilter opens with ours. Return the descriptor that libmilter uses.

    libmilter does not accept a descriptor. So it opens a socket of the same family at a harmless address, and we
    replace that (dup2). Its address family must be the same as ours.

    Raises:
        CannotServeError: libmilter cannot open a socket.
    """
    milter.settimeout(_MTA_TIMEOUT)
    try:
        match listener.family:
            case socket.AF_INET:
                descriptor = _open("inet:0@127.0.0.1")
            case socket.AF_INET6:
                descriptor = _open("inet6:0@::1")
            case _:
                descriptor = _open_unix(listener.getsockname())
    except milter.error as error:
        raise CannotServeError(f"libmilter cannot open a socket: {error}", "free descriptors or memory") from None
    os.dup2(listener.fileno(), descriptor, inheritable=False)
    return descriptor


def _open(name: str) -> int:
    """Let libmilter open a socket of an unused name. Return its descriptor."""
    milter.setconn(name)
    before = connections.sockets()
    milter.opensocket(False)  # noqa: FBT003 - pymilter's signature
    (descriptor,) = connections.sockets() - before
    return descriptor


def _open_unix(ours: object) -> int:
    """Let libmilter open a unix socket in a temporary folder, beside our socket if possible. Return its descriptor."""
    beside = [Path(ours).parent] if isinstance(ours, str) and ours.startswith("/") else []
    reasons = []
    for place in folders.places(*beside):
        try:
            with folders.temporary(".spf-", place) as folder:
                return _open(f"unix:{folder}/socket")
        except (OSError, milter.error) as error:
            reasons.append(f"{place}: {getattr(error, 'strerror', None) or error}")
    raise CannotServeError(
        f"no folder for libmilter's socket: {'; '.join(reasons)}", "let the daemon write in one of these folders"
    )
