"""Write the journal's rows to the database, and remove old ones. This is the storage process's part.

Whatever is wrong with the database costs nothing but rows that no longer fit into memory. It is opened again after a
pause that grows. Knows transactions. Does not know where rows come from.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from spfmilter.journal.backlog import Backlog
from spfmilter.journal.database import JournalError, open_engine, reason_of, upgrade
from spfmilter.journal.intake import ENOUGH
from spfmilter.journal.place import fix_for
from spfmilter.journal.rows import COLUMNS, Row
from spfmilter.journal.tables import DECISION
from spfmilter.observe import log
from spfmilter.settings.journalurl import JournalUrl

_WAIT = 0.5  # seconds that rows wait for more of them
_FIRST_PAUSE, _MAX_PAUSE = 0.5, 30.0  # seconds until the database is opened again; doubled each time
_SAY_EVERY = 600.0  # seconds between two lines of the log while the database is away
_PING = 10.0  # seconds without a row after which the database is asked whether it is there
_CLEAN = 60.0  # seconds between two searches for old rows
_REMOVED = 1000  # rows that are removed at a time
_REMOVAL_LOCK = 0x5350_464B  # PostgreSQL's advisory lock for that
# A row that the database will never take. The last two come from a driver that cannot write a text or a number.
_REFUSED = (DataError, IntegrityError, UnicodeError, OverflowError)

# A number that PostgreSQL has not given out yet is an error for txid_status(), and here that of a lost transaction.
_STATUS = """SELECT CASE WHEN %s::bigint < txid_snapshot_xmax(txid_current_snapshot())
    THEN txid_status(%s::bigint) ELSE 'aborted' END"""
_COPY = f"COPY {DECISION.name} ({', '.join(COLUMNS)}) FROM STDIN"


class Writer:
    """A task of the storage process."""

    name = "journal"

    def __init__(self, url: JournalUrl, keep: float, backlog: Backlog) -> None:
        """Prepare; open nothing.

        Args:
            url: the database.
            keep: seconds that rows are kept.
            backlog: the rows.
        """
        self._url, self._keep, self._backlog = url, keep, backlog
        self._sql = ""  # of SQLite's insertion
        self._pause = _FIRST_PAUSE
        self._away_since: float | None = None  # None: it is there, or has not been tried
        self._say_next = 0.0
        self._asked = self._clean_next = 0.0  # when it was last asked, and when old rows are removed
        self._doubt: int | None = None  # the transaction of which PostgreSQL has not said whether it is committed

    def run(self, ending: threading.Event) -> None:
        """Write until ``ending`` is set and no more rows come."""
        while True:
            try:
                self._serve()
            except (JournalError, SQLAlchemyError) as error:
                self._away(reason_of(error) if isinstance(error, SQLAlchemyError) else str(error))
                ending.wait(self._pause * random.uniform(0.75, 1.25))  # noqa: S311 - so that hosts do not come together
                self._pause = min(2 * self._pause, _MAX_PAUSE)
                if ending.is_set():
                    return
            else:
                return

    # -- the database comes and goes -----------------------------------------------------------------------------------

    def _serve(self) -> None:
        """Open the database, and write until no more rows come.

        Raises:
            JournalError: the database cannot be used.
            SQLAlchemyError: it does not take the rows.
        """
        engine = open_engine(self._url)
        try:
            upgrade(engine, self._url)
            self._sql = str(insert(DECISION).compile(engine, column_keys=list(COLUMNS)))
            with engine.connect() as connection:
                self._settle_doubt(connection)
                if self._away_since is None:
                    self._present()
                while self._step(connection):
                    if self._away_since is not None:  # a full disk lets it be opened, too, and takes no row
                        self._present()
        finally:
            engine.dispose()

    def _step(self, connection: Connection) -> bool:
        """Write the rows of one transaction. Return whether more can come."""
        self._backlog.enough.wait(_WAIT)
        rows = self._backlog.take(ENOUGH)
        if not rows and self._backlog.complete:
            return False
        now = time.monotonic()
        if rows:
            written = self._write(connection, rows)
            self._backlog.settle(written, time.monotonic())
            self._pause, self._asked = _FIRST_PAUSE, now
        elif now >= self._asked + _PING:
            with connection.begin():
                connection.execute(select(1))
            self._asked = now
        if now >= self._clean_next and not self._backlog.complete:
            self._clean_next = now if self._remove_old(connection) == _REMOVED else now + _CLEAN
        return True

    def _away(self, reason: str) -> None:
        now = time.monotonic()
        if self._away_since is None:
            self._away_since, self._say_next = now, now
        self._backlog.database(reachable=False, reason=reason, now=now)
        if now >= self._say_next:
            self._say_next = now + _SAY_EVERY
            log.error(
                "journal database unavailable",
                database=str(self._url),
                reason=reason,
                waiting=self._backlog.waiting,
                fix=fix_for(self._url),
            )

    def _present(self) -> None:
        now = time.monotonic()
        self._backlog.database(reachable=True, reason="", now=now)
        if self._away_since is None:
            log.info("journal opened", database=str(self._url))
        else:
            seconds, self._away_since = round(now - self._away_since, 1), None
            log.info(
                "journal database available", database=str(self._url), seconds=seconds, waiting=self._backlog.waiting
            )

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _write(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Write rows in one transaction. Return how many; fewer if the database will never take some of them.

        Raises:
            SQLAlchemyError: it takes none at present.
        """
        try:
            with connection.begin():
                self._begin(connection)
                self._insert(connection, rows)
            written = len(rows)
        except _REFUSED:
            with connection.begin():
                self._begin(connection)
                written = self._insert_what_it_takes(connection, rows)
        self._doubt = None
        return written

    def _begin(self, connection: Connection) -> None:
        if self._url.embedded:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            self._doubt = connection.exec_driver_sql("SELECT txid_current()").scalar_one()

    def _insert(self, connection: Connection, rows: Sequence[Row]) -> None:
        if self._url.embedded:
            connection.exec_driver_sql(self._sql, list(rows))
        else:
            _copy(connection, rows)

    def _insert_what_it_takes(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Find the rows that are refused, by halves. Return how many others there are."""
        try:
            with connection.begin_nested():
                self._insert(connection, rows)
        except _REFUSED:
            half = len(rows) // 2
            parts = (rows[:half], rows[half:]) if half else ()
            return sum(self._insert_what_it_takes(connection, part) for part in parts)
        return len(rows)

    def _settle_doubt(self, connection: Connection) -> None:
        """Find out whether the last transaction was committed, if the connection broke before PostgreSQL said so.

        A crash can lose the number of a transaction that was not committed. PostgreSQL then knows no such number, or
        gives it to another transaction: so only a row of ours proves that it was this one.

        Raises:
            JournalError: PostgreSQL itself does not know yet.
            SQLAlchemyError: it cannot be asked.
        """
        if self._doubt is None:
            return
        rows = self._backlog.take(ENOUGH)
        with connection.begin():
            status = connection.exec_driver_sql(_STATUS, (self._doubt, self._doubt)).scalar()
            written = status == "committed" and bool(rows) and _is_there(connection, rows[0])
        if status == "in progress":
            raise JournalError("the last transaction is still in progress")
        self._doubt = None
        if written:
            self._backlog.settle(len(rows), time.monotonic())

    def _remove_old(self, connection: Connection) -> int:
        """Remove some rows that are too old. Return how many.

        Of the hosts that share a database, one does so at a time; the others need not wait for it.
        """
        before = int((time.time() - self._keep) * 1000)
        old = select(DECISION.c.id).where(DECISION.c.time < before).order_by(DECISION.c.time).limit(_REMOVED)
        with connection.begin():
            if not self._url.embedded:
                alone = connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock(%s)", (_REMOVAL_LOCK,)).scalar()
                if not alone:
                    return 0
            return connection.execute(delete(DECISION).where(DECISION.c.id.in_(old))).rowcount


def _is_there(connection: Connection, row: Row) -> bool:
    """Return whether the journal has a row with the same time, host, client and sender domain."""
    same = [
        DECISION.c[name].is_not_distinct_from(row[COLUMNS.index(name)])
        for name in ("time", "host", "client", "sender_domain")
    ]
    return connection.execute(select(DECISION.c.id).where(*same).limit(1)).first() is not None


def _copy(connection: Connection, rows: Sequence[Row]) -> None:
    """Write rows to PostgreSQL by COPY, which costs a quarter of as many INSERTs. SQLAlchemy has no words for it.

    Raises:
        SQLAlchemyError: as SQLAlchemy itself says it of a statement.
    """
    import psycopg  # noqa: PLC0415 - installed only where the journal is in PostgreSQL

    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - the URL names this driver
    try:
        with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise DBAPIError.instance(_COPY, None, error, psycopg.Error) from error
