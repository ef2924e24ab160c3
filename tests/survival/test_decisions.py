"""The journal: each message has one row, whatever is killed, full or missing, and mail never waits for it.

A row that is lost is counted. So in each test the rows in the database, and those that count as lost, are the messages.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, text

from lab import postgresql
from lab.daemon import COMMAND, SpfmilterDaemon
from lab.load import Load
from lab.milterclient import MilterClient
from lab.postgresql import PostgreSQL
from lab.processes import until
from spfmilter.daemon.snapshot import JournalState, Snapshot, decode
from spfmilter.daemon.statusfile import name_for
from spfmilter.journal.database import open_engine, upgrade
from spfmilter.journal.reader import reading
from spfmilter.journal.rows import Decision
from spfmilter.journal.tables import DECISION
from spfmilter.settings.journalurl import JournalUrl, journal_url
from tests.survival.site import CLIENT, FAIL, PASS, PLAIN, SOFT, NameServer, ask, changed, inet_socket, ini, workers

WITH_POSTGRESQL = pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable() or "available")
BOTH = pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=WITH_POSTGRESQL)])
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
DOCS = Path(__file__).parents[2] / "docs"
NEVER = 10**15  # milliseconds


@dataclass
class Site:
    """A daemon with a journal."""

    daemon: SpfmilterDaemon
    address: str
    nameservers: str

    @property
    def state(self) -> JournalState | None:
        """What the status file says of the journal."""
        return self._snapshot().journal

    def _snapshot(self) -> Snapshot:
        path = self.daemon.folder / name_for(self.daemon.ini_path)
        return until(lambda: _decoded(path), 30, "a whole status file")

    def part(self, name: str = "journal") -> dict[str, Any]:
        """What ``spfmilter status`` says about a part of the daemon."""
        command = [sys.executable, "-m", "spfmilter", "status", "-c", str(self.daemon.ini_path), "--json"]
        environment = {**os.environ, "RUNTIME_DIRECTORY": str(self.daemon.folder)}
        done = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, env=environment, check=False, timeout=60
        )
        parts: dict[str, Any] = {part["name"]: part for part in json.loads(done.stdout)["parts"]}
        found: dict[str, Any] = parts.get(name, {"status": "", "data": {}})
        return found

    def storage(self) -> int:
        """The storage process."""

        def found() -> int | None:
            return next((each.pid for each in self._snapshot().processes if each.name == "storage process"), None)

        return until(found, 30, "the storage process")

    def wait_for_rows(self, number: int) -> JournalState:
        """Wait until so many are written or lost, and none waits."""

        def settled() -> JournalState | None:
            state = self.state
            done = state is not None and state.written + state.dropped >= number and not state.waiting
            return state if done else None

        return until(settled, 60, lambda: f"{number} rows: {self.state}")

    def reload(self, url: str) -> None:
        """Change the URL."""
        done = len(self.daemon.notifications())
        self.daemon.rewrite(settings(self.address, self.nameservers, url))
        self.daemon.signal(signal.SIGHUP)
        until(lambda: any("READY=1" in note for note in self.daemon.notifications()[done:]), 30, self.daemon.log)


def _decoded(path: Path) -> Snapshot | None:
    with suppress(OSError, ValueError):
        return decode(path.read_bytes())
    return None


def settings(address: str, nameservers: str, url: str, more: str = "") -> str:
    return ini(address, nameservers, journal=f"url = {url}\n{more}")


@contextmanager
def site(dns: NameServer, url: str, more: str = "", **options: Any) -> Iterator[Site]:
    address = inet_socket()
    with SpfmilterDaemon(settings(address, dns.address, url, more), **options) as daemon:
        yield Site(daemon, address, dns.address)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/journal.db"
        return
    with PostgreSQL() as server:
        yield server.url


def parsed(url: str) -> JournalUrl:
    found = journal_url(url)
    assert found is not None
    return found


def execute(url: str, statements: str) -> None:
    """Execute SQL, each statement by itself."""
    engine = open_engine(parsed(url))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in filter(str.strip, statements.split(";")):
            connection.exec_driver_sql(statement)
    engine.dispose()


def rows(url: str) -> list[Decision]:
    with reading(parsed(url)) as journal:
        return list(journal.decisions(since=0))


# -- each message is a row ---------------------------------------------------------------------------------------------


@BOTH
def test_each_message_is_a_row(dns: NameServer, kind: str, tmp_path: Path) -> None:
    """A refusal has the case id of its notice."""
    cases, senders = set(), [PASS, FAIL, SOFT, FAIL, "<>", "<a@none.example>"]
    with database(kind, tmp_path) as url, site(dns, url) as running:
        for sender in senders:
            with MilterClient(running.address) as mta:
                mta.greet(CLIENT)
                reply = mta.deliver(sender, ["<bob@example.net>"]).reply
                cases |= set(re.findall(r"\w{4}-\w{4}-\w{4}", reply.text)) if reply.code else set()
        running.daemon.wait_for_log("journal opened", 30)  # a busy machine takes longer to open it than to end
        running.daemon.process.terminate()
        running.daemon.process.wait(60)
        found = rows(url)
    assert len(found) == len(senders)
    assert {row.case_id for row in found if row.action == "reject"} == cases
    assert len(cases) == 2
    assert Counter(row.action for row in found) == {"accept": 3, "reject": 2, "tag": 1}
    assert all(row.client == CLIENT and row.helo and row.time < NEVER for row in found)
    assert all("bob" not in str(cell) for row in found for cell in row)
    assert all(row.sender_local is None for row in found)


def test_the_local_part_is_kept_if_the_settings_want_it(dns: NameServer, tmp_path: Path) -> None:
    with database("sqlite", tmp_path) as url, site(dns, url, "local_parts = yes") as running:
        ask(running.address, FAIL)
        running.wait_for_rows(1)
        assert [row.sender_local for row in rows(url)] == ["a"]


@BOTH
def test_hostile_names(dns: NameServer, kind: str, tmp_path: Path) -> None:
    """What a client says becomes a row, whatever it is."""
    names = ["x" * 10_000, "'; DROP TABLE decision; --", '"%s%(a)s$1', "\udcff\udc80", "ä\u202eö", "a\tb"]
    with database(kind, tmp_path) as url, site(dns, url) as running:
        for name in names:
            with MilterClient(running.address) as mta:
                mta.greet(CLIENT, helo=name)
                mta.deliver(f"<{name}@{name}.example>", ["<bob@example.net>"])
        running.wait_for_rows(len(names))
        found = rows(url)
    assert len(found) == len(names)
    assert all(len(row.helo or "") <= 255 for row in found)
    assert all((row.helo or "").isprintable() for row in found)


def test_no_worker_loads_a_database(dns: NameServer, tmp_path: Path) -> None:
    with database("sqlite", tmp_path) as url, site(dns, url) as running:
        ask(running.address, FAIL)
        running.wait_for_rows(1)
        loaded = {pid: Path(f"/proc/{pid}/maps").read_text() for pid in workers(running.daemon)}
        assert len(loaded) == 2
        for maps in (*loaded.values(), Path(f"/proc/{running.daemon.process.pid}/maps").read_text()):
            assert not re.search("sqlalchemy|sqlite|psycopg|alembic", maps)
        assert "sqlite" in Path(f"/proc/{running.storage()}/maps").read_text(), "the test would see it"


# -- something is killed -----------------------------------------------------------------------------------------------


@BOTH
def test_the_storage_process_is_killed(dns: NameServer, kind: str, tmp_path: Path) -> None:
    """What it held is lost and counted; what lies in the channel, and waits in the workers, is not."""
    with database(kind, tmp_path) as url, site(dns, url) as running:
        with Load(running.address, PLAIN, connections=4, per_session=2) as load:
            for number in (1, 2):
                load.wait_for(number * 100)
                pid = running.storage()
                os.kill(pid, signal.SIGKILL)
                until(lambda pid=pid: running.storage() != pid, 60, running.daemon.log)
            load.wait_for(load.verdict_count + 100)
            tally = load.stop()
        data = running.wait_for_rows(tally.offered)
        found = rows(url)
    assert not tally.cuts
    assert tally.offered - data.dropped <= len(found) <= tally.offered
    assert len({row.case_id for row in found if row.case_id}) == sum(bool(row.case_id) for row in found)


@WITH_POSTGRESQL
def test_the_database_is_killed_and_comes_back(dns: NameServer) -> None:
    """Mail goes on, and no row is lost: they fit into memory."""
    with PostgreSQL() as server, site(dns, server.url) as running:
        with Load(running.address, PLAIN, connections=4, per_session=2) as load:
            until(lambda: running.state and running.state.written, 60, running.daemon.log)
            server.kill()
            running.daemon.wait_for_log("journal database unavailable", 30)
            load.wait_for(load.verdict_count + 200)
            until(lambda: running.part()["status"] == "warning", 10, lambda: str(running.part()))
            assert running.part()["data"]["reachable"] is False
            server.start()
            running.daemon.wait_for_log("journal database available", 60)
            load.wait_for(load.verdict_count + 100)
            tally = load.stop()
        data = running.wait_for_rows(tally.offered)
        assert (data.dropped, data.written, len(rows(server.url))) == (0, tally.offered, tally.offered)
        assert not tally.cuts
        assert not tally.refused
        assert running.daemon.log().count("journal database unavailable") == 1


def test_rows_that_do_not_fit_into_memory_are_counted(dns: NameServer, tmp_path: Path) -> None:
    """The folder of the database is missing, and the storage process may hold but few rows."""
    command = changed({"journal.backlog.MAX_BYTES": 30_000})
    with site(dns, f"sqlite:///{tmp_path}/sub/journal.db", command=command) as running:
        with Load(running.address, PLAIN, connections=4, per_session=2, messages=400) as load:
            tally = load.finish()
        until(lambda: running.state and running.state.dropped, 30, lambda: f"{running.state}")
        until(lambda: _sum(running) == tally.offered, 30, lambda: f"{running.state}")
        (tmp_path / "sub").mkdir()
        data = running.wait_for_rows(tally.offered)
        found = rows(f"sqlite:///{tmp_path}/sub/journal.db")
        assert 0 < len(found) == data.written == tally.offered - data.dropped
        assert running.daemon.log().count("journal rows dropped") == 1, "at most once in ten minutes"


def _sum(running: Site) -> int:
    state = running.state
    assert state is not None
    return state.written + state.dropped + state.waiting


def test_a_storage_process_that_hangs(dns: NameServer, tmp_path: Path) -> None:
    """Workers hold what the channel does not take, as much as they may, and count the rest."""
    command = changed({"journal.recorder.MAX_WAITING": 20_000, "journal.channel._BUFFER": 1 << 16})
    with database("sqlite", tmp_path) as url, site(dns, url, command=command) as running:
        ask(running.address)
        running.wait_for_rows(1)
        os.kill(running.storage(), signal.SIGSTOP)
        with Load(running.address, PLAIN, connections=4, per_session=2, messages=1500) as load:
            tally = load.finish()
        assert not tally.cuts
        until(lambda: running.state and running.state.dropped, 30, lambda: f"{running.state}")
        os.kill(running.storage(), signal.SIGCONT)
        data = running.wait_for_rows(tally.offered + 1)
        assert 1 < len(rows(url)) == data.written == tally.offered + 1 - data.dropped
        assert "journal rows dropped" in running.daemon.log()


def test_the_supervisor_is_killed(dns: NameServer, tmp_path: Path) -> None:
    """Its workers end, and their last rows are written."""
    with database("sqlite", tmp_path) as url, site(dns, url) as running:
        running.daemon.wait_for_log("journal opened", 30)
        for _ in range(20):
            ask(running.address, FAIL)
        os.kill(running.daemon.process.pid, signal.SIGKILL)
        running.daemon.process.wait(10)
        until(lambda: len(rows(url)) == 20, 30, lambda: f"{len(rows(url))} rows\n{running.daemon.log()}")
        until(lambda: not running.daemon.processes(), 30, lambda: f"their end:\n{running.daemon.log()}")


# -- the disk ----------------------------------------------------------------------------------------------------------

# A file system of its own at $1 with these options ($2), then the daemon.
_OWN_FOLDER = 'mount -t tmpfs -o "$2" tmpfs "$1"; shift 2; exec "$@"'


def _mounted(folder: Path, options: str, command: Sequence[str] = COMMAND) -> tuple[str, ...]:
    return ("unshare", "-m", "sh", "-c", _OWN_FOLDER, "sh", str(folder), options, *command)


@AS_ROOT
def test_a_full_disk(dns: NameServer, tmp_path: Path) -> None:
    """Mail goes on; the log says to make space; with space, all rows are written."""
    url = f"sqlite:///{tmp_path}/journal.db"
    command = _mounted(tmp_path, "size=1m", changed({"journal.writer._SAY_EVERY": 0.0}))
    with site(dns, url, command=command) as running:
        inside = Path(f"/proc/{running.daemon.process.pid}/root{tmp_path}")
        ask(running.address)
        running.wait_for_rows(1)
        with suppress(OSError), (inside / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        with Load(running.address, PLAIN, connections=4, per_session=2, messages=600) as load:
            tally = load.finish()
        assert not tally.cuts
        said = running.daemon.wait_for_log(r"journal database unavailable.*", 30)[0]
        assert "make space" in said
        until(lambda: running.daemon.log().count("journal database unavailable") >= 3, 60, "each try is told here")
        assert "journal database available" not in running.daemon.log(), "it can be opened, and takes no row"
        (inside / "filler").unlink()
        running.daemon.wait_for_log("journal database available", 60)
        data = running.wait_for_rows(tally.offered + 1)
        assert data.dropped == 0
        assert len(rows(_copied(inside, tmp_path / "copy"))) == tally.offered + 1


def _copied(inside: Path, folder: Path) -> str:
    """The database copied out of the daemon's namespace, where SQLite, which follows links, would not find it."""
    folder.mkdir()
    for file in inside.glob("journal.db*"):
        shutil.copy(file, folder)
    return f"sqlite:///{folder}/journal.db"


@AS_ROOT
def test_a_read_only_folder(dns: NameServer, tmp_path: Path) -> None:
    with site(dns, f"sqlite:///{tmp_path}/journal.db", command=_mounted(tmp_path, "ro")) as running:
        assert ask(running.address, FAIL) == "550"
        running.daemon.wait_for_log("journal cannot be written.*fix=", 10)
        running.daemon.wait_for_log("journal database unavailable.*fix=", 30)
        until(lambda: running.part()["status"] == "warning", 10, lambda: str(running.part()))


def test_a_folder_that_is_made_later(dns: NameServer, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sub/journal.db"
    with site(dns, url) as running:
        assert ask(running.address, FAIL) == "550"
        running.daemon.wait_for_log("journal database unavailable.*fix=.*install -d", 30)
        (tmp_path / "sub").mkdir()
        running.daemon.wait_for_log("journal database available", 60)
        running.wait_for_rows(1)
        assert len(rows(url)) == 1


# -- reload ------------------------------------------------------------------------------------------------------------


def test_a_reload_moves_the_journal(dns: NameServer, tmp_path: Path) -> None:
    """Under load: no row is lost, and none is in both."""
    one, other = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/other.db"
    with site(dns, one) as running:
        with Load(running.address, PLAIN, connections=4, per_session=2) as load:
            until(lambda: running.state and running.state.written, 60, running.daemon.log)
            running.reload(other)
            seen = load.verdict_count
            until(lambda: load.verdict_count > seen + 100 and Path(f"{tmp_path}/other.db").exists(), 60, "more mail")
            tally = load.stop()
        running.daemon.process.terminate()
        running.daemon.process.wait(60)
    both = rows(one), rows(other)
    assert all(both)
    assert sum(map(len, both)) == tally.offered


def test_the_journal_is_switched_on_and_off(dns: NameServer, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/journal.db"
    with site(dns, "") as running:
        ask(running.address, FAIL)
        assert running.state is None
        running.reload(url)
        ask(running.address, FAIL)
        running.wait_for_rows(1)
        running.reload("")
        until(lambda: running.state is None, 20, "no journal")
        assert ask(running.address, FAIL) == "550"
        assert len(rows(url)) == 1


@WITH_POSTGRESQL
def test_a_reload_away_from_a_dead_database(dns: NameServer, tmp_path: Path) -> None:
    """The rows that waited for it go to the new one."""
    with PostgreSQL() as server, site(dns, server.url) as running:
        ask(running.address, FAIL)
        running.wait_for_rows(1)
        server.kill()
        for _ in range(30):
            ask(running.address, FAIL)
        running.daemon.wait_for_log("journal database unavailable", 30)
        url = f"sqlite:///{tmp_path}/journal.db"
        running.reload(url)
        running.wait_for_rows(31)
        assert len(rows(url)) == 30


# -- the schema, and several hosts -------------------------------------------------------------------------------------


@BOTH
def test_two_daemons_make_and_share_a_database(dns: NameServer, kind: str, tmp_path: Path) -> None:
    with database(kind, tmp_path) as url, ExitStack() as stack:
        both = [stack.enter_context(site(dns, url)) for _ in range(2)]
        for running in both:
            for _ in range(10):
                ask(running.address, FAIL)
        for running in both:
            running.wait_for_rows(10)
        assert len(rows(url)) == 20
        assert not any("unavailable" in running.daemon.log() for running in both)


@BOTH
def test_old_rows_are_removed(dns: NameServer, kind: str, tmp_path: Path) -> None:
    """By several daemons, in small portions."""
    with database(kind, tmp_path) as url, ExitStack() as stack:
        engine = open_engine(parsed(url))
        upgrade(engine, parsed(url))
        old: dict[str, Any] = {"host": "mx", "authenticated": 0, "action": "accept", "rule": "r", "ended": "message"}
        old |= dict.fromkeys(("recipient_rules", "lookups", "void_lookups", "elapsed"), 0)
        with engine.begin() as connection:
            connection.execute(insert(DECISION), [{"time": number, **old} for number in range(2500)])
            connection.execute(insert(DECISION), [{"time": NEVER, **old}])
        engine.dispose()
        both = [stack.enter_context(site(dns, url, "keep = 1h")) for _ in range(2)]
        until(lambda: [row.time for row in rows(url)] == [NEVER], 60, lambda: f"{len(rows(url))} rows")
        assert not any("unavailable" in running.daemon.log() for running in both)


@BOTH
def test_a_database_of_a_newer_version(dns: NameServer, kind: str, tmp_path: Path) -> None:
    """Nothing is written into tables that may mean something else; mail goes on."""
    with database(kind, tmp_path) as url:
        engine = open_engine(parsed(url))
        upgrade(engine, parsed(url))
        with engine.begin() as connection:
            connection.execute(text("UPDATE spfmilter_schema SET version_num = '9999'"))
        engine.dispose()
        with site(dns, url) as running:
            assert ask(running.address, FAIL) == "550"
            running.daemon.wait_for_log("journal database unavailable.*newer version", 30)
            assert rows(url) == []


@WITH_POSTGRESQL
@pytest.mark.parametrize("owner", [True, False], ids=["an owner", "the minimum"])
def test_the_rights_of_the_page_are_enough(dns: NameServer, owner: bool) -> None:
    """The SQL of docs/journal.md, as it stands there."""
    made, minimum = re.findall(r"(?ms)^```sql\n(.*?)^```$", (DOCS / "journal.md").read_text())
    with PostgreSQL() as server:
        admin = f"{server.url.rpartition('/')[0]}/spfmilter"
        execute(server.url, made)
        if not owner:
            execute(
                admin, "ALTER DATABASE spfmilter OWNER TO postgres; GRANT CONNECT ON DATABASE spfmilter TO spfmilter"
            )
            engine = open_engine(parsed(admin))
            upgrade(engine, parsed(admin))
            engine.dispose()
            execute(admin, minimum)
        url = admin.replace("postgres@", "spfmilter@")
        with site(dns, url, "keep = 1h") as running:
            ask(running.address, FAIL)
            running.wait_for_rows(1)
            assert len(rows(url)) == 1
            assert "unavailable" not in running.daemon.log()
