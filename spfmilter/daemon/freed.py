"""Give memory that is free back to the system, before workers are forked from this process.

Reading a long list file leaves megabytes of free memory behind, in pieces that the C library keeps. Each worker would
inherit them, and a process that reads again at each reload would grow (docs/decisions/0059-lists-in-memory.md).
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress


def give_back() -> None:
    """Give it back. Do nothing where the C library has no function for that (musl)."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
