"""Make the archives that roots are unpacked from, and keep them for two days.

Knows mmdebstrap(1), and what this machine needs to reach Debian's mirrors. Does not know what a root is for.
"""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from package.command import run_command

CACHE = Path(__file__).parents[1] / ".cache" / "roots"
_MAX_AGE = 2 * 86400  # seconds; an older root lacks updates, and its lists name packages that are gone
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_DEBIAN = {"debian": "http://deb.debian.org/debian", "debian-security": "http://deb.debian.org/debian-security"}
# What reaches Debian's mirrors from here may be needed inside, too.
_APT_OPTIONS = (
    "Acquire::Check-Date",
    "Acquire::Check-Valid-Until",
    "Acquire::http::Proxy",
    "Acquire::https::Proxy",
)


def archive_of(suite: str, include: Sequence[str]) -> Path:
    """Return the archive of a root with these packages; make it if there is none, or only an old one."""
    name = hashlib.blake2b(" ".join(include).encode(), digest_size=6).hexdigest()
    archive = CACHE / f"{suite}-{name}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with archive.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two tests that want the same one make it once
        if not archive.exists() or time.time() - archive.stat().st_mtime > _MAX_AGE:
            new = archive.with_suffix(".new.tar")
            run_command(_mmdebstrap(suite, include, new))
            new.rename(archive)
    return archive


def _mmdebstrap(suite: str, include: Sequence[str], archive: Path) -> list[str | Path]:
    """Return the command that makes a root: from the mirrors that this machine uses, with its own certificates."""
    mirrors = {**_DEBIAN, **_mirrors()}
    main, security = mirrors["debian"], mirrors["debian-security"]
    key = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
    options = {name: value for name in _APT_OPTIONS if (value := _apt_option(name))}
    certificates = sorted(_CERTIFICATES.glob("*.crt"))
    hooks = []
    if certificates:
        hooks = [f"copy-in {' '.join(map(str, certificates))} {_CERTIFICATES}", 'chroot "$1" update-ca-certificates']
    return [
        "unshare", "--mount", "--propagation=private",  # what it mounts is for it alone, and gone when it ends
        "mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(include)}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f'--aptopt={name} "{value}"' for name, value in options.items()),
        *(f"--customize-hook={hook}" for hook in hooks),
        suite, archive,
        f"deb {key} {main} {suite} main",
        f"deb {key} {main} {suite}-updates main",
        f"deb {key} {security} {suite}-security main",
    ]  # fmt: skip


def _mirrors() -> dict[str, str]:
    """Return the addresses from which this machine gets Debian, by the last part of their paths."""
    listing = run_command(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"]).stdout
    return {uri.rstrip("/").rpartition("/")[2]: uri.rstrip("/") for uri in listing.split()}


def _apt_option(name: str) -> str:
    """Return what this machine's apt has for an option; empty if it has nothing."""
    said = run_command(["apt-config", "--format", "%v%n", "dump", name]).stdout.splitlines()
    return said[0] if said else ""
