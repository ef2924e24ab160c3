"""The database: its schema by Alembic, several processes at a time, and rows that it refuses. SQLite, in files."""

import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from spfmilter.journal import database, place
from spfmilter.journal.database import JournalError, attempt, open_engine, reason_of, upgrade, write_ahead
from spfmilter.journal.rows import Row
from spfmilter.journal.tables import METADATA
from spfmilter.settings.journalurl import JournalUrl
from tests.journal.storage import Storage, hostile, written
from tests.journal.values import TIME, rows


@pytest.fixture
def url(tmp_path: Path) -> JournalUrl:
    return JournalUrl(path=f"{tmp_path}/journal.db")


def made(url: JournalUrl) -> None:
    engine = open_engine(url)
    try:
        upgrade(engine, url)
    finally:
        engine.dispose()


# -- the schema --------------------------------------------------------------------------------------------------------


def test_the_migrations_make_the_table_that_the_code_knows(url: JournalUrl) -> None:
    made(url)
    engine = open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "spfmilter_schema"})
        assert compare_metadata(context, METADATA) == []
        for index in ("decision_case_id", "decision_queue_id"):
            sql = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).scalar_one()
            assert sql.endswith("IS NOT NULL")
    engine.dispose()


def test_several_make_it_at_the_same_time(url: JournalUrl) -> None:
    failures: list[Exception] = []

    def make() -> None:
        try:
            made(url)
        except JournalError as error:
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert written(url) == []


class Blocked(sqlite3.Cursor):
    """Ends the other transaction as soon as it was refused itself."""

    other: sqlite3.Connection

    def execute(self, sql: str, parameters: Any = ()) -> "Blocked":
        """Execute; what fails leaves the way free for the next attempt."""
        try:
            super().execute(sql, parameters)
        except sqlite3.OperationalError:
            self.other.execute("ROLLBACK")
            raise
        return self


def test_a_file_that_another_process_changes_is_waited_for(url: JournalUrl) -> None:
    """SQLite's own waiting is off here, as it is by itself where two connections change a new file to write-ahead."""
    with (
        closing(sqlite3.connect(url.path, isolation_level=None)) as other,
        closing(sqlite3.connect(url.path, timeout=0)) as own,
    ):
        other.execute("BEGIN EXCLUSIVE")
        cursor = own.cursor(Blocked)
        cursor.other = other
        write_ahead(cursor)
        assert own.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert not other.in_transaction


def test_a_file_that_stays_locked_is_an_error_in_the_end(url: JournalUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY", 0.05)
    with closing(sqlite3.connect(url.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalError, match="database is locked"):
            made(url)


def test_the_file_is_not_for_everybody(url: JournalUrl) -> None:
    before = os.umask(0o077)
    try:
        made(url)
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path(url.path).stat().st_mode) == 0o640


def test_a_newer_version_is_left_alone(url: JournalUrl) -> None:
    made(url)
    with sqlite3.connect(url.path) as connection:
        connection.execute("UPDATE spfmilter_schema SET version_num = '9999'")
    connection.close()
    with pytest.raises(JournalError, match=r"newer version of spfmilter \(schema 9999\)"):
        made(url)
    with pytest.raises(JournalError, match="newer version"):
        attempt(url)


def test_trying_it_changes_nothing(url: JournalUrl) -> None:
    assert attempt(url) == "will be made at the start"
    assert not Path(url.path).exists()
    sqlite3.connect(url.path).close()
    Path(url.path).touch()
    assert attempt(url) == "can be reached, and gets its tables at the start"
    made(url)
    assert attempt(url) == "can be used"


def test_a_file_that_is_no_database(url: JournalUrl) -> None:
    Path(url.path).write_bytes(b"x" * 5000)
    for use in (attempt, made):
        with pytest.raises(JournalError, match="file is not a database"):
            use(url)


# -- writing -----------------------------------------------------------------------------------------------------------


def test_rows_are_written_as_they_are(url: JournalUrl) -> None:
    given = rows(2500)
    assert Storage(url).write(given) == (2500, 0)
    assert written(url) == given


@pytest.fixture(params=["\ud800", None, 1 << 70], ids=["half of a pair", "null", "a large number"])
def refused(request: pytest.FixtureRequest) -> Row:
    return hostile(7, request.param)


def test_a_row_that_is_refused_does_not_stop_the_others(url: JournalUrl, refused: Row) -> None:
    given = rows(100)
    assert Storage(url).write([*given[:7], refused, *given[7:]]) == (100, 1)
    assert written(url) == given


def test_a_database_that_is_away_keeps_the_rows(tmp_path: Path) -> None:
    storage = Storage(JournalUrl(path=f"{tmp_path}/missing/journal.db"))
    assert storage.write(rows(3)) == (0, 0)
    assert storage.totals.totals().waiting == 3
    assert storage.totals.totals().reachable is False
    (tmp_path / "missing").mkdir()
    assert storage.write([]) == (3, 0)
    assert storage.totals.totals().reachable is True


def test_a_locked_database_is_away_and_not_broken(url: JournalUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spfmilter.journal.database.BUSY", 0.1)
    made(url)
    other = sqlite3.connect(url.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    storage = Storage(url)
    assert storage.write(rows(3)) == (0, 0)
    assert "locked" in storage.totals.totals().reason
    other.execute("ROLLBACK")
    other.close()
    assert storage.write([]) == (3, 0)


# -- what is wrong with its place --------------------------------------------------------------------------------------


def test_a_place_that_can_be_used(url: JournalUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.trouble(url) is None
    made(url)
    assert place.trouble(url) is None
    monkeypatch.setattr(place, "find_library", lambda _: "libpq.so.5")
    assert place.trouble(JournalUrl(host="db.example.net", database="x")) is None


def test_a_missing_folder(tmp_path: Path) -> None:
    reason, fix = place.trouble(JournalUrl(path=f"{tmp_path}/no/journal.db")) or ("", "")
    assert reason == f"there is no folder {tmp_path}/no"
    assert fix.startswith("install -d -o ")


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    reason, _ = place.trouble(JournalUrl(path=f"{tmp_path}/journal.db")) or ("", "")
    assert reason.endswith("is not a file")


def test_a_folder_without_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    reason, fix = place.trouble(JournalUrl(path=f"{tmp_path}/journal.db")) or ("", "")
    assert "may not write in" in reason
    assert "give it to" in fix


@pytest.mark.parametrize(
    ("missing", "url", "fix"),
    [
        ("psycopg", JournalUrl(host="db", database="x"), "install 'spfmilter[postgresql]', and restart"),
        ("sqlalchemy", JournalUrl(path="/tmp/x"), "install sqlalchemy, and restart"),  # noqa: S108 - nothing is made there
    ],
)
def test_a_missing_package(missing: str, url: JournalUrl, fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "find_spec", lambda name: None if name == missing else name)
    reason, said = place.trouble(url) or ("", "")
    assert reason == f"the package {missing} is missing"
    assert fix in said
    assert place.fix_for(url) == said


def test_a_driver_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python form of psycopg loads the system's libpq. The compiled forms need not look for it."""
    url = JournalUrl(host="db", database="x")
    monkeypatch.setattr(place, "find_library", lambda _: None)
    monkeypatch.setattr(place, "find_spec", lambda name: None if name in {"psycopg_binary", "psycopg_c"} else name)
    reason, fix = place.trouble(url) or ("", "")
    assert reason == "libpq, PostgreSQL's library, is missing"
    assert fix.endswith("install 'spfmilter[postgresql]', and restart")
    monkeypatch.setattr(place, "find_spec", lambda name: None if name == "psycopg_c" else name)
    assert place.trouble(url) is None


def test_a_driver_that_cannot_be_loaded_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_engine(*_: object, **__: object) -> None:
        raise ImportError("no pq wrapper available")

    monkeypatch.setattr(database, "create_engine", create_engine)
    with pytest.raises(JournalError, match=r"^the package psycopg is missing: .* install 'spfmilter"):
        open_engine(JournalUrl(host="db", database="x"))


def test_what_a_server_says_is_one_harmless_line() -> None:
    """Commands print it, and a terminal would obey it."""
    said = reason_of(OperationalError("SELECT 1", {}, Exception("\x1b[2Jaway\n" + "x" * 600)))
    assert said == "?[2Jaway"
    assert len(reason_of(SQLAlchemyError("y" * 600))) == 500


def test_times_are_in_order(url: JournalUrl) -> None:
    """The reader returns the oldest first, whatever the order of arrival."""
    Storage(url).write(rows(10)[::-1])
    assert [each[0] for each in written(url)] == [TIME + number for number in range(10)]
