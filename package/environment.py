"""Virtual environments with exactly the versions of a lock, kept in .cache/package.

Knows pip, and uv(1) to renew a lock. Does not know what the environments are for.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from package.sources import ROOT

LOCKS = Path(__file__).parent / "locks"
KEPT = ROOT / ".cache" / "package"
_HEADER = "# Renewed by: python -m package.environment"


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


def renew() -> None:
    """Write the locks anew, with the newest versions: of the tools, and of what an installation by pip takes now."""
    uv = environment("tools") / "uv"
    sources = {"tools": [str(LOCKS / "tools.in")], "pypi": [str(ROOT / "pyproject.toml"), "--all-extras"]}
    for lock, source in sources.items():
        target = LOCKS / f"{lock}.txt"
        with_all = ["--universal", "--python-version", "3.11", "--generate-hashes", "--upgrade", "--no-header"]
        command = [str(uv), "pip", "compile", "--quiet", *source, *with_all, "--no-annotate"]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "UV_NO_PROGRESS": "1"}
        )
        target.write_text(f"{_HEADER}\n{done.stdout}")


if __name__ == "__main__":
    renew()
