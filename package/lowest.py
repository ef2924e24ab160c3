"""An environment with the lowest version of each library that pyproject.toml allows: the tests pass there, too.

``python -m package.lowest`` makes it, and prints its Python: ``PYTHON=$(...) sh tools/test.sh`` runs all tests on it.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

from package.environment import KEPT, install
from package.requirements import requirements
from package.sources import ROOT


def constraints(project: dict[str, Any]) -> list[str]:
    """Return the lowest version that each requirement of a project allows, as pip's constraints.

    Args:
        project: the table ``project`` of pyproject.toml.

    Raises:
        BuildError: a requirement has no lower bound, or more than that.
    """
    extras = project.get("optional-dependencies", {}).values()
    lines = (*project["dependencies"], *(each for extra in extras for each in extra))
    return [f"{name}=={version}" for name, version in sorted(dict(requirements(lines)).items())]


def lowest() -> Path:
    """Return the Python of the environment; make it first if pyproject.toml has changed."""
    text = (ROOT / "pyproject.toml").read_text()
    digest = hashlib.sha256(text.encode() + sys.version.encode()).hexdigest()[:12]
    place = KEPT / f"lowest-{digest}"
    made = place / ".made"
    if not made.exists():
        for old in KEPT.glob("lowest-*"):
            shutil.rmtree(old)
        venv.create(place, symlinks=True)
        wanted = place / "constraints.txt"
        wanted.write_text("\n".join(constraints(tomllib.loads(text)["project"])) + "\n")
        group = ["--group", f"{ROOT / 'pyproject.toml'}:dev"]
        # What the test client of Starlette before 1.0 needs: httpx, not httpx2, and an anyio that has its old names.
        more = ["httpx", "anyio==4.8.0"]
        more.append("pip")  # a test builds the wheel with it
        install(place, "--constraint", str(wanted), "--editable", f"{ROOT}[web,redis,postgresql]", *group, *more)
        made.touch()
    return place / "bin" / "python"


if __name__ == "__main__":
    print(lowest())
