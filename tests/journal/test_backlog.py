"""The rows in the memory of the storage process: bounded, counted, and left to the next one."""

import os
import random

import pytest

from spfmilter.journal.backlog import Backlog, Leftovers
from spfmilter.journal.channel import packets
from spfmilter.journal.rows import Row
from spfmilter.journal.totals import Counts, TotalsFile
from tests.journal.values import rows

ENOUGH = 100


class Storage:
    """A storage process's rows and counts."""

    def __init__(self, leftovers: Leftovers | None = None, max_bytes: int = 1 << 20) -> None:
        self.totals, self.leftovers = TotalsFile(), leftovers or Leftovers()
        self.backlog = Backlog(self.totals.of_storage(), self.leftovers, max_bytes)

    def add(self, number: int) -> None:
        """Let so many rows arrive."""
        for packet in packets(rows(number)):
            self.backlog.add(packet, ENOUGH)

    def counted(self) -> tuple[int, int, int]:
        """Rows that wait, are written, and are dropped."""
        counts = self.totals.totals()
        return counts.waiting, counts.written, counts.dropped


def test_rows_come_out_as_they_went_in() -> None:
    storage = Storage()
    storage.add(150)
    assert storage.counted() == (150, 0, 0)
    assert storage.backlog.enough.is_set()
    found: list[Row] = []
    while taken := storage.backlog.take(60):
        assert storage.backlog.take(60) is taken, "the same until they are settled"
        found += taken
        storage.backlog.settle(len(taken), 7.0)
    assert found == rows(150)
    assert storage.counted() == (0, 150, 0)
    assert storage.totals.totals().last == 7.0
    assert not storage.backlog.enough.is_set()


def test_the_oldest_rows_give_way() -> None:
    storage = Storage(max_bytes=20_000)
    storage.add(1000)
    waiting, _, dropped = storage.counted()
    assert 0 < waiting < 200
    assert waiting + dropped == 1000
    assert list(storage.backlog.take(1)) == rows(1000)[dropped:][: len(storage.backlog.take(1))]


def test_rows_that_the_database_refuses_are_dropped() -> None:
    storage = Storage()
    storage.add(10)
    storage.backlog.take(10)
    storage.backlog.settle(7, 1.0)
    assert storage.counted() == (0, 7, 3)


def test_what_is_not_written_goes_to_the_next_storage_process() -> None:
    first = Storage()
    first.add(150)
    first.backlog.take(20)
    first.backlog.leave()
    assert first.counted() == (0, 0, 0)
    second = Storage(first.leftovers)
    second.backlog.take_over(ENOUGH)
    assert second.backlog.enough.is_set()
    second.add(1)
    assert second.counted() == (151, 0, 0)
    assert [*second.backlog.take(200)] == [*rows(150), *rows(1)]


def test_without_memory_for_them_they_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError

    monkeypatch.setattr("os.memfd_create", refuse)
    leftovers = Leftovers()
    monkeypatch.undo()
    storage = Storage(leftovers)
    storage.add(5)
    storage.backlog.leave()
    assert storage.counted() == (0, 0, 5)
    with leftovers.taken() as left:
        assert left == []


def test_corrupt_packets_are_counted() -> None:
    storage = Storage()
    storage.backlog.corrupt(2)
    storage.add(1)
    assert storage.counted() == (1, 0, 2)


def test_rows_are_counted_before_they_are_taken_over() -> None:
    """If this process is killed between the two, both processes count them: none is lost unseen."""
    first = Storage()
    first.add(150)
    first.backlog.leave()
    second = Storage(first.leftovers)
    with first.leftovers.taken() as left:
        for packet in left:
            second.backlog.add(packet, ENOUGH)
        assert second.counted() == (150, 0, 0)
        assert first.leftovers._file is not None
        assert os.fstat(first.leftovers._file).st_size > 0
    assert os.fstat(first.leftovers._file).st_size == 0


def test_a_packet_that_did_not_come_is_not_counted() -> None:
    """Another storage process has taken it, as after a reload."""
    storage = Storage()
    storage.backlog.expect(64)
    assert storage.counted() == (64, 0, 0)
    storage.backlog.add(None, ENOUGH)
    assert storage.counted() == (0, 0, 0)


# -- counts ------------------------------------------------------------------------------------------------------------


def test_what_a_process_held_is_lost_with_it() -> None:
    totals = TotalsFile()
    totals.of_worker(0).write(Counts(pid=10, waiting=3, dropped=1))
    totals.of_worker(1).write(Counts(pid=11, waiting=5))
    totals.of_storage().write(Counts(pid=12, waiting=7, written=100, last=4.0, reachable=True, since=2.0))
    assert totals.totals() == Counts(waiting=15, dropped=1, written=100, last=4.0, reachable=True, since=2.0)
    assert totals.ended(10) == 3
    assert totals.ended(12) == 7
    assert totals.ended(99) == 0
    assert totals.totals() == Counts(waiting=5, dropped=11, written=100, last=4.0, reachable=True, since=2.0)


def test_two_storage_processes_have_records_of_their_own() -> None:
    totals = TotalsFile()
    totals.of_storage().write(Counts(pid=1, written=5, reachable=False, reason="away", since=1.0))
    totals.of_storage().write(Counts(pid=2, written=6, reachable=True, since=2.0))
    assert totals.totals() == Counts(written=11, reachable=True, since=2.0)


@pytest.mark.parametrize("seed", range(5))
def test_a_torn_record_is_none(seed: int) -> None:
    totals = TotalsFile()
    record = totals.of_storage()
    record.write(Counts(pid=1, written=5, reason="x" * 1000))
    assert totals.totals().written == 5
    choice = random.Random(seed)  # noqa: S311
    assert record._file is not None
    os.pwrite(record._file, choice.randbytes(20), choice.randrange(200))
    assert totals.totals() == Counts()


def test_without_memory_nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError

    monkeypatch.setattr("os.memfd_create", refuse)
    totals = TotalsFile()
    totals.of_worker(3).write(Counts(pid=1, dropped=2))
    assert totals.ended(1) == 0
    assert totals.totals() == Counts()
