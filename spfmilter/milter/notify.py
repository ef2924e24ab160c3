"""Tells the service manager how the daemon is (sd_notify(3)); does nothing where there is none."""

from __future__ import annotations

import os
import socket
import time


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1``; a manager that does not listen is not our trouble."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto("\n".join(assignments).encode(), address)
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
