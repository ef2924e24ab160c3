"""Tell the service manager the daemon's state (sd_notify(3)). Without a service manager, do nothing."""

from __future__ import annotations

import os
import socket
import time
from collections import deque

from spfmilter.text import unicode_line

_MAX_UNSENT = 32  # messages; the newest count, such as the last READY=1
_LONGEST = 1000  # characters of an assignment: systemd reads 4096 bytes
_unsent: deque[bytes] = deque(maxlen=_MAX_UNSENT)


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1``, without waiting for a manager that does not read.

    Messages that it does not take now are sent, in order, with the next call. So call this regularly, also without
    assignments.
    """
    message = "\n".join(unicode_line(assignment, _LONGEST) for assignment in assignments).encode()
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


def cannot_start(reason: str) -> None:
    """Tell why a service ends before it serves: ``systemctl status`` shows it beside the exit status."""
    notify(f"STATUS=cannot start: {reason}")


def reloading() -> None:
    """Tell that a reload begins (Type=notify-reload needs the time, too). ``READY=1`` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_interval() -> float | None:
    """Return the seconds between signs of life, half of the service manager's limit; None: it wants none."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 2e6
    except (KeyError, ValueError):
        return None
