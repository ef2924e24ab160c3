"""The store of one host: a file of SQLite in ``[state] folder``. SQLAlchemy is loaded when there is such a file.

Knows whose the file is to be. Its owner is that of the folder, and it is for nobody else (mode 0600): who may write it
may let senders in.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spfmilter import ownership
from spfmilter.exemptions.exemption import Exemption, Row
from spfmilter.exemptions.store import StoreError
from spfmilter.settings.journalurl import JournalUrl

if TYPE_CHECKING:
    from spfmilter.exemptions.sql import SqlStore

_MODE = 0o600


class EmbeddedStore:
    """See ``Store``."""

    forgets = False

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._inside: SqlStore | None = None
        self._inode: tuple[int, int] | None = None  # of the file that is open: another one may take its place

    def version(self) -> Hashable:
        """See ``Store``; None: there is no file, and so no exemption."""
        found = self._look()
        return (found, self._open().version()) if found is not None else None

    def read(self) -> Sequence[Row]:
        """See ``Store``."""
        return self._open().read() if self._look() is not None else ()

    def add(self, exemption: Exemption) -> None:
        """See ``Store``."""
        self._make()
        self._look()
        self._open().add(exemption)

    def remove(self, ids: Sequence[str], now: int, who: str) -> None:
        """See ``Store``."""
        if self._look() is not None:
            self._open().remove(ids, now, who)

    def give_back(self, exemptions: Sequence[Exemption]) -> None:
        """See ``Store``."""

    def close(self) -> None:
        """See ``Store``."""
        if self._inside is not None:
            self._inside.close()
            self._inside = None

    def _open(self) -> SqlStore:
        if self._inside is None:
            from spfmilter.exemptions.sql import SqlStore  # noqa: PLC0415 - it takes its time, and 15 MB

            self._inside = SqlStore(JournalUrl(path=str(self._path)))
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

    def _make(self) -> None:
        """Make the file, if there is none.

        Raises:
            StoreError: the folder is not there, or takes no file.
        """
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE))
        except FileExistsError:
            return
        except OSError as error:
            raise self._error(error) from None

    def _error(self, error: OSError | None) -> StoreError:
        """Return what is wrong, of the system's error; None: this user has no right to the file."""
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            make = f"install -d -o spfmilter -m 0750 {self._path.parent}"
            return StoreError(f"{self._path.parent} is not a folder: make it, for the daemon's user alone: {make}")
        if error is None or isinstance(error, PermissionError):
            whose = ownership.nearest(self._path)
            text = f"user {ownership.user()} may not write {self._path} ({whose}): run this as root, or as that user"
            return StoreError(text, denied=True)
        return StoreError(f"{self._path}: {error.strerror or error}")
