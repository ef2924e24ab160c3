"""Temporary exemptions, by the command, on the real daemon: in force in all workers of all hosts within two seconds.

``until`` waits for that long on an idle machine, and longer on a busy one (lab.processes.patience).
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis as library

from lab import postgresql, redis
from lab.daemon import SpfmilterDaemon
from lab.milterclient import MilterClient
from lab.postgresql import PostgreSQL
from lab.processes import patience, until
from lab.redis import Redis
from spfmilter.exemptions.exemption import row_of
from spfmilter.exemptions.opening import open_store
from spfmilter.exemptions.server import KEY, VERSION
from spfmilter.settings import load
from tests.exemptions.samples import exempt
from tests.survival.site import (
    CLIENT,
    FAIL,
    PASS,
    ZONE,
    NameServer,
    ask,
    inet_socket,
    ini,
    name_server,
    peers,
    verdict,
    workers,
)

BOUND = 2.0  # seconds until all workers follow a change
WITH_REDIS = pytest.mark.skipif(bool(redis.unavailable()), reason=redis.unavailable() or "there")
WITH_POSTGRESQL = pytest.mark.skipif(bool(postgresql.unavailable()), reason=postgresql.unavailable() or "there")
SERVERS = (pytest.param("redis", marks=WITH_REDIS), pytest.param("postgresql", marks=WITH_POSTGRESQL))
TAKEN, REFUSED = "continue", "550"
AGAIN = ("--domain", "fail.example", "--from", CLIENT, "--because", "ticket 4711")


@dataclass
class Host:
    """A daemon of one host, with a state folder of its own, and connections to each of its workers."""

    daemon: SpfmilterDaemon
    address: str
    folder: Path
    clients: list[MilterClient] = field(default_factory=list)

    def spfmilter(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command with the daemon's INI file."""
        group, name, *rest = arguments
        words = [group, name, *rest, "-c", str(self.daemon.ini_path)]
        return subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "spfmilter", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "RUNTIME_DIRECTORY": str(self.daemon.folder), **environment},
        )

    def add(self, *options: str, **environment: str) -> dict[str, Any]:
        """Add an exemption."""
        done = self.spfmilter("exempt", "add", "--json", *options, **environment)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def part(self) -> dict[str, Any]:
        """What ``spfmilter status`` says about the exemptions."""
        done = self.spfmilter("status", "--json", "--only", "exemptions")
        parts: list[dict[str, Any]] = json.loads(done.stdout)["parts"]
        none = {"status": "", "data": {"number": None, "answers": False}}  # before the daemon's first look
        return {**none, **(parts[0] if parts else {})}

    def connect(self, number: int = 2) -> None:
        """Open connections until each of the workers has one."""

        def reached() -> bool:
            if len({pid for pid in workers(self.daemon) if peers(pid) & {mta.local for mta in self.clients}}) >= number:
                return True
            mta = MilterClient(self.address)
            mta.greet(CLIENT)
            self.clients.append(mta)
            return False

        until(reached, 10, "a connection to each worker")

    def answers(self, sender: str = FAIL) -> set[str]:
        """What the workers answer to a message."""
        return {verdict(mta.deliver(sender, ["<bob@example.net>"])) for mta in self.clients}

    def wait_for(self, answer: str, sender: str = FAIL) -> None:
        """Wait until all workers answer so."""
        began = time.monotonic()
        until(
            lambda: self.answers(sender) == {answer},
            BOUND,
            lambda: f"{answer}: {self.answers(sender)}\n{self.daemon.log()[-3000:]}",
        )
        print(f"all workers after {time.monotonic() - began:.2f} s")


@contextmanager
def host(dns: NameServer, folder: Path, **sections: str) -> Iterator[Host]:
    """A daemon with two workers, and connections to both."""
    folder.mkdir(exist_ok=True)
    address = inet_socket()
    state = f"folder = {folder}\n{sections.pop('state', '')}"
    with ExitStack() as stack:
        daemon = stack.enter_context(SpfmilterDaemon(ini(address, dns.address, state=state, **sections)))
        site = Host(daemon, address, folder)
        stack.callback(lambda: [mta.close() for mta in site.clients])
        site.connect()
        yield site
        assert "internal error" not in daemon.log()


@contextmanager
def store(kind: str) -> Iterator[tuple[dict[str, str], Redis | PostgreSQL | None]]:
    """The sections that name a store, and its server."""
    if kind == "sqlite":
        yield {}, None
    elif kind == "redis":
        with Redis() as server:
            yield {"state": f"url = redis://127.0.0.1:{server.port}/0"}, server
    else:
        with PostgreSQL() as database:
            yield {"journal": f"url = {database.url}"}, database


def back(server: Redis | PostgreSQL) -> None:
    """Start a killed server again."""
    server.launch()
    server.wait_for(server.is_ready, 60, "the server again")


# -- one host ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
def test_a_refused_sender_is_let_in_by_all_workers_without_a_reload(dns: NameServer, kind: str, tmp_path: Path) -> None:
    with store(kind) as (sections, _), host(dns, tmp_path / "state", **sections) as here:
        before = workers(here.daemon)
        assert here.answers() == {REFUSED}
        added = here.add(*AGAIN)
        here.wait_for(TAKEN)
        line = here.daemon.wait_for_log(r"(?m)^.* override=exemption .*$")[0]
        assert f"override_by={added['id']}" in line
        assert f'rule="exemption {added["id"]}: fail.example from {CLIENT}, until {added["until"]}"' in line
        assert "case=" in line
        here.daemon.wait_for_log(rf"exemption added id={added['id']} .*because=\"ticket 4711\"")
        until(lambda: (found := here.part())["data"]["number"] == 1 and found["data"]["answers"], 10, "an open store")
        assert here.part()["status"] == "ok"
        shown = here.spfmilter("exempt", "list").stdout
        assert added["id"] in shown
        assert here.spfmilter("exempt", "remove", added["id"]).returncode == 0
        here.wait_for(REFUSED)
        here.daemon.wait_for_log(rf"exemption removed id={added['id']}")
        assert workers(here.daemon) == before
        assert "reloaded" not in here.daemon.log()
        assert added["id"] in here.spfmilter("exempt", "list", "--all").stdout


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
def test_two_seconds_after_it_is_written(dns: NameServer, kind: str, tmp_path: Path) -> None:
    """Counted from the end of the write, without the time that the command takes to end."""
    with store(kind) as (sections, _), host(dns, tmp_path / "state", **sections) as here:
        opened = open_store(load(here.daemon.ini_path))
        for number in range(3):
            one = exempt(CLIENT, number, domain="fail.example", until=None)
            opened.add(one)
            here.wait_for(TAKEN)
            opened.remove([one.id], 1, "bob")
            here.wait_for(REFUSED)
        opened.close()


@pytest.mark.parametrize(
    ("options", "sender"),
    [
        (("--network", "192.0.2.0/24"), FAIL),
        (("--domain", "fail.example"), FAIL),
        (("--domain", ".example", "--from", "192.0.2.0/28"), FAIL),
        (("--forwarder", "mx.forward.test"), FAIL),
        (("--forwarder-spf", "pass.example"), FAIL),
    ],
)
def test_each_kind(options: tuple[str, ...], sender: str, tmp_path: Path) -> None:
    zone = {**ZONE, "1.2.0.192.in-addr.arpa": [{"PTR": "mx.forward.test"}], "mx.forward.test": [{"A": CLIENT}]}
    with name_server(zone) as dns, host(dns, tmp_path / "state") as here:
        assert here.answers(sender) == {REFUSED}
        here.add(*options, "--because", "x")
        here.wait_for(TAKEN, sender)


@pytest.mark.parametrize("kind", ["sqlite", *SERVERS])
def test_it_survives_a_restart_also_where_the_store_is_away(dns: NameServer, kind: str, tmp_path: Path) -> None:
    with store(kind) as (sections, server):
        with host(dns, tmp_path / "state", **sections) as here:
            here.add(*AGAIN)
            here.wait_for(TAKEN)
            text = here.daemon.ini_path.read_text()
        if server is not None:
            server.kill()
        else:
            (tmp_path / "state" / "exemptions.db").rename(tmp_path / "gone")
        address = text.partition("socket = ")[2].partition("\n")[0]
        with SpfmilterDaemon(text) as again:
            assert ask(address, FAIL) == TAKEN, "from the first message on"
            again.wait_for_log("exemption store not responding, last known exemptions in force")


def test_it_ends_by_itself(dns: NameServer, tmp_path: Path) -> None:
    with host(dns, tmp_path / "state") as here:
        here.add(*AGAIN)  # loads all that is needed, so that the short one is seen before its end
        here.wait_for(TAKEN)
        here.spfmilter("exempt", "remove", "--domain", "fail.example", "--from", CLIENT)
        here.wait_for(REFUSED)
        seconds = round(20 * patience())
        added = here.add(*AGAIN, "--for", f"{seconds}s")
        here.wait_for(TAKEN)
        until(lambda: here.answers() == {REFUSED}, seconds + 1, "its end")
        here.daemon.wait_for_log(rf"exemption expired id={added['id']}")
        assert json.loads(here.spfmilter("exempt", "list", "--json").stdout)["exemptions"] == []


@pytest.mark.parametrize("kind", SERVERS)
def test_a_store_that_is_killed_leaves_the_list_in_force_and_mail_flowing(
    dns: NameServer, kind: str, tmp_path: Path
) -> None:
    with store(kind) as (sections, server), host(dns, tmp_path / "state", **sections) as here:
        assert server is not None
        first = here.add(*AGAIN)
        here.wait_for(TAKEN)
        server.kill()
        here.daemon.wait_for_log("exemption store not responding, last known exemptions in force")
        assert here.answers() == {TAKEN}
        assert here.answers(PASS) == {TAKEN}
        part = until(lambda: found if (found := here.part())["status"] == "warning" else None, 10, "a warning")
        assert (part["data"]["number"], part["data"]["answers"]) == (1, False)
        failed = here.spfmilter("exempt", "add", "--network", "192.0.2.0/24", "--because", "x")
        assert failed.returncode == os.EX_UNAVAILABLE, failed
        assert failed.stderr.count("\n") == 1, "one line"
        back(server)
        here.daemon.wait_for_log("exemption store responding again")
        second = here.add("--domain", "soft.example", "--because", "after it")
        until(lambda: here.part()["data"]["number"] == 2, 10, lambda: str(here.part()))
        listed = json.loads(here.spfmilter("exempt", "list", "--json").stdout)["exemptions"]
        assert {one["id"] for one in listed} == {first["id"], second["id"]}, "a Redis that has lost its memory, too"
        assert here.answers() == {TAKEN}


def test_a_storage_process_that_is_killed_is_replaced_and_goes_on(dns: NameServer, tmp_path: Path) -> None:
    with host(dns, tmp_path / "state") as here:
        here.add(*AGAIN)
        here.wait_for(TAKEN)
        storage = json.loads(here.spfmilter("status", "--json", "--only", "storage").stdout)["parts"][0]["data"]["pid"]
        os.kill(storage, signal.SIGKILL)
        here.daemon.wait_for_log("storage process exited")
        assert here.answers() == {TAKEN}
        here.spfmilter("exempt", "remove", "--domain", "fail.example", "--from", CLIENT)
        until(lambda: here.answers() == {REFUSED}, 10, here.daemon.log)


def test_hostile_rows_are_left_out(dns: NameServer, tmp_path: Path) -> None:
    """Of a server that others may write to as well."""
    if redis.unavailable():
        pytest.skip(redis.unavailable())
    with store("redis") as (sections, server), host(dns, tmp_path / "state", **sections) as here:
        assert isinstance(server, Redis)
        there = library.Redis(port=server.port)
        good = row_of(exempt(CLIENT, until=None))
        rows = [b"\xff", b"[" * 100_000, b"{}", json.dumps({**good, "id": "x\n\x1b[31m"}).encode()]
        rows += [
            json.dumps({**good, **wrong}).encode() for wrong in ({"network": "0/0"}, {"domain": ["x"]}, {"until": -1})
        ]
        there.hset(KEY, mapping={f"bad{number}": row for number, row in enumerate(rows)})
        there.incr(VERSION)
        here.daemon.wait_for_log("exemption invalid, ignored")
        assert here.answers() == {REFUSED}
        there.hset(KEY, "good", json.dumps(good))
        there.incr(VERSION)
        here.wait_for(TAKEN)
        assert "\x1b" not in here.daemon.log()
        there.delete(KEY)
        there.set(VERSION, "?" * 10_000)
        there.set(KEY, "no hash")
        here.daemon.wait_for_log("exemption store not responding")
        assert here.answers() == {TAKEN}


def test_a_reload_with_another_store_brings_its_list(dns: NameServer, tmp_path: Path) -> None:
    with host(dns, tmp_path / "state") as here:
        here.add(*AGAIN)
        here.wait_for(TAKEN)
        (tmp_path / "other").mkdir()
        here.daemon.rewrite(here.daemon.ini_path.read_text().replace(str(tmp_path / "state"), str(tmp_path / "other")))
        here.daemon.signal(signal.SIGHUP)
        here.daemon.wait_for_log(" reloaded")
        until(lambda: ask(here.address, FAIL) == REFUSED, BOUND + 2, here.daemon.log)


# -- several hosts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SERVERS)
def test_two_hosts_see_each_others_exemptions(dns: NameServer, kind: str, tmp_path: Path) -> None:
    with (
        store(kind) as (sections, _),
        host(dns, tmp_path / "one", **sections) as one,
        host(dns, tmp_path / "two", **sections) as two,
    ):
        for giver, taker in ((one, two), (two, one)):
            assert giver.answers() | taker.answers() == {REFUSED}
            added = giver.add(*AGAIN)
            taker.wait_for(TAKEN)
            giver.wait_for(TAKEN)
            taker.daemon.wait_for_log(rf"exemption added id={added['id']}")
            assert taker.spfmilter("exempt", "remove", added["id"]).returncode == 0
            giver.wait_for(REFUSED)
            taker.wait_for(REFUSED)


def test_who_has_added_it_is_kept_behind_sudo(dns: NameServer, tmp_path: Path) -> None:
    login = Path("/proc/self/loginuid")
    if login.exists() and int(login.read_text()) != (1 << 32) - 1:
        pytest.skip("a login is known here, and counts more than what sudo says")
    with host(dns, tmp_path / "state") as here:
        added = here.add(*AGAIN, SUDO_USER="alice\n")
        assert added["added_by"].startswith("alice? (as ")
        here.daemon.wait_for_log(r'exemption added .* by="alice\? \(as ')
