"""A step that fails is logged once a minute, and the next ones are run."""

import pytest

from spfmilter.daemon.guard import Guard
from spfmilter.observe import log


def test_a_failure_ends_with_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now, told, run = [100.0], [], []
    monkeypatch.setattr(log, "fault", lambda where, trace: told.append((where, trace.splitlines()[-1])))
    guard = Guard(lambda: now[0])

    def _fails(error: Exception) -> None:
        run.append(error)
        raise error

    def _other() -> None:
        raise MemoryError

    for error in (OSError(5, "Input/output error"), ValueError("again")):
        guard.run(_fails, error)
    guard.run(_other)
    assert told == [
        ("supervisor: fails", "OSError: [Errno 5] Input/output error"),
        ("supervisor: other", "MemoryError"),
    ]
    now[0] += 60
    guard.run(_fails, error=KeyError("x"))
    assert told[2:] == [("supervisor: fails", "KeyError: 'x'")]
    assert len(run) == 3


def test_a_log_that_fails_is_no_failure_either(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(log, "fault", fault)
    Guard().run(lambda: 1 // 0)


def test_the_end_of_the_process_is_none() -> None:
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Guard().run(leave)
