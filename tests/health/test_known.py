"""What is known before the probes begin: of the INI file, and of the process that wrote the status file."""

import os
import time
from pathlib import Path

import pytest

from spfmilter.daemon import life
from spfmilter.daemon.life import Life
from spfmilter.daemon.statusfile import Found
from spfmilter.health.known import IniFile, known_from, read_ini
from tests.health.snapshots import INI, snapshot


def own(**changed: object) -> Found:
    """A status file that this process could have written."""
    pid = os.getpid()
    whole = {"pid": pid, "started": life.start_of(pid), "namespace": life.namespace(), **changed}
    return Found(snapshot=snapshot(**whole), path=Path("status.json"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "alive", "is_old"),
    [
        ({}, Life.RUNS, False),
        ({"monotonic": time.monotonic() - 3600}, Life.RUNS, True),
        ({"started": 1}, Life.GONE, False),
        ({"namespace": 1}, Life.UNKNOWN, False),
        # This host was started anew since: its monotonic clock has not come that far yet.
        ({"monotonic": time.monotonic() + 10_000, "time": time.time() - 3600}, Life.GONE, True),
    ],
)
def test_who_has_written_it(changed: dict[str, object], alive: Life, is_old: bool) -> None:
    known = known_from(INI, IniFile(), own(**changed), 0.0)
    assert (known.life, known.is_old) == (alive, is_old)
    assert (known.snapshot is None) == (alive is Life.GONE)


def test_without_a_status_file() -> None:
    known = known_from(INI, IniFile(), Found(trouble="none"), 0.0)
    assert (known.life, known.snapshot, known.is_old) == (Life.UNKNOWN, None, False)


@pytest.mark.parametrize(
    ("text", "is_usable", "readable"),
    [("[policy]\nmode = monitor\n", True, True), ("[x]\n", False, True), (None, False, False)],
)
def test_the_ini_file(tmp_path: Path, text: str | None, is_usable: bool, readable: bool) -> None:
    path = tmp_path / "spfmilter.ini"
    if text is not None:
        path.write_text(text)
    ini = read_ini(path)
    assert (ini.settings is not None, ini.readable, bool(ini.problems)) == (is_usable, readable, not is_usable)
