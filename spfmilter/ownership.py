"""Names of users and groups, and who may use a file, in the words of an error message."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path

_OVERFLOW = 65534  # stands for each user and group that a user namespace has no number for (user_namespaces(7))
_UID_MAP = Path("/proc/self/uid_map")


def user(uid: int | None = None) -> str:
    """Return the name of a user, of this process's user by default; the number if they have no name."""
    number = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group(gid: int | None = None) -> str:
    """Return the name of a group, of this process's group by default; the number if it has no name."""
    number = os.getegid() if gid is None else gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def rights(path: Path) -> str:
    """Return owner, group and mode of a file or folder, as ``postfix:root, mode 0750``.

    Raises:
        OSError: it cannot be looked at.
    """
    status = path.stat()
    text = f"{user(status.st_uid)}:{group(status.st_gid)}, mode {stat.S_IMODE(status.st_mode):04o}"
    if _OVERFLOW in {status.st_uid, status.st_gid} and _in_namespace():
        text += ", where nobody and nogroup may be any that PrivateUsers= hides from the service"
    return text


def _in_namespace() -> bool:
    """Return whether this process sees few users only, as under systemd's PrivateUsers=."""
    try:
        return _UID_MAP.read_text().split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def has_group(name: str) -> bool:
    """Return whether there is a group of this name."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def may_write(folder: Path, name: str) -> bool:
    """Return whether the modes let a user make a file in a folder, read-only file systems aside.

    Raises:
        OSError: it cannot be looked at.
    """
    uid, groups = os.geteuid(), {os.getegid(), *os.getgroups()}
    if name != user():
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            return False
        uid, groups = account.pw_uid, set(os.getgrouplist(name, account.pw_gid))
    status = folder.stat()
    bits = status.st_mode
    if uid == status.st_uid:
        bits >>= 6
    elif status.st_gid in groups:
        bits >>= 3
    return uid == 0 or bits & 0o3 == 0o3


def is_read_only(place: Path) -> bool:
    """Return whether a file system is read-only for this process, as most are in systemd's sandbox."""
    try:
        return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def barrier(path: Path) -> Path:
    """Return the file; if it cannot be looked at, the first folder above it that can be, which keeps us out."""
    for place in (path, *path.parents):
        with suppress(OSError):
            place.stat()
            return place
    return path


def nearest(path: Path) -> str:
    """Return whose a file is; if it cannot be looked at, whose the first folder above it is that can be."""
    place = barrier(path)
    with suppress(OSError):
        return f"{place} belongs to {rights(place)}"
    return f"{path} cannot be looked at"


def as_user(name: str, command: str) -> str:
    """Return a command that root can paste to run another one as a user. Not with sudo: a bare Debian has none."""
    return f"runuser -u {name} -- {command}"


def login() -> str:
    """Return the name of the person who runs this process, also behind sudo or su.

    It is that of the login (loginuid, see proc(5)), which a process cannot change without a right of its own; where the
    system keeps none, that of sudo, and else that of the user. Untrusted input: anyone can say to be behind sudo.
    """
    real = user(os.getuid())
    name = _login_name() or os.environ.get("SUDO_USER", "") or real
    return name if name == real else f"{name} (as {real})"


def _login_name() -> str:
    """Return the name of the user who has logged in; empty: unknown, as in a container or a service."""
    try:
        number = int(Path("/proc/self/loginuid").read_text())
    except (OSError, ValueError):
        return ""
    return user(number) if number != _NO_LOGIN else ""


_NO_LOGIN = (1 << 32) - 1


def act_as_owner(folder: Path) -> None:
    """Let root go on as the owner of a folder, so that the files that it makes there are the owner's.

    So no file or link that the owner has put there can lead root elsewhere. Does nothing for other users, for a folder
    of root's, and where there is no folder.

    Raises:
        OSError: the system refuses it.
    """
    if os.geteuid() != 0:
        return
    try:
        status = folder.stat()
    except OSError:
        return
    if status.st_uid == 0:
        return
    try:
        entry = pwd.getpwuid(status.st_uid)
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
    except KeyError:
        os.setgroups([])
        os.setgid(status.st_gid)
    os.setuid(status.st_uid)
