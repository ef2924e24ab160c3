"""A Debian on which an administrator installs the packages: commands that work alike on each of its releases.

The nameserver and the SMTP client are those of the packages' own tests (package/debian/common/tests).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from package.debsource import COMMON, FOLDERS
from package.roots import Booted, Root
from package.sources import Sources

TOOLS = "/root/tests"
FORGED, GENUINE = ("203.0.113.7", "alice@forged.example"), ("192.0.2.1", "alice@forged.example")
SETTINGS = "/etc/spfmilter/conf.d/test.ini"
RESOLVER = "[dns]\nnameservers = 127.0.0.1:5353\n"


def with_version(sources: Sources, version: str, tree: Path) -> Sources:
    """Return the same sources with another version, in a folder of their own."""
    shutil.copytree(sources.tree, tree, symlinks=True)
    module = tree / "spfmilter" / "__init__.py"
    module.write_text(module.read_text().replace(f'"{sources.version}"', f'"{version}"'))
    return replace(sources, tree=tree, version=version)


def prepare(root: Root, packages: Sequence[Path]) -> None:
    """Put the packages and the tools of the tests into a root, and set up its Postfix."""
    for name in ("nameserver", "send"):
        root.put(FOLDERS / COMMON / "tests" / name, f"{TOOLS}/")
    for package in packages:
        root.put(package, "/root/")
    main = root.path / "etc" / "postfix" / "main.cf"
    if not main.exists():
        shutil.copy(root.path / "usr" / "share" / "postfix" / "main.cf.debian", main)
    settings = {"inet_interfaces": "loopback-only", "mydestination": "localhost",
                "smtpd_authorized_xclient_hosts": "127.0.0.1"}  # fmt: skip
    root.enter("postconf", "-e", *(f"{name}={value}" for name, value in settings.items()))


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server that has booted."""

    booted: Booted

    def sh(self, command: str, *, check: bool = True, timeout: float = 300) -> str:
        """Return what a command prints on both outputs."""
        return self.booted.run("sh", "-c", f"exec 2>&1; {command}", check=check, timeout=timeout).stdout

    def install(self, *packages: Path, options: str = "") -> str:
        """Install packages with apt, as an administrator does, and return what it says."""
        names = " ".join(f"/root/{package.name}" for package in packages)
        return self.sh(f"apt-get -y --no-install-recommends {options} install {names}")

    def configure(self, settings: str) -> None:
        """Write settings beside the INI file."""
        self.booted.run("sh", "-c", f"mkdir -p {Path(SETTINGS).parent}; cat >{SETTINGS}", input=settings)

    def serve_dns(self) -> None:
        """Start the nameserver of the tests."""
        self.sh(f"systemd-run --quiet --service-type=forking --unit=spfmilter-nameserver {TOOLS}/nameserver")

    def answer(self, client: tuple[str, str]) -> str:
        """Return how Postfix answers a message."""
        return self.sh(f"{TOOLS}/send {client[0]} {client[1]}").strip()

    def state(self, unit: str = "spfmilter") -> str:
        """Return whether a unit runs: active, inactive, failed."""
        return self.sh(f"systemctl is-active {unit}", check=False).strip()

    def enabled(self, unit: str = "spfmilter") -> str:
        """Return whether a unit is enabled."""
        return self.sh(f"systemctl is-enabled {unit}", check=False).strip()

    def main_process(self, unit: str = "spfmilter") -> str:
        """Return the pid of a service; 0 if it does not run."""
        return self.sh(f"systemctl show --value -p MainPID {unit}").strip()

    def version(self) -> str:
        """Return the version of the running daemon's program."""
        return self.sh("spfmilter --version").split()[-1]

    def until_refused(self) -> None:
        """Wait until a forged message is refused: a reload has its effect a moment later."""
        self.booted.until(lambda: self.answer(FORGED).startswith("550"), 60, "a refusal")

    def until_state(self, state: str, unit: str = "spfmilter") -> None:
        """Wait until a unit is in a state."""
        self.booted.until(lambda: self.state(unit) == state, 60, f"{unit} {state}")


# What a machine writes while it runs and apt works, whatever is installed.
_LIVELY = (
    "/etc/.pwd.lock", "/etc/group-", "/etc/gshadow-", "/etc/passwd-", "/etc/shadow-", "/etc/subgid-", "/etc/subuid-",
    "/etc/ld.so.cache", "/etc/machine-id", "/etc/mtab", "/etc/resolv.conf",
    "/root", "/var/backups", "/var/cache", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/postfix", "/var/lib/private",
    "/var/lib/systemd", "/var/log", "/var/mail", "/var/spool/postfix", "/var/tmp",  # noqa: S108 - its name
)  # fmt: skip


def left_behind(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Return the files that differ between two moments, but for what changes on any machine that runs."""
    return {
        path: (before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path) and not _lively(path)
    }


def _lively(path: str) -> bool:
    if "spfmilter" in path:
        return path.startswith("/root/")  # where the tests keep the packages
    return any(path == place or path.startswith(f"{place}/") for place in _LIVELY) or "__pycache__" in path
