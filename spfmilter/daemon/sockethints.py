"""What an administrator can do if the system refuses a unix socket: its folder, its group, its place in the sandbox.

Knows the shipped unit: which folders it lets the daemon write in, and that PrivateUsers= hides groups. ``hints`` has
the errors of inet addresses.
"""

from __future__ import annotations

import errno
import pwd
from contextlib import suppress
from pathlib import Path

from spfmilter import ownership, units

_RUN = Path("/run")
_OUR_NAME = "spfmilter"  # of a folder that is the daemon's alone
_NO = frozenset({"", "0", "n", "no", "f", "false", "off"})  # of systemd.syntax(7)


def for_path(error: OSError, path: Path) -> str:
    """Return what to do if a unix socket cannot be made; empty if it is unknown."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return _missing(path.parent)
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return _not_writable(path, ownership.user(), sandboxed=error.errno == errno.EROFS)
    return ""


def _missing(folder: Path) -> str:
    """Return how to make a missing folder; in /run systemd has to do it, because it is empty after each boot."""
    place = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    if place != folder and not place.is_dir():
        return f"{place} is not a folder: choose another path"
    if folder.is_relative_to(_RUN):
        name = folder.relative_to(_RUN)
        return f"there is no folder {folder}: let systemd make it, with RuntimeDirectory={name} {units.DROP_IN}"
    return f"there is no folder {folder}: {_install(folder)}{_allow(folder, sandboxed=ownership.is_read_only(place))}"


def _not_writable(path: Path, user: str, *, sandboxed: bool) -> str:
    """Return what to do about a folder in which the daemon may not make the socket.

    Args:
        path: of the socket.
        user: who may not.
        sandboxed: whether the file system is read-only, which ProtectSystem= of the unit makes it for the service.
    """
    folder = path.parent
    with suppress(OSError):
        if ownership.may_write(folder, user):
            if not sandboxed:
                return f"the system refuses it, although the modes allow it; {ownership.nearest(folder)}"
            return f"{folder} is read-only: {units.to_write(folder)}"
        who = f"user {user} may not write in {folder} ({ownership.rights(folder)})"
        if _OUR_NAME in folder.name:
            owner = units.daemon_user(user)
            return (
                f"{who}: chown {owner}:{_group()} {folder} && chmod 2750 {folder}{_allow(folder, sandboxed=sandboxed)}"
            )
        inside = folder / _OUR_NAME
        make = "" if inside.is_relative_to(_RUN) else f"{_install(inside)}{_allow(inside, sandboxed=sandboxed)}, and "
        return f"{who}, so the socket needs a folder of its own: {make}set [milter] socket = unix:{inside / path.name}"
    return f"user {user} must be able to enter {folder} and to write there; {ownership.nearest(folder)}"


def _install(folder: Path) -> str:
    """Return the command that makes a folder for the socket, whose group the socket gets."""
    group = _group()
    command = f"install -d -o {units.daemon_user(ownership.user())} -g {group} -m 2750 {folder}"
    return command if group != "GROUP" else f"{command}, where GROUP is that of the MTA"


def _group() -> str:
    """Return the group of the MTA, as far as it can be guessed."""
    return "postfix" if ownership.has_group("postfix") else "GROUP"


def _allow(folder: Path, *, sandboxed: bool) -> str:
    """Return how the unit lets the daemon write in a folder; empty if it does already."""
    if not sandboxed or any(folder.is_relative_to(place) for place in units.WRITABLE):
        return ""
    return f", with ReadWritePaths={folder} {units.DROP_IN}"


# -- the group ---------------------------------------------------------------------------------------------------------


def for_group(error: OSError, group: str, path: Path) -> str:
    """Return why a socket cannot be given to a group, and what to do."""
    if error.errno == errno.EINVAL:  # the group has no number in this user namespace
        return hidden_group(group, path)
    user = ownership.user()
    return (
        f"[milter] socket_group: user {user} is not a member of group {group}, and can give a socket only to groups of "
        f"their own: {_without_group(group, path)}; otherwise usermod -aG {group} {user}, and under systemd "
        f"{_with_group(group)}, and start the daemon anew"
    )


def hidden_group(group: str, path: Path) -> str:
    """Return what to do if PrivateUsers= of the unit hides a group from the daemon."""
    return (
        f"[milter] socket_group: PrivateUsers= of the unit hides group {group} from the service: "
        f"{_without_group(group, path)}, then systemctl restart spfmilter. Otherwise {_with_group(group)}"
    )


def _without_group(group: str, path: Path) -> str:
    """Return how the group may connect without socket_group."""
    folder = path.parent
    if not folder.is_relative_to(_RUN):
        return f"leave it empty, and let the folder give its group: chgrp {group} {folder} && chmod 2750 {folder}"
    # systemd makes this folder anew at each start.
    own = units.last(units.SERVICE, "Service", "Group", ownership.group())
    with suppress(KeyError):
        pwd.getpwnam(group)
        member = f"usermod -aG {own} {group} && postfix reload"
        return f"leave it empty, and let user {group} be a member of the daemon's group: {member}"
    return f"leave it empty, and let the MTA's user be a member of the daemon's group {own}"


def _with_group(group: str) -> str:
    return f"SupplementaryGroups={group} and PrivateUsers=no {units.DROP_IN}"


def unit_hides(group: str) -> bool:
    """Return whether the installed unit hides a group from the daemon, as PrivateUsers= does."""
    service = units.settings(units.SERVICE, "Service") or {}
    private = service.get("PrivateUsers", [""])[-1]
    return private.lower() not in _NO and group not in {"root", *service.get("Group", [])[-1:]}


def unit_gives(group: str) -> bool:
    """Return whether the installed unit makes the daemon a member of a group."""
    service = units.settings(units.SERVICE, "Service") or {}
    return not unit_hides(group) and group in " ".join(service.get("SupplementaryGroups", [])).split()


def unit_denies(path: Path) -> str:
    """Return what to do if the installed unit keeps the daemon from making a socket; empty if it does not."""
    if not units.keeps_read_only(path):
        return ""
    hint = _not_writable(path, units.daemon_user(), sandboxed=True)
    return f"the unit makes {path.parent} read-only for the daemon; {hint}"


# -- a socket that is there --------------------------------------------------------------------------------------------


def foreign(path: Path) -> str:
    """Return what to do about a socket that is there, and to which this user may not connect."""
    return (
        f"there is a socket that user {ownership.user()} may not use; {ownership.nearest(path)}: if a process serves "
        f"it (ss -xlp | grep {path.name} shows that), stop that process; if none does, remove it (rm {path})"
    )
