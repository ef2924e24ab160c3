"""What an administrator can do if an MTA's user cannot reach our unix socket: what works under the shipped unit.

Under the unit, the daemon cannot give its socket to another group ([milter] socket_group): PrivateUsers= hides it. The
socket's folder can: with the set-group-ID bit, what is made in it gets its group. ``probe`` finds the obstacle.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from spfmilter import ownership, units
from spfmilter.daemon.statusfile import RUNTIME

RESTART = "systemctl restart spfmilter"
_RESTART_SOCKET = f"systemctl stop spfmilter && systemctl restart {units.SOCKET} && systemctl start spfmilter"
_RUN = Path("/run")
_OUR_NAME = "spfmilter"  # of a folder that is the daemon's alone


@dataclass(frozen=True, slots=True)
class Account:
    """The user of an MTA, or of the daemon."""

    name: str
    group: str
    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OurSocket:
    """How our own socket is made."""

    user: str  # of the daemon
    activated: bool = False  # by systemd


def missing_folder(folder: Path, group: str, ours: OurSocket | None) -> str:
    """Return how to make a folder for our socket; empty if it is not ours."""
    if ours is None:
        return ""
    if ours.activated:  # systemd makes the folder
        return _RESTART_SOCKET
    if folder == RUNTIME:  # systemd makes and removes it
        return "start the daemon, which makes it: systemctl start spfmilter"
    if folder.is_relative_to(_RUN):
        name = folder.relative_to(_RUN)
        return f"set RuntimeDirectory={name} in a drop-in (systemctl edit spfmilter, below [Service]), and {RESTART}"
    return f"make it, and restart the daemon: install -d -o {ours.user} -g {group} -m 2750 {folder} && {RESTART}"


def closed_folder(folder: Path, path: Path, user: Account, ours: OurSocket | None) -> str:
    """Return how to let the MTA's user into a folder of the path; empty if the socket is not ours."""
    if ours is None:
        return ""
    if folder != path.parent or _is_shared(folder, ours):
        return f"let others enter it (chmod o+x {folder}), or choose another path for the socket"
    if folder.is_relative_to(_RUN):
        return _member(folder, user)
    return f"{_by_folder(folder, user.group)} && {_RESTART_SOCKET if ours.activated else RESTART}"


def closed_socket(path: Path, user: Account, ours: OurSocket | None) -> str:
    """Return how to let the MTA's user write to a socket; empty if it is not ours."""
    if ours is None:
        return ""
    folder, status = path.parent, path.parent.stat()
    if ours.activated:
        place = f"a drop-in (systemctl edit {units.SOCKET}, below [Socket])"
        return f"set SocketGroup={user.group} and SocketMode=0660 in {place}, then {_RESTART_SOCKET}"
    if not path.stat().st_mode & stat.S_IWGRP:
        return f"set [milter] socket_mode = 0660, and {RESTART}"
    if folder.is_relative_to(_RUN):
        return _member(path, user)
    if status.st_mode & stat.S_ISGID and status.st_gid == user.gid:
        return f"the socket is older than the group of its folder, or [milter] socket_group is not empty: {RESTART}"
    if _is_shared(folder, ours):
        return own_folder(path, user.group, ours)
    return f"leave [milter] socket_group empty, and: {_by_folder(folder, user.group)} && {RESTART}"


def own_folder(path: Path, group: str, ours: OurSocket | None) -> str:
    """Return how to give our socket a folder of its own, or make this one its own; empty if it is not ours."""
    if ours is None:
        return ""
    if not _is_shared(path.parent, ours):
        return f"chown {ours.user}:{group} {path.parent} && chmod 2750 {path.parent} && {RESTART}"
    inside = path.parent / _OUR_NAME
    make = "" if inside.is_relative_to(_RUN) else f"install -d -o {ours.user} -g {group} -m 2750 {inside}, then "
    return f"it needs a folder of its own: {make}set [milter] socket = unix:{inside / path.name}, and {RESTART}"


def _by_folder(folder: Path, group: str) -> str:
    return f"chgrp {group} {folder} && chmod 2750 {folder}"


def _member(place: Path, user: Account) -> str:
    """Return how the MTA's user gets the group of a place that systemd makes anew at each start."""
    return f"usermod -aG {ownership.group(place.stat().st_gid)} {user.name} && postfix reload"


def _is_shared(folder: Path, ours: OurSocket) -> bool:
    """Return whether others use a folder, too, so that its owner, group and mode are not ours to change."""
    return _OUR_NAME not in folder.name and ownership.user(folder.stat().st_uid) != ours.user
