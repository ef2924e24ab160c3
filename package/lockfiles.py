"""Renew the lists of what the Debian 12 packages bring along: ``python -m package.lock``.

Each list in ``package/locks`` names exact versions, with the hashes of all files that PyPI has of them. Knows
pyproject.toml and uv(1), which finds the versions. Does not know what is done with the lists: see ``privateenv``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Sequence
from pathlib import Path

from package.sources import ROOT

LOCKS = Path(__file__).with_name("locks")
PYTHON = "3.11.2"  # Debian 12's
INDEX = "https://pypi.org/simple"  # wherever this machine's pip looks: others are to get the same files
MAIN, WEB, BUILD = "debian12.txt", "debian12-web.txt", "debian12-build.txt"
NAMES = (MAIN, WEB, BUILD)


def wanted(project: Path = ROOT / "pyproject.toml") -> dict[str, list[str]]:
    """Return the requirements of each list, from pyproject.toml.

    The daemon's has what its optional parts need: an administrator of Debian 12 could not add it, since the private
    environment sees none of Debian's Python packages. psycopg comes without its binary form, which would bring a
    second OpenSSL: it loads Debian's libpq5 where that is installed.
    """
    content = tomllib.loads(project.read_text())
    optional = content["project"]["optional-dependencies"]
    backing = [line.replace("psycopg[binary]", "psycopg") for line in (*optional["redis"], *optional["postgresql"])]
    return {
        MAIN: [*content["project"]["dependencies"], *backing],
        WEB: optional["web"],
        BUILD: content["build-system"]["requires"],
    }


def main() -> int:
    """Renew the lists, and return the exit status."""
    with tempfile.TemporaryDirectory(prefix="spfmilter-lock-") as scratch:
        venv.create(scratch, with_pip=True)
        subprocess.run([Path(scratch, "bin", "pip"), "install", "--quiet", "uv"], check=True)
        uv = Path(scratch, "bin", "uv")
        lists = wanted()
        main_list = _resolved(uv, lists[MAIN], ())
        everything = _resolved(uv, lists[WEB], [main_list])
        build = _resolved(uv, lists[BUILD], [main_list, everything])
    of_main = {name_of(entry) for entry in entries(main_list)}
    web_alone = [entry for entry in entries(everything) if name_of(entry) not in of_main]
    for name, found in ((MAIN, entries(main_list)), (WEB, web_alone), (BUILD, entries(build))):
        (LOCKS / name).write_text(_HEADER + "\n".join(found) + "\n")
        print(f"{len(found):3} packages  {(LOCKS / name).relative_to(ROOT)}")
    return 0


def entries(text: str) -> list[str]:
    """Return the entries of a list: a version and its hashes, as pip reads them."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: list[str] = []
    for line in lines:
        if line.startswith(" ") and found:
            found[-1] += f"\n{line}"
        else:
            found.append(line)
    return found


def name_of(entry: str) -> str:
    """Return the name of an entry's package."""
    return entry.partition("==")[0]


_HEADER = "# Made by python -m package.lock from pyproject.toml.\n"


def _resolved(uv: Path, requirements: Iterable[str], constraints: Sequence[str]) -> str:
    """Return the newest versions that fit, with their hashes.

    Args:
        uv: the program.
        requirements: as in pyproject.toml.
        constraints: lists that were made before; where one names a package, its version is taken.
    """
    with tempfile.TemporaryDirectory(prefix="spfmilter-lock-") as scratch:
        command: list[str | Path] = [
            uv, "pip", "compile", "-", "--quiet", "--no-config", "--no-header", "--no-annotate", "--generate-hashes",
            "--system-certs", "--python-version", PYTHON, "--python-platform", "x86_64-manylinux_2_28",
            "--default-index", INDEX,
        ]  # fmt: skip
        for number, text in enumerate(constraints):
            file = Path(scratch, f"{number}.txt")
            file.write_text(text)
            command += ["--constraints", file]
        done = subprocess.run(command, input="\n".join(requirements), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
