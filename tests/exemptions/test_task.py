"""The task that keeps the list in force equal to the store's: every step of it, with a store that is written down."""

import json
import logging
import os
from collections.abc import Hashable, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest

from spfmilter.daemon import exemptiontask
from spfmilter.daemon.exemptionboard import ExemptionBoard, ExemptionReader
from spfmilter.daemon.exemptiontask import ExemptionTask
from spfmilter.exemptions import saved
from spfmilter.exemptions.embedded import EmbeddedStore
from spfmilter.exemptions.exemption import Exemption, row_of
from spfmilter.exemptions.store import place
from spfmilter.settings import Settings, parse
from spfmilter.stores.choice import StoreError
from spfmilter.stores.rows import Row
from tests.exemptions.samples import NOW, exempt

HERE, OTHER = exempt("192.0.2.1", 1), exempt("192.0.2.2", 2)


class Written:
    """A store that is written down. It is away where it has a reason."""

    name = "a store"

    def __init__(self, *exemptions: Exemption, forgets: bool = False) -> None:
        self.rows: list[Row] = [row_of(one) for one in exemptions]
        self.forgets, self.away, self.there = forgets, "", True
        self.reads = 0
        self._changes = 0

    def change(self, *rows: Row) -> None:
        """Replace all rows."""
        self.rows, self._changes = list(rows), self._changes + 1

    def version(self) -> Hashable:
        """How often it was changed; None: it is gone."""
        if self.away:
            raise StoreError(self.away)
        return self._changes if self.there else None

    def read(self) -> Sequence[Row]:
        """The rows."""
        self.reads += 1
        return self.rows

    def give_back(self, exemptions: Sequence[Exemption]) -> None:
        """Take them."""
        self.change(*self.rows, *(row_of(one) for one in exemptions))

    def add(self, exemption: Exemption) -> None:
        """Never called here."""
        raise NotImplementedError

    def remove(self, ids: Sequence[str], now: int, who: str) -> None:
        """Never called here."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


class Site:
    """A task with its board and a worker's view of it, on a clock that a test sets."""

    def __init__(self, folder: Path, store: Written, board: ExemptionBoard | None = None) -> None:
        self.now, self.store, self.board = float(NOW), store, board or ExemptionBoard()
        self.settings = parse(f"[state]\nfolder = {folder}\n")
        self.task = ExemptionTask(self.settings, self.board, opened=lambda _: store, wall_clock=lambda: self.now)
        self.reader = ExemptionReader(self.board)

    def step(self) -> str:
        """One look; the last numbers of the addresses that a worker then lets in."""
        self.task.step()
        self.reader.refresh()
        found = (n for n in range(1, 9) if self.reader.current().find("", ip_address(f"192.0.2.{n}"), self.now))
        return "".join(map(str, found))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged."""
    monkeypatch.setattr(logging.getLogger("spfmilter"), "propagate", True)
    caplog.set_level(logging.INFO, "spfmilter")
    return caplog


def events(lines: pytest.LogCaptureFixture) -> list[str]:
    found = [record.message for record in lines.records]
    lines.clear()
    return found


def first(lines: pytest.LogCaptureFixture) -> dict[str, object]:
    """The keys of the first line."""
    fields: dict[str, object] = lines.records[0].__dict__["fields"]
    return fields


def test_what_is_added_and_removed_is_in_force_and_logged(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    site = Site(tmp_path, Written(HERE))
    assert site.step() == "1"
    assert first(lines) == {
        "id": "000001",
        "exempts": "192.0.2.1",
        "until": "2026-06-04T20:26:40Z",
        "because": "ticket 4711",
        "by": "alice",
    }
    assert events(lines) == ["exemption added"]
    site.store.change(row_of(HERE), row_of(OTHER))
    assert site.step() == "12"
    assert events(lines) == ["exemption added"]
    site.store.change({**row_of(HERE), "removed": NOW, "removed_by": "bob"}, row_of(OTHER))
    assert site.step() == "2"
    assert first(lines) == {"id": "000001", "exempts": "192.0.2.1", "by": "bob"}
    assert events(lines) == ["exemption removed"]
    site.store.change()
    assert site.step() == ""
    assert first(lines)["by"] == "unknown"


def test_the_store_is_read_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, Written(HERE))
    for _ in range(5):
        site.step()
    assert site.store.reads == 1
    site.store.change(row_of(OTHER))
    site.step()
    assert site.store.reads == 2
    monkeypatch.setattr(exemptiontask, "_REREAD", 0.0)
    site.store.rows = [row_of(HERE)]  # by hand, without counting it
    assert site.step() == "1"


def test_where_the_store_is_away_the_last_known_list_stays(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    site = Site(tmp_path, Written(HERE))
    site.step()
    events(lines)
    site.store.away = "connection refused"
    site.store.change(row_of(OTHER))
    assert [site.step() for _ in range(3)] == ["1", "1", "1"]
    assert events(lines) == ["exemption store not responding, last known exemptions in force"]
    state = site.board.state()
    assert (state.number, state.errors, state.reason) == (1, 3, "connection refused")
    site.now = HERE.until or 0.0
    assert site.step() == "", "it ends all the same"
    assert events(lines) == ["exemption expired"]
    site.now = NOW
    site.store.away = ""
    assert site.step() == "2"
    assert events(lines)[0] == "exemption added"
    assert site.board.state().reason == ""


def test_a_file_that_vanishes_is_a_store_that_is_away(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    site = Site(tmp_path, Written(HERE))
    site.step()
    site.store.there, site.store.rows = False, []
    assert site.step() == "1"
    assert "exemption store not responding, last known exemptions in force" in events(lines)
    fresh = Site(tmp_path, Written())
    fresh.store.there = False
    assert Site(tmp_path / "other", fresh.store).step() == "", "where nothing was known, there is nothing to keep"


def test_the_real_file_that_vanishes_is_away_also_after_a_restart(tmp_path: Path) -> None:
    path, settings = tmp_path / "exemptions.db", parse(f"[state]\nfolder = {tmp_path}\n")
    store, board = EmbeddedStore(path), ExemptionBoard()
    store.add(exempt("192.0.2.1", until=None))
    store.close()
    task = ExemptionTask(settings, board)
    task.step()
    assert (board.state().number, board.state().reason) == (1, "")
    path.unlink()
    for after in (task, task, ExemptionTask(settings, board)):
        after.step()
        assert (board.state().number, board.state().reason) == (1, f"{path} is not there any more")


def test_a_server_that_has_lost_its_memory_gets_it_back(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    site = Site(tmp_path, Written(HERE, OTHER, forgets=True))
    assert site.step() == "12"
    site.store.change({**row_of(OTHER), "removed": NOW, "removed_by": "bob"})
    assert site.step() == "1", "what was removed stays so"
    assert {row["id"] for row in site.store.rows} == {"000001", "000002"}
    assert "exemption store has lost exemptions, given back" in events(lines)
    site.step()
    assert len(site.store.rows) == 2


def test_an_exemption_ends_by_itself(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    soon = exempt("192.0.2.3", 3, until=NOW + 10)
    site = Site(tmp_path, Written(HERE, soon))
    assert site.step() == "13"
    events(lines)
    site.now = NOW + 10
    assert site.step() == "1"
    assert first(lines)["id"] == soon.id
    assert events(lines) == ["exemption expired"]
    assert (site.step(), events(lines), site.board.state().number) == ("1", [], 1)


def test_a_wrong_row_is_left_out_and_named(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    site = Site(tmp_path, Written())
    site.store.change({"id": "x\n" * 100}, {}, {**row_of(HERE), "network": "0/0"}, row_of(OTHER))
    assert site.step() == "2"
    assert events(lines) == ["exemption invalid, ignored", "exemption added"]


def test_too_many_are_named(tmp_path: Path, lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spfmilter.exemptions.inforce.MOST", 1)
    site = Site(tmp_path, Written(HERE, OTHER))
    assert site.step() == "1"
    assert "too many exemptions, the newest ignored" in events(lines)


def test_the_list_is_there_at_the_next_start_before_the_store_answers(
    tmp_path: Path, lines: pytest.LogCaptureFixture
) -> None:
    clock = 2_000_000_000  # for the clock of this host, which ``begin`` reads
    lasting = exempt("192.0.2.1", 1, added=clock, until=None)
    Site(tmp_path, Written(lasting)).step()
    away = Written()
    away.away = "gone"
    board = ExemptionBoard()
    site = Site(tmp_path, away, board)
    exemptiontask.begin(site.settings, board)
    site.reader.refresh()
    assert site.reader.current().number == 1
    events(lines)
    assert site.step() == "1"
    away.away = ""
    away.change(row_of(lasting))
    assert site.step() == "1"
    assert "exemption added" not in events(lines), "it was known"


def test_after_a_change_of_the_store_its_own_list_counts(tmp_path: Path) -> None:
    """The reload has started another task, with the board as it was."""
    site = Site(tmp_path, Written(HERE))
    site.step()
    other = Site(tmp_path / "other", Written(), site.board)
    assert other.step() == ""


def test_without_a_store_none_stays_in_force(tmp_path: Path) -> None:
    site = Site(tmp_path, Written(HERE))
    site.step()
    exemptiontask.settle(site.settings, site.board)
    site.reader.refresh()
    assert site.reader.current()
    exemptiontask.settle(parse("[state]\nfolder =\n"), site.board)
    site.reader.refresh()
    assert not site.reader.current()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        b'{"format": 2, "store": "%s", "exemptions": []}',
        b'{"format": 1, "store": "%s", "exemptions": {}}',
        b'{"format": 1, "store": "%s", "exemptions": [7]}',
        b'{"format": 1, "store": "%s", "exemptions": [{"id": "ABCDEF", "network": "0.0.0.0/0"}]}',
        b"\xff\xfe",
    ],
)
def test_a_saved_file_that_is_none_is_left_out(data: bytes, tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    chosen = parse(f"[state]\nfolder = {tmp_path}\n")
    path = tmp_path / saved.FILE
    path.write_bytes(data.replace(b"%s", place(chosen).encode()))
    path.chmod(0o600)
    assert exemptiontask.remembered(chosen) == ()
    assert events(lines) == ["saved exemptions unusable"]


def test_the_saved_file_is_for_its_owner_alone_and_of_this_store(tmp_path: Path) -> None:
    chosen = parse(f"[state]\nfolder = {tmp_path}\n")
    path = tmp_path / saved.FILE
    saved.save(str(tmp_path), place(chosen), [])
    assert not path.exists(), "no file is made for nothing"
    saved.save(str(tmp_path), place(chosen), [HERE])
    assert path.stat().st_mode & 0o777 == 0o600
    assert exemptiontask.remembered(chosen) == [HERE]
    assert list(tmp_path.iterdir()) == [path]
    assert saved.load(str(tmp_path), "another store") == ()
    assert json.loads(path.read_bytes())["store"] == f"{tmp_path}/exemptions.db"
    path.chmod(0o662)
    with pytest.raises(ValueError, match="not believed"):
        saved.load(str(tmp_path), place(chosen))
    saved.save(str(tmp_path), place(chosen), [])
    assert saved.load(str(tmp_path), place(chosen)) == []
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        saved.load(str(tmp_path), place(chosen))


def test_a_folder_that_takes_no_file_costs_the_file_alone(tmp_path: Path, lines: pytest.LogCaptureFixture) -> None:
    (tmp_path / f".{saved.FILE}.{os.getpid()}").mkdir()
    site = Site(tmp_path, Written(HERE))
    assert site.step() == "1"
    assert "exemptions not saved for the next start" in events(lines)


@pytest.mark.parametrize(
    ("ini", "shown"),
    [
        ("", "/var/lib/spfmilter/exemptions.db"),
        ("[state]\nfolder = /srv/spf/\n", "/srv/spf/exemptions.db"),
        ("[state]\nfolder =\n", ""),
        ("[state]\nurl = redis://u:geheim@192.0.2.9/0\n", "redis://u:***@192.0.2.9/0"),
        ("[journal]\nurl = sqlite:////var/lib/j.db\n", "/var/lib/spfmilter/exemptions.db"),
        ("[journal]\nurl = postgresql+psycopg://u:geheim@db/x\n", "postgresql+psycopg://u:***@db/x"),
        ("[journal]\nurl = postgresql://u@db/x\n[state]\nurl = redis://192.0.2.9/0\n", "redis://192.0.2.9/0"),
    ],
)
def test_which_store_the_settings_name(ini: str, shown: str) -> None:
    chosen: Settings = parse(ini)
    assert place(chosen) == shown
    if not shown:
        assert not exemptiontask.is_wanted(chosen)
