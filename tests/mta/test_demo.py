"""What `make demo` runs comes out as it must, and stops what it started however it ends."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import nsd, postfix
from lab.processes import until

DEMO = Path(__file__).parents[2] / "demo" / "demo.py"

pytestmark = pytest.mark.skipif(bool(postfix.unavailable() or nsd.unavailable()), reason="no Postfix or NSD here")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the demo's folders are made; Postfix's own users may pass through, unlike through pytest's."""
    place = Path(tempfile.mkdtemp(prefix="lab-demo-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


def start(folder: Path, **environment: str) -> tuple["subprocess.Popen[bytes]", Path]:
    """The demo, with its temporary folders below the given one; and the file that it writes to."""
    shown = folder / "shown"
    with shown.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(DEMO)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "TMPDIR": str(folder), **environment},
        )
    return process, shown


def test_the_demo_shows_every_scene_and_ends_well(folder: Path) -> None:
    process, shown = start(folder, KEEP="")
    assert process.wait(60) == 0, shown.read_text()
    text = shown.read_text()
    assert (
        '< 550-5.7.23 203.0.113.7 is not in the trusted sender list of mail163.example (SPF fail, matched "-all")'
        in text
    )
    assert text.count("\n== ") == 10
    assert "✘" not in text
    assert "\x1b" not in text
    assert list(folder.iterdir()) == [shown], "no folder is left"


def test_a_demo_that_is_kept_stops_its_servers_at_sigterm(folder: Path) -> None:
    process, shown = start(folder, KEEP="1")
    until(lambda: "telnet 127.0.0.1" in shown.read_text() or process.poll() is not None, 60, shown.read_text)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, shown.read_text()
    assert list(folder.iterdir()) == [shown], "no folder is left"
