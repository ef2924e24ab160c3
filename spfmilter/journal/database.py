"""Open the journal's database and bring its schema up to date. Never called by a worker: a database may take its time.

Knows what each of the two databases needs to be told. Knows no rows.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from spfmilter import ownership
from spfmilter.journal.tables import DECISION
from spfmilter.packages import how_to_install
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.text import unicode_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from alembic.config import Config

BUSY = 5.0  # seconds that one process waits while another one writes
_AGAIN = 0.01  # seconds between two attempts, where SQLite itself does not wait
CONNECT = 5  # seconds until a server counts as away
STATEMENT = 30_000  # milliseconds for one statement on PostgreSQL
_WAL = 32 << 20  # bytes of SQLite's write-ahead log that stay on the disk
_MODE = 0o640  # of SQLite's file: its group may read it
_REASON = 500  # characters of a server's error
_LOCK = 0x5350_464A  # PostgreSQL's advisory lock, so that only one of several hosts changes the schema


class JournalError(Exception):
    """The database cannot be used; the message says why, and holds no password."""

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied  # another user could perhaps read it


def open_engine(url: JournalUrl, *, read_only: bool = False) -> Engine:
    """Return SQLAlchemy's engine. Nothing is opened before the first connection.

    Args:
        url: the database.
        read_only: only reads; a database that is not there is not made.

    Raises:
        JournalError: the driver is not installed, or SQLite's file is not there to be read, or not for this user.
    """
    try:
        return _sqlite(url, read_only=read_only) if url.embedded else _postgresql(url, read_only=read_only)
    except ImportError as error:  # psycopg names no module where it finds no libpq
        name = error.name or "psycopg"
        raise JournalError(f"the package {name} is missing: {how_to_install('postgresql', name)}") from None


def _sqlite(url: JournalUrl, *, read_only: bool) -> Engine:
    if read_only and not _is_there(Path(url.path)):
        raise JournalError(f"{url.path}: no such file: the daemon makes it when it starts")
    engine = create_engine(url.connection(), connect_args={"timeout": BUSY})
    if not read_only:
        # For each None, sqlite3 looks for an adapter, and makes and drops an AttributeError if there is none. Half of a
        # row's cells are None: an adapter that returns None saves two fifths of a row's time.
        sqlite3.register_adapter(type(None), cast("Callable[[None], None]", {}.get))

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        else:
            write_ahead(cursor)  # readers and the writer do not wait for each other
            cursor.execute("PRAGMA synchronous = NORMAL")  # a power failure may cost the last rows, never the file
            cursor.execute(f"PRAGMA journal_size_limit = {_WAL}")
        cursor.close()

    return engine


def _is_there(path: Path) -> bool:
    """Return whether SQLite's file is there to be read.

    Raises:
        JournalError: this user may not read it, or not even see whether it is there.
    """
    try:
        path.stat()  # not exists(), which raises some errors and hides others
        if os.access(path, os.R_OK):
            return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        pass
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror or error}") from None
    who = f"user {ownership.user()} may not read {path} ({ownership.nearest(path)})"
    raise JournalError(f"{who}: run this as root, or as that user", denied=True)


def write_ahead(cursor: sqlite3.Cursor) -> None:
    """Have SQLite write ahead. In a new file, SQLite itself does not wait for another process that does the same.

    Raises:
        sqlite3.OperationalError: the file is locked all the time, or something else is wrong.
    """
    until = time.monotonic() + BUSY
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_AGAIN)
        else:
            return


def _postgresql(url: JournalUrl, *, read_only: bool) -> Engine:
    options = f"-c statement_timeout={STATEMENT}" + (" -c default_transaction_read_only=on" if read_only else "")
    arguments = {"connect_timeout": CONNECT, "options": options, "application_name": "spfmilter"}
    # Values in the order of their columns: the writer passes rows on as they are.
    return create_engine(url.connection(), connect_args=arguments, pool_pre_ping=True, paramstyle="format")


def upgrade(engine: Engine, url: JournalUrl) -> None:
    """Make the tables, or bring those of an older version up to date. Several hosts may do so at the same time.

    Raises:
        JournalError: the database cannot be reached or changed, or a newer version of spfmilter has made it.
    """
    from alembic import command  # noqa: PLC0415 - who only reads does without: it takes its time, and 11 MB
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    if url.embedded:
        _make_file(Path(url.path))
    try:
        with engine.begin() as connection:
            if url.embedded:
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # two daemons may have the same file
            else:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            config = _config()
            _refuse_newer(config, MigrationContext.configure(connection, opts=_VERSIONS).get_current_heads())
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise JournalError(reason_of(error)) from error


def attempt(url: JournalUrl) -> str:
    """Try the database as far as that changes nothing. Return what would become of it at the start.

    Raises:
        JournalError: it cannot be used.
    """
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - as above

    if url.embedded and not _is_there(Path(url.path)):
        return "will be made at the start"
    engine = open_engine(url, read_only=True)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection, opts=_VERSIONS).get_current_heads()
            _refuse_newer(_config(), current)
            if current and not url.embedded:
                _require_rights(connection)
    except SQLAlchemyError as error:
        raise JournalError(reason_of(error)) from error
    finally:
        engine.dispose()
    return "can be used" if current else "can be reached, and gets its tables at the start"


def _require_rights(connection: Connection) -> None:
    rights = "SELECT, INSERT, DELETE"
    missing = [
        right
        for right in rights.split(", ")
        if not connection.execute(select(func.has_table_privilege(DECISION.name, right))).scalar()
    ]
    if missing:
        raise JournalError(f"this role may not {', '.join(missing)} in the table {DECISION.name}")


_VERSIONS = {"version_table": "spfmilter_schema"}


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _refuse_newer(config: Config, current: tuple[str, ...]) -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as above

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if newer := set(current) - known:
        raise JournalError(f"its tables are of a newer version of spfmilter (schema {', '.join(sorted(newer))})")


def _make_file(path: Path) -> None:
    """Make SQLite's file with its mode: it names senders, so it is not for everybody."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        os.fchmod(descriptor, _MODE)  # whatever the umask is
        os.close(descriptor)
    except FileExistsError:
        return
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror or error}") from None


def reason_of(error: SQLAlchemyError) -> str:
    """Return one line that says what is wrong, sanitized: a server may say anything. No statement, no values."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return unicode_line(lines[0], _REASON) if lines else type(cause).__name__
