"""A file of counters whose space is allocated before it is mapped into memory.

Knows prometheus-client's file of one process. The library creates this file sparse. On a full file system the first
write to a page without a block raises SIGBUS, which ends the process. This module allocates the space first. If there
is no space, the counter stays in memory only. Loaded only if the INI file asks for metrics.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress

from prometheus_client.mmap_dict import MmapedDict

_FIRST = 1 << 16  # bytes, the library's initial size; the counters of one process take less than half
_ENTRY = 64  # bytes of an entry without its key, more than enough: length, padding, value and time


class CounterFile(MmapedDict):
    """Store counters in a file with allocated space.

    If there is no space for a counter, its metric keeps the value, and a later write stores it.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002 - the library's signature
        """Create the file, or continue with an existing one.

        Raises:
            OSError: there is no space for the file, or it cannot be created.
            Exception: the existing file is broken.
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
        """Return the value and its time; both are 0 if there is no space for the key."""
        known: tuple[float, float] = (0.0, 0.0)
        if self._has_room(key):
            known = super().read_value(key)  # type: ignore[no-untyped-call]
        return known

    def write_value(self, key: str, value: float, timestamp: float | None) -> None:
        """Write the value if there is space for it. If not, a later write stores the whole value."""
        if self._has_room(key):
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]

    def _has_room(self, key: str) -> bool:
        """Return whether the file has space for the key. Double the file as often as needed.

        The library would make the file sparse again, so it must not extend the file itself.
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
    """Allocate the blocks of a file of ``size`` bytes up to ``wanted`` bytes. On failure, restore the old size.

    Raises:
        OSError: there is no space.
    """
    try:
        os.posix_fallocate(descriptor, 0, wanted)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise
