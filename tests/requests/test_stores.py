"""Each store, with a real SQLite, Redis and PostgreSQL: what is written is read by all, once, and forgotten in time."""

import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import redis as library
from sqlalchemy import text

from lab import postgresql
from lab.postgresql import PostgreSQL
from lab.redis import Redis
from spfmilter.journal.database import open_engine
from spfmilter.requests import server
from spfmilter.requests.embedded import EmbeddedRequests
from spfmilter.requests.opening import open_store
from spfmilter.requests.request import MOST_OF_DOMAIN, SenderRequest, State, request_of, row_of, valid
from spfmilter.requests.server import KEY, ServerRequests
from spfmilter.requests.store import AskOutcome, RequestStore, ask
from spfmilter.settings import Settings, parse
from spfmilter.settings.journalurl import journal_url
from spfmilter.settings.urls import state_url
from spfmilter.stores.choice import StoreError
from spfmilter.stores.rows import Row
from spfmilter.stores.server import decoded
from tests.requests.samples import DAY, NOW, asked, case_id, granted
from tests.stores import each_time_anew
from tests.stores import empty_place as empty_place  # noqa: PLC0414 - a fixture
from tests.stores import postgresql_server as postgresql_server  # noqa: PLC0414 - a fixture
from tests.stores import redis_server as redis_server  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.outside

Opened = Callable[[], RequestStore]
PAGE = (Path(__file__).parents[2] / "docs" / "help-page.md").read_text()


@pytest.fixture
def opened(empty_place: Settings) -> Iterator[Opened]:
    """Opens an empty store, each time anew, as another process would."""
    with each_time_anew(open_store, empty_place) as found:
        yield found


def read(store: RequestStore) -> dict[str, SenderRequest]:
    return {one.case_id: one for one in map(request_of, store.read())}


def found(store: RequestStore, number: int) -> SenderRequest:
    row = store.find(case_id(number))
    assert row is not None
    return request_of(row)


def test_what_one_writes_another_reads(opened: Opened) -> None:
    writer, reader = opened(), opened()
    assert (list(reader.read()), reader.find(case_id(1))) == ([], None)
    one = asked(1, sentence="ünï \"\\ ' ;--")
    assert writer.add(one)
    assert writer.add(asked(2, "2001:db8::7"))
    assert found(reader, 1) == one
    assert read(reader) == {one.case_id: one, case_id(2): asked(2, "2001:db8::7")}


def test_a_case_has_one_request(opened: Opened) -> None:
    store = opened()
    assert store.add(asked(1))
    assert not opened().add(asked(1, sentence="another"))
    assert found(store, 1) == asked(1)


def test_a_request_is_answered_once(opened: Opened) -> None:
    store = opened()
    store.add(asked(1))
    assert opened().answer(granted(asked(1)))
    assert found(store, 1) == granted(asked(1))
    assert not store.answer(replace(asked(1), state=State.DECLINED))
    assert found(store, 1) == granted(asked(1))
    assert not store.answer(granted(asked(9))), "there is none"


def test_an_exemption_that_was_removed_ends_what_was_granted(opened: Opened) -> None:
    store = opened()
    for number, exemption in ((1, "AAAAAA"), (2, "BBBBBB")):
        store.add(asked(number))
        store.answer(granted(asked(number), exemption=exemption))
    store.end(["AAAAAA", "CCCCCC"], NOW + 5)
    assert (found(store, 1).until, found(store, 2).until) == (NOW + 5, NOW + 7 * DAY)


def test_a_digest_is_noted_and_can_be_taken_back(opened: Opened) -> None:
    store = opened()
    store.add(asked(1))
    store.add(asked(2))
    store.note_mailed([case_id(1)], NOW)
    assert (found(store, 1).mailed, found(store, 2).mailed) == (NOW, None)
    store.note_mailed([case_id(1)], None)
    assert found(store, 1).mailed is None


def test_a_request_is_forgotten_when_its_time_has_come(opened: Opened) -> None:
    store = opened()
    store.add(asked(1, ends=NOW + 10))
    store.add(asked(2, ends=NOW + 11))
    store.forget(NOW + 10)
    assert len(read(store)) == 2
    store.forget(NOW + 11)
    assert set(read(store)) == {case_id(2)}


def test_asking_keeps_the_limits(opened: Opened) -> None:
    store = opened()
    store.add(asked(99, ends=NOW - 1))  # forgotten by the next one
    for number in range(MOST_OF_DOMAIN):
        assert ask(store, asked(number, f"10.0.{number}.1")) is AskOutcome.KEPT
    assert ask(store, asked(0)) is AskOutcome.THERE_ALREADY
    assert ask(store, asked(10)) is AskOutcome.TOO_MANY
    assert ask(store, asked(10, domain="other.example")) is AskOutcome.KEPT
    assert len(read(store)) == MOST_OF_DOMAIN + 1


def test_many_who_ask_at_once_lose_nothing(opened: Opened) -> None:
    opened().add(asked(1))
    stores = [opened() for _ in range(4)]
    kept: list[bool] = []

    def write(number: int) -> None:
        kept.extend(stores[number].add(asked(100 + turn)) for turn in range(10))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(kept), sum(kept)) == (40, 10)
    assert len(read(opened())) == 11


# -- servers that are away, or say anything ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ini",
    ["[state]\nurl = redis://u:geheim@127.0.0.1:1/0\n", "[journal]\nurl = postgresql://u:geheim@127.0.0.1:1/x\n"],
)
def test_a_server_that_is_away_is_an_error_without_its_password(ini: str) -> None:
    store = open_store(parse(ini))
    for question in (
        store.read,
        lambda: store.find(case_id(1)),
        lambda: store.add(asked(1)),
        lambda: store.answer(granted(asked(1))),
        lambda: store.forget(NOW),
    ):
        with pytest.raises(StoreError, match="efused") as error:
            question()
        assert "geheim" not in str(error.value)


def test_no_place_is_an_error() -> None:
    with pytest.raises(StoreError, match=r"no place for requests"):
        open_store(parse("[state]\nfolder =\n"))


def test_rows_of_strangers_on_a_server_are_no_error(redis_server: Redis) -> None:
    url = state_url(f"redis://127.0.0.1:{redis_server.port}/1")
    assert url is not None
    store, there = ServerRequests(url), library.Redis(port=redis_server.port, db=1)
    store.add(asked(1))
    for number, value in enumerate([b"\xff", b"[]", b"7", b'"', b"{", b"[" * 100_000, b'{"ends": {}}']):
        there.hset(KEY, f"x{number}", value)
    assert list(valid(store.read(), lambda _row, _why: None)) == [asked(1)]
    store.end(["ABC123"], NOW)
    store.note_mailed(["x1"], NOW)
    assert not store.answer(replace(asked(1), case_id="x0"))
    store.forget(NOW)
    assert there.hkeys(KEY) == [case_id(1).encode()]
    there.delete(KEY)
    there.set(KEY, "not a hash")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.read()


@pytest.mark.parametrize(
    "write", [lambda store: store.note_mailed([case_id(1)], NOW), lambda store: store.end(["X"], 1)]
)
def test_an_answer_is_not_lost_that_another_host_writes_meanwhile(
    redis_server: Redis, monkeypatch: pytest.MonkeyPatch, write: Callable[[RequestStore], None]
) -> None:
    """The digest and ``exempt remove`` write whole rows, which they have read before."""
    library.Redis(port=redis_server.port, db=3).flushdb()
    url = state_url(f"redis://127.0.0.1:{redis_server.port}/3")
    assert url is not None
    one, two = ServerRequests(url), ServerRequests(url)
    one.add(replace(asked(1), exemption="X"))
    answers = [granted(asked(1))]
    read_row = decoded

    def row(text: object) -> Row:
        found = read_row(text)
        if answers:
            monkeypatch.setattr(server, "decoded", read_row)
            assert two.answer(answers.pop())
        return found

    monkeypatch.setattr(server, "decoded", row)
    write(one)
    assert found(two, 1).state is State.GRANTED
    assert found(two, 1).answer == "Welcome."


def test_the_page_needs_no_more_rights_on_redis_than_documented(redis_server: Redis) -> None:
    found_line = re.search(r"`ACL SETUSER (spfmilter-web .+?)`", PAGE)
    assert found_line is not None
    there = library.Redis(port=redis_server.port, db=2)
    there.execute_command("ACL", "SETUSER", *found_line[1].replace("PASSWORD", "geheim").split())
    store = open_store(parse(f"[state]\nurl = redis://spfmilter-web:geheim@127.0.0.1:{redis_server.port}/2\n"))
    assert ask(store, asked(1, ends=NOW + 1)) is AskOutcome.KEPT
    assert found(store, 1) == asked(1, ends=NOW + 1)
    store.forget(NOW + 2)
    assert read(store) == {}
    page = library.Redis(port=redis_server.port, db=2, username="spfmilter-web", password="geheim")
    with pytest.raises(library.exceptions.NoPermissionError):
        page.hset("spfmilter:exemptions", "ABC123", "{}")


@pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable() or "there")
def test_the_page_needs_no_more_rights_on_postgresql_than_documented(postgresql_server: PostgreSQL) -> None:
    owner = open_store(parse(f"[journal]\nurl = {postgresql_server.url}\n"))
    owner.read()  # makes the table
    owner.close()
    granting = re.search(r"GRANT (.+) ON sender_request TO spfmilter_web;", PAGE)
    url = journal_url(postgresql_server.url)
    assert granting is not None
    assert url is not None
    engine = open_engine(url)
    with engine.begin() as connection:
        for line in (
            "DROP ROLE IF EXISTS spfmilter_web",
            "CREATE ROLE spfmilter_web LOGIN",
            "GRANT USAGE ON SCHEMA public TO spfmilter_web",
            granting[0],
            "DELETE FROM sender_request",
        ):
            connection.execute(text(line))
    page = open_store(parse(f"[journal]\nurl = {postgresql_server.url.replace('postgres@', 'spfmilter_web@')}\n"))
    assert ask(page, asked(1, ends=NOW + 1)) is AskOutcome.KEPT
    assert found(page, 1) == asked(1, ends=NOW + 1)
    page.forget(NOW + 2)
    assert read(page) == {}
    with pytest.raises(StoreError, match="permission denied"):
        page.answer(granted(asked(1)))
    page.close()
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY spfmilter_web"))
        connection.execute(text("DROP ROLE spfmilter_web"))
    engine.dispose()


# -- the file of one host ----------------------------------------------------------------------------------------------


def test_no_file_is_no_request_and_none_is_made_by_reading(tmp_path: Path) -> None:
    store = EmbeddedRequests(tmp_path / "requests" / "requests.db")
    assert (store.read(), store.find(case_id(1)), store.answer(granted(asked(1)))) == ((), None, False)
    store.forget(NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("folder", "file"), [(0o700, 0o600), (0o2710, 0o660)])
def test_the_file_is_for_its_owner_or_also_for_the_folders_group(tmp_path: Path, folder: int, file: int) -> None:
    tmp_path.chmod(folder)
    before = os.umask(0o077)
    try:
        store = EmbeddedRequests(tmp_path / "requests" / "requests.db")
        store.add(asked(1))
        modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "requests").iterdir()}
        assert modes == {file}
        assert len(list((tmp_path / "requests").iterdir())) > 1, "with its write-ahead log"
        store.close()
    finally:
        os.umask(before)


@pytest.mark.parametrize("in_place", ["link", "folder", "pipe"])
def test_something_else_in_place_of_the_file_is_an_error(in_place: str, tmp_path: Path) -> None:
    path, other = tmp_path / "requests.db", tmp_path / "other"
    match in_place:
        case "link":
            path.symlink_to(other)
        case "folder":
            path.mkdir()
        case _:
            os.mkfifo(path)
    store = EmbeddedRequests(path)
    for question in (store.read, lambda: store.add(asked(1))):
        with pytest.raises(StoreError, match="is not a file: remove it"):
            question()
    assert not other.exists()


def test_a_folder_that_is_missing_says_what_to_do(tmp_path: Path) -> None:
    store = EmbeddedRequests(tmp_path / "not" / "requests" / "requests.db")
    with pytest.raises(StoreError, match=r"is not a folder: make it.*install -d -o spfmilter -g spfmilter-web -m 2770"):
        store.add(asked(1))


def test_another_file_in_its_place_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "requests.db"
    with closing(EmbeddedRequests(path)) as reader:
        for number in (1, 2):
            with closing(EmbeddedRequests(path)) as writer:
                writer.add(asked(number))
            assert set(read(reader)) == {case_id(number)}
            path.rename(tmp_path / f"old{number}")


def test_a_row_has_the_columns_of_the_table() -> None:
    from spfmilter.journal.tables import SENDER_REQUEST  # noqa: PLC0415

    assert set(row_of(asked())) == {column.name for column in SENDER_REQUEST.columns}
