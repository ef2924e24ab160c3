"""A bare Debian that has what a release's packages are built with. Does not know how they are built."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from package import debsource
from package.roots import Root, missing
from package.sources import BuildError, Sources


@dataclass(frozen=True, slots=True)
class Builder:
    """Makes the roots for the packages of one release."""

    suite: str  # of the release, such as "trixie"
    release: str  # its number, such as "13"
    tools: Sequence[str]  # packages that Build-Depends takes for granted

    def make(self, tree: Path, place: Path, *more: str) -> Root:
        """Make a root that has what Build-Depends names, and more packages."""
        needed = debsource.needed(tree, self.release, "Build-Depends")
        return Root.make(self.suite, place, (*self.tools, *needed, *more))

    @contextmanager
    def root(self, sources: Sources) -> Iterator[Root]:
        """Yield such a root, and delete it afterwards.

        Raises:
            BuildError: none can be made here; the message says why.
        """
        if why := missing():
            raise BuildError(why)
        with tempfile.TemporaryDirectory(prefix=f"spfmilter-debian{self.release}-") as scratch:
            yield self.make(sources.tree, Path(scratch, "root"))
