"""The journal in PostgreSQL: what differs from SQLite, which writes rows by another statement."""

import pytest
from sqlalchemy import select, text

from lab import postgresql
from lab.postgresql import PostgreSQL
from spfmilter.journal.database import open_engine
from spfmilter.journal.rows import COLUMNS, TEXT_LIMIT, Cell
from spfmilter.journal.tables import DECISION
from spfmilter.settings.journalurl import JournalUrl
from tests.journal.storage import Storage, hostile, written
from tests.journal.values import row, rows
from tests.stores import emptied
from tests.stores import postgresql_server as postgresql_server  # noqa: PLC0414 - a fixture

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable() or "there"),
]


@pytest.fixture
def url(postgresql_server: PostgreSQL) -> JournalUrl:
    """An empty database."""
    return emptied(postgresql_server)


def test_rows_are_written_as_they_are(url: JournalUrl) -> None:
    """More than one transaction, and all characters that its COPY has another meaning for."""
    special = dict(zip(COLUMNS, row(2500, b"\\.\n\t\x00\xff"), strict=True))
    special |= {
        "helo": "\\N",
        "client_name": "\\.",
        "rule": "a\tb\nc\\d\re",
        "term": "",
        "problem_text": "中" * TEXT_LIMIT,
    }
    given = [*rows(2500, b"\x00answers"), tuple(special[name] for name in COLUMNS)]
    assert Storage(url).write(given) == (2501, 0)
    engine = open_engine(url)
    with engine.connect() as connection:  # with their answers, which the journal reads one by one
        read = connection.execute(select(*(DECISION.c[name] for name in COLUMNS)).order_by(DECISION.c.time))
        assert [tuple(each) for each in read] == given
    engine.dispose()


@pytest.mark.parametrize(
    "cell",
    ["\ud800", None, "NUL \x00", "x" * 256],
    ids=["half of a pair", "null", "NUL", "too long"],
)
def test_a_row_that_is_refused_does_not_stop_the_others(url: JournalUrl, cell: Cell) -> None:
    given = rows(100)
    assert Storage(url).write([*given[:7], hostile(7, cell), *given[7:]]) == (100, 1)
    assert written(url) == given


def test_a_database_without_the_table_keeps_the_rows(url: JournalUrl) -> None:
    assert Storage(url).write(rows(1)) == (1, 0)
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE decision"))  # its version stays, so that it is not made again
    engine.dispose()
    storage = Storage(url)
    assert storage.write(rows(3)) == (0, 0)
    assert storage.totals.totals().waiting == 3


# -- a commit in doubt -------------------------------------------------------------------------------------------------


def in_doubt(url: JournalUrl, number: int) -> tuple[int, int]:
    """Write three rows while the transaction of this number is in doubt. Return how many are there, and are lost."""
    storage = Storage(url)
    storage.writer._doubt = number
    _, lost = storage.write(rows(3))
    return len(written(url)), lost


def test_a_transaction_whose_number_was_lost_by_a_crash_is_written_again(url: JournalUrl) -> None:
    assert Storage(url).write(rows(0)) == (0, 0)
    assert in_doubt(url, 1 << 40) == (3, 0)


def test_a_committed_transaction_is_not_written_twice(url: JournalUrl) -> None:
    assert Storage(url).write(rows(3)) == (3, 0)
    assert in_doubt(url, last_number(url)) == (3, 0)


def test_another_transaction_with_the_number_of_a_lost_one_proves_nothing(url: JournalUrl) -> None:
    assert Storage(url).write([row(99)]) == (1, 0)
    assert in_doubt(url, last_number(url)) == (4, 0)


def last_number(url: JournalUrl) -> int:
    """The number of the transaction that wrote the last row."""
    engine = open_engine(url)
    with engine.connect() as connection:
        query = text("SELECT xmin::text::bigint FROM decision ORDER BY id DESC LIMIT 1")
        number = connection.execute(query).scalar_one()
    engine.dispose()
    return int(number)
