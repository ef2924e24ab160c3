"""Exemptions in SQLite or PostgreSQL: the tables ``exemption`` and ``exemption_version`` of the journal's schema.

Knows SQLAlchemy Core. Each change counts ``exemption_version`` up, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from spfmilter.exemptions.exemption import Exemption, row_of
from spfmilter.exemptions.store import KEPT
from spfmilter.journal.tables import EXEMPTION, EXEMPTION_VERSION
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.stores.rows import Row
from spfmilter.stores.sql import SqlAccess

_MAX_ROWS = 100_000  # of those that have ended as well: more are not ours


class SqlStore(SqlAccess):
    """See ``Store``."""

    forgets = False

    def __init__(self, url: JournalUrl) -> None:
        super().__init__(url, EXEMPTION_VERSION.name)

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

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._connection() as connection:
            # First: whoever else changes something waits here until this transaction has ended.
            connection.execute(update(EXEMPTION_VERSION).values(version=EXEMPTION_VERSION.c.version + 1))
            yield connection
