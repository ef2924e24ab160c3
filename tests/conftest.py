"""What holds for all tests: how many examples a property has, and what a pure test must not touch.

A test without a mark is pure: `make quick` runs it, on any system, without root and without a network. `_guard` fails
a pure test that opens a network connection or starts a program, so no other test can stay among them unnoticed. Tests
that need more have a mark, from their folder (below) or in their module; pyproject.toml says what each mark means.
"""

import gc
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The machine that runs the tests is a shared one: an example that is slow there is no failure.
settings.register_profile("spfmilter", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("spfmilter"), max_examples=10)

TESTS = Path(__file__).parent
OUTSIDE = ("bench", "fuzz", "lab", "mta", "survival", "wire")  # folders of which every test has that mark
BEYOND_PURE = ("outside", "alone", "soak")
NETWORK = {"socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg"}

_pure: pytest.Item | None = None  # the pure test that runs now


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--quick``."""
    parser.addoption("--quick", action="store_true", help="pure tests alone, with few examples for each property")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the number of examples, and begin to watch what pure tests do."""
    settings.load_profile("quick" if config.getoption("--quick") else "spfmilter")
    sys.addaudithook(_guard)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``--quick``, do not even load the folders that have no pure test."""
    return (
        True
        if config.getoption("--quick") and collection_path.parent == TESTS and collection_path.name in OUTSIDE
        else None
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without Python's garbage collector, which would look through thousands of tests again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the folders above, before `-m` chooses by mark."""
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in OUTSIDE:
            item.add_marker("outside")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Remember which pure test runs, with its fixtures."""
    global _pure  # noqa: PLW0603 - an audit hook gets no argument of ours
    _pure = None if any(item.get_closest_marker(mark) for mark in BEYOND_PURE) else item
    try:
        return (yield)
    finally:
        _pure = None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Forget the test before its end, which may also be that of a server that other tests used."""
    global _pure  # noqa: PLW0603 - as above
    _pure = None


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    """Fail a pure test that reaches for the network, or for a program other than Python (an audit hook, PEP 578)."""
    # A thread of a server that an earlier test started may still answer; only what the test itself does counts.
    if _pure is None or threading.current_thread() is not threading.main_thread():
        return
    if event in NETWORK:
        reached = isinstance(arguments[0], socket.socket) and arguments[0].family != socket.AF_UNIX
    else:
        reached = event == "socket.getaddrinfo" or (event == "subprocess.Popen" and arguments[0] != sys.executable)
    if reached:
        pytest.fail(
            f"{_pure.nodeid} is no pure test ({event} {arguments[:2]}): mark it `outside`, see tests/conftest.py"
        )
