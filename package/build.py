"""Build what is released: ``python -m package.build [NAME...]``, which ``make packages`` runs.

Knows which artefacts there are, and that each is built from the last commit by the module of its name. Does not know
how: see there.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from package.sources import ROOT, BuildError, Sources, export, uncommitted

__all__ = ["ARTEFACTS", "BuildError", "Sources", "builder", "main"]

Build = Callable[[Sources, Path], list[Path]]

# A module of this folder, whose ``build(sources, dist)`` writes files into dist and returns them.
ARTEFACTS: Mapping[str, str] = {
    "pypi": "source distribution, wheel, list of components (SBOM)",
    "debian13": "Debian 13: spfmilter and spfmilter-web over Debian's libraries",
    "debian12": "Debian 12: the same packages, with the libraries that Debian 12 lacks",
    "rpm": "RPM packages for Fedora and RHEL",
    "oci": "container image",
}
SUMS = "SHA256SUMS"


def builder(name: str) -> Build:
    """Return the function that builds an artefact. Its module is loaded now: it may need what others do not."""
    build: Build = importlib.import_module(f"package.{name}").build
    return build


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the named artefacts, or all, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m package.build", description="Build artefacts of the last commit.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of an artefact (see --list); without one, all")
    parser.add_argument("--list", action="store_true", help="list the artefacts")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="for the files (default: dist)")
    options = parser.parse_args(arguments)
    if options.list:
        for name, text in ARTEFACTS.items():
            print(f"{name:10}{text}")
        return 0
    if unknown := [name for name in options.names if name not in ARTEFACTS]:
        parser.error(f"no artefact {', '.join(unknown)}; there are {', '.join(ARTEFACTS)}")
    try:
        build(options.names or list(ARTEFACTS), options.out.resolve())
    except BuildError as error:
        print(f"package.build: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"package.build: failed with status {error.returncode}: {error.cmd}", file=sys.stderr)
        sys.stderr.write(_text(error.stdout) + _text(error.stderr))
        return 1
    return 0


def build(names: Sequence[str], dist: Path) -> list[Path]:
    """Build artefacts from the last commit, each from an export of its own, and write the sums of what is in dist."""
    dist.mkdir(parents=True, exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory(prefix="spfmilter-build-") as scratch:
        for name in names:
            sources = export(Path(scratch, name, "spfmilter"))
            print(f"== {name} {sources.version}", flush=True)
            files = builder(name)(sources, dist)
            for file in files:
                print(f"{file.stat().st_size / 1000:9,.1f} kB  {file.name}", flush=True)
            made += files
    if uncommitted():
        print("package.build: what is not committed is not in them", file=sys.stderr)
    files = sorted(path for path in dist.iterdir() if path.is_file() and not path.name.startswith(SUMS))
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (dist / SUMS).write_text("".join(sums))
    return made


def _text(output: str | bytes | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


if __name__ == "__main__":
    sys.exit(main())
