"""Bytes in memory that one process writes and all workers read (docs/decisions/0056-exemptions.md).

The writer puts new bytes into the half that is not in use, and then their place into the head. A reader looks at the
head once a second, and reads the bytes if they are others. Neither waits for the other. Does not know what they mean.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from hashlib import blake2b

_DIGEST = 16  # bytes
_HEAD = struct.Struct(f"=QQQI{_DIGEST}s")  # version, place of the bytes, their length, their number, their digest
_HALVES = (1 << 16, 1 << 28)  # where the bytes may begin; what is not written takes no memory
_MOST = _HALVES[1] - _HALVES[0]  # bytes
_ATTEMPTS = 3


class Board:
    """The memory. Make this before forking the processes that share it.

    Attributes:
        refused: why the system refuses the memory; empty: it is there. Mail is answered without it, too.
    """

    def __init__(self, name: str) -> None:
        """Make it. ``name`` is for the system's own tables."""
        self._file: int | None = None
        self.refused = ""
        try:
            # Not mapped into memory: if memory runs out, a write fails, but the process is not killed.
            self._file = os.memfd_create(name, os.MFD_CLOEXEC)
        except OSError as error:
            self.refused = error.strerror or str(error)

    # -- one process writes ------------------------------------------------------------------------------------------

    def publish(self, data: bytes, number: int) -> None:
        """Replace the bytes. ``number`` says of how many things they tell.

        Raises:
            OSError: there is no memory for them; the former ones stay.
        """
        if self._file is None or len(data) > _MOST:
            raise OSError("there is no room for the list")
        version, place, *_ = self._head()
        free = _HALVES[1] if place == _HALVES[0] else _HALVES[0]
        self._write(data, free)
        digest = blake2b(data, digest_size=_DIGEST).digest()
        self._write(_HEAD.pack(version + 1, free, len(data), number, digest), 0)

    # -- all processes read ------------------------------------------------------------------------------------------

    def version(self) -> int:
        """Return the number of the last change; 0: there has been none."""
        return self._head()[0]

    def number(self) -> int:
        """Return of how many things the bytes tell."""
        return self._head()[3]

    def read(self) -> tuple[int, bytes] | None:
        """Return the bytes with their version; None: there are none, or they are being replaced now."""
        for _ in range(_ATTEMPTS):
            version, place, length, _, digest = self._head()
            if not version:
                return None
            data = self._read(length, place)
            if blake2b(data, digest_size=_DIGEST).digest() == digest:
                return version, data
        return None

    def _head(self) -> tuple[int, int, int, int, bytes]:
        data = self._read(_HEAD.size, 0)
        if len(data) < _HEAD.size:
            return 0, 0, 0, 0, b""
        version, place, length, number, digest = _HEAD.unpack(data)
        return version, place, length, number, digest

    def _read(self, length: int, place: int) -> bytes:
        """Return the bytes at a place; fewer where no more have been written, or where the system refuses them."""
        if self._file is not None:
            with suppress(OSError):
                return os.pread(self._file, length, place)
        return b""

    def _write(self, data: bytes, place: int) -> None:
        """Write the bytes at a place.

        Raises:
            OSError: there is no memory for them.
        """
        view = memoryview(data)
        while view and self._file is not None:
            written = os.pwrite(self._file, view, place)
            view, place = view[written:], place + written
