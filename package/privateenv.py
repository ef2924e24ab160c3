"""Make the private environment of the Debian 12 packages: run by debian/rules, without a network.

Knows what a virtual environment is, pip, and what of the libraries is never used. Does not know where their files come
from (``debian12``) or which versions they are of (``lockfiles``). Runs on Debian's own Python 3.11, without .venv.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from package.lockfiles import BUILD, MAIN, WEB, hashes, read, versions

FOLDER = Path("usr/lib/spfmilter")
LIBRARIES = FOLDER / "lib" / "python3.11" / "site-packages"
LICENCES = Path("usr/share/doc/spfmilter/licenses")

# Patterns of what spfmilter never loads. package/tests/test_debian12.py runs the commands and the page without it.
UNUSED = (
    "**/*.c", "**/*.h", "**/*.pxd", "**/*.pyi", "**/*.pyx", "**/py.typed", "*-stubs",  # for compilers and type checkers
    "**/*.po",  # gettext reads the .mo beside it
    "*/testing", "**/__pycache__", "bin",
    "babel/messages",  # compiles translations
    "pydantic/v1",  # for programs written for pydantic 1
    # The journal uses SQLAlchemy's Core, and SQLite or PostgreSQL.
    "sqlalchemy/orm", "sqlalchemy/ext/[!_c]*", "sqlalchemy/dialects/mssql", "sqlalchemy/dialects/mysql",
    "sqlalchemy/dialects/oracle",
    # Rich loads them for Markdown and for source code. spfmilter prints trees and tables.
    "markdown_it", "markdown_it_py-*", "mdurl", "mdurl-*", "pygments", "pygments-*",
)  # fmt: skip
# What pip notes beside each package, for itself. RECORD would name files that are not there.
_NOTES = ("INSTALLER", "RECORD", "REQUESTED", "WHEEL", "direct_url.json", "sboms")
_LAUNCHER = """#!/usr/lib/spfmilter/bin/python3 -I
import sys

from spfmilter.cli import main

if __name__ == "__main__":
    sys.exit(main())
"""


def main() -> int:
    """Make the environment below two package folders, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m package.privateenv")
    parser.add_argument("files", type=Path, help="the folder of the libraries' wheels and source distributions")
    parser.add_argument("scratch", type=Path, help="a folder to work in: the same name gives the same bytes")
    parser.add_argument("daemon", type=Path, help="the folder of the package spfmilter")
    parser.add_argument("web", type=Path, help="the folder of the package spfmilter-web")
    options = parser.parse_args()
    scratch = options.scratch.resolve()
    tools = scratch / "tools"
    install(verified(options.files, BUILD), tools)
    own = build_wheel(Path.cwd(), tools, scratch / "own")
    for package, files in (
        (options.daemon, [own, *verified(options.files, MAIN)]),
        (options.web, verified(options.files, WEB)),
    ):
        libraries = package / LIBRARIES
        install(compiled(files, scratch), libraries)
        trim(libraries, languages(Path("spfmilter/locale")))
        make_modules(libraries)
        move_licences(libraries, package / LICENCES)
    start(options.daemon / FOLDER, options.daemon / "usr" / "bin")
    return 0


# -- files -------------------------------------------------------------------------------------------------------------


def verified(folder: Path, name: str) -> list[Path]:
    """Return the files of a list, each with a hash that the list has.

    Raises:
        SystemExit: a file is missing, or has been changed.
    """
    lock = read(name)
    allowed = hashes(lock)
    found = [path for path in sorted(folder.iterdir()) if hashlib.sha256(path.read_bytes()).hexdigest() in allowed]
    have = {re.split(r"-\d", path.name)[0].replace("_", "-").lower() for path in found}
    if missing := versions(lock).keys() - have:
        sys.exit(f"package.privateenv: {folder} has no file with a hash of {name} for {', '.join(sorted(missing))}")
    return found


def compiled(files: Iterable[Path], scratch: Path) -> list[Path]:
    """Return wheels: those that there are, and one for each source distribution.

    pip would unpack those in a folder with a new name each time. The compiler writes the name into what it makes.
    """
    wheels = []
    for file in files:
        if file.suffix == ".whl":
            wheels.append(file)
            continue
        place = scratch / file.name.removesuffix(".tar.gz")
        with tarfile.open(file) as archive:
            archive.extractall(scratch)  # noqa: S202 - its hash is known; Debian 12 has no filters yet
        built = scratch / "built" / place.name
        _pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", built, place)
        wheels += built.glob("*.whl")
    return wheels


def build_wheel(tree: Path, tools: Path, target: Path) -> Path:
    """Build the project's own wheel with the build system in a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    subprocess.run(command, cwd=tree, env={**os.environ, "PYTHONPATH": str(tools)}, check=True)
    [wheel] = target.glob("*.whl")
    return wheel


def install(wheels: Iterable[Path], target: Path) -> None:
    """Install wheels into a folder. They are all that is needed: pip looks for nothing else."""
    _pip("install", "--no-compile", "--no-deps", "--target", target, *wheels)


def _pip(command: str, *arguments: str | Path) -> None:
    own = ["--isolated", "--quiet", "--disable-pip-version-check", "--no-cache-dir", "--no-input"]
    subprocess.run([sys.executable, "-m", "pip", *own, command, "--no-index", *arguments], check=True)


# -- what is left out --------------------------------------------------------------------------------------------------


def languages(locale: Path) -> set[str]:
    """Return the names of Babel's files for the languages of the page, such as ``pt_BR``, and those they build on."""
    names = {"root", "en"}
    for path in locale.iterdir():
        if path.is_dir():
            parts = path.name.split("_")
            names |= {"_".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return names


def trim(libraries: Path, wanted: set[str]) -> None:
    """Delete what is never used.

    Args:
        libraries: the folder of Python packages.
        wanted: the languages of which Babel's data stay.
    """
    unused = [path for pattern in UNUSED for path in libraries.glob(pattern)]
    unused += [path for path in libraries.glob("babel/locale-data/*.dat") if path.stem not in wanted]
    unused += [path for note in _NOTES for path in libraries.glob(f"*.dist-info/{note}")]
    for path in unused:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def make_modules(libraries: Path) -> None:
    """Make all files of libraries plain modules: some are programs as well, for an interpreter that is not ours.

    The first line stays as a comment, so the lines keep their numbers.
    """
    for path in libraries.rglob("*.py"):
        content = path.read_bytes()
        if content.startswith(b"#!"):
            path.write_bytes(b"#" + content[2:])
        path.chmod(0o644)


def move_licences(libraries: Path, target: Path) -> None:
    """Move the licence of each library to where Debian's users look for it, in a folder of the library's name.

    A library that brings no text names its licence in METADATA, which stays where it is.
    """
    for info in libraries.glob("*.dist-info"):
        name = info.name.partition("-")[0].lower()
        found = [path for path in info.rglob("*") if path.is_file() and _is_licence(path)]
        for path in found:
            place = target / name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, place)
        shutil.rmtree(info / "licenses", ignore_errors=True)


def _is_licence(path: Path) -> bool:
    return path.parent.name == "licenses" or path.name.upper().startswith(("LICEN", "COPYING", "AUTHORS", "NOTICE"))


# -- how it is started -------------------------------------------------------------------------------------------------


def start(folder: Path, commands: Path) -> None:
    """Make the environment's interpreter, which sees the folder's libraries alone, and the command.

    It is Debian's interpreter, so it gets Debian's security updates. The command ignores variables such as PYTHONPATH.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (programs / "python3").symlink_to("../../../bin/python3.11")
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n")
    launcher = programs / "spfmilter"
    launcher.write_text(_LAUNCHER)
    launcher.chmod(0o755)
    commands.mkdir(parents=True, exist_ok=True)
    (commands / "spfmilter").symlink_to("../lib/spfmilter/bin/spfmilter")


if __name__ == "__main__":
    sys.exit(main())
