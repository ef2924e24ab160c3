"""Temporary folders: in the first place where one can be made.

Python's own choice of a place writes a file there first, which a full file system refuses although a folder, or a
socket, would still find room; and it does not know the service's runtime folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def places(*first: Path) -> Iterator[Path]:
    """Where a folder may be made: ``first``, then what systemd (RuntimeDirectory=) and the system have for it."""
    given = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0], os.environ.get("TMPDIR", "")
    yield from dict.fromkeys((*first, *map(Path, filter(None, given)), *map(Path, ("/tmp", "/var/tmp", "/dev/shm"))))  # noqa: S108 - mkdtemp's names are its own


def make(prefix: str, place: Path | None = None) -> Path:
    """Make a folder that only this user may enter, in the place that is given or in the first that takes it.

    Raises:
        OSError: none does; the error of the first place.
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
    """Such a folder for a while; it may hold one file, ``socket``.

    Raises:
        OSError: the place does not take one.
    """
    folder = make(prefix, place)
    try:
        yield folder
    finally:
        with suppress(OSError):
            (folder / "socket").unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()
