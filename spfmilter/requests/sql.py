"""Requests in SQLite or PostgreSQL: the table ``sender_request`` of the journal's schema. Knows SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, and_, delete, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from spfmilter.exemptions.store import StoreError
from spfmilter.journal.database import JournalError, open_engine, reason_of, upgrade
from spfmilter.journal.tables import SENDER_REQUEST
from spfmilter.requests.request import Row, SenderRequest, State, row_of
from spfmilter.settings.journalurl import JournalUrl

_MAX_ROWS = 10_000  # more are not ours
_ANSWER = ("state", "answered", "answered_by", "answer", "until", "exemption")
_COLUMN = SENDER_REQUEST.c


class SqlRequests:
    """See ``RequestStore``."""

    def __init__(self, url: JournalUrl) -> None:
        """Prepare; open nothing.

        Raises:
            StoreError: the database's driver is not installed.
        """
        self.name = str(url)
        self._url = url
        self._ready = False  # the table is there
        try:
            self._engine = open_engine(url)
        except JournalError as error:
            raise StoreError(str(error)) from None

    def prepare(self) -> None:
        """See ``RequestStore``."""
        with self._connection():
            pass

    def find(self, case_id: str) -> Row | None:
        """See ``RequestStore``."""
        with self._connection() as connection:
            found = connection.execute(select(SENDER_REQUEST).where(_COLUMN.case_id == case_id)).first()
            return found._asdict() if found is not None else None

    def read(self) -> Sequence[Row]:
        """See ``RequestStore``."""
        with self._connection() as connection:
            return [row._asdict() for row in connection.execute(select(SENDER_REQUEST).limit(_MAX_ROWS))]

    def add(self, request: SenderRequest) -> bool:
        """See ``RequestStore``."""
        with self._connection() as connection:
            try:
                with connection.begin_nested():
                    connection.execute(insert(SENDER_REQUEST).values(row_of(request)))
            except IntegrityError:
                return False
            return True

    def answer(self, request: SenderRequest) -> bool:
        """See ``RequestStore``."""
        row = row_of(request)
        still_open = and_(_COLUMN.case_id == request.case_id, _COLUMN.state == State.OPEN)
        with self._connection() as connection:
            changes = {name: row[name] for name in _ANSWER}
            return connection.execute(update(SENDER_REQUEST).where(still_open).values(changes)).rowcount == 1

    def end(self, exemptions: Sequence[str], now: int) -> None:
        """See ``RequestStore``."""
        with self._connection() as connection:
            connection.execute(update(SENDER_REQUEST).where(_COLUMN.exemption.in_(exemptions)).values(until=now))

    def note_mailed(self, case_ids: Sequence[str], now: int | None) -> None:
        """See ``RequestStore``."""
        with self._connection() as connection:
            connection.execute(update(SENDER_REQUEST).where(_COLUMN.case_id.in_(case_ids)).values(mailed=now))

    def forget(self, now: int) -> None:
        """See ``RequestStore``."""
        with self._connection() as connection:
            connection.execute(delete(SENDER_REQUEST).where(_COLUMN.ends < now))

    def close(self) -> None:
        """See ``RequestStore``."""
        self._engine.dispose()

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Open a transaction, with the table in place.

        Raises:
            StoreError: also for a failure inside the ``with`` block.
        """
        try:
            if not self._ready:
                if not inspect(self._engine).has_table(SENDER_REQUEST.name):
                    upgrade(self._engine, self._url)
                self._ready = True
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            self._ready = False
            raise StoreError(f"{self.name}: {reason_of(error)}") from None
        except JournalError as error:
            raise StoreError(f"{self.name}: {error}") from None
