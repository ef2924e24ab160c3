"""Build the packages for Debian 13, in a bare root of it and without a network.

``package/debian/13`` is what is special to it; ``debsource`` writes the source package.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from package import debsource
from package.debroot import Builder
from package.roots import Root
from package.sources import Sources

SUITE, RELEASE = "trixie", "13"
BUILDER = Builder(SUITE, RELEASE, ("build-essential", "debhelper", "dh-python"))
_PLACE = Path("/build")


def build(sources: Sources, dist: Path) -> list[Path]:
    """Build the binary packages and the source package."""
    with BUILDER.root(sources) as root:
        return build_in(root, sources, dist)


def build_in(root: Root, sources: Sources, dist: Path, *, checked: bool = True) -> list[Path]:
    """Build in a root that has what Build-Depends names, and return what was built.

    Args:
        root: is changed.
        sources: what to build.
        dist: the folder for the packages.
        checked: whether the build runs tests, as Debian's do.
    """
    place = root.path / _PLACE.relative_to("/")
    shutil.rmtree(place, ignore_errors=True)
    folder = debsource.write(sources, RELEASE, place)
    options = [] if checked else ["DEB_BUILD_OPTIONS=nocheck", "DEB_BUILD_PROFILES=nocheck"]
    inside = str(_PLACE / folder.name)
    root.enter("env", f"--chdir={inside}", *options, "dpkg-buildpackage", "-us", "-uc", network=False)
    version = debsource.version_of(sources, RELEASE)
    names = [
        f"spfmilter_{version}_all.deb",
        f"spfmilter-web_{version}_all.deb",
        f"spfmilter_{version}.dsc",
        f"spfmilter_{version}.debian.tar.xz",
        f"spfmilter_{sources.version}.orig.tar.xz",
    ]
    dist.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy(place / name, dist)) for name in names]
