"""A file of counters whose space is allocated before it is mapped into memory.

Knows prometheus-client's file of one process. The library makes it sparse: on a full file system, the first write to a
page without a block is SIGBUS, which ends the process. Here the space comes first, or the counter stays in memory only.
Loaded only where the INI file asks for metrics.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress

from prometheus_client.mmap_dict import MmapedDict

_FIRST = 1 << 16  # bytes, as the library begins; all that one process counts takes less than half of it
_ENTRY = 64  # bytes of an entry beside its key, more than enough: length, padding, value and time


class CounterFile(MmapedDict):
    """See the module. A counter for which there is no space is kept by its metric, and written when there is some."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        """Make the file, or go on with the one that is there.

        Raises:
            OSError: there is no space for it, or it cannot be made.
            Exception: the file that is there is broken.
        """
        descriptor = os.open(filename, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            _allocate(descriptor, size, max(size, _FIRST))
        finally:
            os.close(descriptor)
        try:
            super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]
        except BaseException:
            if hasattr(self, "_f"):
                self._f.close()
            raise

    def read_value(self, key: str) -> tuple[float, float]:
        """The value and its time."""
        known: tuple[float, float] = (0.0, 0.0)
        if self._has_room(key):
            known = super().read_value(key)  # type: ignore[no-untyped-call]
        return known

    def write_value(self, key: str, value: float, timestamp: float | None) -> None:
        """Write the value where there is space for it; a later write tries again, and has the whole value."""
        if self._has_room(key):
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]

    def _has_room(self, key: str) -> bool:
        """Whether the key has its place, or can be given one; the file is doubled here as often as needed.

        By the library, the file would have holes again.
        """
        if key in self._positions:
            return True
        wanted = self._capacity
        while self._used + len(key.encode()) + _ENTRY > wanted:
            wanted *= 2
        if wanted > self._capacity:
            try:
                _allocate(self._f.fileno(), self._capacity, wanted)
                self._m = mmap.mmap(self._f.fileno(), wanted)
            except OSError:
                return False
            self._capacity = wanted
        return True


def _allocate(descriptor: int, size: int, wanted: int) -> None:
    """Give a file of ``size`` bytes its blocks up to ``wanted``; it stays as it is where that is not possible.

    Raises:
        OSError: there is no space.
    """
    try:
        os.posix_fallocate(descriptor, 0, wanted)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise
