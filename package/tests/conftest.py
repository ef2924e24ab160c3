"""What holds for all tests of packages: they need root and the tools for bare roots. Each runs on both Debians."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from package.roots import Root, missing
from package.sources import Sources, export

SUITES = ("bookworm", "trixie")


def pytest_collection_modifyitems() -> None:
    """End the run where it can show nothing: a run that skips every test must not pass."""
    if why := missing():
        pytest.exit(f"the tests of packages cannot run here: {why}", returncode=69)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what a file of tests builds."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def sources(place: Path) -> Sources:
    """The last commit."""
    return export(place / "sources" / "spfmilter")


@pytest.fixture
def root(bare: Root, tmp_path: Path) -> Iterator[Root]:
    """A copy of the file's bare root, which a test may change."""
    copy = bare.copy(tmp_path / "root")
    yield copy
    copy.remove()


@pytest.fixture(scope="session", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """The Debian to install in."""
    return str(request.param)
