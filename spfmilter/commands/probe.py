"""Try a milter's address as Postfix would: connect, and negotiate in the milter protocol.

Knows the first packet of the protocol, and why an MTA's user cannot reach a unix socket. Sends no mail events.
"""

from __future__ import annotations

import errno
import os
import pwd
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spfmilter import ownership

_TIMEOUT = 5.0  # seconds for each step
# What Postfix 3 offers: version 6, all changes of a message, all steps that may be left out.
_OFFER = struct.pack(">IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
_QUIT = struct.pack(">Ic", 1, b"Q")
_LONGEST = 4096  # bytes of an answer: three numbers, and lists of macros


@dataclass(frozen=True, slots=True)
class Place:
    """Where a milter listens, as this process sees it."""

    family: str  # inet, unix
    host: str = ""
    port: str = ""  # or the name of a service
    path: Path = Path()
    root: Path = Path("/")  # of the MTA, which may be chrooted


@dataclass(frozen=True, slots=True)
class Account:
    """The user of an MTA."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Barrier:
    """What keeps a user from a socket."""

    what: str
    fix: str  # for a socket of ours; empty if it is unknown


def account(name: str) -> Account | None:
    """Return the account of a user with their groups; None if there is no such user."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)))


def why_silent(place: Place) -> str:
    """Return why no milter answers at a place; empty if one does."""
    try:
        with _connected(place) as sock:
            sock.settimeout(_TIMEOUT)
            sock.sendall(_OFFER)
            answer = _answer(sock)
            sock.sendall(_QUIT)
    except TimeoutError:
        return f"no answer within {_TIMEOUT:g} s"
    except OSError as error:
        return error.strerror or str(error)
    if answer[:1] == b"O" and len(answer) >= 13:
        return ""
    return "what answers there does not speak the milter protocol" if answer else "it closed the connection"


def _connected(place: Place) -> socket.socket:
    if place.family == "inet":
        return socket.create_connection((place.host, place.port), _TIMEOUT)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_TIMEOUT)
    try:
        sock.connect(str(place.path))
    except OSError:
        sock.close()
        raise
    return sock


def _answer(sock: socket.socket) -> bytes:
    """Return the first packet without its length; the first bytes of the answer if it is no packet of a negotiation."""
    head = _read(sock, 4)
    length = int.from_bytes(head, "big")
    return _read(sock, length) if len(head) == 4 and 13 <= length <= _LONGEST else head


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def barrier(place: Place, user: Account) -> Barrier | None:
    """Return what keeps a user from a unix socket; None if they can connect, or if it is unknown.

    As root, try it in a process that is this user, in the MTA's root directory. So access control lists count, too.
    """
    if os.geteuid() != 0:
        return _first_barrier(place, user)
    failure = _try_as(place, user)
    if failure not in {errno.EACCES, errno.EPERM, errno.ENOENT}:
        return None
    unknown = Barrier(f"user {user.name} cannot connect to {place.path}: {os.strerror(failure)}", "")
    return _first_barrier(place, user) or (unknown if failure != errno.ENOENT else None)


def _try_as(place: Place, user: Account) -> int:
    """Return the number of the error when a user connects to a unix socket; 0 if there is none."""
    child = os.fork()
    if child == 0:
        status = errno.EIO
        try:
            os.chroot(place.root)
            os.setgroups(user.groups)
            os.setgid(user.gid)
            os.setuid(user.uid)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(_TIMEOUT)
                status = sock.connect_ex(f"/{place.path.relative_to(place.root)}")
        finally:
            os._exit(min(status, 255))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _first_barrier(place: Place, user: Account) -> Barrier | None:
    """Return the first folder of the path, or the socket, that denies a user access; None if there is none."""
    group = ownership.group(user.gid)
    try:
        for folder in _folders(place):
            if not folder.is_dir():
                fix = f"make it, and restart the daemon: install -d -o spfmilter -g {group} -m 2750 {folder}"
                return Barrier(f"there is no folder {folder}", fix)
            if not _allowed(folder.stat(), user, 0o1):
                fix = f"let its group be {group}, with mode 2750 (chgrp {group} {folder}; chmod 2750 {folder})"
                return Barrier(f"user {user.name} cannot enter {folder} ({ownership.rights(folder)})", fix)
        if place.path.exists() and not _allowed(place.path.stat(), user, 0o2):
            fix = f"set [milter] socket_group = {group} and socket_mode = 0660, and restart the daemon"
            return Barrier(f"user {user.name} cannot write to {place.path} ({ownership.rights(place.path)})", fix)
    except OSError:  # not readable for us
        return None
    return None


def _folders(place: Place) -> Iterator[Path]:
    """Yield the folders of the path, from the top of the file system that the MTA sees."""
    way = [folder for folder in place.path.parents if folder.is_relative_to(place.root)]
    yield from reversed(way)


def _allowed(status: os.stat_result, user: Account, bit: int) -> bool:
    if user.uid == 0:
        return True
    if status.st_uid == user.uid:
        return bool(status.st_mode & bit << 6)
    if status.st_gid in {user.gid, *user.groups}:
        return bool(status.st_mode & bit << 3)
    return bool(status.st_mode & bit)
