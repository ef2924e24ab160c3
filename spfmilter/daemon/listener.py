"""Open the listening socket. libmilter's own socket lacks the right options and permissions.

Knows addresses, modes, groups, stale sockets of dead daemons, and systemd's socket activation. A unix socket appears
under its final name only after its mode and group are set. A socket that another process serves is never replaced.
"""

from __future__ import annotations

import errno
import grp
import os
import socket
import time
from pathlib import Path

from spfmilter import ownership
from spfmilter.daemon import hints, sockethints
from spfmilter.settings.schema import MilterSection
from spfmilter.settings.sockets import SocketAddress

_BACKLOG = 4096  # the kernel cuts it to net.core.somaxconn
_TIMEOUT = 3.0  # seconds that workers of a killed daemon may take to close its socket
_PASSED = 3  # the first descriptor that systemd passes (sd_listen_fds(3))


class ListenError(Exception):
    """The socket cannot be opened. The message says why and what to do."""


class _BusyError(ListenError):
    """Another process listens there; it may be about to close the socket."""


def open_listener(settings: MilterSection) -> socket.socket:
    """Return a listening, non-blocking socket at the configured address.

    Raises:
        ListenError: another process listens there, or the system does not allow it.
    """
    give_up = time.monotonic() + _TIMEOUT
    while True:
        try:
            return _listen(settings)
        except _BusyError:
            if time.monotonic() > give_up:
                raise
        time.sleep(0.05)


def _listen(settings: MilterSection) -> socket.socket:
    address = settings.socket
    try:
        match address.family:
            case "systemd":
                return _from_systemd()
            case "unix":
                return _unix(Path(address.path), settings.socket_mode.bits, settings.socket_group)
            case _:
                return _inet(address)
    except OSError as error:
        kind = _BusyError if error.errno == errno.EADDRINUSE else ListenError
        raise kind(f"cannot listen on {address}: {error.strerror or error}{_hint(error, address)}") from None


def _from_systemd() -> socket.socket:
    """Return the socket that systemd opened for us and keeps open across our restarts (systemd.socket(5))."""
    number = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or number != "1":
        raise ListenError(
            "[milter] socket = systemd, but systemd has passed "
            + (
                f"{number} sockets: leave one ListenStream= in spfmilter.socket"
                if number.isdigit()
                else "none: systemctl enable --now spfmilter.socket (installed as docs/operation.md says), and start "
                "the daemon by systemd"
            )
        )
    sock = socket.socket(fileno=_PASSED)
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ListenError(
            "the socket that systemd has passed is no listening stream socket: write ListenStream= in spfmilter.socket"
        )
    sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
    os.set_inheritable(_PASSED, False)  # noqa: FBT003 - the standard library's signature
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _hint(error: OSError, address: SocketAddress) -> str:
    """Return what to do, after a semicolon; empty if it is unknown."""
    if address.family == "unix":
        hint = sockethints.for_path(error, Path(address.path))
    else:
        hint = hints.for_address(error, address.host, address.port)
    return f"; {hint}" if hint else ""


def _inet(address: SocketAddress) -> socket.socket:
    family = socket.AF_INET if address.family == "inet" else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Every connection inherits this option. libmilter writes a reply in two pieces. With Nagle's algorithm, the
        # second piece waits 40 ms for the MTA's delayed acknowledgement of the first.
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
        raise _BusyError(f"cannot listen on unix:{path}: another process serves this socket; stop it first")
    gid = _group_id(group)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        old_mask = os.umask(0o177)  # no other user can connect before mode and group are set
        try:
            sock.bind(str(temporary))
        finally:
            os.umask(old_mask)
        if gid is not None:
            _give(temporary, gid, group, path)
        temporary.chmod(mode)
        sock.listen(_BACKLOG)
        temporary.rename(path)
    except (OSError, ListenError):
        sock.close()
        temporary.unlink(missing_ok=True)
        raise
    return sock


def _give(socket_file: Path, gid: int, group: str, path: Path) -> None:
    """Give the socket to a group, before it is renamed to its path.

    Raises:
        ListenError: the kernel does not allow it: this user is not a member, or PrivateUsers= hides the group.
    """
    try:
        os.chown(socket_file, -1, gid)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EINVAL}:
            raise
        raise ListenError(sockethints.for_group(error, group, path)) from None


def _is_live(path: Path) -> bool:
    """Return whether a process accepts connections at a unix socket.

    Raises:
        ListenError: there is a file of this name that is not a socket, or a socket of another user; we must not remove
            it.
        OSError: its folder cannot be entered.
    """
    try:
        if not path.is_socket():
            if path.exists():
                raise ListenError(
                    f"cannot listen on unix:{path}: there is a file of this name that is not a socket: move it away, "
                    "or choose another path"
                )
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            probe.connect(str(path))
    except BlockingIOError:
        return True  # its queue is full: the process is alive, but busy
    except ConnectionRefusedError:
        return False
    except PermissionError:
        if ownership.barrier(path) != path:  # its folder keeps us out
            raise
        raise ListenError(f"cannot listen on unix:{path}: {sockethints.foreign(path)}") from None
    return True


def _group_id(name: str) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ListenError(
            f"[milter] socket_group: there is no group {name!r}: make it (groupadd {name}), or name another (getent "
            "group lists them)"
        ) from None


def remove_socket(address: SocketAddress, sock: socket.socket) -> None:
    """Close our socket when we stop. Remove a unix socket's file as well, unless another daemon has replaced it."""
    sock.close()
    if address.family != "unix":
        return
    path = Path(address.path)
    try:
        if not _is_live(path):
            path.unlink(missing_ok=True)
    except (OSError, ListenError):
        return
