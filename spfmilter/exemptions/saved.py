"""The file of the exemptions that were in force last, for the next start: the store may be away then.

Knows the file's form, and reads it as untrusted input. A list of another store does not count.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from spfmilter.exemptions.exemption import Exemption, exemption_of, row_of
from spfmilter.exemptions.store import Store, place
from spfmilter.settings import Settings
from spfmilter.stores.choice import StoreError

FILE = "exemptions.json"  # in [state] folder
FORMAT = 1
_MODE = 0o600
_MOST = 64 << 20  # bytes


def load(folder: str, store: str) -> Sequence[Exemption]:
    """Return the saved exemptions of a store; none: there is no file, or it is that of another store.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not such a file, or others than its folder's owner can have written it.
    """
    if not folder:
        return ()
    path = Path(folder) / FILE
    try:
        # O_NONBLOCK: in place of a file, there could be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        owners = {0, os.geteuid(), path.parent.stat().st_uid}
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in owners or status.st_mode & 0o022:
            raise ValueError(f"{path} is not believed: others than the daemon can have written it")
        data = file.read(_MOST)
    return _read(data, store)


def _read(data: bytes, store: str) -> Sequence[Exemption]:
    try:
        whole = json.loads(data)
    except RecursionError:
        raise ValueError("too deeply nested") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT or not isinstance(whole.get("exemptions"), list):
        raise ValueError("another format")
    if whole.get("store") != store:
        return ()
    return [exemption_of(row if isinstance(row, dict) else {}) for row in whole["exemptions"]]


def save(folder: str, store: str, exemptions: Sequence[Exemption]) -> None:
    """Replace the file. Make none for no exemption.

    Raises:
        OSError: the folder takes no file.
    """
    path = Path(folder) / FILE
    if not folder or not path.parent.is_dir() or (not exemptions and not path.exists()):
        return
    whole = {"format": FORMAT, "store": store, "exemptions": [row_of(one) for one in exemptions]}
    temporary = path.with_name(f".{FILE}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(whole, file)
            file.flush()
            os.fsync(descriptor)
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def refuse_vanished(store: Store, settings: Settings, now: float) -> None:
    """Raise an error where the store is gone, and the daemon goes on with the exemptions that it has saved.

    Raises:
        StoreError: it is gone, or cannot be used.
    """
    if store.forgets or store.version() is not None:
        return
    try:
        kept = sum(one.is_in_force(now) for one in load(settings.state.folder, place(settings)))
    except (OSError, ValueError):  # the daemon does not use it, either
        return
    if kept:
        copy = f"{settings.state.folder}/{FILE}"
        still = f"the daemon keeps in force what it knew, {kept} in {copy}"
        raise StoreError(f"{place(settings)} is not there any more; {still}: restore the file from a backup")
