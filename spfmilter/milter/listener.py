"""The listening socket: made by us with the right options and rights, since libmilter's own has neither.

Knows addresses, modes, groups, and stale sockets of dead daemons. A unix socket appears under its final name only when
its mode and group are right, and a live one is never taken away from its owner.
"""

from __future__ import annotations

import grp
import os
import socket
from contextlib import suppress
from pathlib import Path

from spfmilter.settings.schema import MilterSection
from spfmilter.settings.types import SocketAddress

_BACKLOG = 4096  # the kernel cuts it to net.core.somaxconn


class ListenError(Exception):
    """The socket cannot be had; the message says why and what to do."""


def open_listener(settings: MilterSection) -> socket.socket:
    """A listening, non-blocking socket at the configured address.

    Raises:
        ListenError: somebody else listens there, or the system does not allow it.
    """
    address = settings.socket
    try:
        if address.family == "unix":
            return _unix(Path(address.path), settings.socket_mode.bits, settings.socket_group)
        return _inet(address)
    except OSError as error:
        raise ListenError(f"cannot listen on {address}: {error.strerror or error}{_hint(error, address)}") from None


def _hint(error: OSError, address: SocketAddress) -> str:
    if isinstance(error, FileNotFoundError):
        return f"; create {Path(address.path).parent}, or let systemd do it (RuntimeDirectory=)"
    if isinstance(error, PermissionError) and address.family == "unix":
        return f"; the daemon's user needs to write in {Path(address.path).parent}"
    return ""


def _inet(address: SocketAddress) -> socket.socket:
    family = socket.AF_INET if address.family == "inet" else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by every connection: libmilter writes a reply in two pieces, and with Nagle's algorithm the second
        # waits 40 ms for the MTA's delayed acknowledgement of the first.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _unix(path: Path, mode: int, group: str) -> socket.socket:
    if _is_live(path):
        raise ListenError(f"cannot listen on unix:{path}: another process serves this socket; stop it first")
    gid = _group_id(group)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        old_mask = os.umask(0o177)  # nobody connects before mode and group are right
        try:
            sock.bind(str(temporary))
        finally:
            os.umask(old_mask)
        if gid is not None:
            os.chown(temporary, -1, gid)
        temporary.chmod(mode)
        sock.listen(_BACKLOG)
        temporary.rename(path)
    except OSError:
        sock.close()
        temporary.unlink(missing_ok=True)
        raise
    return sock


def _is_live(path: Path) -> bool:
    """Whether somebody accepts connections there; what is no socket is not ours to remove."""
    try:
        if not path.is_socket():
            if path.exists():
                raise ListenError(f"cannot listen on unix:{path}: there is a file of this name that is no socket")
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            probe.connect(str(path))
    except BlockingIOError:
        return True  # its queue is full: alive, and busy
    except ConnectionRefusedError:
        return False
    return True


def _group_id(name: str) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ListenError(f"[milter] socket_group: there is no group {name!r}") from None


def remove_socket(address: SocketAddress, sock: socket.socket) -> None:
    """Take our unix socket's name away when we stop, unless another daemon has taken the place meanwhile."""
    if address.family != "unix":
        return
    path = Path(address.path)
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)  # close() alone leaves it listening while libmilter's poll() holds on to it
    sock.close()
    try:
        if not _is_live(path):
            path.unlink(missing_ok=True)
    except (OSError, ListenError):
        return
