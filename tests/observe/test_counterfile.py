"""The counters' files where there is no space, and metrics that cannot be counted; nothing of it is raised."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import values

from spfmilter.observe import log
from spfmilter.observe.counterfile import CounterFile
from spfmilter.observe.metrics import Metrics, forget, open_metrics, try_again


class Disk:
    """Lets files have blocks up to a size, as a file system with so much space does."""

    def __init__(self, space: int) -> None:
        self.space = space

    def allocate(self, descriptor: int, offset: int, length: int) -> None:
        """As os.posix_fallocate; file systems may have made the file longer when they fail."""
        os.truncate(descriptor, offset + length)
        if offset + length > self.space:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the library keeps for the life of a process ends with the test."""
    made: list[CounterFile] = []
    begin = CounterFile.__init__

    def remembered(self: CounterFile, filename: str) -> None:
        begin(self, filename)
        made.append(self)

    monkeypatch.setattr(CounterFile, "__init__", remembered)
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    yield
    for file in made:
        file.close()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(1 << 16)
    monkeypatch.setattr("os.posix_fallocate", made.allocate)
    return made


def stored(path: Path) -> dict[str, float]:
    """What a reader finds."""
    return {key: value for key, value, _, _ in CounterFile.read_all_values_from_file(str(path))}


def test_every_block_is_there_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "counter_0.db"
    file = CounterFile(str(path))
    size = 0
    for number in range(3000):
        file.write_value(f"key {number:060}", float(number), 0.0)
        size = path.stat().st_size
        assert path.stat().st_blocks * 512 >= size, "the file has no hole"
    assert size > 1 << 17
    assert len(stored(path)) == 3000


def test_a_file_that_cannot_grow_keeps_what_it_has(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "counter_0.db"
    file = CounterFile(str(path))
    for number in range(3000):
        file.write_value(f"key {number:060}", 1.0, 0.0)
    before = stored(path)
    assert 500 < len(before) < 1000
    assert path.stat().st_size == 1 << 16
    file.write_value(f"key {0:060}", 2.0, 0.0)
    assert stored(path) == before | {f"key {0:060}": 2.0}
    assert file.read_value(f"key {2999:060}") == (0.0, 0.0)
    disk.space = 1 << 20
    file.write_value(f"key {2999:060}", 7.0, 0.0)
    assert stored(path)[f"key {2999:060}"] == 7.0


def test_a_long_key_grows_the_file_by_as_much_as_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "counter_0.db"
    CounterFile(str(path)).write_value("k" * 300_000, 1.0, 0.0)
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 300_000


def test_a_process_goes_on_in_the_file_of_its_slot(tmp_path: Path) -> None:
    path = tmp_path / "counter_0.db"
    CounterFile(str(path)).write_value("key", 5.0, 0.0)
    assert CounterFile(str(path)).read_value("key") == (5.0, 0.0)


def test_a_process_without_space_counts_nothing_and_tries_again(tmp_path: Path, disk: Disk) -> None:
    disk.space = 1
    none = open_metrics(tmp_path, "worker0")
    assert type(none) is Metrics
    disk.space = 1 << 20
    some = try_again(none, tmp_path, "worker0")
    assert type(some) is not Metrics
    assert try_again(some, tmp_path, "worker0") is some


def test_a_broken_file_stops_no_process(tmp_path: Path) -> None:
    (tmp_path / "counter_worker0.db").write_bytes(b"\xff" * 4096)
    assert type(open_metrics(tmp_path, "worker0")) is Metrics


def test_a_folder_that_is_gone_stops_no_process(tmp_path: Path) -> None:
    assert type(open_metrics(tmp_path / "gone", "worker0")) is Metrics


def test_a_count_that_fails_is_not_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = open_metrics(tmp_path, "worker0")
    said: list[str] = []
    monkeypatch.setattr("spfmilter.observe.log.warning", lambda event, **_: said.append(event))

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(CounterFile, "write_value", fail)
    counting.session(1)
    counting.dns_query("found")
    assert said == ["metrics update lost"]


def test_removing_the_files_of_a_dead_worker_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gauge_livesum_worker0.db").touch()
    said: list[str] = []

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", fail)
    monkeypatch.setattr(log, "warning", lambda event, **_: said.append(event))
    forget(tmp_path, "worker0")
    assert said == ["metrics of an exited worker cannot be removed"]
