"""Requests in SQLite or PostgreSQL: the table ``sender_request`` of the journal's schema. Knows SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from spfmilter.journal.tables import SENDER_REQUEST
from spfmilter.requests.request import SenderRequest, State, row_of
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.stores.rows import Row
from spfmilter.stores.sql import SqlAccess

_MAX_ROWS = 10_000  # more are not ours
_ANSWER = ("state", "answered", "answered_by", "answer", "until", "exemption")
_COLUMN = SENDER_REQUEST.c


class SqlRequests(SqlAccess):
    """See ``RequestStore``."""

    def __init__(self, url: JournalUrl) -> None:
        super().__init__(url, SENDER_REQUEST.name)

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
