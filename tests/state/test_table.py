"""The table that the workers share: its times, its bounds, and many processes at it at once, some of them killed."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from lab.processes import HUNG
from spfmilter.state import table as tables
from spfmilter.state.table import OnThisHost, Table

DAY = 86400.0


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table()
    yield made
    made.close()


def test_the_first_time_is_remembered(table: Table) -> None:
    assert table.since("a", 1000.0, DAY) == 1000.0
    assert table.since("a", 1001.5, DAY) == 1000.0
    assert table.since("b", 1002.0, DAY) == 1002.0
    assert table.since("a", 1003.0, DAY) == 1000.0


def test_a_key_that_has_ended_begins_anew(table: Table) -> None:
    table.since("a", 1000.0, 60.0)
    assert table.since("a", 1059.9, 60.0) == 1000.0
    assert table.since("a", 1060.0, 60.0) == 1060.0
    assert table.since("a", 1061.0, 60.0) == 1060.0


def test_a_time_to_come_tells_nothing(table: Table) -> None:
    """The clock was set back: such an entry would last until the clock is there again, and hold its place."""
    table.since("a", 9000.0, DAY)
    assert table.since("a", 1000.0, DAY) == 1000.0
    assert table.since("a", 1001.0, DAY) == 1000.0


@pytest.mark.parametrize("key", ["", "x" * 100_000, "\0", "\ud800\udcff", "bücher.example 192.0.2.0/24"])
def test_no_key_is_too_odd(table: Table, key: str) -> None:
    assert table.since(key, 1000.0, DAY) == 1000.0
    assert table.since(key, 1001.0, DAY) == 1000.0


def test_the_oldest_makes_room_and_the_ended_and_the_impossible_before_it() -> None:
    table = Table(16)  # one bucket
    table.since("to come", 9000.0, DAY)
    for number in range(15):
        table.since(f"{number}", 1000.0 + number, DAY)
    for number in (15, 16, 17):
        table.since(f"{number}", 1000.0 + number, DAY)  # the first in the place of "to come"
    remembered = [number for number in range(2, 18) if table.since(f"{number}", 2000.0, DAY) == 1000.0 + number]
    assert remembered == list(range(2, 18))
    table.close()


def test_its_size_is_bounded_and_an_unused_table_costs_nothing(table: Table) -> None:
    assert table._file is not None
    status = os.fstat(table._file)
    assert (status.st_size, status.st_blocks) == (tables.ENTRIES * 32, 0)
    for number in range(2000):
        table.since(str(number), 1000.0, DAY)
    assert os.fstat(table._file).st_size == tables.ENTRIES * 32


def test_an_attacker_cannot_find_keys_that_share_a_bucket() -> None:
    """Two tables place the same keys differently."""

    def places() -> list[bytes]:
        table = Table(16 * 64)
        for number in range(100):
            table.since(f"{number}", 1000.0, DAY)
        assert table._file is not None
        content = os.pread(table._file, 64 * 16 * 32, 0)
        table.close()
        return [content[start : start + 512].rstrip(b"\0") for start in range(0, len(content), 512)]

    first, second = places(), places()
    assert [len(bucket) for bucket in first] != [len(bucket) for bucket in second]


def test_where_there_is_no_memory_each_time_is_the_first(table: Table, monkeypatch, caplog) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    host = OnThisHost(table, DAY)
    assert [host.since("a", now) for now in (1000.0, 1001.0)] == [1000.0, 1001.0]
    assert [record.getMessage() for record in caplog.records] == ["deferral not stored"]


# -- many at once ------------------------------------------------------------------------------------------------------


def test_where_the_system_refuses_the_table_each_time_is_the_first(monkeypatch, caplog) -> None:
    """At the start of the daemon: it serves all the same."""

    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.memfd_create", refuse)
    table = Table()
    assert [OnThisHost(table, 100.0).since("a", now) for now in (1.0, 2.0)] == [1.0, 2.0]
    table.close()
    events = [record.getMessage() for record in caplog.records]
    assert events == ["deferral memory unavailable", *["deferral not stored"] * 2]
    assert caplog.records[0].__dict__["fields"]["fix"].startswith("raise the limits of the process")


def test_threads_agree_on_the_first_time(table: Table) -> None:
    """Each brings a time of its own: for no key may two of them have been the first."""
    said: list[tuple[int, float]] = []
    start = threading.Barrier(8, timeout=HUNG)

    def ask(own: int) -> None:
        start.wait()
        said.extend((key, table.since(str(key), 1000.0 + own / 16, DAY)) for key in range(1500))

    threads = [threading.Thread(target=ask, args=(own,)) for own in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert disagreements(said) == []


def disagreements(said: list[tuple[int, float]]) -> list[int]:
    """The keys for which more than one time was said."""
    times = Counter(key for key, _ in set(said))
    return [key for key, number in times.items() if number > 1]


# Processes of a program without threads, since it forks. Each brings a time of its own; every third is killed at work.
HAMMER = """
import json, os, signal, sys
from spfmilter.state.table import Table

table, pipes = Table(), []
for own in range(9):
    reading, writing = os.pipe()
    if os.fork() == 0:
        doomed = own % 3 == 2
        with os.fdopen(writing, "w") as out:
            for number in range(1500):
                key = number * 7 % 1000
                json.dump([key, table.since(str(key), 1000 + own / 16, 86400)], out)
                out.write("\\n")
                if doomed and number == 700:
                    out.flush()
                    real = os.pwrite
                    os.pwrite = lambda *where: (real(*where), os.kill(os.getpid(), signal.SIGKILL))
                    while True:  # the next new key is its last, and it dies with the lock
                        number += 1
                        table.since(f"{own} {number}", 1000, 86400)
        os._exit(0)
    os.close(writing)
    pipes.append(reading)
said = [line for pipe in pipes for line in os.fdopen(pipe)]
ends = sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in pipes)
print(json.dumps({"ends": ends, "said": [json.loads(line) for line in said]}))
"""


def test_processes_agree_and_one_that_is_killed_with_the_lock_delays_no_other() -> None:
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-c", HAMMER], capture_output=True, text=True, timeout=HUNG, check=True
    )
    result = json.loads(done.stdout)
    assert result["ends"] == [-9] * 3 + [0] * 6
    assert disagreements([(key, first) for key, first in result["said"]]) == []
