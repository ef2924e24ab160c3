"""The requirements in pyproject.toml, which all have the form NAME>=VERSION. Knows nothing else of that file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from package.sources import BuildError


class Requirement(NamedTuple):
    """A Python package, and the lowest version that will do."""

    name: str  # without the extra: ``psycopg`` for ``psycopg[binary]``
    version: str


def requirements(lines: Iterable[str]) -> Iterator[Requirement]:
    """Yield what the lines require.

    Raises:
        BuildError: a line has no lower bound, or more than that.
    """
    for line in lines:
        parts = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[\w,-]+\])?>=([\w.]+)", line)
        if parts is None:
            msg = f"pyproject.toml: {line}: write NAME>=VERSION"
            raise BuildError(msg)
        yield Requirement(parts[1], parts[2])
