"""A file of SQLite of this host, as far as it is the same for all that is stored.

SQLAlchemy is loaded when there is such a file. Does not know who makes the file, and for whom.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from spfmilter import ownership, units
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.stores.choice import StoreError


class _Closable(Protocol):
    def close(self) -> None:
        """Let go of the database."""


_Inside = TypeVar("_Inside", bound=_Closable)


class EmbeddedAccess(Generic[_Inside]):
    """The way to the file, which may come, vanish, or be replaced by another one."""

    services = "spfmilter"  # systemd's, that write the file

    def __init__(self, path: Path, inside: Callable[[JournalUrl], _Inside], *, no_folder: str, no_right: str) -> None:
        """Prepare; open nothing.

        Args:
            path: of the file.
            inside: makes the store in the file.
            no_folder: what to do where there is no folder for it.
            no_right: what to do where this user may not write it.
        """
        self.name = str(path)
        self._path, self._inside_of = path, inside
        self._no_folder, self._no_right = no_folder, no_right
        self._inside: _Inside | None = None
        self._inode: tuple[int, int] | None = None  # of the file that is open: another one may take its place

    def close(self) -> None:
        """Let go of the store."""
        if self._inside is not None:
            self._inside.close()
            self._inside = None

    def _open(self) -> _Inside:
        if self._inside is None:
            self._inside = self._inside_of(JournalUrl(path=str(self._path)))
        return self._inside

    def _look(self) -> tuple[int, int] | None:
        """Return which file is there; None: none. Let go of another one that was there before.

        Raises:
            StoreError: it cannot be looked at, or is no file of its own.
        """
        try:
            status = self._path.lstat()
        except FileNotFoundError:
            found = None
        except OSError as error:
            raise self._error(error) from None
        else:
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(f"{self._path} is not a file: remove it")
            found = status.st_dev, status.st_ino
            if not os.access(self._path, os.R_OK | os.W_OK):
                raise self._error(None)
        if found != self._inode:
            self.close()
            self._inode = found
        return found

    def _error(self, error: OSError | None) -> StoreError:
        """Return what is wrong, of the system's error; None: this user has no right to the file."""
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return StoreError(self._no_folder)
        folder = self._path.parent
        if error.errno == errno.EROFS if error is not None else ownership.is_read_only(folder):
            return StoreError(f"{folder} is read-only: {units.to_write(folder, self.services)}")
        if error is None or isinstance(error, PermissionError):
            whose = ownership.nearest(self._path)
            text = f"user {ownership.user()} may not write {self._path} ({whose}): {self._no_right}"
            return StoreError(text, denied=True)
        return StoreError(f"{self._path}: {error.strerror or error}")
