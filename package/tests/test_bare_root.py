"""The tests run on a machine that has never seen the project: `make` installs what is missing."""

import shutil
from pathlib import Path

import pytest

from package.roots import Root, missing
from package.sources import export

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_make_quick_passes_in_a_bare_root(suite: str, tmp_path: Path) -> None:
    """With no compiler, no libmilter, no Postfix and no Python: only `make` is there before."""
    root = Root.make(suite, tmp_path / "root", ["make"])
    try:
        for name in ("usr/bin/python3", "usr/bin/gcc", "usr/sbin/postconf", "usr/include/libmilter"):
            assert not (root.path / name).exists()
        root.put(export(tmp_path / "tree").tree, "/srv/spfmilter")
        done = root.enter("make", "-C", "/srv/spfmilter", "quick", check=False)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
        assert " passed" in done.stdout
        assert not (root.path / "usr/sbin/postconf").exists()
    finally:
        shutil.rmtree(root.path)
