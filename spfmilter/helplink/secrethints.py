"""What an administrator can do if the file of secrets cannot be read or made: whose it must be, and the commands.

Knows the two users of docs/help-page.md: the daemon makes the file, and the page reads it by its group.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

from spfmilter import ownership, units

_OUR_NAME = "spfmilter"  # of a folder that is the daemon's alone
_SETTINGS = Path("/etc")  # where root's files are, also in a folder of our name
_PAGES_GROUP = "spfmilter-web"


def to_read(error: OSError, path: Path) -> str:
    """Return what to do if the file is there, but cannot be read; empty if it is unknown."""
    if isinstance(error, IsADirectoryError):
        return ": name a file in [web] secret_file"
    if isinstance(error, NotADirectoryError):
        return ": name another path in [web] secret_file"
    if not isinstance(error, PermissionError):
        return ""
    place, user = ownership.barrier(path), ownership.user()
    with suppress(OSError):
        rights = ownership.rights(place)
        if place == path:
            return f" for user {user} ({rights}): chown {_owners()} {path} && chmod 0640 {path}"
        return f" for user {user}, who cannot enter {place} ({rights}): {_open(place, path)}"
    return f" for user {user}; {ownership.nearest(path)}"


def to_make(error: OSError, path: Path, user: str) -> str:
    """Return what to do if the file is not there, and a user cannot make it; empty if it is unknown."""
    folder = path.parent
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if folder == units.STATE:  # with the folders in it; and a running service could not write in a new one
            return f": make the folder: {units.to_make(folder, '')}"
        command = f"install -d -o {_owners().replace(':', ' -g ')} -m 2710 {folder}"
        return f": make the folder: {command}{f' && {by_hand(path)}' if units.keeps_read_only(path) else ''}"
    if not isinstance(error, PermissionError) and error.errno != errno.EROFS:
        return ""
    who = f" for user {user}"
    with suppress(OSError):
        who += f" ({ownership.rights(folder)})"
    if user == units.page_user() and not units.keeps_read_only(path):
        return f"{who}: the daemon makes the file when it has [reply] help_url: systemctl reload spfmilter"
    if error.errno == errno.EROFS or not _is_ours(folder):
        makes = "the daemon makes the file when it starts with [reply] help_url, where it may write"
        return f"{who}; {makes}; elsewhere root makes it: {by_hand(path)}"
    return f"{who}: {_open(folder, path)}"


def by_hand(path: Path) -> str:
    """Return the command with which root makes the file, for daemon and page."""
    owners = _owners().replace(":", " -g ")
    return f"head -c 32 /dev/urandom | base64 | install -o {owners} -m 640 /dev/stdin {path}"


def _open(folder: Path, path: Path) -> str:
    """Return how to let daemon and page into a folder of the path."""
    if folder == path.parent and _is_ours(folder):
        return f"chown {_owners()} {folder} && chmod 2710 {folder}"
    return f"chmod o+x {folder}, or name another path in [web] secret_file"


def _is_ours(folder: Path) -> bool:
    """Return whether owner and mode of a folder are ours to change."""
    return _OUR_NAME in folder.name and not folder.is_relative_to(_SETTINGS)


def _owners() -> str:
    """Return the owner and group of the file and its folder, as chown(1) takes them."""
    user = units.daemon_user()
    group = units.last(units.WEB, "Service", "Group", _PAGES_GROUP)
    return f"{user}:{group if ownership.has_group(group) else units.last(units.SERVICE, 'Service', 'Group', user)}"
