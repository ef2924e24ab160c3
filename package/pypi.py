"""Build what goes to PyPI: the source distribution, and from it the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from package.sources import Sources


def build(sources: Sources, dist: Path) -> list[Path]:
    """Build the source distribution from the sources, and the wheel from the source distribution, as pip would."""
    name = f"spfmilter-{sources.version}"
    sdist, wheel = dist / f"{name}.tar.gz", dist / f"{name}-py3-none-any.whl"
    _hatch(sources, sources.tree, "sdist", dist)
    with tempfile.TemporaryDirectory(prefix="spfmilter-sdist-") as scratch:
        with tarfile.open(sdist) as archive:
            archive.extractall(scratch, filter="data")
        _hatch(sources, Path(scratch, name), "wheel", dist)
    return [sdist, wheel]


def _hatch(sources: Sources, tree: Path, target: str, dist: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(dist)]
    environment = {**os.environ, **sources.environment}
    subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True)
