"""Build the source RPM package, from which the packages for Fedora and RHEL are built.

Knows rpmbuild(8) and pip. The build itself stands in rpm/spfmilter.spec, and the versions of the libraries in locks/.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from package.lockfiles import MAIN, PRIVATE, WEB, read, versions
from package.requirements import requirements
from package.sources import BuildError, Sources, pack

PYTHON = "3.12"  # as in the spec
MACHINES = ("x86_64", "aarch64")
# glibc 2.28 and 2.17: RHEL 9 has 2.34. pip takes the first of them for which there is a file.
PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")


def build(sources: Sources, dist: Path) -> list[Path]:
    """Build the source package. `rpmbuild --rebuild` or mock makes the packages from it, on the system they are for."""
    with tempfile.TemporaryDirectory(prefix="spfmilter-rpm-") as scratch:
        top = Path(scratch)
        prepare(sources, top, download(sources, top / "libraries", PYTHON, MACHINES))
        rpmbuild(sources, top, "-bs")
        return [Path(shutil.copy2(package, dist)) for package in sorted(top.glob("SRPMS/*.src.rpm"))]


def download(sources: Sources, place: Path, python: str, machines: Sequence[str]) -> Path:
    """Download the libraries of all locks for a Python on some machines. A file with another hash is an error.

    Args:
        sources: whose locks count.
        place: the folder for the files.
        python: its version, such as 3.12.
        machines: as uname(1) names them.
    """
    locks = [f"--requirement={sources.tree / 'package' / 'locks' / name}" for name in PRIVATE]
    for machine in machines:
        platforms = [f"--platform={platform}_{machine}" for platform in PLATFORMS]
        download_all = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--require-hashes", f"--dest={place}", f"--python-version={python}", "--implementation=cp",
                   *platforms, *locks]  # fmt: skip
        done = subprocess.run(download_all, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"the libraries of the RPM package could not be downloaded: {done.stderr.strip()}")
    return place


def prepare(sources: Sources, top: Path, libraries: Path) -> Path:
    """Lay out the folders that rpmbuild wants, with the spec and its two archives, and return the spec."""
    for folder in ("SOURCES", "SPECS"):
        (top / folder).mkdir(parents=True, exist_ok=True)
    name, archives = f"spfmilter-{sources.version}", top / "SOURCES"
    pack(sources.tree, archives / f"{name}.tar.gz", name, sources.epoch)
    pack(libraries, archives / f"spfmilter-libraries-{sources.version}.tar", "libraries", sources.epoch)
    spec = top / "SPECS" / "spfmilter.spec"
    spec.write_text(filled(sources))
    for path in (spec, *(top / "SOURCES").iterdir()):
        path.chmod(0o644)
        os.utime(path, (sources.epoch, sources.epoch))
    return spec


def filled(sources: Sources) -> str:
    """Return the spec with its version, date and dependencies."""
    template = (sources.tree / "package" / "rpm" / "spfmilter.spec").read_text()
    values = fields(sources)
    return re.sub(r"@([A-Z]+)@", lambda found: values[found[1]], template)


def fields(sources: Sources) -> Mapping[str, str]:
    """Return what the spec leaves open: what is said in pyproject.toml and in the locks is not said twice."""
    project = tomllib.loads((sources.tree / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    locks = sources.tree / "package" / "locks"
    return {
        "VERSION": sources.version,
        "DATE": time.strftime("%a %b %d %Y", time.gmtime(sources.epoch)),
        "BUILD": tags("BuildRequires", project["build-system"]["requires"]),
        "SUGGESTED": tags("Suggests", [*extras["redis"], *extras["postgresql"]]),
        "WEB": tags("Requires", extras["web"]),
        "BUNDLED": bundled(read(MAIN, locks)),
        "BUNDLEDWEB": bundled(read(WEB, locks)),
    }


def tags(tag: str, lines: Sequence[str]) -> str:
    """Return lines of the spec that require Python packages, by the names that Fedora gives them.

    An extra, such as that of `psycopg[binary]`, is left out: it brings a copy of a library that the system has.
    """
    return "\n".join(
        f"{tag + ':':15} python3dist({name.lower()}) >= {version}" for name, version in requirements(lines)
    )


def bundled(lock: str) -> str:
    """Return the lines that say which libraries the package contains, for those who look for vulnerable ones."""
    return "\n".join(
        f"Provides:       bundled(python3dist({name})) = {version}" for name, version in versions(lock).items()
    )


def rpmbuild(sources: Sources, top: Path, *options: str) -> None:
    """Run rpmbuild here, on the spec in a folder that `prepare` has laid out."""
    environment = {**os.environ, **sources.environment}
    try:
        subprocess.run(command(top, *options), env=environment, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise BuildError("rpmbuild is missing: tools/setup.sh packages") from None


def command(top: Path, *options: str) -> list[str]:
    """Return the command that builds from a spec, with the same result each time.

    Where Debian's packages are installed, RPM's database knows none of those that the spec requires. Hence --nodeps: if
    one is missing, the build fails at the step that needs it.
    """
    defines = {
        "_topdir": str(top),
        "_buildhost": "reproducible",
        "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1",
    }
    settings = [word for name, value in defines.items() for word in ("--define", f"{name} {value}")]
    return ["rpmbuild", "--quiet", "--nodeps", *settings, *options, str(top / "SPECS" / "spfmilter.spec")]
