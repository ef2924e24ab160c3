"""Run a systemd-journald of our own, in a mount namespace with a /run of its own, and read it with journalctl.

It knows how a service gets its standard error from systemd. It does not know what a service writes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from lab.processes import HUNG
from lab.server import Server, installed

_JOURNALD = Path("/lib/systemd/systemd-journald")
# The journal keeps its files below the machine's id, and looks for control groups. A container may lack both.
_SCRIPT = """
set -e
mount -t tmpfs none /run
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/systemd/journal
echo 00000000000000000000000000000001 > /run/machine-id
mount --bind /run/machine-id /etc/machine-id
mkdir -p /run/log/journal/00000000000000000000000000000001
exec "$0"
"""
# Connects standard output and error as systemd does for a service, and becomes the program.
_SERVICE = """
import os, socket, sys
from lab.processes import HUNG
stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
stream.connect("/run/systemd/journal/stdout")
# Identifier, unit, priority of lines without a prefix, whether prefixes count, and three places that get no copy.
stream.sendall(b"service\\n\\n6\\n1\\n0\\n0\\n0\\n")
os.dup2(stream.fileno(), 1)
os.dup2(stream.fileno(), 2)
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
os.execvp(sys.argv[1], sys.argv[1:])
"""


def missing() -> str:
    """Return why no journal can run here; empty if one can."""
    if os.geteuid() != 0:
        return "only root can mount a /run for a journal"
    if not _JOURNALD.exists() or not installed("journalctl"):
        return "systemd-journald is missing: tools/setup.sh systemd"
    return ""


class Journald(Server):
    """A journal in a namespace; `command()` lets a program run there as a service."""

    def __init__(self) -> None:
        """Raise RuntimeError where it cannot run."""
        super().__init__("journald", missing())

    def command_line(self) -> list[str]:
        """Return the command that runs it."""
        return ["unshare", "-m", "--propagation", "private", "sh", "-c", _SCRIPT, str(_JOURNALD)]

    def is_ready(self) -> bool:
        """Return whether it takes streams and entries."""
        root = Path(f"/proc/{self.pid}/root/run/systemd/journal")
        return (root / "stdout").is_socket() and (root / "socket").is_socket()

    def inside(self, *command: str) -> list[str]:
        """Return the command, to be run in the namespace."""
        return ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", f"--wd={Path.cwd()}", *command]

    def service(self, *command: str) -> list[str]:
        """Return the command, to be run in the namespace with its output connected as systemd does it."""
        return self.inside(sys.executable, "-c", _SERVICE, *command)

    def entries(self, *arguments: str) -> list[dict[str, str]]:
        """Return what journalctl prints for these arguments: the fields of each entry.

        The kernel's messages are left out. They come to every journal of the machine.
        """
        call = self.inside("journalctl", "--no-pager", "--all", "-o", "json", *arguments)
        done = subprocess.run(call, capture_output=True, text=True, timeout=HUNG, check=False)
        # From systemd 257 on journalctl ends with 1 where --grep finds nothing.
        if done.returncode and (done.stderr or "-g" not in arguments):
            raise RuntimeError(f"journalctl ended with {done.returncode}: {done.stderr}")
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return [entry for entry in found if entry.get("_TRANSPORT") != "kernel"]

    def wait_for_entry(self, *arguments: str) -> dict[str, str]:
        """Return the first entry that journalctl finds for these arguments, waiting for it."""
        found = self.wait_for(lambda: self.entries(*arguments), 20, f"an entry for journalctl {' '.join(arguments)}")
        return found[0]
