"""Start, await and end private servers of any kind.

It knows ports, deadlines, process groups and mount namespaces of Linux. It does not know any server's protocol.
"""

import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from os import killpg
from pathlib import Path
from typing import TypeVar

Found = TypeVar("Found")

# Below Linux's range of ephemeral ports (32768 to 60999). So no client's socket can take the port between our check and
# the server's bind.
PORTS = range(20000, 32000)
_ROUND = 0.01  # seconds between two probes: short compared to a start-up, long compared to the cost of a probe


HUNG = 900  # seconds after which a command is taken to hang; a busy machine does not make it so slow


def patience() -> float:
    """Return how many times longer than on an idle machine work may take now; 1 where every thread has its processor.

    A limit on how long something may take is a limit on the machine as well: multiply it with this.
    """
    average, _, _, now = Path("/proc/loadavg").read_text().split()[:4]
    wanted = max(float(average), int(now.partition("/")[0]))  # the average of a minute, and this moment
    return max(1.0, wanted / len(os.sched_getaffinity(0)))


def until(probe: Callable[[], Found | None], timeout: float, what: str | Callable[[], str]) -> Found:
    """Return the first truthy value of the probe. TimeoutError, with what was awaited: there was none in time.

    The timeout is that of an idle machine; see patience().
    """
    begun = time.monotonic()
    pause = threading.Event()
    while True:
        if found := probe():
            return found
        if time.monotonic() - begun >= timeout and time.monotonic() - begun >= timeout * patience():
            raise TimeoutError(f"not within {timeout:g} s: {what if isinstance(what, str) else what()}")
        pause.wait(_ROUND)


def has_ipv6() -> bool:
    """Return whether ::1 can be bound here. Containers often lack it."""
    return _can_bind(socket.AF_INET6, socket.SOCK_STREAM, "::1", 0)


def free_port() -> int:
    """Return a port that is free on 127.0.0.1 and, with IPv6, on ::1, for TCP and for UDP."""
    for _ in range(1000):
        port = secrets.choice(PORTS)
        if all(_can_bind(family, kind, host, port) for family, kind, host in _endpoints()):
            return port
    raise RuntimeError(f"no free port on loopback between {PORTS.start} and {PORTS.stop}")


def _endpoints() -> Iterator[tuple[socket.AddressFamily, socket.SocketKind, str]]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        yield socket.AF_INET, kind, "127.0.0.1"
        if has_ipv6():
            yield socket.AF_INET6, kind, "::1"


def _can_bind(family: socket.AddressFamily, kind: socket.SocketKind, host: str, port: int) -> bool:
    try:
        with socket.socket(family, kind) as trial:
            trial.bind((host, port))
    except OSError:
        return False
    return True


def accepts(path: Path) -> bool:
    """Return whether a process listens at a unix socket. Makes a connection, and closes it at once."""
    with socket.socket(socket.AF_UNIX) as probe, suppress(OSError):
        probe.settimeout(1)
        probe.connect(str(path))
        return True
    return False


def with_resolv_conf(resolv_conf: Path, command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` as root in a new mount namespace, where this file is /etc/resolv.conf."""
    script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
    return ["unshare", "-m", "sh", "-c", script, "sh", str(resolv_conf), *command]


def group_members(group: int) -> list[int]:
    """Return the living processes of a process group, without zombies, which only wait for their parent."""
    return [pid for pid, (state, pgrp) in _processes() if pgrp == group and state not in "ZX"]


def _processes() -> Iterator[tuple[int, tuple[str, int]]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # the process ended in the meantime
            # proc(5): "pid (name) state ppid pgrp ..."; the name may hold anything, the last ")" ends it.
            state, _ppid, pgrp = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
            yield int(entry.name), (state, int(pgrp))


def end_group(group: int, timeout: float = 5.0) -> None:
    """Kill the rest of a process group, and wait until it is gone."""
    with suppress(ProcessLookupError):
        killpg(group, signal.SIGKILL)
    until(lambda: not group_members(group), timeout, f"process group {group} gone after SIGKILL")
