"""Tokens between hosts by notifications of the journal's PostgreSQL (LISTEN and NOTIFY), which stores none of them.

Knows SQLAlchemy Core, and how psycopg hands notifications on. A host that is not connected at the moment misses one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from spfmilter.journal.database import JournalError, open_engine, reason_of
from spfmilter.refresh.hosts import MAX_TOKENS, HostsError
from spfmilter.settings.journalurl import JournalUrl

CHANNEL = "spfmilter_refreshed"  # in the database: a contract between hosts of all versions


class PostgresqlHosts:
    """See ``Hosts``."""

    def __init__(self, url: JournalUrl) -> None:
        """Prepare; open nothing.

        Raises:
            HostsError: the database's driver is not installed.
        """
        self.name = str(url)
        self._listening: Connection | None = None
        self._come: deque[str] = deque(maxlen=MAX_TOKENS)
        try:
            self._engine = open_engine(url)
        except JournalError as error:
            raise HostsError(str(error)) from None

    def send(self, token: str) -> None:
        """See ``Hosts``."""
        try:
            with self._engine.begin() as connection:
                connection.execute(select(func.pg_notify(CHANNEL, token)))
        except SQLAlchemyError as error:
            raise self._error(error) from None

    def receive(self) -> Sequence[str]:
        """See ``Hosts``."""
        try:
            if self._listening is None:
                self._listening = self._listen()
            self._listening.exec_driver_sql("SELECT 1")  # the notifications come with its answer
        except SQLAlchemyError as error:
            self._let_go()
            raise self._error(error) from None
        come = list(self._come)
        self._come.clear()
        return come

    def close(self) -> None:
        """See ``Hosts``."""
        self._let_go()
        self._engine.dispose()

    def _listen(self) -> Connection:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        driver: Any = connection.connection.driver_connection
        driver.add_notify_handler(lambda notify: self._come.append(notify.payload))
        connection.exec_driver_sql(f"LISTEN {CHANNEL}")
        return connection

    def _let_go(self) -> None:
        """Close the connection that listens, and not give it back to the pool."""
        if self._listening is not None:
            self._listening.invalidate()
            self._listening.close()
            self._listening = None

    def _error(self, error: SQLAlchemyError) -> HostsError:
        return HostsError(f"{self.name}: {reason_of(error)}")
