"""Read the journal: one case, or the rows of some time.

Knows how rows are found. Knows nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Connection, Select, and_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.functions import count

from spfmilter.journal.database import JournalError, open_engine, reason_of
from spfmilter.journal.rows import COLUMNS, Cell, Decision
from spfmilter.journal.statistics import Statistics
from spfmilter.journal.tables import DECISION
from spfmilter.settings.journalurl import JournalUrl

_BATCH = 5000  # rows that are held in memory at a time
_NO_TABLE = ("no such table: decision", 'relation "decision" does not exist')  # in the words of the databases


class Journal:
    """The journal, to read. Open it by ``reading``."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def case(self, case_id: str) -> Decision | None:
        """Return the decision with this case id."""
        return next(iter(self._all(_newest().where(DECISION.c.case_id == case_id).limit(1))), None)

    def queue_id(self, queue_id: str) -> Sequence[Decision]:
        """Return the decisions with this queue id, the newest first. An MTA uses an id again after some time."""
        return self._all(_newest().where(DECISION.c.queue_id == queue_id).limit(100))

    def found(
        self, *, since: int, client: str = "", sender_domain: str | None = None, helo: str = "", limit: int = 100
    ) -> Sequence[Decision]:
        """Return the newest decisions with these values.

        Args:
            since: milliseconds since 1970 UTC.
            client: its address as Python writes it; empty: any.
            sender_domain: ASCII and lower case; empty: the null sender; None: any.
            helo: empty: any.
            limit: how many at most.
        """
        tests: list[ColumnElement[bool]] = [DECISION.c.time >= since]
        tests += [DECISION.c.client == client] if client else []
        tests += [DECISION.c.helo == helo] if helo else []
        if sender_domain is not None:
            column = DECISION.c.sender_domain
            tests.append(column == sender_domain if sender_domain else column.is_(None))
        return self._all(_newest().where(and_(*tests)).limit(limit))

    def decisions(self, *, since: int, until: int | None = None) -> Iterator[Decision]:
        """Return the decisions of some time, the oldest first, without their DNS answers. They are read in batches."""
        columns = [DECISION.c[name] for name in COLUMNS if name != "answers"]
        query = select(*columns).where(DECISION.c.time >= since).order_by(DECISION.c.time, DECISION.c.id)
        if until is not None:
            query = query.where(DECISION.c.time < until)
        rows = self.connection.execution_options(stream_results=True, yield_per=_BATCH).execute(query)
        for row in rows:
            yield Decision._make((*row, None))

    def statistics(self, since: int, until: int) -> Statistics:
        """Return the sums of the rows of some time. Ask nothing else of this journal before."""
        return Statistics(self.connection, since, until)

    def counted(
        self, names: Sequence[str], *, since: int, until: int | None = None
    ) -> Iterator[tuple[tuple[Cell, ...], int]]:
        """Return the values of some columns, each combination once, with the number of its decisions.

        The database puts equal ones together, which is much quicker than to read them all. They come in batches.

        Args:
            names: of the columns.
            since: milliseconds since 1970 UTC.
            until: the same; None: now.
        """
        columns = [DECISION.c[name] for name in names]
        query = select(*columns, count()).where(DECISION.c.time >= since).group_by(*columns)
        if until is not None:
            query = query.where(DECISION.c.time < until)
        rows = self.connection.execution_options(stream_results=True, yield_per=_BATCH).execute(query)
        for *cells, number in rows:
            yield tuple(cells), number

    def _all(self, query: Select[tuple[object, ...]]) -> Sequence[Decision]:
        return [Decision._make(row) for row in self.connection.execute(query)]


def _newest() -> Select[tuple[object, ...]]:
    return select(*(DECISION.c[name] for name in COLUMNS)).order_by(DECISION.c.time.desc(), DECISION.c.id.desc())


@contextmanager
def reading(url: JournalUrl) -> Iterator[Journal]:
    """Open the journal to read it.

    Raises:
        JournalError: it cannot be reached or read. Also raised by a failure inside the ``with`` block.
    """
    engine = open_engine(url, read_only=True)
    try:
        with engine.connect() as connection:
            yield Journal(connection)
    except SQLAlchemyError as error:
        reason = reason_of(error)
        if any(words in reason for words in _NO_TABLE):
            reason = "it has no table of decisions yet: the daemon makes it when it starts with this [journal] url"
        raise JournalError(reason) from error
    finally:
        engine.dispose()
