"""The file of secrets with which the help page's tokens are signed: read, and made where there is none.

Knows the form of the file and who may read it. Does not know what is signed.

One secret a line: the first signs, all of them verify. Empty lines, and lines that begin with ``#``, are passed over.
"""

from __future__ import annotations

import errno
import os
import secrets as chance
import stat
from contextlib import suppress
from pathlib import Path

_OCTETS = 32  # of a secret that is made here
_SHORTEST = 20  # characters of one that an administrator wrote
_MOST = 16
_SIZE_LIMIT = 16 * 1024
_TO_READ = (
    " for user {user}: it must belong to this user, or to a group of theirs with mode 0640, and they must be able to "
    "enter its folder (docs/help-page.md)"
)
_TO_MAKE = " for user {user}: the daemon makes it when it starts with [reply] help_url (docs/help-page.md)"


# What may be over without a change of the settings: a full, read-only or broken disk, no descriptors, no memory.
_PASSING = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
})  # fmt: skip


class SecretError(Exception):
    """The secrets cannot be had; the message is one English sentence for the administrator."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing  # the system lacks something; nothing is wrong with the settings or the file


def load_secrets(path: Path) -> tuple[bytes, ...]:
    """The secrets in a file, the one that signs first; a file with a new one is made where there is none.

    Processes that do so at the same time all return the same secrets.

    Raises:
        SecretError: it cannot be read or made, others may read it, or it holds no good secret.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        message = f"{path}: the file of secrets cannot be read: {error.strerror}{_hint(error, _TO_READ)}"
        raise SecretError(message, passing=error.errno in _PASSING) from None
    try:
        _make(path)
        return _read(path)
    except OSError as error:
        place = f"{path}: the file of secrets is not there, and cannot be made in {path.parent}"
        message = f"{place}: {error.strerror}{_hint(error, _TO_MAKE)}"
        raise SecretError(message, passing=error.errno in _PASSING) from None


def _hint(error: OSError, advice: str) -> str:
    """What to do about a missing right; empty for other errors."""
    return advice.format(user=os.geteuid()) if isinstance(error, PermissionError) else ""


def _read(path: Path) -> tuple[bytes, ...]:
    # Not to wait where it is a named pipe.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(f"{path}: this is not a file")
        if status.st_mode & stat.S_IRWXO:
            raise SecretError(f"{path}: everybody on this host may use this file: chmod o= {path}")
        data = file.read(_SIZE_LIMIT + 1)
    if len(data) > _SIZE_LIMIT:
        raise SecretError(f"{path}: this is too long for a file of secrets")
    found = []
    for number, line in enumerate(data.splitlines(), start=1):
        secret = line.strip()
        if not secret or secret.startswith(b"#"):
            continue
        if len(secret) < _SHORTEST:
            raise SecretError(f"{path}, line {number}: a secret has at least {_SHORTEST} characters")
        found.append(secret)
    if not found:
        raise SecretError(f"{path}: there is no secret in it; remove the file, and a new one is made")
    if len(found) > _MOST:
        raise SecretError(f"{path}: at most {_MOST} secrets: remove the last ones, which are the oldest")
    return tuple(found)


def _make(path: Path) -> None:
    """A file with one new secret, which appears under its name complete or not at all; one that is there stays.

    A folder that gives its group to what is made in it (set-group-ID) is one that daemon and page share: the group may
    read the file. Made by root, it belongs to the folder's owner, who is to use it.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{chance.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            folder = path.parent.stat()
            if os.geteuid() == 0:
                os.fchown(descriptor, folder.st_uid, -1)
            if folder.st_mode & stat.S_ISGID:
                os.fchmod(descriptor, 0o640)  # the umask of a service may be 0077
            file.write(chance.token_urlsafe(_OCTETS) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster: its secret is the one
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
