"""Try what a service may do, and print what became of each attempt as JSON: "done", "denied", or another error's name.

Copied into a root, and run there by systemd in place of the service, with all limits of its unit. It needs Python's
own library only, and leaves nothing that another attempt would find.
"""

import ctypes
import errno
import json
import mmap
import os
import pwd
import resource
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PER_LINUX32 = 0x0008
_libc = ctypes.CDLL(None, use_errno=True)


def _write(folder: str) -> None:
    path = Path(folder, "probe")
    path.write_text("")
    path.unlink()


def _call(name: str, argument: int) -> None:
    if getattr(_libc, name)(argument) == -1:
        raise OSError(ctypes.get_errno(), name)


def _own_file(act: Callable[[Path], None]) -> None:
    path = Path("/tmp/probe")  # noqa: S108 - the service's own, or that of a root that nothing else uses
    path.write_text("")
    try:
        act(path)
    finally:
        path.unlink()


ATTEMPTS: Mapping[str, Callable[[], object]] = {
    # files
    "write in /etc": lambda: _write("/etc"),
    "write in /etc/spfmilter": lambda: _write("/etc/spfmilter"),
    "write in /usr": lambda: _write("/usr"),
    "write in /var/lib": lambda: _write("/var/lib"),
    "write in /run/spfmilter": lambda: _write("/run/spfmilter"),
    "write in /var/lib/spfmilter": lambda: _write("/var/lib/spfmilter"),
    "write in /var/lib/spfmilter/requests": lambda: _write("/var/lib/spfmilter/requests"),
    "write in /tmp": lambda: _write("/tmp"),  # noqa: S108 - as above
    "see others' files in /tmp": lambda: Path("/tmp/others").stat(),  # noqa: S108 - as above
    "list /home": lambda: os.listdir("/home"),  # noqa: PTH208 - glob hides the error
    "list /run/spfmilter": lambda: os.listdir("/run/spfmilter"),  # noqa: PTH208
    "read /etc/spfmilter/spfmilter.ini": lambda: Path("/etc/spfmilter/spfmilter.ini").read_bytes(),
    "see other users' processes": lambda: Path("/proc/1/status").read_bytes(),
    "read /proc/meminfo": lambda: Path("/proc/meminfo").read_bytes(),
    "make a file set-group-ID": lambda: _own_file(lambda path: path.chmod(0o2700)),
    "give a file to its own group": lambda: _own_file(lambda path: os.chown(path, -1, os.getgid())),
    # kernel
    "change the personality": lambda: _call("personality", PER_LINUX32),
    "memory to write and to execute": lambda: mmap.mmap(
        -1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    ).close(),
    "set the host name": lambda: socket.sethostname(socket.gethostname()),
    "become root": lambda: os.setuid(0),
    "real time": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "batch": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
    "choose a processor": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    # network
    "AF_INET": lambda: socket.socket(socket.AF_INET).close(),
    "AF_INET6": lambda: socket.socket(socket.AF_INET6).close(),
    "AF_UNIX": lambda: socket.socket(socket.AF_UNIX).close(),
    "AF_NETLINK": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    # last: in a new namespace, what follows would be tried with other rights
    "make a namespace": lambda: _call("unshare", CLONE_NEWUSER),
}


def outcome(attempt: Callable[[], object]) -> str:
    """Return "done", "denied", or another error's name. Kernels and versions of systemd deny with EPERM or EACCES."""
    try:
        attempt()
    except PermissionError:
        return "denied"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def identity() -> dict[str, object]:
    """Return what the kernel tells about this process."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    users = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return {
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "umask": status["Umask"],
        "capabilities": [status["CapEff"], status["CapBnd"], status["CapAmb"]],
        "no new privileges": status["NoNewPrivs"],
        "seccomp": status["Seccomp"],
        "users": sum(int(count) for _, _, count in users),
        "core": list(resource.getrlimit(resource.RLIMIT_CORE)),
    }


if __name__ == "__main__":
    found = identity()  # before the attempts: one of them might change it
    print(json.dumps({**found, **{name: outcome(attempt) for name, attempt in ATTEMPTS.items()}}))
