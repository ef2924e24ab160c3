"""Build the packages for Debian 12, in a bare root of it.

Debian 12 has older versions of some libraries. The packages bring all of theirs, in a private environment: the versions
of ``package/locks``, each with a known hash. They are downloaded first; the build itself has no network.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from package import debsource
from package.debroot import Builder
from package.lockfiles import LOCKS, PRIVATE
from package.roots import Root
from package.sources import ROOT, Sources

SUITE, RELEASE = "bookworm", "12"
BUILDER = Builder(SUITE, RELEASE, ("build-essential", "debhelper", "python3"))
CACHE = ROOT / ".cache" / "wheels"  # what was downloaded stays there; a list's hashes tell what is still of use
_PLACE = Path("/build")
_DOWNLOADS = "/var/cache/wheels"


def build(sources: Sources, dist: Path) -> list[Path]:
    """Build the binary packages, for the processor of this machine."""
    with BUILDER.root(sources) as root:
        return build_in(root, sources, dist)


def build_in(root: Root, sources: Sources, dist: Path) -> list[Path]:
    """Build in a root that has what Build-Depends names, and return the packages.

    Args:
        root: is changed.
        sources: what to build.
        dist: the folder for the packages.
    """
    place = root.path / _PLACE.relative_to("/")
    shutil.rmtree(place, ignore_errors=True)
    folder = debsource.write(sources, RELEASE, place)
    shutil.copytree(download(root), folder / "debian" / "wheels")
    # Packages alone: a source package may hold no binary form of others' libraries.
    root.enter("env", f"--chdir={_PLACE / folder.name}", "dpkg-buildpackage", "-us", "-uc", "-b", network=False)
    dist.mkdir(parents=True, exist_ok=True)
    built = [*place.glob("spfmilter_*.deb"), *place.glob("spfmilter-web_*.deb")]
    return [Path(shutil.copy(path, dist)) for path in built]


def download(root: Root) -> Path:
    """Return a folder of the root that has the files of all lists. Only what the cache lacks comes from PyPI.

    pip does it inside, so the files are those for Debian 12's Python and this machine's processor. It takes no file
    whose hash is not in the list, also from the cache.
    """
    folder = root.path / _DOWNLOADS.lstrip("/")
    CACHE.mkdir(parents=True, exist_ok=True)
    shutil.copytree(CACHE, folder, dirs_exist_ok=True)
    for name in PRIVATE:
        root.put(LOCKS / name, "/root/")
        pip = ("pip", "--quiet", "--disable-pip-version-check", "download", "--no-build-isolation",
               "--no-deps", "--require-hashes", f"--requirement=/root/{name}", f"--dest={_DOWNLOADS}")  # fmt: skip
        offline = root.enter(*pip, "--no-index", f"--find-links={_DOWNLOADS}", check=False, network=False)
        if offline.returncode:
            root.enter(*pip)
    for path in folder.iterdir():
        if not (CACHE / path.name).exists():
            shutil.copy2(path, CACHE)
    return folder
