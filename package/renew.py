"""Renew the locks: ``python -m package.renew`` takes the newest versions that pyproject.toml allows. Needs PyPI.

Knows what belongs into each lock, and uv(1), which finds the versions. Does not know what is done with them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from package.environment import environment
from package.lockfiles import BUILD, LOCKS, MAIN, PYPI, TOOLS, WEB, entries
from package.sources import ROOT

_PYTHON = "3.11.2"  # Debian 12's, the oldest
_INDEX = "https://pypi.org/simple"  # wherever this machine's pip looks: others are to get the same files
_HEADER = "# Made by python -m package.renew: {what}.\n"
_UNIVERSAL = ("--universal", "--python-version=3.11")  # for the Python that runs pip, with markers
# For one system: pip judges markers by the Python that runs it, also while it downloads for another one.
_PRIVATE = ("--python-platform=x86_64-manylinux_2_28", f"--python-version={_PYTHON}")


def main() -> int:
    """Renew the locks, and return the exit status."""
    uv = environment("tools") / "uv"
    lists = wanted()
    main_lock = _resolved(uv, lists[MAIN], _PRIVATE)
    web = _resolved(uv, lists[WEB], _PRIVATE, main_lock)
    of_main = entries(main_lock)
    locks = {
        MAIN: ("what the daemon and the commands load", main_lock),
        WEB: (
            "what the help page loads beside that",
            "".join(text for name, text in entries(web).items() if name not in of_main),
        ),
        BUILD: ("what packages with private libraries are built with", _resolved(uv, lists[BUILD], _PRIVATE, web)),
        PYPI: ("what an installation by pip takes, with all extras", _resolved(uv, lists[PYPI], _UNIVERSAL)),
        TOOLS: ("what the wheel is built and checked with", _resolved(uv, lists[TOOLS], _UNIVERSAL)),
    }
    for name, (what, text) in locks.items():
        (LOCKS / name).write_text(_HEADER.format(what=what) + text)
        print(f"{len(entries(text)):3} libraries  {(LOCKS / name).relative_to(ROOT)}")
    return 0


def wanted(project: Path = ROOT / "pyproject.toml") -> Mapping[str, Sequence[str]]:
    """Return the requirements of each lock.

    The private libraries of the daemon have what its optional parts need: an administrator could not add it, since the
    private environment sees none of the system's Python packages. psycopg comes without its binary form, which would
    bring a libpq and an OpenSSL that nobody updates: it loads the system's libpq.
    """
    content = tomllib.loads(project.read_text())
    dependencies, extras = content["project"]["dependencies"], content["project"]["optional-dependencies"]
    backing = [line.replace("psycopg[binary]", "psycopg") for line in (*extras["redis"], *extras["postgresql"])]
    return {
        MAIN: [*dependencies, *backing],
        WEB: [*dependencies, *backing, *extras["web"]],
        # setuptools for the libraries that have no wheel.
        BUILD: [*content["build-system"]["requires"], "setuptools>=77"],
        PYPI: [*dependencies, *(line for extra in extras.values() for line in extra)],
        TOOLS: (LOCKS / "tools.in").read_text().splitlines(),
    }


def _resolved(uv: Path, requirements: Sequence[str], options: Sequence[str], constraints: str = "") -> str:
    """Return the lock of requirements.

    Args:
        uv: the program.
        requirements: as in pyproject.toml.
        options: for which Python and system.
        constraints: a lock that was made before; where it names a library, its version is taken.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as before:
        before.write(constraints)
        before.flush()
        command: list[str | Path] = [
            uv, "pip", "compile", "-", "--quiet", "--no-config", "--no-header", "--no-annotate", "--generate-hashes",
            "--upgrade", "--system-certs", "--default-index", _INDEX, "--constraints", before.name, *options,
        ]  # fmt: skip
        done = subprocess.run(
            command,
            input="\n".join(requirements),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "UV_NO_PROGRESS": "1"},
        )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
