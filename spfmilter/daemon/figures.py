"""The figures of each worker, in memory that the workers share with their supervisor.

Each worker writes its own row once a second, and the supervisor reads the rows for the status file. Neither waits for
the other. Does not know what the figures mean (docs/decisions/0060-status.md).
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from typing import Any, get_type_hints

from spfmilter.daemon.snapshot import Figures
from spfmilter.observe import log

_TYPES = get_type_hints(Figures)
# A number stands before and behind the figures. While the worker writes, the two differ.
_ROW = struct.Struct(f"=Q{len(_TYPES)}dQ")
_SPACE = 256  # bytes from one row to the next
_ATTEMPTS = 3


class SharedFigures:
    """Rows of figures by slot. Make this before forking the processes that share it."""

    def __init__(self) -> None:
        self._file: int | None = None  # None if the system refuses one: mail is answered without it, too
        self._number = 0  # of this process's last report
        try:
            # Not mapped into memory: if memory runs out, a write fails, but the process is not killed.
            self._file = os.memfd_create("spfmilter-figures", os.MFD_CLOEXEC)
        except OSError as error:
            reason, fix = error.strerror or str(error), "raise the limits of the process (ulimit -a), and restart"
            log.warning("worker figures unavailable", reason=reason, fix=fix)

    def write(self, slot: int, figures: Figures) -> None:
        """Store the figures of this process, which has this slot. Do nothing if there is no memory for them."""
        if self._file is None:
            return
        self._number += 1
        row = _ROW.pack(self._number, *(float(getattr(figures, name)) for name in _TYPES), self._number)
        with suppress(OSError):
            os.pwrite(self._file, row, slot * _SPACE)

    def read(self, slot: int, pid: int) -> Figures | None:
        """Return the last figures of the process that has this slot; None if it has not stored any."""
        if self._file is None:
            return None
        for _ in range(_ATTEMPTS):
            row = os.pread(self._file, _ROW.size, slot * _SPACE)
            if len(row) < _ROW.size:
                return None
            before, *numbers, behind = _ROW.unpack(row)
            if before == behind:
                values: Any = {name: kind(number) for (name, kind), number in zip(_TYPES.items(), numbers, strict=True)}
                figures = Figures(**values)
                return figures if figures.pid == pid else None
        return None
