"""The store of one host: a file of SQLite in a folder of its own below ``[state] folder``.

Two users share it: the help page writes requests, and the daemon's user, as whom ``spfmilter requests`` runs, writes
answers. The folder's set-group-ID bit gives both the right to each file, by the group. Without the bit the file is for
its owner alone. The help page has no right to the other files of the daemon (docs/decisions/0069-requests.md).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spfmilter import units
from spfmilter.requests.request import SenderRequest
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.stores.embedded import EmbeddedAccess
from spfmilter.stores.rows import Row

if TYPE_CHECKING:
    from spfmilter.requests.sql import SqlRequests


# What gives both users their rights, after an upgrade as well.
_MAKE_ALL = f"systemd-sysusers && {units.MAKE_ALL}"


class EmbeddedRequests(EmbeddedAccess["SqlRequests"]):
    """See ``RequestStore``."""

    services = "spfmilter spfmilter-web"

    def __init__(self, path: Path) -> None:
        folder = path.parent
        command = f"install -d -o spfmilter -g spfmilter-web -m 2770 {folder}"
        then = "" if folder.parent == units.STATE else ", and then"  # tmpfiles.d makes both
        make = f"make it{then}: {units.to_make(folder, command, self.services)}"
        super().__init__(
            path,
            _in_file,
            no_folder=f"{folder.parent} is not a folder: {make}",
            no_right=f"as root, {_MAKE_ALL}",
        )

    def prepare(self) -> None:
        """See ``RequestStore``."""
        self._make()
        self._is_there()
        self._open().prepare()

    def find(self, case_id: str) -> Row | None:
        """See ``RequestStore``."""
        return self._open().find(case_id) if self._is_there() else None

    def read(self) -> Sequence[Row]:
        """See ``RequestStore``."""
        return self._open().read() if self._is_there() else ()

    def add(self, request: SenderRequest) -> bool:
        """See ``RequestStore``."""
        self._make()
        return self._is_there() and self._open().add(request)

    def answer(self, request: SenderRequest) -> bool:
        """See ``RequestStore``."""
        return self._is_there() and self._open().answer(request)

    def end(self, exemptions: Sequence[str], now: int) -> None:
        """See ``RequestStore``."""
        if self._is_there():
            self._open().end(exemptions, now)

    def note_mailed(self, case_ids: Sequence[str], now: int | None) -> None:
        """See ``RequestStore``."""
        if self._is_there():
            self._open().note_mailed(case_ids, now)

    def forget(self, now: int) -> None:
        """See ``RequestStore``."""
        if self._is_there():
            self._open().forget(now)

    def _is_there(self) -> bool:
        return self._look() is not None

    def _make(self) -> None:
        """Make the folder and the file, if they are not there.

        Raises:
            StoreError: ``[state] folder`` is not there, or takes no folder; the folder takes no file.
        """
        folder = self._path.parent
        try:
            if not folder.exists():
                shared = bool(folder.parent.stat().st_mode & stat.S_ISGID)
                folder.mkdir(mode=0o700, exist_ok=True)
                folder.chmod(0o2770 if shared else 0o700)  # whatever the umask is
            shared = bool(folder.stat().st_mode & stat.S_ISGID)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.fchmod(descriptor, 0o660 if shared else 0o600)
            finally:
                os.close(descriptor)
        except FileExistsError:
            return
        except OSError as error:
            raise self._error(error) from None


def _in_file(url: JournalUrl) -> SqlRequests:
    from spfmilter.requests.sql import SqlRequests  # noqa: PLC0415 - it takes its time, and 15 MB

    return SqlRequests(url)
