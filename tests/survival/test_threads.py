"""Threads that the system refuses (RLIMIT_NPROC; TasksMax= does the same): what hangs then is found and ended.

The daemon runs as a user of its own, since the limit counts all processes of a user, and does not bind root. It starts
without one; the test lowers it, and raises it again, while the daemon runs.
"""

import itertools
import os
import re
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.milterclient import MilterClient
from lab.milterwire import MilterError
from lab.processes import patience, until
from tests.survival.site import (
    CLIENT,
    FAIL,
    NameServer,
    ask,
    children,
    descriptors,
    inet_socket,
    ini,
    shortened,
    tasks,
    wait_for_workers,
    workers,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

_USERS = itertools.count(4_000_000 + os.getpid() * 16)  # without a name, and without any other process
NO_LIMIT = 10_000


@contextmanager
def daemon_of_a_user(text: str, command: tuple[str, ...] = COMMAND, limit: int = NO_LIMIT) -> Iterator[SpfmilterDaemon]:
    user = str(next(_USERS))
    # It may read what root may: the interpreter may be in root's home.
    rights = ("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override", "--bounding-set=-all,+dac_override")
    become = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *rights)
    daemon = SpfmilterDaemon(text, command=(*become, "prlimit", f"--nproc={limit}:{NO_LIMIT}", *command))
    daemon.folder.chmod(0o755)
    with daemon:
        yield daemon


def limit(daemon: SpfmilterDaemon, number: int) -> None:
    """Let all processes of the daemon's user together have so many threads, and no more."""
    assert isinstance(daemon.process.args, Sequence)
    user = str(daemon.process.args[1]).partition("=")[2]
    for pid in (daemon.process.pid, *children(daemon)):
        become = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups")
        done = subprocess.run([*become, "prlimit", f"--pid={pid}", f"--nproc={number}:{NO_LIMIT}"], check=False)  # noqa: S603 - our own
        assert done.returncode == 0 or pid not in children(daemon), (
            "a worker may end meanwhile, as the test wants it to"
        )


def threads(daemon: SpfmilterDaemon) -> int:
    return sum(len(tasks(pid)) for pid in (daemon.process.pid, *children(daemon)))


def packet(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


# All that an MTA says until MAIL FROM, at once, about a sender whose name server does not answer.
SLOW = b"".join(
    map(
        packet,
        (
            b"O" + struct.pack(">III", 6, 0x1FF, 0x1FFFFF),
            b"Cmail.example\x004\0\x19192.0.2.1\0",
            b"Hmail.example\0",
            b"M<a@slow.example>\0",
        ),
    )
)


_FIRST = 20  # sessions: more than the workers have threads at their start


def burst(stack: ExitStack, address: str, number: int) -> list[MilterClient]:
    """Sessions at the same time, each of which needs a thread for seconds.

    The first ones come one after the other, until all threads that there are have one. libmilter starts no thread while
    one counts as idle, and a thread that it has woken for one session still does: a crowd at one moment would wait for
    the threads that are there.
    """
    crowd = [stack.enter_context(MilterClient(address, timeout=30)) for _ in range(_FIRST)]
    for mta in crowd:
        mta.send_raw(SLOW)
        mta.has_answer(0.02 * patience())  # those that have no thread have none
    rest = [stack.enter_context(MilterClient(address, timeout=30)) for _ in range(number - _FIRST)]
    for mta in rest:
        mta.send_raw(SLOW)
    crowd += rest
    return crowd


def has_answer(mta: MilterClient) -> bool:
    """Whether the daemon said anything on this connection, or only ended it; it is closed then."""
    try:
        mta.recv_packet()
    except MilterError:
        return False
    finally:
        mta.close()
    return True


def silent(stack: ExitStack, address: str, number: int) -> None:
    """As port scans and health checks do, and an MTA that keeps its connection; some stop in the middle of a packet."""
    port = int(address.partition(":")[2].partition("@")[0])
    for _ in range(number):
        stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        stack.enter_context(MilterClient(address, timeout=30)).greet(CLIENT)


def losses(daemon: SpfmilterDaemon) -> dict[int, int]:
    """The workers that have said so: how many of their sessions no thread serves."""
    found = re.findall(r"threads refused by the system, .* pid=(\d+) sessions=(\d+)", daemon.log())
    return {int(pid): int(number) for pid, number in found}


def wait_for_losses(daemon: SpfmilterDaemon) -> dict[int, int]:
    return until(lambda: losses(daemon), 40, lambda: f"a worker that says so:\n{daemon.log()}")


def test_sessions_without_a_thread_end_and_later_mail_is_answered(dns: NameServer) -> None:
    """The workers that have some are replaced when there is room; their descriptors are given back."""
    address = inet_socket()
    with daemon_of_a_user(ini(address, dns.address)) as daemon, ExitStack() as stack:
        before = max(len(descriptors(pid)) for pid in workers(daemon))
        limit(daemon, threads(daemon))
        crowd = burst(stack, address, 100)
        wait_for_losses(daemon)
        begun = time.monotonic()
        answered = 0
        for mta in crowd:
            answered += has_answer(mta)
            assert time.monotonic() - begun < 25 * patience(), "not only when the worker ends"
        limit(daemon, NO_LIMIT)
        until(
            lambda: not set(losses(daemon)) & set(children(daemon)),
            30,
            lambda: f"the old workers' end:\n{daemon.log()}",
        )
        wait_for_workers(daemon, 2)
        assert [ask(address, FAIL) for _ in range(20)] == ["550"] * 20
        for mta in crowd:
            mta.close()  # a worker that has lost none still has those that it answered
        until(
            lambda: max(len(descriptors(pid)) for pid in workers(daemon)) <= before + 5,
            20,
            "descriptors are given back",
        )
        lost = losses(daemon)
        cut = [
            int(number) for number in re.findall(r"sessions without a thread disconnected sessions=(\d+)", daemon.log())
        ]
        assert len(cut) == len(lost)
        # How many had one of the few threads that there were depends on the machine. Each of the others is counted,
        # and so is an answered one that found no thread for what it said next.
        assert 0 < sum(lost.values()) <= sum(cut) <= 100
        assert answered < 100
        assert sum(cut) >= 100 - answered
        # A replacement that starts before the limit is raised finds no threads either, and says so.
        assert set(re.findall(r'exited unexpectedly .*how="(.*?)"', daemon.log())) <= {"exit status 71"}


def accepted(address: str) -> int:
    """How many connections to the daemon have been taken from its queue, and have something unread."""
    port = f":{int(address.partition(':')[2].partition('@')[0]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(c[1].endswith(port) and c[3] != "0A" and not c[4].endswith(":00000000") and c[9] != "0" for c in lines)


def test_a_reload_does_not_wait_for_sessions_without_a_thread(dns: NameServer) -> None:
    """Nor does a stop, and the MTA may have gone already."""
    address = inet_socket()
    quick = shortened(connections__LOOK_EVERY=2, worker__STUCK_AFTER=3)
    with daemon_of_a_user(ini(address, dns.address, dns="timeout = 2s"), quick) as daemon, ExitStack() as stack:
        reloads = 0
        # libmilter starts no thread while one counts as idle: a crowd that is fast enough may only wait for that one.
        while "sessions without a thread disconnected" not in daemon.log():
            reloads += 1
            assert reloads <= 5, daemon.log()
            old = workers(daemon)
            limit(daemon, threads(daemon))
            crowd = burst(stack, address, 60)
            with suppress(TimeoutError):  # a slow machine has threads for all of them: another attempt
                until(lambda: accepted(address) > 20, 5, "sessions without a thread")
            limit(daemon, NO_LIMIT)
            daemon.signal(signal.SIGHUP)
            daemon.wait_for_notification("READY=1", count=1 + reloads)
            for mta in crowd:
                mta.close()
            gone = set(old)
            until(lambda: not gone & set(children(daemon)), 30, lambda: f"the old workers' end:\n{daemon.log()}")  # noqa: B023 - called at once
        assert "sessions disconnected after" not in daemon.log()


def test_with_a_limit_that_stays_the_daemon_serves_what_it_can(dns: NameServer) -> None:
    """It does not try without end, nor very often, to start what cannot be started."""
    address = inet_socket()
    with daemon_of_a_user(ini(address, dns.address)) as daemon, ExitStack() as stack:
        limit(daemon, threads(daemon))
        begun = time.monotonic()
        for _ in range(3):
            burst(stack, address, 30)
        wait_for_losses(daemon)
        until(
            lambda: time.monotonic() - begun > 25 and re.search("cannot be started|exited unexpectedly", daemon.log()),
            40,
            "the daemon has had its time, and has tried",
        )
        tries = daemon.log().count("cannot be started") + daemon.log().count("worker exited unexpectedly")
        assert 0 < tries <= 2 * (time.monotonic() - begun) / 5 + 4
        assert ask(address, FAIL) == "550"


def test_connections_that_say_nothing_are_no_reason_to_replace_a_worker(dns: NameServer) -> None:
    """Even where no thread can be started; those beside them that have none are found, and they alone."""
    address = inet_socket()
    quick = shortened(connections__LOOK_EVERY=2, connections__SHORT=4)
    with daemon_of_a_user(ini(address, dns.address), quick) as daemon, ExitStack() as stack:
        fewest = threads(daemon)
        silent(stack, address, 60)
        pids, begun = workers(daemon), time.monotonic()
        limit(daemon, fewest)
        until(lambda: time.monotonic() - begun > 12, 20, "some looks")
        assert "threads refused" not in daemon.log()
        assert workers(daemon) == pids
        crowds = 0
        while not losses(daemon):  # on a busy machine the threads that are there may be enough for one crowd
            crowds += 1
            assert crowds <= 5, daemon.log()
            burst(stack, address, 40)
            with suppress(TimeoutError):
                wait_for_losses(daemon)
        assert sum(losses(daemon).values()) <= 40 * crowds


def test_a_limit_that_is_too_low_from_the_start(dns: NameServer) -> None:
    """The daemon is not ready, and says what is missing."""
    with (
        pytest.raises(RuntimeError, match="ended with 70") as failure,
        daemon_of_a_user(ini(inet_socket(), dns.address), limit=5),
    ):
        pytest.fail("it has said that it is ready")
    assert 'reason="the system refuses the threads that a worker needs"' in str(failure.value)
    assert "Traceback" not in str(failure.value)
