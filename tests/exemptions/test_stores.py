"""Each store, with a real SQLite, Redis and PostgreSQL: what is written is read, by all, and counted as a change."""

import os
import pwd
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis as library
from sqlalchemy import text

from lab import postgresql
from lab.postgresql import PostgreSQL
from lab.redis import Redis
from spfmilter import ownership
from spfmilter.exemptions.embedded import EmbeddedStore
from spfmilter.exemptions.exemption import Exemption, exemption_of, row_of
from spfmilter.exemptions.opening import open_store
from spfmilter.exemptions.server import KEY, ServerStore
from spfmilter.exemptions.store import KEPT, Store
from spfmilter.journal.database import open_engine
from spfmilter.refresh.hosts import HostsError
from spfmilter.refresh.overredis import KEY as STREAM
from spfmilter.refresh.overredis import RedisHosts
from spfmilter.settings import Settings, parse
from spfmilter.settings.journalurl import journal_url
from spfmilter.settings.urls import state_url
from spfmilter.stores.choice import StoreError
from tests.exemptions.samples import NOW, exempt
from tests.stores import each_time_anew
from tests.stores import empty_place as empty_place  # noqa: PLC0414 - a fixture
from tests.stores import postgresql_server as postgresql_server  # noqa: PLC0414 - a fixture
from tests.stores import redis_server as redis_server  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.outside

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
Opened = Callable[[], Store]


@pytest.fixture
def opened(empty_place: Settings) -> Iterator[Opened]:
    """Opens an empty store, each time anew, as another process would."""
    with each_time_anew(open_store, empty_place) as found:
        yield found


def read(store: Store) -> dict[str, Exemption]:
    return {one.id: one for one in map(exemption_of, store.read())}


SEVERAL = [
    exempt("203.0.113.0/24", 1),
    exempt("2001:db8::/32", 2, domain=".example.com", until=None, because="ünï \"\\ ' ;--"),
    exempt("", 3, forwarder="mx.example.net"),
    exempt("", 4, forwarder_spf="example.net"),
]


def test_what_one_writes_another_reads(opened: Opened) -> None:
    writer, reader = opened(), opened()
    for one in SEVERAL:
        writer.add(one)
    assert read(reader) == {one.id: one for one in SEVERAL}
    writer.remove([SEVERAL[0].id, "ZZZZZZ"], NOW + 5, "bob")
    removed = read(reader)[SEVERAL[0].id]
    assert (removed.removed, removed.removed_by) == (NOW + 5, "bob")
    writer.remove([SEVERAL[0].id], NOW + 9, "eve")
    assert read(reader)[SEVERAL[0].id] == removed, "once only"
    assert read(reader)[SEVERAL[1].id] == SEVERAL[1]


def test_each_change_is_seen_and_nothing_else(opened: Opened) -> None:
    writer, reader = opened(), opened()
    versions = [reader.version()]
    writer.add(SEVERAL[0])
    versions.append(reader.version())
    assert reader.version() == versions[-1]
    read(reader)
    writer.remove([SEVERAL[0].id], NOW, "bob")
    versions.append(reader.version())
    writer.add(SEVERAL[1])
    versions.append(reader.version())
    assert len(set(versions)) == 4


def test_what_ended_long_ago_is_forgotten(opened: Opened) -> None:
    store = opened()
    store.add(exempt("192.0.2.1", 1, until=NOW))
    store.add(exempt("192.0.2.2", 2, until=None))
    store.add(exempt("192.0.2.3", 3, until=None))
    store.remove([exempt("192.0.2.3", 3).id], NOW, "bob")
    store.add(exempt("192.0.2.4", 4, added=NOW + KEPT))
    assert len(read(store)) == 4, "it can be listed for a while"
    store.add(exempt("192.0.2.5", 5, added=NOW + KEPT + 1))
    assert sorted(read(store)) == ["000002", "000004", "000005"]


def test_many_who_write_at_once_lose_nothing(opened: Opened) -> None:
    opened().add(exempt("192.0.2.1", 500))
    stores, failures = [opened() for _ in range(5)], []

    def write(number: int) -> None:
        try:
            for turn in range(10):
                stores[number].add(exempt("192.0.2.1", 100 * number + turn))
        except StoreError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(read(opened())) == 51


def test_a_server_keeps_what_it_has_when_something_is_given_back(opened: Opened) -> None:
    store = opened()
    store.add(SEVERAL[0])
    store.remove([SEVERAL[0].id], NOW, "bob")
    store.give_back(SEVERAL[:2])
    kept = read(store)
    assert kept[SEVERAL[0].id].removed == NOW
    assert (SEVERAL[1].id in kept) is store.forgets


# -- servers that are away, or say anything ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ini",
    [
        "[state]\nurl = redis://u:geheim@127.0.0.1:1/0\n",
        "[journal]\nurl = postgresql://u:geheim@127.0.0.1:1/x\n",
    ],
)
def test_a_server_that_is_away_is_an_error_without_its_password(ini: str) -> None:
    store = open_store(parse(ini))
    for ask in (store.version, store.read, lambda: store.add(SEVERAL[0]), lambda: store.remove(["ABCDEF"], 1, "x")):
        with pytest.raises(StoreError, match="efused") as error:
            ask()
        assert "geheim" not in str(error.value)


def test_rows_of_strangers_on_a_server_are_no_error(redis_server: Redis) -> None:
    url = state_url(f"redis://127.0.0.1:{redis_server.port}/1")
    assert url is not None
    store, there = ServerStore(url), library.Redis(port=redis_server.port, db=1)
    store.add(SEVERAL[0])
    for number, value in enumerate(
        [b"\xff", b"[]", b"7", b'"', b"{", b"[" * 100_000, b'{"id": {}}', b'{"id": "ABCDEF"}']
    ):
        there.hset(KEY, f"x{number}", value)
    assert sum(row.get("id") == SEVERAL[0].id for row in store.read()) == 1
    assert len(store.read()) == 9
    store.remove([f"x{number}" for number in range(9)], NOW, "bob")
    store.add(exempt("192.0.2.9", 9, added=NOW + 10 * KEPT))
    there.delete(KEY)
    there.set(KEY, "not a hash")
    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.read()
    there.delete(KEY)


# -- rights, as docs/exemptions.md gives them --------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "exemptions.md").read_text()


def use(store: Store) -> None:
    """Everything that a daemon and the command do."""
    store.version()
    for one in SEVERAL:
        store.add(one)
    store.remove([SEVERAL[0].id], NOW, "bob")
    store.add(exempt("192.0.2.9", 9, added=NOW + 10 * KEPT))  # which forgets the first one
    store.give_back(SEVERAL[1:2])
    assert SEVERAL[1].id in read(store)


def test_the_rights_of_a_user_of_redis_are_enough(redis_server: Redis) -> None:
    found = re.search(r"`ACL SETUSER (spfmilter .+?)`", PAGE)
    assert found is not None
    there = library.Redis(port=redis_server.port, db=2)
    there.execute_command("ACL", "SETUSER", *found[1].replace("PASSWORD", "geheim").split())
    url = state_url(f"redis://spfmilter:geheim@127.0.0.1:{redis_server.port}/2")
    assert url is not None
    use(ServerStore(url))
    hosts = RedisHosts(url)
    assert hosts.receive() == ()
    hosts.send("a.b")
    assert hosts.receive() == ["a.b"]
    assert hosts.receive() == ()
    there.set(STREAM, "no stream")
    hosts.send("c.d")
    there.execute_command("ACL", "SETUSER", "spfmilter", "-hset")
    with pytest.raises(StoreError, match="ermission"):
        ServerStore(url).add(exempt("192.0.2.8", 8))


@pytest.mark.parametrize("entry", [f"{2**64 - 1}-{2**64 - 1}", f"{2**63}-0", None])
def test_no_entry_of_a_stranger_keeps_hosts_from_hearing_each_other(redis_server: Redis, entry: str | None) -> None:
    """None: the key holds no stream. A server whose clock was set back gives smaller ids as well."""
    there = library.Redis(port=redis_server.port, db=3)
    url = state_url(f"redis://127.0.0.1:{redis_server.port}/3")
    assert url is not None
    one, two = RedisHosts(url), RedisHosts(url)
    assert (one.receive(), two.receive()) == ((), ())
    if entry is not None:
        there.xadd(STREAM, {"token": "x"}, id=entry)
        assert (one.receive(), two.receive()) == (["x"], ["x"])
        there.expire(STREAM, 0)
    else:
        there.set(STREAM, "x")
        for each in (one, two):
            with pytest.raises(HostsError, match="WRONGTYPE"):
                each.receive()
        one.send("lost.one")
    assert not [*two.receive(), *one.receive()]
    one.send("a.b")
    assert two.receive() == ["a.b"]
    if entry is not None:
        there.xadd(STREAM, {"token": "x"}, id=f"{2**64 - 1}-{2**64 - 1}")
        assert (two.receive(), one.receive()) == (["x"], ["a.b", "x"])
        one.send("c.d")  # which no entry could follow
        heard = [*two.receive(), *two.receive()]
        assert heard == ["c.d"]
    assert two.receive() == ()


@pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable() or "there")
def test_the_rights_of_roles_of_postgresql_are_enough(postgresql_server: PostgreSQL) -> None:
    owner = open_store(parse(f"[journal]\nurl = {postgresql_server.url}\n"))
    owner.version()  # makes the tables
    owner.close()
    url = journal_url(postgresql_server.url)
    assert url is not None
    engine = open_engine(url)
    with engine.begin() as connection:
        for line in (
            "DROP ROLE IF EXISTS admin, follower",
            "CREATE ROLE admin LOGIN",
            "CREATE ROLE follower LOGIN",
            "GRANT USAGE ON SCHEMA public TO admin, follower",  # as it is in a new database
            "GRANT SELECT, INSERT, UPDATE, DELETE ON exemption TO admin",
            "GRANT SELECT, UPDATE ON exemption_version TO admin",
            "GRANT SELECT ON exemption, exemption_version TO follower",
            "DELETE FROM exemption",
        ):
            connection.execute(text(line))
    opened = {
        role: open_store(parse(f"[journal]\nurl = {postgresql_server.url.replace('postgres@', f'{role}@')}\n"))
        for role in ("admin", "follower")
    }
    opened["admin"].version()
    for one in SEVERAL:
        opened["admin"].add(one)
    opened["admin"].remove([SEVERAL[0].id], NOW, "bob")
    assert set(read(opened["follower"])) == {one.id for one in SEVERAL}
    with pytest.raises(StoreError, match="permission denied"):
        opened["follower"].add(exempt("192.0.2.8", 8))
    for store in opened.values():
        store.close()
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY admin, follower"))
        connection.execute(text("DROP ROLE admin, follower"))
    engine.dispose()


# -- the file of one host ----------------------------------------------------------------------------------------------


def test_no_file_is_no_exemption_and_none_is_made_by_reading(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "exemptions.db")
    assert (store.version(), store.read()) == (None, ())
    store.remove(["ABCDEF"], 1, "bob")
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(EmbeddedStore(tmp_path / "exemptions.db")) as store:
            store.add(SEVERAL[0])
            assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    finally:
        os.umask(before)


def test_a_folder_that_is_missing_says_what_to_do(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "not" / "exemptions.db")
    assert store.version() is None
    with pytest.raises(StoreError, match=r"is not a folder: make it.*install -d -o spfmilter"):
        store.add(SEVERAL[0])


@pytest.mark.parametrize("in_place", ["link", "folder", "pipe", "text"])
def test_something_else_in_place_of_the_file_is_an_error(in_place: str, tmp_path: Path) -> None:
    path, other = tmp_path / "exemptions.db", tmp_path / "other"
    match in_place:
        case "link":
            path.symlink_to(other)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.write_text("no database, but long enough to be looked at " * 100)
            path.chmod(0o600)
    store = EmbeddedStore(path)
    for ask in (store.version, store.read, lambda: store.add(SEVERAL[0])):
        with pytest.raises(StoreError, match=r"is not a file: remove it|not a database"):
            ask()
    assert not other.exists()


def test_another_file_in_its_place_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "exemptions.db"
    with closing(EmbeddedStore(path)) as reader:
        before = reader.version()
        for one in SEVERAL[:2]:
            with closing(EmbeddedStore(path)) as writer:
                writer.add(one)
            assert reader.version() != before
            assert set(read(reader)) == {one.id}
            before = reader.version()
            path.rename(tmp_path / f"old-{one.id}")


@AS_ROOT
def test_what_root_writes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    """Who can then write it himself. A link that he has put there leads root nowhere."""
    folder, nobody = tmp_path / "state", pwd.getpwnam("nobody")
    folder.mkdir(mode=0o700)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    for path in folder.parents:
        if path.stat().st_uid == 0 and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o011)
    with closing(EmbeddedStore(tmp_path / "loaded.db")) as store:
        store.add(SEVERAL[0])  # loads all that another user may not be able to read
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ownership.act_as_owner(folder)
            EmbeddedStore(folder / "exemptions.db").add(SEVERAL[0])
            status = 0 if os.getresuid() == (nobody.pw_uid,) * 3 and not os.getgroups()[1:] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {path.stat().st_uid for path in folder.iterdir()} == {nobody.pw_uid}
    with closing(EmbeddedStore(folder / "exemptions.db")) as store:
        assert set(read(store)) == {SEVERAL[0].id}


def test_a_row_as_a_store_keeps_it_has_no_more_columns_than_the_table() -> None:
    from spfmilter.journal.tables import EXEMPTION  # noqa: PLC0415

    assert set(row_of(SEVERAL[0])) == {column.name for column in EXEMPTION.columns}
