"""Make temporary folders in the first place that allows it.

Python's ``tempfile`` tests a place by writing a file. A full file system refuses the file, although it still has room
for a folder or a socket. ``tempfile`` does not know the service's runtime folder, either.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def places(*first: Path) -> Iterator[Path]:
    """Yield the places to try: ``first``, then systemd's RuntimeDirectory=, then the system's temporary folders."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0], os.environ.get("TMPDIR", "")
    yield from dict.fromkeys((*first, *map(Path, filter(None, given)), *map(Path, ("/tmp", "/var/tmp", "/dev/shm"))))  # noqa: S108 - mkdtemp's names are its own


def make(prefix: str, place: Path | None = None) -> Path:
    """Make a folder that only this user may enter, in ``place`` or else in the first place that allows it.

    Raises:
        OSError: no place allows it; the error is that of the first one.
    """
    failure: OSError | None = None
    for parent in places() if place is None else (place,):
        try:
            return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        except OSError as error:
            failure = failure or error
    raise failure or FileNotFoundError("no place for a folder")


@contextmanager
def temporary(prefix: str, place: Path) -> Iterator[Path]:
    """Make a folder, and remove it at the end. It may hold one file, ``socket``.

    Raises:
        OSError: the folder cannot be made.
    """
    folder = make(prefix, place)
    try:
        yield folder
    finally:
        with suppress(OSError):
            (folder / "socket").unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()
