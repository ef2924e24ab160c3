"""Names of users and groups, and who may use a file, in the words of an error message."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import suppress
from pathlib import Path


def user(uid: int | None = None) -> str:
    """Return the name of a user, of this process's user by default; the number if they have no name."""
    number = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def group(gid: int) -> str:
    """Return the name of a group; the number if it has no name."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def rights(path: Path) -> str:
    """Return owner, group and mode of a file or folder, as ``postfix:root, mode 0750``.

    Raises:
        OSError: it cannot be looked at.
    """
    status = path.stat()
    return f"{user(status.st_uid)}:{group(status.st_gid)}, mode {stat.S_IMODE(status.st_mode):04o}"


def nearest(path: Path) -> str:
    """Return whose a file is; if it cannot be looked at, whose the first folder above it is that can be."""
    for place in (path, *path.parents):
        with suppress(OSError):
            return f"{place} belongs to {rights(place)}"
    return f"{path} cannot be looked at"


def as_user(name: str, command: str) -> str:
    """Return a command that root can paste to run another one as a user. Not with sudo: a bare Debian has none."""
    return f"runuser -u {name} -- {command}"
