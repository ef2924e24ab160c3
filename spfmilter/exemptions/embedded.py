"""The store of one host: a file of SQLite in ``[state] folder``. SQLAlchemy is loaded when there is such a file.

Knows whose the file is to be. Its owner is that of the folder, and it is for nobody else (mode 0600): who may write it
may let senders in.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spfmilter import units
from spfmilter.exemptions.exemption import Exemption
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.stores.embedded import EmbeddedAccess
from spfmilter.stores.rows import Row

if TYPE_CHECKING:
    from spfmilter.exemptions.sql import SqlStore

_MODE = 0o600


class EmbeddedStore(EmbeddedAccess["SqlStore"]):
    """See ``Store``."""

    forgets = False

    def __init__(self, path: Path) -> None:
        make = units.to_make(path.parent, f"install -d -o spfmilter -m 0750 {path.parent}")
        super().__init__(
            path,
            _in_file,
            no_folder=f"{path.parent} is not a folder: make it, for the daemon's user alone: {make}",
            no_right="run this as root, or as that user",
        )

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


def _in_file(url: JournalUrl) -> SqlStore:
    from spfmilter.exemptions.sql import SqlStore  # noqa: PLC0415 - it takes its time, and 15 MB

    return SqlStore(url)
