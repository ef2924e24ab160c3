"""The status file: where it is, how it is written, and how it is read by another user.

The name of the file comes from the path of the INI file, so that a command finds it, and each daemon has its own. Knows
files and their owners. Does not know what stands in the file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from spfmilter.daemon.snapshot import SIZE_LIMIT, Snapshot, decode

RUNTIME = Path("/run/spfmilter")  # RuntimeDirectory= of the unit file
_MODE = 0o644  # for all users: a monitoring system is not the daemon's user
_FOLDER_MODE = 0o700
_WRITABLE_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_DIGEST = 6  # bytes
_ATTEMPTS = 3  # to read a file that is being written


def name_for(ini: Path) -> str:
    """Return the name of the status file of the daemon with this INI file."""
    whole = os.path.abspath(ini)  # noqa: PTH100 - a symbolic link may lead elsewhere tomorrow
    return f"status-{blake2b(os.fsencode(whole), digest_size=_DIGEST).hexdigest()}.json"


def _own_name() -> str:
    """Return the name of this user's own folder, in a place where all users may write."""
    return f"spfmilter-{os.geteuid()}"


def folders() -> Iterator[Path]:
    """Yield the folders in which the file can be, the first one first."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    own = Path(os.environ.get("TMPDIR") or "/tmp") / _own_name()  # noqa: S108 - see ``_make_own``
    yield from dict.fromkeys((*map(Path, filter(None, [given])), RUNTIME, own))


# -- the daemon ------------------------------------------------------------------------------------------------------


class StatusFile:
    """The status file of this daemon."""

    def __init__(self, ini: Path) -> None:
        self._name = name_for(ini)
        self.folder: Path | None = None  # of the last one written

    def write(self, data: bytes) -> str:
        """Replace the file at once.

        If its folder takes no new file, overwrite the old one in place: that needs neither space nor the folder.

        Returns:
            Why the file was overwritten in place; empty if it was replaced.

        Raises:
            OSError: no folder takes the file; the error is that of the first folder that is there.
        """
        if self.folder is not None:
            try:
                self._replace(self.folder, data)
            except OSError as error:
                with suppress(OSError):
                    _overwrite(self.folder / self._name, data)
                    return error.strerror or str(error)
            else:
                return ""
        failure: OSError | None = None
        for folder in folders():
            try:
                self._replace(folder, data)
            except OSError as error:
                if failure is None or failure.errno == errno.ENOENT:
                    failure = error
            else:
                if self.folder != folder:
                    self.remove()
                self.folder = folder
                return ""
        raise failure or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _replace(self, folder: Path, data: bytes) -> None:
        if folder.name == _own_name():
            _make_own(folder)
        path, temporary = folder / self._name, folder / f".{self._name}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, flags, 0o600)
        try:
            try:
                os.fchmod(descriptor, _MODE)
                _write_whole(descriptor, data)
            finally:
                os.close(descriptor)
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        """Remove the file, since the daemon ends."""
        if self.folder is not None:
            with suppress(OSError):
                (self.folder / self._name).unlink(missing_ok=True)
                if self.folder.name == _own_name():
                    self.folder.rmdir()


def _overwrite(path: Path, data: bytes) -> None:
    """Write the text over the old one, with blanks behind it. A reader may see a mixture, and reads again.

    Raises:
        OSError: the file is gone, or has no space for it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if len(data) > max(status.st_size, status.st_blocks * 512):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        _write_whole(descriptor, data.ljust(status.st_size))
    finally:
        os.close(descriptor)


def _write_whole(descriptor: int, data: bytes) -> None:
    if os.write(descriptor, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _make_own(folder: Path) -> None:
    """Make this user's own folder.

    Raises:
        OSError: it cannot be made, or another user has made something of this name.
    """
    with suppress(FileExistsError):
        folder.mkdir(_FOLDER_MODE)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_FOR_OTHERS:
        raise PermissionError(errno.EPERM, f"{folder} is not this user's own folder")


# -- other processes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What became of the search for a status file."""

    snapshot: Snapshot | None = None
    path: Path | None = None  # of the file; None: there is none
    trouble: str = ""  # why there is no snapshot
    denied: bool = False  # another user could perhaps read it


def find(ini: Path) -> Found:
    """Return the latest snapshot of the daemon with this INI file, or why there is none."""
    found = [_read_again(folder / name_for(ini)) for folder in folders()]
    there = [each for each in found if each is not None]
    latest = max(there, key=lambda each: each.snapshot.time if each.snapshot else 0.0, default=None)
    if latest is None:
        return Found(trouble=f"there is no status file in {', '.join(map(str, folders()))}")
    return latest


def _read_again(path: Path) -> Found | None:
    """Return what a file says, if possible at one moment at which it is not being written; None: it is not there."""
    found = _read(path)
    for _ in range(_ATTEMPTS):
        if found is None or found.snapshot is not None or found.denied:
            break
        found = _read(path)
    return found


def _read(path: Path) -> Found | None:
    """Return what a file says; None if it is not there."""
    try:
        # O_NONBLOCK: in place of a file, there could be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        denied = isinstance(error, PermissionError)
        return Found(path=path, trouble=f"{path} cannot be read: {error.strerror}", denied=denied)
    try:
        owners = {0, os.geteuid(), path.parent.stat().st_uid}
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in owners or status.st_mode & _WRITABLE_FOR_OTHERS:
            return Found(path=path, trouble=f"{path} is not believed: others than the daemon can have written it")
        return Found(path=path, snapshot=decode(os.read(descriptor, SIZE_LIMIT)))
    except ValueError as error:
        return Found(path=path, trouble=f"{path} is not a status file of this version: {error}")
    except OSError as error:
        return Found(path=path, trouble=f"{path} cannot be read: {error.strerror}")
    finally:
        os.close(descriptor)
