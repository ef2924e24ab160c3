"""What is done to the daemon from outside: idle crowds, garbage, no descriptors left, a DNS that is dead."""

import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.load import Load, Mail, Tally
from lab.milterclient import MilterClient
from lab.milterwire import MilterError
from lab.processes import patience, until
from tests.survival.site import (
    CLIENT,
    FAIL,
    PASS,
    PLAIN,
    NameServer,
    all_served,
    ask,
    children,
    descriptors,
    inet_socket,
    ini,
    memory,
    verdict,
    workers,
)

NEGOTIATION = struct.pack(">IcIII", 13, b"O", 6, 0x1FF, 0x1FFFFF)
NASTY = {
    "half a length": b"\0\0",
    "half a packet": NEGOTIATION[:9],
    "a negotiation, then half a packet": NEGOTIATION + struct.pack(">Ic", 1000, b"M") + b"<a@pass",
    "4 GB": struct.pack(">Ic", 0xFFFFFFFF, b"O") + b"x" * 1000,
    "a negotiation, then 4 GB": NEGOTIATION + struct.pack(">Ic", 0xFFFFFFFF, b"M") + b"x" * 1000,
    "a length of nothing": b"\0\0\0\0" * 100,
    "SMTP": b"EHLO example.com\r\nMAIL FROM:<a@pass.example>\r\n",
    "HTTP": b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xa5" * 500,
    "random octets": bytes(range(256)) * 40,
    "unknown commands": b"".join(struct.pack(">Ic", 1, bytes((octet,))) for octet in range(256)),
    "commands out of order": NEGOTIATION + b"".join(struct.pack(">Ic", 1, c) for c in (b"E", b"M", b"H", b"C", b"L")),
    "an address without its end": NEGOTIATION + struct.pack(">I", 30) + b"C" + b"x" * 29,
    "nothing": b"",
}


def complete(tally: Tally) -> None:
    """Nothing was lost."""
    assert not tally.refused
    assert tally.cuts == []
    assert tally.offered == tally.verdict_count > 0


def test_two_thousand_idle_connections(dns: NameServer) -> None:
    """Sixteen others work at full speed beside them, and they can still be used afterwards."""
    address = inet_socket()

    def work() -> Tally:
        with Load(address, PLAIN, connections=16, messages=40, per_session=10) as load:
            return load.finish()

    with SpfmilterDaemon(ini(address, dns.address)) as daemon, ExitStack() as stack:
        work()  # warms up what is cold
        alone, before = work(), [memory(pid) for pid in workers(daemon)]
        idle = [stack.enter_context(MilterClient(address)) for _ in range(2000)]
        for mta in idle[:1000]:  # the others have not even negotiated
            mta.greet(CLIENT)
        beside, after = work(), [memory(pid) for pid in workers(daemon)]
        for mta in idle[1000:]:
            mta.greet(CLIENT)
        answers = [verdict(mta.deliver(FAIL, ["<bob@example.net>"])) for mta in idle]
        for mta in idle:
            mta.quit()
    print(f"\nalone:  {alone}\nbeside: {beside}\nMB of the workers: {before} before, {after} with 2000 idle")
    complete(alone)
    complete(beside)
    assert answers == ["550"] * 2000
    assert beside.rate > alone.rate / (10 * patience()), "this is about standing still, not about speed"
    assert sum(after) - sum(before) < 80


def test_nasty_clients_disturb_no_other_session(dns: NameServer) -> None:
    """Of each kind sixty stay while others work, then sixty more come and go; memory does not grow."""
    address = inet_socket()
    target = ("127.0.0.1", int(address.partition(":")[2].partition("@")[0]))
    with SpfmilterDaemon(ini(address, dns.address)) as daemon, ExitStack() as stack:
        pids = workers(daemon)
        with Load(address, PLAIN, connections=8, messages=50, per_session=5) as load:
            complete(load.finish())
        before = [memory(pid) for pid in pids]
        print()
        for name, octets in NASTY.items():
            for _ in range(60):
                stack.enter_context(socket.create_connection(target, timeout=10)).sendall(octets)
            with Load(address, PLAIN, connections=4, messages=10) as load:
                tally = load.finish()
            for _ in range(60):
                with socket.create_connection(target, timeout=10) as nasty:
                    nasty.sendall(octets)
            print(f"{name}: {tally.verdict_count} of 40 beside 60, at most {tally.latency(1.0) * 1000:.0f} ms")
            complete(tally)
            assert tally.latency(1.0) < 5 * patience()
        with Load(address, PLAIN, connections=8, messages=50, per_session=5) as load:
            tally = load.finish()
        after = [memory(pid) for pid in pids]
        assert workers(daemon) == pids, "the workers are those of the start"
        assert "internal error" not in daemon.log()
        stack.close()
    print(f"beside {60 * len(NASTY)} nasty ones: {tally}\nMB of the workers: {before} before, {after} after")
    complete(tally)
    assert sum(after) - sum(before) < 16


def held(stack: ExitStack, address: str, count: int) -> tuple[list[MilterClient], list[MilterClient]]:
    """Connections: those that are served, and those from the first on that gets no answer."""
    crowd = [stack.enter_context(MilterClient(address, timeout=10 * patience())) for _ in range(count)]
    for number, mta in enumerate(crowd):
        try:
            mta.greet(CLIENT)
        except MilterError:
            return crowd[:number], crowd[number:]
    return crowd, []


@pytest.mark.parametrize("seconds", [0, pytest.param(150, marks=pytest.mark.soak)])
def test_no_descriptors_left(dns: NameServer, seconds: float) -> None:
    """No session is ended, and new connections are served when descriptors come back.

    After some two minutes libmilter itself gives up accepting: then the worker is replaced.
    """
    address = inet_socket()
    limited = ("prlimit", "--nofile=64:64", *COMMAND)
    with SpfmilterDaemon(ini(address, dns.address), command=limited) as daemon, ExitStack() as stack:
        first = workers(daemon)
        served, waiting = held(stack, address, 160)
        assert 80 < len(served) < 128
        assert waiting
        used = [len(descriptors(pid)) for pid in first]
        begun = time.monotonic()
        until(lambda: time.monotonic() - begun >= seconds, seconds + 5, "descriptors have been missing for long")
        kinds = {verdict(mta.deliver("<>", ["<bob@example.net>"])) for mta in served[:3] + served[-3:]}
        assert kinds <= {"continue", "451"}, "an answer, where the DNS cannot be asked, too"
        for mta in waiting:
            mta.close()
        for mta in served:
            mta.quit()
        released = time.monotonic()
        # A lookup for which there was no descriptor is a temperror, which a worker remembers for a second.
        until(lambda: all_served(address, 50), 30, lambda: f"served again:\n{daemon.log()[-2000:]}")
        recovery = time.monotonic() - released
        until(lambda: len(children(daemon)) == 2, 30, "two workers, and no other")
        log = daemon.log()
    print(
        f"\n{len(served)} served, {used} descriptors in use, {len(waiting)} waited for {seconds:g} s; "
        f"served again after {recovery:.1f} s; libmilter gave up {log.count('libmilter returned')} times"
    )
    assert "Traceback" not in log
    assert "sessions disconnected" not in log


def test_descriptors_run_out_during_a_reload_and_a_stop(dns: NameServer) -> None:
    """What a drain needs is there already: the sessions that use all descriptors come to their end."""
    address = inet_socket()
    text = ini(address, dns.address, milter="drain_timeout = 10s")
    with SpfmilterDaemon(text, command=("prlimit", "--nofile=64:64", *COMMAND)) as daemon, ExitStack() as stack:
        served, waiting = held(stack, address, 160)
        assert waiting
        ready = len(daemon.notifications())
        daemon.signal(signal.SIGHUP)
        until(lambda: "reloaded" in daemon.log(), 20, lambda: daemon.log()[-2000:])
        assert len(daemon.notifications()) > ready
        for mta in waiting:
            mta.close()
        answers = {verdict(mta.deliver("<>", ["<bob@example.net>"])) for mta in served}
        for mta in served:
            mta.quit()
        assert answers <= {"continue", "451"}
        until(lambda: len(children(daemon)) == 2, 20, "the old generation's end")
        assert daemon.stop() == 0
        log = daemon.log()
    assert "Traceback" not in log
    assert "sessions disconnected" not in log


@contextmanager
def silent_dns() -> Iterator[str]:
    """A name server that never answers: its socket is bound and never read."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def test_sessions_that_wait_for_a_dead_name_server_leave_others_their_speed(dns: NameServer) -> None:
    """Sixty messages from a domain whose DNS is dead: each is a temperror in time, and healthy ones go on."""
    address = inet_socket()
    slow = [Mail(sender=f"<a@error.s{number}.example>") for number in range(120)]  # such names are never answered
    with (
        SpfmilterDaemon(ini(address, dns.address, dns="timeout = 2s", policy_mailfrom="temperror = defer")),
        Load(address, PLAIN, connections=8, messages=50, per_session=5) as first,
    ):
        alone = first.finish()
        with Load(address, PLAIN, connections=8, per_session=5) as second:
            second.wait_for(1)
            with Load(address, slow, connections=60, messages=2) as waiting:
                begun = second.verdict_count
                tally = waiting.finish()
                went_on = second.verdict_count - begun
            beside = second.stop()
    print(f"\nalone:  {alone}\nbeside: {beside}\nwaiting: {tally}")
    complete(alone)
    complete(beside)
    complete(tally)
    assert went_on > 60, "the healthy ones went on while others waited"
    assert tally.verdicts == {"mail:451": 120}
    # The time limit is 2 s; some wait twice, since libmilter puts a session behind another's callback now and then.
    # A failure is remembered for seconds, so that not every message has to wait.
    assert 1.5 < tally.latency(0.8) <= tally.latency(1.0) < 5 * patience()
    assert beside.latency(1.0) < 1.5 * patience(), "no healthy message waited out a time limit"


def test_no_name_server_at_all(dns: NameServer) -> None:
    """With every server dead each message is taken in time; nothing is cut, and no worker is killed for waiting."""
    address = inet_socket()
    with silent_dns() as dead:
        text = ini(address, dead, dns="timeout = 2s", policy_mailfrom="temperror = defer", policy="check = mailfrom")
        with SpfmilterDaemon(text) as daemon:
            pids = workers(daemon)
            with Load(address, [Mail(sender=PASS)], connections=100, messages=1) as load:
                tally = load.finish()
            assert workers(daemon) == pids
            assert daemon.log().count("problem_kind=own-resolver") == 100
            daemon.rewrite(ini(address, dns.address))
            daemon.signal(signal.SIGHUP)
            daemon.wait_for_notification("READY=1", count=2)
            assert ask(address, FAIL) == "550"
    print(f"\n{tally}")
    complete(tally)
    assert tally.verdicts == {"eom:continue": 100}
    assert tally.latency(1.0) < 6 * patience()


def test_a_client_that_goes_away_in_the_middle(dns: NameServer) -> None:
    """While its DNS question is under way; its session ends with it, and no worker notices."""
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address)) as daemon:
        pids = workers(daemon)
        for _ in range(30):
            with MilterClient(address) as mta, suppress(MilterError):
                mta.greet(CLIENT)
                mta.send_raw(struct.pack(">I", 17) + b"M<a@slow.example\0"[:17])
        assert ask(address, FAIL) == "550"
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("READY=1", count=2)
        until(lambda: not set(pids) & set(children(daemon)), 15, "the old workers' end: no session is left behind")
        assert "internal error" not in daemon.log()
        assert os.getpid() not in pids
