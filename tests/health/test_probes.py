"""The probes run side by side, and neither a slow one nor a broken one makes the others wait."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from lab.processes import patience
from spfmilter.health.known import Known, gather
from spfmilter.health.parts import Level, Part
from spfmilter.health.probes import PartProbe, ask
from tests.health.snapshots import known

OK, WARNING, CRITICAL, UNKNOWN = Level


def good(name: str) -> PartProbe:
    return PartProbe(parts=(name,), look=lambda _: iter([Part(name=name, level=OK, text="well")]))


def both(_: Known) -> Iterator[Part]:
    yield Part(name="a", level=OK, text="well")
    yield Part(name="b", level=WARNING, text="ill")


def hangs(_: Known) -> Iterator[Part]:
    threading.Event().wait()
    yield Part(name="hangs", level=OK, text="never")


def breaks(_: Known) -> Iterator[Part]:
    yield Part(name="breaks", level=OK, text="half")
    raise KeyError("x")


def test_the_parts_come_in_the_order_of_the_probes() -> None:
    probes = [good("x"), PartProbe(parts=("a", "b"), look=both), good("y")]
    assert [part.name for part in ask(known(), "abxy", time.monotonic() + 5, probes)] == ["x", "a", "b", "y"]


def test_only_the_wanted_parts_are_asked_for() -> None:
    probes = [PartProbe(parts=("a", "b"), look=both), PartProbe(parts=("hangs",), look=hangs)]
    assert [part.name for part in ask(known(), ["b"], time.monotonic() + 5, probes)] == ["b"]


def test_a_probe_that_hangs_is_left_behind() -> None:
    probes = [PartProbe(parts=("hangs", "too"), look=hangs, late=CRITICAL), good("x")]
    began = time.monotonic()
    parts = ask(known(), ["hangs", "too", "x"], began + patience(), probes)
    assert time.monotonic() - began < 5 * patience(), "a probe that hangs never ends"
    assert [(part.name, part.level) for part in parts] == [("hangs", CRITICAL), ("too", CRITICAL), ("x", OK)]
    assert parts[0].text == "no outcome in time"


def test_a_probe_that_fails_is_a_bug_and_hides_nothing() -> None:
    parts = ask(known(), ["breaks", "x"], time.monotonic() + 5, [PartProbe(parts=("breaks",), look=breaks), good("x")])
    assert [(part.name, part.level) for part in parts] == [("breaks", UNKNOWN), ("x", OK)]
    assert parts[0].text == "internal error: KeyError: 'x'"


def test_an_ini_file_that_cannot_be_read_in_time(tmp_path: Path) -> None:
    """A named pipe stands for a file on a server that does not answer."""
    path = tmp_path / "spfmilter.ini"
    os.mkfifo(path)
    began = time.monotonic()
    seen = gather(path, began + 0.2, began + 1)
    assert time.monotonic() - began < 5 * patience(), "it would never be read"
    assert seen.settings is None
    assert seen.ini.problems == ("it could not be read in time",)
