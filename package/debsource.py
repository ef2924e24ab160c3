"""Write a Debian source package: the tarball of the sources, and beside it the tree with its debian/ folder.

Knows the names and the form that dpkg-source(1) asks for. Does not know in which root it is built.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from package.sources import Sources, pack

FOLDERS = Path(__file__).with_name("debian")  # what all releases of Debian share, and a folder for each of them
COMMON = "common"


def version_of(sources: Sources, release: str) -> str:
    """Return the version of the packages for a release of Debian, such as ``0.1.0-1~deb13``.

    That of an older release is lower, so an upgrade of the distribution brings its own packages. Debian's own packages
    of the same version would be higher than ours.
    """
    return f"{sources.version}-1~deb{release}"


def write(sources: Sources, release: str, place: Path) -> Path:
    """Write the source package, and return the folder to run dpkg-buildpackage(1) in.

    Args:
        sources: what to build.
        release: of Debian, such as ``13``.
        place: a folder, which gets the tarball and the folder.
    """
    place.mkdir(parents=True, exist_ok=True)
    name = f"spfmilter-{sources.version}"
    pack(sources.tree, place / f"spfmilter_{sources.version}.orig.tar.xz", name, sources.epoch)
    folder = place / name
    shutil.copytree(sources.tree, folder, symlinks=True)
    for part in (COMMON, release):
        shutil.copytree(sources.tree / "package" / "debian" / part, folder / "debian", dirs_exist_ok=True)
    (folder / "debian" / "changelog").write_text(changelog(sources, release))
    return folder


def changelog(sources: Sources, release: str) -> str:
    """Return debian/changelog. It has one entry: CHANGELOG.md, which is installed as well, says what changed."""
    maintainer = re.search(r"(?m)^Maintainer: (.+)$", (_control(sources.tree, release)).read_text())
    if maintainer is None:
        msg = f"package/debian/{release}/control has no Maintainer"
        raise ValueError(msg)
    date = format_datetime(datetime.fromtimestamp(sources.epoch, UTC))
    return (
        f"spfmilter ({version_of(sources, release)}) unstable; urgency=medium\n\n"
        f"  * Version {sources.version}, built by the project. CHANGELOG.md says what changed.\n\n"
        f" -- {maintainer[1]}  {date}\n"
    )


def needed(tree: Path, release: str, field: str) -> list[str]:
    """Return the packages that a field of debian/control names, without their versions, to install them beforehand.

    Args:
        tree: the sources.
        release: of Debian, such as ``13``.
        field: such as ``Build-Depends``; if several binary packages have it, all of theirs.
    """
    found = set()
    for value in re.findall(rf"(?m)^{field}:\n((?: .+\n)+)", _control(tree, release).read_text()):
        for line in value.splitlines():
            if package := re.match(r" ([a-z0-9][a-z0-9+.-]+)", line):
                found.add(package[1])
    return sorted(name for name in found if not name.startswith(("debhelper-compat", "dh-sequence-", "spfmilter")))


def _control(tree: Path, release: str) -> Path:
    return tree / "package" / "debian" / release / "control"
