"""The daemon opens what ``[state] url`` names in each worker, and only then."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.daemon import SpfmilterDaemon
from lab.processes import free_port, until

pytestmark = pytest.mark.outside

UNUSABLE = "state server unavailable, using local memory"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SpfmilterDaemon]:
    """Two workers without a state server, and without the library for it."""
    (tmp_path / "redis.py").write_text("raise ModuleNotFoundError('a package is missing')\n")
    ini = f"[milter]\nsocket = inet:{free_port()}@127.0.0.1\nworkers = 2\n"
    with SpfmilterDaemon(ini, environment={"PYTHONPATH": str(tmp_path)}) as running:
        yield running


def test_a_reload_brings_another_server_to_the_new_workers(daemon: SpfmilterDaemon) -> None:
    assert UNUSABLE not in daemon.log()
    daemon.rewrite(daemon.ini_path.read_text() + "[state]\nurl = redis://me:geheim@192.0.2.9/0\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_for_log("reloaded")
    until(lambda: daemon.log().count(UNUSABLE) == 2, 10, daemon.log)
    daemon.wait_for_log(r"server=redis://me:\*\*\*@192\.0\.2\.9/0 reason=.a package is missing")
    assert "geheim" not in daemon.log()
