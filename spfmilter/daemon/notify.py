"""Tells the service manager how the daemon is (sd_notify(3)); does nothing where there is none."""

from __future__ import annotations

import os
import socket
import time
from collections import deque

_MOST_UNSENT = 32  # messages; the newest count, such as the last READY=1
_unsent: deque[bytes] = deque(maxlen=_MOST_UNSENT)


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1``, without waiting for a manager that does not listen.

    What it does not take now is sent, in order, with the next call; call without assignments now and then for that.
    """
    message = "\n".join(assignments).encode()
    if message and (not _unsent or _unsent[-1] != message):
        _unsent.append(message)
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        _unsent.clear()
    if not _unsent:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sock:
            while _unsent:
                sock.sendto(_unsent[0], address)
                _unsent.popleft()
    except OSError:
        return


def reloading() -> None:
    """A reload begins (Type=notify-reload wants the time, too); ``READY=1`` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_interval() -> float | None:
    """Seconds between the signs of life that the service manager wants, half of its limit; None: it wants none."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 2e6
    except (KeyError, ValueError):
        return None
