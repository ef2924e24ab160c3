"""Processes that are killed, hang or grow: only a killed worker's own sessions suffer, and the daemon comes back."""

import os
import random
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.load import Load, Tally
from lab.milterclient import MilterClient
from lab.processes import free_port, group_members, patience, until
from tests.survival.site import (
    CLIENT,
    FAIL,
    PASS,
    PLAIN,
    NameServer,
    ask,
    changed,
    children,
    frozen,
    inet_socket,
    ini,
    memory,
    name_server,
    peers,
    shortened,
    verdict,
    wait_for_workers,
    workers,
)

CHOICE = random.Random(3)  # noqa: S311 - which worker dies is no secret


@pytest.fixture(scope="module")
def dns() -> Iterator[NameServer]:
    with name_server() as running:
        yield running


@dataclass(frozen=True, kw_only=True)
class Kill:
    """A worker's end: when it was frozen and killed, and whose sessions it had."""

    pid: int
    at: float
    peers: set[str]


def kill_one(daemon: SpfmilterDaemon) -> Kill:
    """Freeze a random worker, note whom it serves, kill it: so a session that fails is attributed to the right kill."""
    pid = CHOICE.choice(until(lambda: workers(daemon), 20, "a worker"))
    os.kill(pid, signal.SIGSTOP)
    until(lambda: frozen(pid), 5, "the worker stands still")
    kill = Kill(pid=pid, at=time.time(), peers=peers(pid))
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in workers(daemon), 20, "its end")  # or the next one could be chosen among the dead
    return kill


def unexplained(tally: Tally, kills: list[Kill]) -> list[object]:
    """The sessions cut that no killed worker had."""
    return [
        cut
        for cut in tally.cuts
        if not any(cut.local in kill.peers and cut.began <= kill.at <= cut.at for kill in kills)
    ]


@pytest.mark.parametrize("number", [6, pytest.param(120, marks=pytest.mark.soak)])
def test_killed_workers_take_only_their_own_sessions_along(dns: NameServer, number: int) -> None:
    address, pause = inet_socket(), threading.Event()
    kills: list[Kill] = []
    with (
        SpfmilterDaemon(ini(address, dns.address, milter="workers = 3")) as daemon,
        Load(address, PLAIN, connections=32, per_session=4) as load,
    ):
        load.wait_for(200)
        while len(kills) < number:
            kills.append(kill_one(daemon))
            pause.wait(0.5)
        enough = load.verdict_count + 500
        load.wait_for(enough)
        tally = load.stop()
        assert load.verdict_count >= enough
        wait_for_workers(daemon, 3)
        log = daemon.log()
    open_then = sum(len(kill.peers) for kill in kills)
    print(f"\n{number} workers killed, with {open_then} sessions open on them: {tally}")
    assert unexplained(tally, kills) == []
    assert 0 < len(tally.cuts) <= open_then
    assert not tally.refused
    assert tally.offered == tally.verdict_count + sum(cut.waiting for cut in tally.cuts)
    named = {int(pid) for pid in re.findall(r'worker exited unexpectedly pid=(\d+) how="killed by SIGKILL"', log)}
    assert named == {kill.pid for kill in kills}


@pytest.mark.parametrize("family", ["inet", "unix"])
def test_a_killed_supervisor(dns: NameServer, family: str, tmp_path: object) -> None:
    """Its workers finish their sessions and go; the daemon that is started next serves on the same socket at once."""
    address = inet_socket() if family == "inet" else f"unix:{tmp_path}/socket"
    metrics, drain = f"127.0.0.1:{free_port()}", f"drain_timeout = {round(30 * patience())}s"
    daemon = SpfmilterDaemon(ini(address, dns.address, milter=drain, metrics=f"listen = {metrics}")).start()
    with ExitStack() as stack:
        # The group, since the supervisor that is gone does not clean up.
        group = daemon.process.pid
        daemon.wait_for_log("metrics served")
        orphans = [pid for pid in group_members(group) if pid != group]
        assert len(orphans) == 3
        silent = stack.enter_context(MilterClient(address))
        mta = stack.enter_context(MilterClient(address))
        mta.greet(CLIENT)
        daemon.process.kill()
        daemon.process.wait()
        start = time.monotonic()
        daemon.start()
        seconds = time.monotonic() - start
        stack.callback(daemon.stop)
        assert [ask(address, FAIL) for _ in range(20)] == ["550"] * 20
        assert set(group_members(group)) & set(orphans), "a worker waits for its open sessions"
        assert verdict(mta.deliver(FAIL, ["<bob@example.net>"])) == "550"
        silent.greet(CLIENT)
        assert verdict(silent.deliver(PASS, ["<bob@example.net>"])) == "continue"
        mta.quit()
        silent.quit()
        until(lambda: not group_members(group), 10, "the orphans' end")
        assert "Traceback" not in daemon.log()
        assert ask(address) == "continue"
        daemon.wait_for_log(r"(?s)metrics served.*metrics served")
        print(f"\n{family}: serving {seconds:.2f} s after the supervisor's death, {len(orphans)} orphans ended")
    assert seconds < 3 * patience()
    assert daemon.log().count("supervisor exited") == 2


@pytest.mark.parametrize(
    ("command", "silence"),
    [
        ({"command": changed({"daemon.fleet.MAX_SILENCE": 3.0})}, 3),
        pytest.param({}, 15, marks=pytest.mark.soak),
    ],
)
def test_a_worker_that_hangs_is_replaced(dns: NameServer, command: dict[str, Any], silence: float) -> None:
    address = inet_socket()
    if command:
        silence *= patience()  # a busy machine delays a healthy worker's sign, too
        command = {"command": changed({"daemon.fleet.MAX_SILENCE": silence})}
    daemon = SpfmilterDaemon(ini(address, dns.address), **command)
    with daemon, Load(address, PLAIN, connections=8) as load:
        load.wait_for(50)
        hung = workers(daemon)[0]
        begun = time.monotonic()
        os.kill(hung, signal.SIGSTOP)
        until(lambda: frozen(hung), 5, "the worker stands still")
        at, ports = time.time(), peers(hung)
        daemon.wait_for_log(rf"worker not responding, killed pid={hung}", timeout=silence + 10)
        seconds = time.monotonic() - begun
        daemon.wait_for_log(rf'worker exited unexpectedly pid={hung} how="killed by SIGKILL"')
        tally = load.stop()
        assert hung not in wait_for_workers(daemon, 2)
    print(f"\nkilled after {seconds:.1f} s: {tally}")
    assert silence - 1.5 * patience() <= seconds <= (silence + 2) * patience()
    assert unexplained(tally, [Kill(pid=hung, at=at, peers=ports)]) == []


def test_a_daemon_that_was_frozen_as_a_whole_spares_its_workers(dns: NameServer) -> None:
    """As a paused virtual machine or cgroup is: no worker is at fault for the silence."""
    address, silence = inet_socket(), 2 * patience()  # a busy machine delays a healthy worker's sign, too
    with SpfmilterDaemon(ini(address, dns.address), command=changed({"daemon.fleet.MAX_SILENCE": silence})) as daemon:
        before = workers(daemon)
        os.killpg(daemon.process.pid, signal.SIGSTOP)
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun > silence + 1.5, silence + 5, "longer than the silence that kills")
        os.killpg(daemon.process.pid, signal.SIGCONT)
        assert ask(address) == "continue"
        daemon.signal(signal.SIGHUP)  # its end shows that the supervisor has looked at its workers since
        daemon.wait_for_notification("READY=1", count=2)
        assert "not responding" not in daemon.log()
        assert not set(before) & set(wait_for_workers(daemon, 2)), "replaced by the reload alone"


def test_workers_that_never_start_end_the_daemon(dns: NameServer) -> None:
    """A time limit that libmilter does not take stands for any error that keeps workers from starting."""
    daemon = SpfmilterDaemon(
        ini(inet_socket(), dns.address), command=shortened(handover__MTA_TIMEOUT=10**30), start_timeout=20
    )
    with pytest.raises(RuntimeError, match="ended with 70") as failure:
        daemon.start()
    log = str(failure.value)
    assert "cannot serve: workers exit as soon as they start" in log
    assert "STATUS=cannot serve: workers exit as soon as they start" in daemon.notifications()[-1]
    assert log.count('how="exit status 70"') >= 5
    pauses = [float(pause) for pause in re.findall(r"restart_in=([\d.]+)", log)]
    assert pauses.count(0.0) == 2, "each of the two slots has a pause of its own"
    assert {0.0, 0.1} < set(pauses), "which grows"
    assert not group_members(daemon.process.pid)


def test_a_limit_that_is_too_low_for_the_supervisor_is_reported(dns: NameServer) -> None:
    """In one line, and not as a traceback."""
    daemon = SpfmilterDaemon(ini(inet_socket(), dns.address), command=("prlimit", "--nofile=6", "--", *COMMAND))
    with pytest.raises(RuntimeError, match="ended with 73") as failure:
        daemon.start()
    assert 'error: cannot start reason="Too many open files" fix=' in str(failure.value)
    assert "unexpected output" not in str(failure.value)


def test_a_limit_on_the_size_of_files_does_not_stop_the_start(dns: NameServer) -> None:
    """Not even the memory that the workers share for deferrals is needed for the mail."""
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address), command=("prlimit", "--fsize=20480", "--", *COMMAND)):
        assert ask(address, FAIL) == "550"


def test_a_worker_that_has_grown_is_replaced_without_loss(dns: NameServer) -> None:
    """Two thousand sessions with a HELO of 60 KB each make workers grow; their sessions go on in the old processes."""
    address = inet_socket()
    text = ini(address, dns.address, milter="memory_limit = 64M", policy="check = mailfrom", log="level = warning")
    with SpfmilterDaemon(text, command=changed({"daemon.slots.SHORT_LIFE": 1.0})) as daemon, ExitStack() as stack:
        old = workers(daemon)
        sessions = [stack.enter_context(MilterClient(address, buffered=True)) for _ in range(2000)]
        for number, mta in enumerate(sessions):
            mta.greet(CLIENT, f"{number:060000d}")
            assert verdict(mta.deliver(FAIL, ["<bob@example.net>"])) == "550"
        # Which worker takes a session is the kernel's choice: on a busy machine one of them may get nearly all.
        grown = {pid: memory(pid) for pid in old if memory(pid) > 68}
        assert grown
        until(lambda: not grown.keys() & set(workers(daemon)), 20, lambda: f"replaced: {daemon.log()[-2000:]}")
        assert len(wait_for_workers(daemon, 2)) == 2
        assert grown.keys() <= set(children(daemon)), "they have their sessions still"
        assert [verdict(mta.deliver(FAIL, ["<bob@example.net>"])) for mta in sessions] == ["550"] * 2000
        for mta in sessions:
            mta.quit()
        until(lambda: not grown.keys() & set(children(daemon)), 20, "their end after the last session")
        log = daemon.log()
    print(f"\nworkers of {[round(size) for size in grown.values()]} MB replaced, 2000 of 2000 sessions went on")
    assert log.count("worker memory limit exceeded, replacing worker") >= len(grown)
    assert "disconnected" not in log
    assert "exited unexpectedly" not in log


# Steps of the supervisor that fail each time, as they do for lack of memory or on a broken disk.
_BROKEN = """
import sys
from spfmilter.daemon import supervisor
def broken(*_, **__):
    raise OSError(5, "Input/output error")
supervisor.forget = broken
supervisor.Supervisor._sign_of_life = broken
supervisor.remove_socket = broken
from spfmilter.cli import main
main()
"""


def test_a_supervisor_whose_steps_fail_goes_on(dns: NameServer) -> None:
    """What fails is in the log, once; workers are replaced, and it reloads and stops."""
    address = inet_socket()
    command = (sys.executable, "-c", _BROKEN, *COMMAND[COMMAND.index("run") :])
    with SpfmilterDaemon(ini(address, dns.address), command=command) as daemon:
        before = wait_for_workers(daemon, 2)
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(set(workers(daemon)) - set(before)) == 1, 20, "the killed worker is replaced")
        assert ask(address, FAIL) == "550"
        daemon.rewrite(ini(address, dns.address, policy="mode = monitor"))
        daemon.signal(signal.SIGHUP)
        until(lambda: ask(address, FAIL) == "continue", 20, "the new settings are in force")
        assert daemon.log().count('internal error where="supervisor: let_go_of"') == 1


def test_a_supervisor_that_stands_still_does_not_hold_up_its_workers(dns: NameServer) -> None:
    """They go on when it has not listened to them for as long as their words have room, and are told to end."""
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address), command=shortened(worker__BEAT=0.002)) as daemon:
        pid = workers(daemon)[0]
        daemon.signal(signal.SIGSTOP)
        until(lambda: frozen(daemon.process.pid), 5, "the supervisor stands still")
        begun = waits(pid)
        until(lambda: waits(pid) > begun + 1000, 30, "the worker beats on")
        os.kill(pid, signal.SIGTERM)
        until(lambda: pid not in children(daemon), 20, "the worker ends as it was told")
        daemon.signal(signal.SIGCONT)
        assert pid not in wait_for_workers(daemon, 2)
        assert ask(address) == "continue"


def waits(pid: int) -> int:
    """How often the main thread of a process has waited for something."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"(?m)^voluntary_ctxt_switches:\s+(\d+)", status)[0])
