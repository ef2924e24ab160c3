"""Exemptions in SQLite or PostgreSQL: the tables ``exemption`` and ``exemption_version`` of the journal's schema.

Knows SQLAlchemy Core. Each change counts ``exemption_version`` up, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, and_, delete, func, insert, inspect, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from spfmilter.exemptions.exemption import Exemption, Row, row_of
from spfmilter.exemptions.store import KEPT, StoreError
from spfmilter.journal.database import JournalError, open_engine, reason_of, upgrade
from spfmilter.journal.tables import EXEMPTION, EXEMPTION_VERSION
from spfmilter.settings.journalurl import JournalUrl

_MAX_ROWS = 100_000  # of those that have ended as well: more are not ours


class SqlStore:
    """See ``Store``."""

    forgets = False

    def __init__(self, url: JournalUrl) -> None:
        """Prepare; open nothing.

        Raises:
            StoreError: the database's driver is not installed.
        """
        self.name = str(url)
        self._url = url
        self._ready = False  # the tables are there
        try:
            self._engine = open_engine(url)
        except JournalError as error:
            raise StoreError(str(error)) from None

    def version(self) -> Hashable:
        """See ``Store``."""
        with self._connection() as connection:
            return connection.execute(select(func.max(EXEMPTION_VERSION.c.version))).scalar()

    def read(self) -> Sequence[Row]:
        """See ``Store``."""
        with self._connection() as connection:
            return [row._asdict() for row in connection.execute(select(EXEMPTION).limit(_MAX_ROWS))]

    def add(self, exemption: Exemption) -> None:
        """See ``Store``."""
        long_ago = exemption.added - KEPT
        ended = or_(
            EXEMPTION.c.until < long_ago, and_(EXEMPTION.c.removed.is_not(None), EXEMPTION.c.removed < long_ago)
        )
        with self._changing() as connection:
            connection.execute(delete(EXEMPTION).where(ended))
            connection.execute(insert(EXEMPTION).values(row_of(exemption)))

    def remove(self, ids: Sequence[str], now: int, who: str) -> None:
        """See ``Store``."""
        those = and_(EXEMPTION.c.id.in_(ids), EXEMPTION.c.removed.is_(None))
        with self._changing() as connection:
            connection.execute(update(EXEMPTION).where(those).values(removed=now, removed_by=who))

    def give_back(self, exemptions: Sequence[Exemption]) -> None:
        """See ``Store``."""

    def close(self) -> None:
        """See ``Store``."""
        self._engine.dispose()

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._connection() as connection:
            # First: whoever else changes something waits here until this transaction has ended.
            connection.execute(update(EXEMPTION_VERSION).values(version=EXEMPTION_VERSION.c.version + 1))
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Open a transaction, with the tables in place.

        Raises:
            StoreError: also for a failure inside the ``with`` block.
        """
        try:
            if not self._ready:
                if not inspect(self._engine).has_table(EXEMPTION_VERSION.name):
                    upgrade(self._engine, self._url)
                self._ready = True
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            self._ready = False
            raise StoreError(f"{self.name}: {reason_of(error)}") from None
        except JournalError as error:
            raise StoreError(f"{self.name}: {error}") from None
