"""Read the files beside the INI file: list files, and those of the folder ``conf.d``.

Knows what a file has to be for that, and never waits for one: a named pipe or a device is no file here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

FOLDER = "conf.d"
MOST_FILES = 1000  # of conf.d
LIST_SIZE = 32 << 20  # bytes of a list file
_FIX = "let the daemon's user read it (chgrp spfmilter, chmod 0640), and enter its folders"


class FileError(ValueError):
    """A file cannot be read; the text says why and what to do."""


def read(path: str | Path, limit: int) -> bytes:
    """Return the content of a regular file.

    Args:
        path: of the file.
        limit: bytes; a larger file is an error.

    Raises:
        FileError: it cannot be read, is too large, or is no regular file.
    """
    try:
        # Not blocking: to open a named pipe would wait for whoever writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise FileError("there is no such file: write it, or correct its name") from None
    except OSError as error:
        fix = f": {_FIX}" if isinstance(error, PermissionError) else ""
        raise FileError(f"cannot be read: {error.strerror or error}{fix}") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileError("is no regular file: write one in its place")
        return _content(descriptor, limit)
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror or error}") from None
    finally:
        os.close(descriptor)


def _content(descriptor: int, limit: int) -> bytes:
    parts: list[bytes] = []
    left = limit + 1
    while left > 0 and (part := os.read(descriptor, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    if left <= 0:
        raise FileError(f"is larger than {limit >> 20} MB: split it")
    return b"".join(parts)


def list_file(path: str) -> bytes:
    """Return the content of a list file.

    Raises:
        FileError: see ``read``.
    """
    return read(path, LIST_SIZE)


def further(ini: Path) -> list[Path]:
    """Return the files of ``conf.d`` beside an INI file, in the order of their names. Hidden ones are left out.

    Raises:
        FileError: the folder cannot be read, or has too many files. The text names it.
    """
    folder = ini.parent / FOLDER
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".ini")  # that of ".ini" is empty
        found = [path for path in found if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        if not ini.parent.is_dir():
            return []  # the INI file itself cannot be there
        raise FileError(f"{folder} is no folder: remove it, or make a folder of it") from None
    except OSError as error:
        raise FileError(f"{folder} cannot be read: {error.strerror or error}: let the daemon's user read it") from None
    if len(found) > MOST_FILES:
        raise FileError(f"{folder} has more than {MOST_FILES} files: join some of them")
    return found
