"""Renew the locks of the RPM package's private libraries: ``python -m package.rpmlocks``. Needs uv, and PyPI.

A lock names the version of each library, and the hashes of its files. Knows which libraries go into which package.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = Path(__file__).with_name("locks")
OLDEST_PYTHON = "3.11"
# Without psycopg's binary wheel, which has a libpq of its own: this one loads the system's.
DAEMON = ("redis>=5.0.1", "psycopg>=3.1.12")
# What the wheel of spfmilter, and the libraries that have no wheel, are built with.
BUILD = ("hatchling>=1.25", "babel>=2.17", "setuptools>=77")
HEAD = "# Made by python -m package.rpmlocks: {what}.\n"


def main() -> int:
    """Write the three locks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    daemon = compiled([*project["dependencies"], *DAEMON])
    web = compiled([*project["dependencies"], *DAEMON, *project["optional-dependencies"]["web"]], constraints=daemon)
    of_daemon = {name for name, _ in entries(daemon)}
    only_web = "".join(text for name, text in entries(web) if name not in of_daemon)
    for name, what, text in (
        ("rpm", "what the daemon and the commands load", daemon),
        ("rpm-web", "what the help page loads beside that", only_web),
        ("rpm-build", "what the package is built with", compiled(BUILD)),
    ):
        (LOCKS / f"{name}.txt").write_text(HEAD.format(what=what) + text)
    return 0


def compiled(wanted: Sequence[str], constraints: str = "") -> str:
    """Return the lock of requirements: one version of each library, which all Pythons from the oldest on can have.

    Without markers: pip judges those by the Python that runs it, also while it downloads for another one.
    """
    with tempfile.TemporaryDirectory(prefix="spfmilter-locks-") as scratch:
        asked, held = Path(scratch, "asked.in"), Path(scratch, "held.txt")
        asked.write_text("\n".join(wanted) + "\n")
        held.write_text(constraints)
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--generate-hashes", "--no-header",
                   "--no-annotate", "--python-platform=linux", f"--python-version={OLDEST_PYTHON}",
                   f"--constraints={held}", str(asked)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"package.rpmlocks: uv failed; is it installed (pip install uv)?\n{done.stderr}")
    return done.stdout


def entries(lock: str) -> list[tuple[str, str]]:
    """Return the name and the lines of each library in a lock."""
    return [(match[1], match[0]) for match in re.finditer(r"(?m)^([a-z0-9-]+)==.*\n(?:[ \t]+.*\n)*", lock)]


def versions(lock: str) -> list[tuple[str, str]]:
    """Return the name and the version of each library in a lock."""
    return re.findall(r"(?m)^([a-z0-9-]+)==([^ \\\n]+)", lock)


if __name__ == "__main__":
    sys.exit(main())
