"""A process beside the tests that ends their private servers when the tests are killed.

No `finally` runs after SIGKILL or an unhandled SIGTERM. The guard reads a pipe that only this process holds open for
writing. At the end of the pipe it kills the process groups that are left. It does not know whose they are.
"""

import os
import sys
from functools import cache

_PROGRAM = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    sign, group = line[0], int(line[1:])
    (groups.add if sign == "+" else groups.discard)(group)
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass
"""


def watch(group: int) -> None:
    """Kill the process group when this process ends."""
    os.write(_pipe(), b"+%d\n" % group)


def forget(group: int) -> None:
    """Undo watch(): the group has ended, and the system may reuse its number."""
    os.write(_pipe(), b"-%d\n" % group)


@cache
def _pipe() -> int:
    """Return the writing end of the guard's pipe; start the guard for it, in a session that no Ctrl-C reaches."""
    reading, writing = os.pipe()  # closed by exec: only forks without one keep the guard waiting
    actions = [
        (os.POSIX_SPAWN_DUP2, reading, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    command = [sys.executable, "-I", "-S", "-c", _PROGRAM]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setsid=True)
    os.close(reading)
    return writing
