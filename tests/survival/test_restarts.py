"""Workers that die again and again: the others serve on, each is replaced at once, and a reload does not fork for ever.

The soak tests print what the note 0031 quotes: rates and times. The short ones assert counts and order only.
"""

import os
import random
import re
import signal
import statistics
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.load import Load
from lab.processes import until
from spfmilter.daemon.fleet import MAX_RESTARTS
from tests.survival.site import (
    FAIL,
    PLAIN,
    NameServer,
    ask,
    frozen,
    inet_socket,
    ini,
    name_server,
    tasks,
    wait_for_workers,
    workers,
)

CHOICE = random.Random(5)  # noqa: S311 - which worker dies is no secret
KILL_EVERY = 0.5  # seconds


@pytest.fixture(scope="module")
def dns() -> Iterator[NameServer]:
    with name_server() as running:
        yield running


def serving(daemon: SpfmilterDaemon) -> list[int]:
    """The workers whose libmilter has its threads."""
    found = []
    for pid in workers(daemon):
        try:
            found += [pid] if len(tasks(pid)) >= 5 else []
        except FileNotFoundError:
            continue
    return found


def pauses(daemon: SpfmilterDaemon) -> list[float]:
    return [float(pause) for pause in re.findall(r"restart_in=([\d.]+)", daemon.log())]


def kill_all(daemon: SpfmilterDaemon, number: int) -> None:
    """Kill all workers, so that none takes one more connection: they stand still before the first one dies."""
    pids = until(lambda: found if len(found := serving(daemon)) == number else None, 30, f"{number} workers serve")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        until(lambda pid=pid: frozen(pid), 5, "the worker stands still")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_killed_workers_are_replaced_at_once_however_many_died_before(dns: NameServer) -> None:
    """Under load, and long after the daemon has served: no death postpones a start."""
    address = inet_socket()
    with (
        SpfmilterDaemon(ini(address, dns.address, milter="workers = 3")) as daemon,
        Load(address, PLAIN, connections=8) as load,
    ):
        load.wait_for(100)
        for number in range(1, 13):
            victim = CHOICE.choice(until(lambda: serving(daemon), 20, "a worker serves"))
            os.kill(victim, signal.SIGKILL)
            daemon.wait_for_log(f"worker exited unexpectedly pid={victim} ")
            load.wait_for(load.verdict_count + 20)
            assert daemon.log().count("worker exited unexpectedly") == number
        tally = load.stop()
        wait_for_workers(daemon, 3)
        assert pauses(daemon) == [0.0] * 12
    assert not tally.refused
    assert tally.offered == tally.verdict_count + sum(cut.waiting for cut in tally.cuts)


@pytest.mark.parametrize("number", [1, 2, 8])
def test_a_connection_that_comes_when_all_workers_are_dead_is_served(dns: NameServer, number: int) -> None:
    """It waits in the socket's queue for the first new worker, and all of them come back."""
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address, milter=f"workers = {number}")) as daemon:
        for _ in range(3):
            kill_all(daemon, number)
            assert ask(address, FAIL) == "550"
        wait_for_workers(daemon, number)
        found = pauses(daemon)
    assert len(found) == 3 * number
    if len(found) <= MAX_RESTARTS:
        assert set(found) == {0.0}
    assert max(found) <= 1.0, "more than ten a second wait for the next second"


# Workers with mode = monitor end at once: so the first settings work, and those of the reload do not.
_NO_MONITORS = """
import os
from spfmilter.daemon import supervisor
class Worker(supervisor.Worker):
    def serve(self):
        return os.EX_OSERR if self._settings.policy.mode == "monitor" else super().serve()
supervisor.Worker = Worker
from spfmilter.cli import main
main()
"""


def test_a_reload_whose_workers_end_at_once_is_refused_after_a_few(dns: NameServer) -> None:
    """They are not forked until the reload's deadline, and the old workers serve all the time."""
    address = inet_socket()
    command = (sys.executable, "-c", _NO_MONITORS, *COMMAND[COMMAND.index("run") :])
    with SpfmilterDaemon(ini(address, dns.address), command=command) as daemon:
        old = wait_for_workers(daemon, 2)
        daemon.rewrite(ini(address, dns.address, policy="mode = monitor"))
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_log(
            "configuration rejected, old settings stay in force .*end as soon as they start: exit status 71"
        )
        assert daemon.log().count("worker exited unexpectedly") == 5
        assert 0.1 in pauses(daemon)
        assert wait_for_workers(daemon, 2) == old
        assert ask(address, FAIL) == "550"
        assert daemon.log().count("worker exited unexpectedly") == 5


@pytest.mark.soak
@pytest.mark.parametrize("number", [2, 8])
def test_the_rate_with_a_worker_killed_every_half_second(dns: NameServer, number: int) -> None:
    """At least half of the undisturbed rate, for a minute."""
    address, pause = inet_socket(), threading.Event()

    def rate(seconds: float, *, kill: bool) -> tuple[float, int]:
        before, begun, kills = load.verdict_count, time.monotonic(), 0
        while time.monotonic() < begun + seconds:
            pause.wait(KILL_EVERY)
            if kill and (pids := workers(daemon)):
                os.kill(CHOICE.choice(pids), signal.SIGKILL)
                kills += 1
        return (load.verdict_count - before) / (time.monotonic() - begun), kills

    text = ini(address, dns.address, milter=f"workers = {number}", log="level = warning")
    with SpfmilterDaemon(text) as daemon, Load(address, PLAIN, connections=16, per_session=4) as load:
        load.wait_for(1000)
        first, _ = rate(20, kill=False)
        disturbed, kills = rate(60, kill=True)
        last, _ = rate(20, kill=False)
        tally = load.stop()
    undisturbed = (first + last) / 2
    print(
        f"\n{number} workers, {kills} killed in 60 s: {disturbed:.0f} messages/s, {disturbed / undisturbed:.0%} of the "
        f"{first:.0f} before and {last:.0f} after; {len(tally.cuts)} sessions cut, {tally.refused.total()} refused"
    )
    assert disturbed >= undisturbed / 2
    assert not tally.refused


@pytest.mark.soak
@pytest.mark.parametrize("number", [1, 2, 8])
def test_the_time_to_an_answer_with_all_workers_killed(dns: NameServer, number: int) -> None:
    """300 ms from the kill of the last worker to the verdict on the first message."""
    address, seconds = inet_socket(), []
    with SpfmilterDaemon(ini(address, dns.address, milter=f"workers = {number}")) as daemon:
        for _ in range(20):
            kill_all(daemon, number)
            begun = time.perf_counter()
            assert ask(address, FAIL) == "550"
            seconds.append(time.perf_counter() - begun)
    print(
        f"\nall of {number} killed: answered after {statistics.median(seconds) * 1000:.0f} ms (median of "
        f"{len(seconds)}), {min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f} ms"
    )
    assert statistics.median(seconds) < 0.3
