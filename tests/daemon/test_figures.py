"""The figures that workers share with their supervisor."""

import os

from spfmilter.daemon.figures import _ROW, _SPACE, SharedFigures
from tests.health.snapshots import figures


def test_each_slot_has_the_last_figures_of_its_process() -> None:
    shared = SharedFigures()
    shared.write(0, figures(10))
    shared.write(300, figures(12, sessions=7, silence=1.5))
    shared.write(300, figures(12, sessions=8, silence=2.5))
    assert shared.read(0, 10) == figures(10)
    assert shared.read(300, 12) == figures(12, sessions=8, silence=2.5)


def test_figures_of_a_former_process_do_not_count() -> None:
    shared = SharedFigures()
    shared.write(0, figures(10))
    assert shared.read(0, 11) is None


def test_a_slot_without_figures() -> None:
    shared = SharedFigures()
    assert shared.read(5, 10) is None
    shared.write(9, figures(10))
    assert shared.read(5, 10) is None


def test_a_process_and_its_child_see_the_same() -> None:
    shared = SharedFigures()
    child = os.fork()
    if child == 0:
        shared.write(2, figures(os.getpid()))
        os._exit(0)
    os.waitpid(child, 0)
    assert shared.read(2, child) == figures(child)


def test_half_written_figures_do_not_count() -> None:
    shared = SharedFigures()
    shared.write(0, figures(10))
    assert shared._file is not None
    os.pwrite(shared._file, (2).to_bytes(8, "little"), _ROW.size - 8)
    assert shared.read(0, 10) is None


def test_the_rows_do_not_overlap() -> None:
    assert _ROW.size <= _SPACE


def test_without_memory_nothing_is_stored(monkeypatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", refuse)
    shared = SharedFigures()
    shared.write(0, figures(10))
    assert shared.read(0, 10) is None
