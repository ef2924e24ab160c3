"""A process beside the workers: one that the system refuses, and how one learns why it ends."""

import errno
import logging
import os
import select
import socket
from pathlib import Path

import pytest

from spfmilter.daemon import child
from spfmilter.daemon.background import BackgroundProcess, is_planned
from spfmilter.daemon.child import Child


def test_a_process_that_cannot_be_started_is_logged_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> child.Child:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(logging.getLogger("spfmilter"), "propagate", True)
    monkeypatch.setattr(child, "fork", refuse)
    BackgroundProcess("metrics exporter", lambda: None).keep("a purpose", lambda _: 0, 0.0)
    (record,) = caplog.records
    assert record.message == "metrics exporter cannot be started"
    assert record.__dict__["fields"] == {
        "reason": "Resource temporarily unavailable",
        "fix": "raise the limits of the process (ulimit -a)",
    }


@pytest.mark.parametrize("end", ["stop", "finish", "killed"])
def test_a_process_knows_whether_the_supervisor_was_killed(monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """At once, by the link alone: its parent is still the same one in that moment."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(child, "fork", lambda *_: Child(pid=0, link=ours, slot=-1))
    monkeypatch.setattr(os, "waitpid", lambda *_: (1, 0))
    process = BackgroundProcess("storage process", lambda: None, finishes=True)
    process.keep("a purpose", lambda _: 0, 0.0)
    match end:
        case "stop":
            process.stop()
        case "finish":
            process.finish(0.0)
        case _:
            ours.close()
    with theirs:
        assert is_planned(theirs) is (end != "killed")


def test_a_process_that_was_replaced_is_waited_for_before_the_one_that_runs_is_ended() -> None:
    """What it leaves is for the one that runs."""
    order, told = os.pipe()
    pids: list[int] = []

    def work(link: socket.socket) -> int:
        """Say which process was told to end, and how many of those before it were not waited for until then."""
        select.select([link], [], [])
        os.write(told, b"%d %d\n" % (os.getpid(), sum(Path(f"/proc/{pid}").exists() for pid in pids)))
        return 0

    process = BackgroundProcess("storage process", lambda: None, finishes=True)
    for purpose in ("one", "other"):
        process.hurry()
        process.keep(purpose, work, 0.0)
        assert process.pid is not None
        pids.append(process.pid)
    assert process.finish(10) == pids
    os.close(told)
    with open(order, "rb") as file:  # noqa: PTH123 - a descriptor
        assert [tuple(map(int, line.split())) for line in file] == [(pid, 0) for pid in pids]
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()
