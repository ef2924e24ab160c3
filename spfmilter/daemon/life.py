"""Whether a process is alive, as the kernel tells it. Knows /proc and pid namespaces."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path


class Life(StrEnum):
    """What the kernel tells about a process."""

    RUNS = "runs"
    STOPPED = "stopped"  # by SIGSTOP, or by a debugger
    GONE = "gone"
    UNKNOWN = "unknown"  # it is in another container, or hidden


def namespace() -> int:
    """Return the number of this process's namespace of pids; 0 if it is unknown."""
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


def start_of(pid: int) -> int:
    """Return when a process has started, in the kernel's ticks; 0 if that is not shown."""
    found = _stat(pid)
    return found[1] if found is not None else 0


def life(pid: int, space: int, started: int | None = None) -> Life:
    """Return whether a process is there.

    Args:
        pid: of the process.
        space: the namespace in which the pid means something.
        started: its start; a process with another one has the same pid by chance. None: unknown.
    """
    if space != namespace() or pid <= 0:
        return Life.UNKNOWN
    found = _stat(pid)
    if found is None:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return Life.GONE
        except (OSError, OverflowError):
            return Life.UNKNOWN
        return Life.UNKNOWN  # it is there, but hidden (hidepid=)
    state, start = found
    if state in "ZXx" or (started and start != started):
        return Life.GONE
    return Life.STOPPED if state in "Tt" else Life.RUNS


def _stat(pid: int) -> tuple[str, int] | None:
    """Return the state and the start of a process (proc(5)); None if they are not shown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return fields[0].decode("ascii", "replace"), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
