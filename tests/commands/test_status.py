"""`spfmilter status`: its options, and what it shows where. What it finds out is tested in tests/health."""

import json
import os
import pty
import subprocess
import sys

import pytest

from spfmilter.health.parts import NAMES


def test_one_part(run, tmp_path) -> None:
    done = run("status", "-c", tmp_path / "none.ini", "--only", "versions")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("SPFMILTER OK - versions: spfmilter ")
    assert second.startswith("ok       versions      spfmilter ")


def test_a_part_that_there_is_not(run, tmp_path) -> None:
    done = run("status", "-c", tmp_path / "none.ini", "--only", "state")
    assert (done.returncode, done.stdout) == (3, "SPFMILTER UNKNOWN - there is no such part in this daemon\n")


def test_a_missing_file_is_unknown(run, tmp_path) -> None:
    done = run("status", "-c", tmp_path / "none.ini", "--only", "configuration", "--json")
    (part,) = json.loads(done.stdout)["parts"]
    assert (done.returncode, part["status"], part["data"]["valid"]) == (3, "unknown", None)
    assert "there is no such file" in part["text"]


@pytest.mark.parametrize("options", [["--quiet"], ["-q", "--json"]])
def test_quiet_prints_nothing(run, tmp_path, options) -> None:
    done = run("status", "-c", tmp_path / "none.ini", "--only", "versions", *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "options", [["--only", "nonsense"], ["--without", ""], ["--timeout", "0"], ["--timeout", "soon"], ["extra"]]
)
def test_wrong_usage(run, options) -> None:
    done = run("status", *options)
    assert (done.returncode, done.stdout) == (os.EX_USAGE, "")


def test_wrong_usage_names_the_parts(run) -> None:
    assert ", ".join(f"'{name}'" for name in NAMES) in run("status", "--only", "nonsense").stderr


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_levels_have_a_colour_at_a_terminal(tmp_path, no_color, coloured) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "spfmilter", "status", "-c", str(tmp_path / "none.ini"), "--only", "versions"]
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    subprocess.run(command, env=environment, stdout=theirs, check=True)  # noqa: S603 - our own command
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        assert (b"\x1b[32mok\x1b[0m       versions" in terminal.read(4096)) == coloured


def test_a_reader_that_leaves_early_is_no_error(tmp_path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "spfmilter", "status", "-c", str(tmp_path / "none.ini"), "--only", "versions"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)  # noqa: S603 - as above
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
