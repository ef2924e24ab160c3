"""What holds for all tests of packages: they need root and the tools for bare roots. Each runs on both Debians."""

import pytest

from package.roots import missing

SUITES = ("bookworm", "trixie")


def pytest_collection_modifyitems() -> None:
    """End the run where it can show nothing: a run that skips every test must not pass."""
    if why := missing():
        pytest.exit(f"the tests of packages cannot run here: {why}", returncode=69)


@pytest.fixture(scope="session", params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """The Debian to install in."""
    return str(request.param)
