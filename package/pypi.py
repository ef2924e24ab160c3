"""Build what goes to PyPI: the source distribution, from it the wheel, and the list of components (SBOM).

Knows hatchling, twine and cyclonedx-py. The environments they run in are locked: package/environment.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from package.environment import environment, install
from package.sources import BuildError, Sources


def build(sources: Sources, dist: Path) -> list[Path]:
    """Build the source distribution from the sources, and the wheel from the source distribution, as pip would.

    Raises:
        BuildError: PyPI would refuse them, or not show their page.
    """
    tools = environment("tools")
    name = f"spfmilter-{sources.version}"
    sdist, wheel = dist / f"{name}.tar.gz", dist / f"{name}-py3-none-any.whl"
    with tempfile.TemporaryDirectory(prefix="spfmilter-pypi-") as scratch:
        _hatch(tools, sources, sources.tree, "sdist", dist)
        with tarfile.open(sdist) as archive:
            archive.extractall(scratch, filter="data")
        _hatch(tools, sources, Path(scratch, name), "wheel", dist)
        bill = _bill(tools, sources, wheel, Path(scratch))
    checked = _run([tools / "twine", "check", "--strict", sdist, wheel], check=False)
    if checked.returncode:
        msg = f"twine check: {checked.stdout}{checked.stderr}"
        raise BuildError(msg)
    target = dist / f"{name}.cdx.json"
    target.write_text(json.dumps(bill, indent=2, ensure_ascii=False) + "\n")
    return [sdist, wheel, target]


def _hatch(tools: Path, sources: Sources, tree: Path, target: str, dist: Path) -> None:
    build_it = ["-m", "hatchling", "build", "--target", target, "--directory", str(dist)]
    _run([str(tools / "python"), *build_it], cwd=tree, variables=sources.environment)


def _bill(tools: Path, sources: Sources, wheel: Path, scratch: Path) -> dict[str, Any]:
    """Return the components of an installation with all extras, in CycloneDX's JSON.

    They are read from an environment that has the versions of the lock, since only an installed package tells its
    licence. The environment is the same at each build but for the wheel, which is installed into a copy.
    """
    locked = environment("pypi").parent
    installed = scratch / "installed"
    shutil.copytree(locked, installed, symlinks=True)
    install(installed, "--no-deps", "--no-index", str(wheel))
    command = [str(tools / "cyclonedx-py"), "environment", "--output-reproducible", "--of", "JSON", "--sv", "1.6"]
    found = json.loads(_run([*command, str(installed / "bin" / "python")], variables=sources.environment).stdout)
    return with_subject(found, sources.version)


def with_subject(found: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the bill with spfmilter as what it is about, and no longer as one of its own components."""
    [subject] = [component for component in found["components"] if component["name"] == "spfmilter"]
    # The wheel's place on this machine.
    references = [link for link in subject.get("externalReferences", ()) if not link["url"].startswith("file:")]
    subject = {key: value for key, value in subject.items() if key != "externalReferences"}
    subject |= {"type": "application", "purl": f"pkg:pypi/spfmilter@{version}"}
    if references:
        subject["externalReferences"] = references
    others = [component for component in found["components"] if component["name"] != "spfmilter"]
    return found | {"metadata": found.get("metadata", {}) | {"component": subject}, "components": others}


def _run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **(variables or {})}, check=check, capture_output=True, text=True
    )
