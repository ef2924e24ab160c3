"""Virtual environments with exactly the versions of a lock, kept in .cache/package.

Knows pip. Does not know what the environments are for.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from package.lockfiles import LOCKS
from package.sources import ROOT

KEPT = ROOT / ".cache" / "package"


def environment(lock: str) -> Path:
    """Return the folder of commands (``bin``) of the environment of a lock; make it first if it is not there.

    Args:
        lock: the name of a file in package/locks, such as ``tools``.
    """
    file = LOCKS / f"{lock}.txt"
    digest = hashlib.sha256(file.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = KEPT / f"{lock}-{digest}"
    made = place / ".made"
    if not made.exists():
        for old in KEPT.glob(f"{lock}-*"):
            shutil.rmtree(old)
        venv.create(place, symlinks=True)  # without pip, which would be one of its components
        install(place, "--require-hashes", "--no-deps", "--requirement", str(file))
        made.touch()
    return place / "bin"


def install(place: Path, *arguments: str) -> None:
    """Run ``pip install`` for an environment that has no pip."""
    command = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*command, "--disable-pip-version-check", *arguments], check=True)
