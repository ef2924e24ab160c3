"""Tables of the journal's schema in SQLite or PostgreSQL, as far as it is the same for all that is stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from spfmilter.journal.database import JournalError, open_engine, reason_of, upgrade
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.stores.choice import StoreError


class SqlAccess:
    """The way to the database, with errors as those of a store."""

    def __init__(self, url: JournalUrl, table: str) -> None:
        """Prepare; open nothing. If ``table`` is missing at the first use, the schema is brought up to date.

        Raises:
            StoreError: the database's driver is not installed.
        """
        self.name = str(url)
        self._url, self._table = url, table
        self._ready = False  # the table is there
        try:
            self._engine = open_engine(url)
        except JournalError as error:
            raise StoreError(str(error)) from None

    def close(self) -> None:
        """Let go of the store."""
        self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Open a transaction, with the table in place.

        Raises:
            StoreError: also for a failure inside the ``with`` block.
        """
        try:
            if not self._ready:
                if not inspect(self._engine).has_table(self._table):
                    upgrade(self._engine, self._url)
                self._ready = True
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            self._ready = False
            raise StoreError(f"{self.name}: {reason_of(error)}") from None
        except JournalError as error:
            raise StoreError(f"{self.name}: {error}") from None
