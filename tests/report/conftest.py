"""A journal on each of the two databases: a file of SQLite, and a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from lab import postgresql
from lab.postgresql import PostgreSQL
from spfmilter.settings.journalurl import journal_url

ON_POSTGRESQL = pytest.param(
    "postgresql",
    marks=[
        pytest.mark.outside,
        pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable() or "-"),
    ],
)


@pytest.fixture(scope="session")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as started:
        yield started


@pytest.fixture(params=["sqlite", ON_POSTGRESQL])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a journal that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'journal.db'}"
    server: PostgreSQL = request.getfixturevalue("server")
    name = f"report_{request.node.nodeid.__hash__() & 0xFFFFFFFF:x}"
    parsed = journal_url(server.url)
    assert parsed is not None
    engine = create_engine(parsed.connection(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.url.rpartition("/")[0] + f"/{name}"
