"""A process beside the workers that the system refuses."""

import errno
import logging
import os

import pytest

from spfmilter.daemon import child
from spfmilter.daemon.background import BackgroundProcess


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
