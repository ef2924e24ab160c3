"""The list as it goes from the storage process to the workers."""

import logging
import os
import threading
from ipaddress import ip_address

import pytest

from spfmilter.daemon import board as memory
from spfmilter.daemon.exemptionboard import ExemptionBoard, ExemptionReader
from spfmilter.exemptions.inforce import pack
from tests.exemptions.samples import NOW, exempt


def listed(*networks: str) -> tuple[bytes, int]:
    return pack([exempt(network, number) for number, network in enumerate(networks)]), len(networks)


def knows(reader: ExemptionReader, address: str) -> bool:
    return reader.current().find("", ip_address(address), NOW) is not None


def test_a_reader_has_the_last_list_that_it_has_looked_at() -> None:
    board = ExemptionBoard()
    reader = ExemptionReader(board)
    assert not reader.current()
    board.publish(*listed("192.0.2.1"))
    assert not knows(reader, "192.0.2.1")
    reader.refresh()
    assert knows(reader, "192.0.2.1")
    same = reader.current()
    reader.refresh()
    assert reader.current() is same, "nothing is read anew without a change"
    board.publish(*listed("192.0.2.2", "192.0.2.3"))
    reader.refresh()
    assert [knows(reader, f"192.0.2.{n}") for n in (1, 2, 3)] == [False, True, True]
    assert knows(ExemptionReader(board), "192.0.2.3"), "a later worker has it from its start"
    board.publish(*listed())
    reader.refresh()
    assert not reader.current()


def test_how_the_store_stands() -> None:
    board = ExemptionBoard()
    assert (board.state().number, board.state().looked, board.state().reason) == (0, 0.0, "")
    board.publish(*listed("192.0.2.1"))
    board.note(looked=5.0, errors=3, reason="ü" * 1000)
    state = board.state()
    assert (state.number, state.looked, state.errors) == (1, 5.0, 3)
    assert state.reason.startswith("üüü")


def test_a_list_that_is_half_written_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    board = ExemptionBoard()
    board.publish(*listed("192.0.2.1"))
    reader = ExemptionReader(board)
    board.publish(*listed("192.0.2.2"))
    read = os.pread
    monkeypatch.setattr(
        os,
        "pread",
        lambda file, length, place: (
            read(file, length, place)[:-1] + b"?" if place >= memory._HALVES[0] else read(file, length, place)
        ),
    )
    reader.refresh()
    assert knows(reader, "192.0.2.1")
    monkeypatch.undo()
    reader.refresh()
    assert knows(reader, "192.0.2.2")


def test_a_write_that_fails_leaves_the_former_list(monkeypatch: pytest.MonkeyPatch) -> None:
    board = ExemptionBoard()
    board.publish(*listed("192.0.2.1"))
    write = os.pwrite
    written: list[int] = []

    def full(file: int, data: memoryview, place: int) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(write(file, data[: len(data) - 1], place))
        return written[0]

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        board.publish(*listed("192.0.2.2", "192.0.2.3"))
    monkeypatch.undo()
    assert knows(ExemptionReader(board), "192.0.2.1"), "for workers that start later, too"
    board.publish(*listed("192.0.2.2"))
    assert knows(ExemptionReader(board), "192.0.2.2")


def test_without_memory_there_are_no_exemptions_and_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(logging.getLogger("spfmilter"), "propagate", True)
    monkeypatch.setattr(os, "memfd_create", refuse)
    board = ExemptionBoard()
    assert [record.message for record in caplog.records] == ["temporary exemptions unavailable"]
    reader = ExemptionReader(board)
    reader.refresh()
    board.note(looked=1.0, errors=0, reason="")
    assert (reader.current().number, board.state().number) == (0, 0)
    with pytest.raises(OSError, match="no room"):
        board.publish(*listed("192.0.2.1"))


def test_a_list_that_cannot_be_read_costs_nothing_but_a_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("spfmilter"), "propagate", True)
    board = ExemptionBoard()
    board.publish(*listed("192.0.2.1"))
    reader = ExemptionReader(board)
    board.publish(b"{}]", 1)
    for _ in range(2):
        reader.refresh()
    assert knows(reader, "192.0.2.1")
    assert [record.message for record in caplog.records] == ["internal error"]


def test_readers_beside_a_writer_see_whole_lists_only() -> None:
    """The writer replaces the list as fast as it can; what each reader sees is one of the lists, from end to end."""
    board, ended, seen = ExemptionBoard(), threading.Event(), set()
    lists = [[f"10.{n}.{m}.1" for m in range(50 * (n + 1))] for n in range(3)]
    board.publish(*listed(*lists[0]))

    def write() -> None:
        for turn in range(300):
            board.publish(*listed(*lists[turn % 3]))
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    reader = ExemptionReader(board)
    while not ended.is_set():
        reader.refresh()
        found = [n for n in range(3) if knows(reader, f"10.{n}.0.1")]
        assert len(found) == 1
        assert reader.current().number == 50 * (found[0] + 1)
        seen |= set(found)
    writer.join()
    assert seen
