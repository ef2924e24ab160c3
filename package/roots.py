"""Make bare Debian roots, run commands in them, and boot a real systemd in them.

Knows mmdebstrap(1), unshare(1), pivot_root(8) and systemd-nspawn(1). Does not know what is installed in a root.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab.processes import HUNG, patience, until
from package.archives import archive_of
from package.command import CommandError, run_command

BOOTABLE = ("dbus", "systemd", "systemd-sysv")  # what `boot` needs in `include`
TOOLS = ("mmdebstrap", "nsenter", "systemd-nspawn", "unshare")
_BOOT = 60.0  # seconds on an idle machine; three are usual
_POWEROFF = 60.0
_HOSTS = """127.0.0.1 localhost
127.0.1.1 mx.example.net mx
::1 localhost ip6-localhost ip6-loopback
"""
_ENVIRONMENT: Mapping[str, str] = {
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PIP_CERT": "/etc/ssl/certs/ca-certificates.crt",  # with those of this machine; pip brings a list of its own
    "PIP_ROOT_USER_ACTION": "ignore",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
    "TERM": "dumb",
}
# Makes the root the whole file system of a new mount namespace. In a plain chroot, programs that make namespaces of
# their own fail. Its arguments: the root, "own" for a network of its own, and the command.
_ENTER = """
set -e
root=$1 network=$2; shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys" 2>/dev/null || mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/lock"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
[ "$network" != own ] || ip link set lo up
cd "$root"
pivot_root . .
umount -l .
cd /
exec /usr/bin/env -i "$@"
"""

# Joins control groups, by their folders up to "--", and becomes the command.
_JOIN = """
set -e
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done
shift
exec "$@"
"""


def missing() -> str:
    """Return why this machine cannot make and boot roots; empty if it can."""
    if os.geteuid() != 0:
        return "only root can make and boot roots: run it as root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"{', '.join(absent)} missing: tools/setup.sh packages" if absent else ""


# -- a root ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Root:
    """A bare Debian in a folder."""

    path: Path

    @classmethod
    def make(cls, suite: str, path: Path, include: Sequence[str] = ()) -> Root:
        """Unpack a minimal Debian into a new folder, with these packages.

        Args:
            suite: `bookworm` or `trixie`.
            path: the folder. It must not exist.
            include: packages beside those of the variant minbase, such as `BOOTABLE`.
        """
        if why := missing():
            raise RuntimeError(why)
        archive = archive_of(suite, sorted({"ca-certificates", *include}))
        path = path.absolute()
        path.mkdir(parents=True)
        run_command(["tar", "-x", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-f", archive, "-C", path])
        (path / "etc" / "hostname").write_text("mx\n")  # mmdebstrap takes this machine's, and makes no hosts file
        (path / "etc" / "hosts").write_text(_HOSTS)
        return cls(path)

    def copy(self, path: Path) -> Root:
        """Copy the root into a new folder: to change it, and to keep this one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        run_command(["cp", "-a", "--reflink=auto", self.path, path])
        return Root(path)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path)

    def enter(
        self,
        *command: str,
        check: bool = True,
        network: bool = True,
        input: str | None = None,  # noqa: A002 - subprocess's
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root in this root, with processes, host name, /run and /tmp of its own.

        Args:
            command: the program and its arguments.
            check: whether another exit status than 0 raises CommandError.
            network: this machine's network; otherwise a loopback interface alone.
            input: the text of the standard input.
        """
        resolv = self.path / "etc" / "resolv.conf"
        if resolv.is_symlink():  # of systemd-resolved, to a place that would be this machine's own
            resolv.unlink()
        with suppress(FileNotFoundError):
            shutil.copyfile("/etc/resolv.conf", resolv)
        namespaces = ["--mount", "--pid", "--fork", "--uts", "--ipc", "--kill-child", *([] if network else ["--net"])]
        kind = "machine" if network else "own"
        call = ["unshare", *namespaces, "sh", "-c", _ENTER, "sh", str(self.path), kind, *_assignments(), *command]
        return run_command(call, check=check, input_=input, timeout=HUNG * patience(), shown=command)

    def put(self, source: Path, target: str) -> None:
        """Copy a file or a folder into the root, as root's own.

        Args:
            source: on this machine.
            target: the full name in the root. With a `/` at the end, the folder that takes it.
        """
        place = self.path / target.lstrip("/")
        if target.endswith("/"):
            place /= source.name
        folder = place.parent.resolve()
        if not folder.is_relative_to(self.path.resolve()):
            raise ValueError(f"{target}: a symbolic link in {self.path} leads out of it: name the place it leads to")
        folder.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, folder / place.name, symlinks=True, dirs_exist_ok=True)
        else:
            shutil.copy2(source, folder / place.name)

    @contextmanager
    def boot(self) -> Iterator[Booted]:
        """Boot the root's systemd, with a network that has a loopback interface alone, and power it off at the end."""
        if why := missing():
            raise RuntimeError(why)
        (self.path / "etc" / "machine-id").write_text("")  # systemd fills it, and takes this for no first boot
        log = self.path.with_name(f"{self.path.name}.console")
        group = _new_control_group()
        with log.open("wb") as console:
            nspawn = subprocess.Popen(
                ["sh", "-c", _JOIN, "sh", *group, "--", "systemd-nspawn", "--quiet", "--register=no",
                 *(["--keep-unit"] if group else []), f"--directory={self.path}",
                 "--private-network", "--console=pipe", "--boot"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )  # fmt: skip
        init = 0
        try:
            init = until(lambda: _init_below(nspawn), _BOOT, lambda: f"systemd in {self.path}: {_tail(log)}")
            booted = Booted(init)
            booted.until(booted.is_up, _BOOT, "the end of the boot")
            yield booted
        finally:
            _power_off(nspawn, init)
            _remove_control_group(group)


# -- a root that has booted --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Booted:
    """A root whose systemd runs."""

    init: int  # the pid of its systemd, as this machine counts

    def run(
        self,
        *command: str,
        check: bool = True,
        timeout: float = 60,
        input: str | None = None,  # noqa: A002 - subprocess's
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside.

        Args:
            command: the program and its arguments.
            check: whether another exit status than 0 raises CommandError.
            timeout: in seconds, on an idle machine.
            input: the text of the standard input.
        """
        call = ["nsenter", f"--target={self.init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root",
                "--wd", "/usr/bin/env", "-i", *_assignments(), *command]  # fmt: skip
        return run_command(call, check=check, input_=input, timeout=timeout * patience(), shown=command)

    def beside(self, *command: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command of this machine in the network of the root: a client of its services."""
        return run_command(self.beside_call(*command), check=check, timeout=timeout * patience(), shown=command)

    def beside_call(self, *command: str) -> list[str]:
        """Return the command as `beside` runs it, for a program that goes on in the background."""
        return ["nsenter", f"--target={self.init}", "--net", *command]

    def until(self, probe: Callable[[], bool], timeout: float, what: str) -> None:
        """Wait until the probe is true.

        Raises:
            TimeoutError: it was not in time; the text has what failed inside.
        """
        until(probe, timeout, lambda: f"{what}\n{self.failures()}")

    def is_up(self) -> bool:
        """Return whether the boot has ended."""
        said = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return said in {"running", "degraded"}

    def failures(self) -> str:
        """Return what systemd says about units that failed or still start, and the end of the journal."""
        commands = (("systemctl", "--failed", "--no-legend"), ("systemctl", "list-jobs", "--no-legend"),
                    ("journalctl", "--no-pager", "-n", "40", "-o", "short-precise"))  # fmt: skip
        return "\n".join(self.run(*command, check=False).stdout for command in commands)


def _new_control_group() -> list[Path]:
    """Make a control group for a root, if no systemd of this machine makes a scope for it. Return its folders.

    Two roots in the group of this process would share the groups of their services: the systemd of one would count, and
    kill, the processes of the other.
    """
    if Path("/run/systemd/system").is_dir():
        return []
    name = f"spfmilter-root-{os.getpid()}-{secrets.token_hex(4)}"
    folders = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, options = line.split()[:4]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            folders.append(Path(place, name))
            folders[-1].mkdir()
    return folders


def _remove_control_group(folders: Sequence[Path]) -> None:
    for top in folders:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _init_below(nspawn: subprocess.Popen[bytes]) -> int:
    """Return the pid of the systemd that nspawn has started; 0 if it does not run yet.

    Raises:
        RuntimeError: nspawn has ended.
    """
    if nspawn.poll() is not None:
        raise RuntimeError(f"systemd-nspawn ended with {nspawn.returncode}; its console is beside the root")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # the process ended in the meantime
            status = (entry / "status").read_text(errors="replace")
            if re.search(rf"(?s)^Name:\tsystemd\n.*\nPPid:\t{nspawn.pid}\n.*\nNSpid:[\t\d]+\t1\n", status):
                return int(entry.name)
    return 0


def _power_off(nspawn: subprocess.Popen[bytes], init: int) -> None:
    """End the root's systemd as its administrator would. If that does not help, kill it by its pid."""
    if init:
        with suppress(CommandError, subprocess.TimeoutExpired):
            Booted(init).run("systemctl", "poweroff", "--no-wall", check=False)
        with suppress(subprocess.TimeoutExpired):
            nspawn.wait(_POWEROFF * patience())
            return
        # A killed nspawn leaves its systemd running, so this one comes first: its namespace ends with it.
        with suppress(ProcessLookupError):
            os.kill(init, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            nspawn.wait(10 * patience())
            return
    nspawn.kill()
    nspawn.wait()


def _assignments() -> list[str]:
    return [f"{name}={value}" for name, value in _ENVIRONMENT.items()]


def _tail(log: Path) -> str:
    with suppress(OSError):
        return log.read_text(errors="replace")[-2000:]
    return ""


# -- comparing ---------------------------------------------------------------------------------------------------------

_VOLATILE = frozenset({"dev", "proc", "run", "sys", "tmp"})  # at the top of a root


def snapshot(root: Path) -> dict[str, str]:
    """Return mode, owner and content of each file in a root, by its path, to compare two moments of it."""
    found = {}
    for folder, folders, files in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in _VOLATILE]
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            found[f"/{path.relative_to(root)}"] = (
                f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid} {_content(path, status)}".rstrip()
            )
    return found


def _content(path: Path, status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return str(path.readlink())
    if stat.S_ISREG(status.st_mode):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
    return ""
