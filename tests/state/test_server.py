"""Hosts that share a real Redis: what they know of each other's deferrals, and what each is left with without it."""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis as library

from lab.processes import free_port
from lab.redis import Redis, unavailable
from spfmilter.packages import how_to_install
from spfmilter.settings.urls import state_url
from spfmilter.state import Deferrals, open_deferrals, server
from spfmilter.state.server import BACKOFF, PREFIX, OnAServer
from spfmilter.state.table import OnThisHost, Table

pytestmark = pytest.mark.outside

if problem := unavailable():
    pytest.skip(problem, allow_module_level=True)

DAY = 86400.0
AWAY = "state server not responding, using local memory"
BACK = "state server responding again"


@dataclass
class Clock:
    """Stands until it is set forward."""

    now: float = 0.0

    def read(self) -> float:
        """The time on it."""
        return self.now


@pytest.fixture(scope="module")
def shared() -> Iterator[Redis]:
    with Redis("--requirepass", "geheim") as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def host(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Deferrals]]:
    """Makes a host of the given URL, with a memory of its own."""
    monkeypatch.setattr(server, "TIMEOUT", 20.0)  # a test machine may be busier than a mail server
    with ExitStack() as stack:

        def make(url: str) -> Deferrals:
            table, meant = Table(), state_url(url)
            stack.callback(table.close)
            assert meant is not None
            made = OnAServer(meant, OnThisHost(table, DAY), DAY, clock.read)
            stack.callback(made._threads.shutdown)
            stack.callback(made._server.close)
            return made

        yield make


def url(running: Redis) -> str:
    return f"redis://:geheim@127.0.0.1:{running.port}/0"


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def reason(caplog: pytest.LogCaptureFixture) -> str:
    fields: dict[str, str] = caplog.records[-1].fields  # type: ignore[attr-defined]
    assert "geheim" not in str(fields)
    return fields["reason"]


def test_two_hosts_agree_on_the_first_time(shared: Redis, host, caplog) -> None:
    one, other = host(url(shared)), host(f"unix://:geheim@{shared.path}?db=0")
    assert one.since("two-hosts", 1000.0) == 1000.0
    assert other.since("two-hosts", 1500.25) == 1000.0
    assert one.since("two-hosts", 1600.0) == 1000.0
    assert caplog.records == []


def test_what_is_kept_there_can_be_read_and_ends_by_itself(host) -> None:
    with Redis() as running:
        host(f"redis://127.0.0.1:{running.port}/3").since("example.com 192.0.2.0/24", 1000.5)
        with library.Redis(port=running.port, db=3) as reader:
            assert reader.keys() == [b"spfmilter:defer:example.com 192.0.2.0/24"]
            assert reader.get(f"{PREFIX}example.com 192.0.2.0/24") == b"1000.5"
            assert DAY - 60 < reader.ttl(f"{PREFIX}example.com 192.0.2.0/24") <= DAY


def test_while_it_is_away_each_host_goes_on_with_what_it_knows_and_tells_it_later(host, clock, caplog) -> None:
    caplog.set_level(logging.INFO)
    with Redis() as running:
        one, other = (host(f"redis://127.0.0.1:{running.port}/0") for _ in range(2))
        one.since("before", 1000.0)
        running.stop()
        assert one.since("before", 1100.0) == 1000.0
        assert one.since("meanwhile", 1200.0) == 1200.0
        assert other.since("before", 1300.0) == 1300.0, "it has been told nothing"
        running.start()
        assert one.since("before", 1400.0) == 1000.0
        with library.Redis(port=running.port) as reader:
            assert reader.dbsize() == 0, "it is left alone for a while"
        assert said(caplog) == [AWAY, AWAY], "each host has warned once"
        clock.now += BACKOFF
        assert one.since("before", 1500.0) == 1000.0
        assert one.since("meanwhile", 1500.0) == 1200.0
        assert other.since("before", 1600.0) == 1000.0
        assert other.since("meanwhile", 1600.0) == 1200.0
    assert said(caplog) == [AWAY, AWAY, BACK, BACK]


def test_a_host_remembers_what_the_server_told_it(host) -> None:
    with Redis() as running:
        one, other = (host(f"redis://127.0.0.1:{running.port}/0") for _ in range(2))
        one.since("a", 1000.0)
        assert other.since("a", 1500.0) == 1000.0
    assert other.since("a", 1600.0) == 1000.0


def test_a_restart_between_two_questions_is_not_noticed(host, caplog) -> None:
    """The connections that were kept are dead, which is found out before they are used."""
    with Redis() as running:
        one, other = (host(f"unix://{running.path}") for _ in range(2))
        one.since("a", 1000.0)
        running.stop()
        running.start()
        assert one.since("a", 1100.0) == 1000.0
        assert other.since("a", 1200.0) == 1000.0
    assert caplog.records == []


def test_of_a_server_that_was_away_one_question_finds_out_whether_it_is_back(host, clock) -> None:
    lost = host("unix:///nowhere/redis.sock")
    assert lost._is_due()
    assert lost._is_due()
    lost.since("a", 1000.0)
    assert not lost._is_due()
    clock.now += BACKOFF
    assert lost._is_due()
    assert not lost._is_due()


def test_a_server_that_is_silent_is_not_waited_for(host, monkeypatch, caplog) -> None:
    with Redis() as running:
        one = host(f"redis://127.0.0.1:{running.port}")
        one.since("a", 1000.0)
        os.kill(running.pid, signal.SIGSTOP)
        monkeypatch.setattr(server, "TIMEOUT", 0.05)
        assert one.since("a", 1100.0) == 1000.0
        os.kill(running.pid, signal.SIGCONT)
    assert reason(caplog) == "no answer within 0.05 s"


def test_without_a_thread_the_hosts_memory_stands_in(host, monkeypatch, caplog) -> None:
    """The system refuses one (RLIMIT_NPROC, TasksMax=): the message is deferred as if the server were away."""
    one = host("redis://127.0.0.1:1/0")

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    assert one.since("a", 1000.0) == 1000.0
    assert one.since("a", 2000.0) == 1000.0
    assert reason(caplog) == "can't start new thread"


@pytest.mark.parametrize(
    ("options", "login", "why"),
    [
        (("--requirepass", "other"), ":geheim@", "invalid username-password pair"),
        (("--requirepass", "other"), "", "Authentication required"),
        (("--maxmemory", "1kb"), "", "command not allowed when used memory"),
    ],
)
def test_a_server_that_refuses_us_is_as_good_as_none(host, caplog, options, login: str, why: str) -> None:
    with Redis(*options) as running:
        one = host(f"redis://{login}127.0.0.1:{running.port}/0")
        assert [one.since("a", now) for now in (1000.0, 1100.0)] == [1000.0, 1000.0]
    assert why in reason(caplog)


def test_a_time_to_come_is_not_believed(shared: Redis, host) -> None:
    """The other host's clock is wrong."""
    host(url(shared)).since("to-come", 9000.0)
    assert host(url(shared)).since("to-come", 1000.0) == 1000.0


def test_threads_share_it(shared: Redis, host, caplog) -> None:
    one = host(url(shared))
    said_by_key: dict[int, set[float]] = {}
    start = threading.Barrier(8)

    def ask(own: int) -> None:
        start.wait()
        for key in range(50):
            said_by_key.setdefault(key, set()).add(one.since(f"threads-{key}", 1000.0 + own / 16))

    threads = [threading.Thread(target=ask, args=(own,)) for own in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(times) for times in said_by_key.values()] == [1] * 50
    assert caplog.records == []


# -- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    ask = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=state"
    subprocess.run(  # noqa: S603 - no shell, own arguments
        [*ask.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "chain"],
        check=True,
        capture_output=True,
    )
    return folder


def test_over_tls_it_must_be_the_host_that_the_url_names(host, certificate: Path, caplog) -> None:
    chain, key = certificate / "chain", certificate / "key"
    port = free_port()
    options = ("--tls-port", str(port), "--tls-cert-file", str(chain), "--tls-key-file", str(key))
    with Redis(*options, "--tls-auth-clients", "no") as running, library.Redis(port=running.port) as reader:
        host(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={chain}").since("a", 1000.0)
        assert reader.dbsize() == 1
        assert caplog.records == []
        host(f"rediss://localhost:{port}/0?ssl_ca_certs={chain}").since("b", 1000.0)
        assert "not valid for 'localhost'" in reason(caplog)
        host(f"rediss://127.0.0.1:{port}/0").since("c", 1000.0)
        assert "self-signed certificate" in reason(caplog)
        assert reader.dbsize() == 1


# -- what a worker gets ------------------------------------------------------------------------------------------------


def test_without_the_library_the_hosts_memory_stands_in(monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    for module in ("spfmilter.state.server", "spfmilter.state.connection"):
        monkeypatch.delitem(sys.modules, module)
    table = Table()
    deferrals = open_deferrals(state_url("redis://:geheim@192.0.2.9/0"), table, bound=60.0)
    assert isinstance(deferrals, OnThisHost)
    assert said(caplog) == ["state server unavailable, using local memory"]
    assert caplog.records[0].__dict__["fields"]["fix"] == f"{how_to_install('redis', 'redis')}, and restart"
    assert "redis" in reason(caplog)
    table.close()


def test_something_is_remembered_for_a_day_beyond_the_bound() -> None:
    table = Table()
    deferrals = open_deferrals(None, table, bound=3600.0)
    deferrals.since("a", 1000.0)
    assert deferrals.since("a", 1000.0 + 3600.0 + DAY - 1) == 1000.0
    assert deferrals.since("a", 1000.0 + 3600.0 + DAY) == 1000.0 + 3600.0 + DAY
    table.close()
