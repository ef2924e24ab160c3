"""What is built comes from the last commit, whole and the same everywhere."""

import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from package import build
from package.sources import ROOT, BuildError, export, pack, version_of
from spfmilter import __version__


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit, one change after it, and one file that git does not know."""
    place = tmp_path / "clone"
    (place / "spfmilter").mkdir(parents=True)
    (place / "spfmilter" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (place / "run").write_text("#!/bin/sh\n")
    (place / "run").chmod(0o755)
    me = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    at = {**os.environ, "GIT_COMMITTER_DATE": "1700000000 +0000"}
    for command in (["init", "-q"], ["add", "."], [*me, "commit", "-q", "-m", "First"]):
        subprocess.run(["git", "-C", place, *command], check=True, env=at)
    (place / "run").write_text("changed\n")
    (place / "beside").touch()
    return place


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_export_is_the_commit_with_the_same_modes_and_times(clone, tmp_path, umask) -> None:
    former = os.umask(umask)
    try:
        sources = export(tmp_path / "out", clone)
    finally:
        os.umask(former)
    assert (sources.version, sources.epoch) == ("1.2.3", 1700000000)
    assert sorted(path.name for path in sources.tree.iterdir()) == ["run", "spfmilter"]
    held = {path.name: path.stat() for path in (sources.tree / "run", sources.tree / "spfmilter" / "__init__.py")}
    assert (sources.tree / "run").read_text() == "#!/bin/sh\n"
    assert {name: stat.S_IMODE(status.st_mode) for name, status in held.items()} == {"run": 0o755, "__init__.py": 0o644}
    assert {int(status.st_mtime) for status in held.values()} == {1700000000}


def test_a_folder_that_is_no_clone_is_an_error_that_says_so(tmp_path) -> None:
    with pytest.raises(BuildError, match="is no git clone with a commit"):
        export(tmp_path / "out", tmp_path)


def test_sources_without_a_version_are_an_error(tmp_path) -> None:
    (tmp_path / "spfmilter").mkdir()
    (tmp_path / "spfmilter" / "__init__.py").touch()
    with pytest.raises(BuildError, match="has no line __version__"):
        version_of(tmp_path)
    assert version_of(ROOT) == __version__


@pytest.mark.parametrize("name", build.ARTEFACTS)
def test_each_artefact_has_the_module_of_its_name(name) -> None:
    assert callable(build.builder(name))


def test_a_name_that_is_none_is_answered_with_those_that_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "package.build", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no artefact nonsense; there are pypi, debian13" in done.stderr


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz"])
def test_the_same_folder_makes_the_same_archive(tmp_path: Path, suffix: str) -> None:
    """Whoever owns the files, whenever they were written, and in whatever order."""
    archives = []
    for number, names in enumerate(("ba", "ab")):
        folder, archive = tmp_path / names, tmp_path / f"{names}.{suffix}"
        folder.mkdir()
        for name in names:
            (folder / name).write_text(name)
        (folder / "a").chmod((0o755, 0o700)[number])
        (folder / "link").symlink_to("a")
        os.utime(folder / "b", (number, number))
        os.chown(folder / "b", number, number)
        pack(folder, archive, "top-1", 1_700_000_000)
        archives.append(archive)
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with tarfile.open(archives[0]) as tar:
        members = [(member.name, member.mode, member.mtime, member.uname, member.linkname) for member in tar]
    at = 1_700_000_000
    assert members == [
        ("top-1", 0o755, at, "root", ""),
        ("top-1/a", 0o755, at, "root", ""),
        ("top-1/b", 0o644, at, "root", ""),
        ("top-1/link", 0o755, at, "root", "a"),
    ]
