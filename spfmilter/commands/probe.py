"""Try a milter's address as Postfix would. Say why no milter answers, and why an MTA's user cannot reach its socket."""

from __future__ import annotations

import errno
import os
import pwd
import socket
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from spfmilter import ownership
from spfmilter.commands import accessfix
from spfmilter.commands.accessfix import Account, OurSocket
from spfmilter.health.handshake import Place, SilentError, shake

_TIMEOUT = 5.0  # seconds


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
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return Account(name, ownership.group(entry.pw_gid), entry.pw_uid, entry.pw_gid, groups)


def why_silent(place: Place) -> str:
    """Return why no milter answers at a place; empty if one does."""
    try:
        shake(place, _TIMEOUT)
    except SilentError as error:
        return str(error)
    return ""


def barrier(place: Place, user: Account, ours: OurSocket | None = None) -> Barrier | None:
    """Return what keeps a user from a unix socket; None if they can connect, or if it is unknown.

    As root, try it in a process that is this user, in the MTA's root directory. So access control lists count, too.

    Args:
        place: of the socket.
        user: of the MTA.
        ours: how our own socket is made; None: it is that of another filter.
    """
    if os.geteuid() != 0:
        return _first_barrier(place, user, ours)
    failure = _try_as(place, user)
    if failure not in {errno.EACCES, errno.EPERM, errno.ENOENT}:
        return None
    unknown = Barrier(f"user {user.name} cannot connect to {place.path}: {os.strerror(failure)}", "")
    return _first_barrier(place, user, ours) or (unknown if failure != errno.ENOENT else None)


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


def _first_barrier(place: Place, user: Account, ours: OurSocket | None) -> Barrier | None:
    """Return the first folder of the path, or the socket, that denies a user access; None if there is none."""
    try:
        for folder in _folders(place):
            if not folder.is_dir():
                return Barrier(f"there is no folder {folder}", accessfix.missing_folder(folder, user.group, ours))
            if not _allowed(folder.stat(), user, 0o1):
                what = f"user {user.name} cannot enter {folder} ({ownership.rights(folder)})"
                return Barrier(what, accessfix.closed_folder(folder, place.path, user, ours))
        if not place.path.exists():
            return _no_place(place.path, user, ours)
        if not _allowed(place.path.stat(), user, 0o2):
            what = f"user {user.name} cannot write to {place.path} ({ownership.rights(place.path)})"
            return Barrier(what, accessfix.closed_socket(place.path, user, ours))
    except OSError:  # not readable for us
        return None
    return None


def _no_place(path: Path, user: Account, ours: OurSocket | None) -> Barrier | None:
    """Return a folder in which the daemon may not make its socket; None if it may, or if that is unknown."""
    daemon = account(ours.user) if ours is not None and not ours.activated else None
    if daemon is None or _allowed(path.parent.stat(), daemon, 0o2):
        return None
    what = f"user {daemon.name} may not make a socket in {path.parent} ({ownership.rights(path.parent)})"
    return Barrier(what, accessfix.own_folder(path, user.group, ours))


def unsafe(place: Place, trusted: Collection[str]) -> Barrier | None:
    """Return the folder that makes Sendmail take a unix socket for unsafe; None if there is none, or it is unknown.

    Sendmail logs "local socket name ... unsafe" for a socket that is missing, too. Its rules: ``safedirpath`` in
    libsmutil/safefile.c.

    Args:
        place: the socket.
        trusted: the words of DontBlameSendmail, in lower case.
    """
    try:
        for folder in _folders(place):
            mode = folder.stat().st_mode
            if mode & stat.S_ISVTX and "truststickybit" in trusted:
                continue
            others = mode & stat.S_IWOTH
            if others or (mode & stat.S_IWGRP and "groupwritabledirpathsafe" not in trusted):
                who = "all users" if others else "its group"
                what = f"Sendmail takes it for unsafe, because {who} may write to {folder} ({ownership.rights(folder)})"
                elsewhere = "let it be in a folder of its own, such as /run/spfmilter"
                return Barrier(what, elsewhere if mode & stat.S_ISVTX else f"chmod go-w {folder}")
    except OSError:
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
