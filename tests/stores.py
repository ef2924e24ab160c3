"""Fixtures for tests of what is stored: an empty place of each kind, with a real SQLite, Redis and PostgreSQL.

A test module imports those that it uses.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import pytest
import redis as library
from sqlalchemy import text

from lab import postgresql, redis
from lab.postgresql import PostgreSQL
from lab.redis import Redis
from spfmilter.journal.database import open_engine
from spfmilter.settings import Settings, parse
from spfmilter.settings.journalurl import JournalUrl, journal_url

KINDS = {"sqlite": "", "redis": redis.unavailable(), "postgresql": postgresql.unavailable()}


class _Closable(Protocol):
    def close(self) -> None: ...


Opened = TypeVar("Opened", bound=_Closable)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


def emptied(server: PostgreSQL) -> JournalUrl:
    """The server's database, without any table."""
    url = journal_url(server.url)
    assert url is not None
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return url


@pytest.fixture(
    params=[pytest.param(kind, marks=pytest.mark.skipif(bool(no), reason=no or "there")) for kind, no in KINDS.items()]
)
def empty_place(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings that name an empty store."""
    match request.param:
        case "sqlite":
            return parse(f"[state]\nfolder = {tmp_path}\n")
        case "redis":
            server = request.getfixturevalue("redis_server")
            library.Redis(port=server.port).flushall()
            return parse(f"[state]\nurl = redis://127.0.0.1:{server.port}/0\n")
        case _:
            server = request.getfixturevalue("postgresql_server")
            emptied(server)
            return parse(f"[journal]\nurl = {server.url}\n")


@contextmanager
def each_time_anew(opening: Callable[[Settings], Opened], settings: Settings) -> Iterator[Callable[[], Opened]]:
    """Open the store as often as it is called, as so many processes would. Close all of them."""
    stores: list[Opened] = []

    def open_another() -> Opened:
        stores.append(opening(settings))
        return stores[-1]

    yield open_another
    for store in stores:
        store.close()
