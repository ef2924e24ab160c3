"""The sources of an artefact: the last commit as files, its version and its time.

Knows git. Does not know what is built from them.
"""

from __future__ import annotations

import gzip
import lzma
import re
import subprocess
import tarfile
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

ROOT = Path(__file__).parents[1]


class BuildError(Exception):
    """Says why an artefact cannot be built, and what to do."""


@dataclass(frozen=True, slots=True)
class Sources:
    """One commit of the repository, exported."""

    tree: Path  # its files, as git has them: the translations are not compiled yet
    version: str
    epoch: int  # SOURCE_DATE_EPOCH: the time of the commit, which is the time of all that is built

    @property
    def environment(self) -> dict[str, str]:
        """The variables that a reproducible build needs: same time, language and order everywhere."""
        return {"SOURCE_DATE_EPOCH": str(self.epoch), "LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}


def export(place: Path, repository: Path = ROOT) -> Sources:
    """Export the last commit into a new folder.

    Args:
        place: the folder, which must not exist.
        repository: a clone of the project's repository.

    Raises:
        BuildError: the folder is no clone, or has no version.
    """
    try:
        epoch = int(_git(repository, "log", "-1", "--format=%ct"))
        files = _git(repository, "-c", "tar.umask=0022", "archive", "HEAD")
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        reason = (error.stderr or b"").decode().strip() if isinstance(error, subprocess.CalledProcessError) else error
        msg = f"{repository} is no git clone with a commit ({reason}): artefacts are built from a commit"
        raise BuildError(msg) from None
    place.mkdir(parents=True)
    unpack = ["tar", "--extract", "--preserve-permissions", "--no-same-owner", "--directory", str(place)]
    subprocess.run(unpack, input=files, check=True)
    return Sources(place, version_of(place), epoch)


def pack(folder: Path, archive: Path, name: str, epoch: int) -> None:
    """Pack a folder. The same content makes the same archive: names in order, one time, one owner.

    Args:
        folder: what to pack.
        archive: the file to write; .gz and .xz at the end of its name compress it.
        name: what the folder is called inside.
        epoch: the time of all files in it, in seconds since 1970.
    """

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = epoch
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with ExitStack() as stack:
        file = stack.enter_context(archive.open("wb"))
        target: BufferedIOBase = file
        if archive.suffix == ".gz":
            target = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        elif archive.suffix == ".xz":
            target = stack.enter_context(lzma.LZMAFile(file, "wb"))
        with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as tar:
            tar.add(folder, name, filter=plain)  # tarfile sorts the names


def version_of(tree: Path) -> str:
    """Return the version in ``spfmilter/__init__.py``, without running it."""
    found = re.search(r'(?m)^__version__ = "([^"]+)"$', (tree / "spfmilter" / "__init__.py").read_text())
    if found is None:
        msg = f"{tree}/spfmilter/__init__.py has no line __version__ = ..."
        raise BuildError(msg)
    return found[1]


def uncommitted(repository: Path = ROOT) -> bool:
    """Whether the work tree has changes that are in no commit, and so in no artefact."""
    return bool(_git(repository, "status", "--porcelain", "--untracked-files=no").strip())


def _git(repository: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True).stdout
