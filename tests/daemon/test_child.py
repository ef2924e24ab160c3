"""What the supervisor prepares for its children: the limit of open files."""

import errno
import logging
import os
import resource
from collections.abc import Iterator

import pytest

from spfmilter.daemon.child import raise_file_limit


@pytest.fixture
def hard(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The most that this process may have; its own limit is restored afterwards."""
    monkeypatch.setattr(logging.getLogger("spfmilter"), "propagate", True)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    with caplog.at_level(logging.INFO, logger="spfmilter"):
        raise_file_limit()
    return [(record.message, record.__dict__["fields"]) for record in caplog.records]


def test_the_limit_is_raised_to_the_most_and_that_is_logged(hard: int, caplog: pytest.LogCaptureFixture) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    assert logged(caplog) == [("open files limit raised", {"limit": hard, "was": 200})]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


def test_where_nothing_can_be_raised_nothing_is_logged(hard: int, caplog: pytest.LogCaptureFixture) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert logged(caplog) == []
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)


@pytest.mark.parametrize("soft", [resource.RLIM_INFINITY, 1 << 21])
def test_a_limit_above_ours_is_left_alone(
    soft: int, hard: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the system sets no limit, ours is about a million."""
    del hard
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: pytest.fail("it would be lowered"))
    assert logged(caplog) == []
    monkeypatch.undo()


def test_a_system_that_refuses_it_is_logged_with_what_to_do(
    hard: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    with monkeypatch.context() as forbidden:
        forbidden.setattr(resource, "setrlimit", refuse)
        ((event, keys),) = logged(caplog)
    assert (event, keys["limit"]) == ("open files limit cannot be raised", 200)
    assert keys["fix"] == "LimitNOFILE= in the unit, or ulimit -n"
