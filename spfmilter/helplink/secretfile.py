"""Read the file of secrets that sign the help page's tokens. Create the file if there is none.

Knows the form of the file and who may read it. Does not know what is signed.

The file holds one secret a line: the first signs, all of them verify. Empty lines and lines that begin with ``#`` are
ignored.
"""

from __future__ import annotations

import errno
import os
import secrets as chance
import stat
from contextlib import suppress
from pathlib import Path

from spfmilter import ownership
from spfmilter.helplink import secrethints

_OCTETS = 32  # of a secret that we create
_SHORTEST = 20  # characters of a secret that an administrator wrote
_MAX_SIZE = 16
_SIZE_LIMIT = 16 * 1024
_AGAIN = "remove it, and the daemon makes a new one"


# Errors that may end without a change of the settings: a full, read-only or broken disk, no descriptors, no memory.
_PASSING = frozenset({
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
})  # fmt: skip


class SecretError(Exception):
    """The secrets cannot be read or created. The message is one English sentence for the administrator."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing  # the system lacks something; the settings and the file are right


def load_secrets(path: Path) -> tuple[bytes, ...]:
    """Return the secrets of a file; the first one signs. If there is no file, create it with a new secret.

    Processes that create it at the same time all return the same secrets.

    Raises:
        SecretError: the file cannot be read or created, others may read it, or it holds no good secret.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        message = f"{path}: the file of secrets cannot be read: {error.strerror}{secrethints.to_read(error, path)}"
        raise SecretError(message, passing=error.errno in _PASSING) from None
    try:
        _make(path)
        return _read(path)
    except OSError as error:
        place = f"{path}: the file of secrets is not there, and cannot be made in {path.parent}"
        message = f"{place}: {error.strerror}{secrethints.to_make(error, path, ownership.user())}"
        raise SecretError(message, passing=error.errno in _PASSING) from None


def _read(path: Path) -> tuple[bytes, ...]:
    # O_NONBLOCK, so that a named pipe does not block us.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SecretError(f"{path}: this is not a file: name one in [web] secret_file")
        if status.st_mode & stat.S_IRWXO:
            raise SecretError(f"{path}: every user of this host may use this file: chmod o= {path}")
        data = file.read(_SIZE_LIMIT + 1)
    if len(data) > _SIZE_LIMIT:
        raise SecretError(f"{path}: this is too long for a file of secrets: {_AGAIN}")
    found = []
    for number, line in enumerate(data.splitlines(), start=1):
        secret = line.strip()
        if not secret or secret.startswith(b"#"):
            continue
        if len(secret) < _SHORTEST:
            raise SecretError(
                f"{path}, line {number}: a secret has at least {_SHORTEST} characters: write a longer one, or take the "
                "line out"
            )
        found.append(secret)
    if not found:
        raise SecretError(f"{path}: there is no secret in this file: {_AGAIN}")
    if len(found) > _MAX_SIZE:
        raise SecretError(f"{path}: at most {_MAX_SIZE} secrets: remove the last ones, which are the oldest")
    return tuple(found)


def _make(path: Path) -> None:
    """Create a file with one new secret. It appears complete or not at all. An existing file stays.

    In a set-group-ID folder, which daemon and page share, the group may read the file. If root creates the file, it
    belongs to the folder's owner, who will use it.
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
        with suppress(FileExistsError):  # another process was faster: use its secret
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
