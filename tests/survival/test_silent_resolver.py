"""Our own resolver stops answering and comes back: what the log says, and what it costs the mail meanwhile."""

import os
import re
import select
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lab.daemon import SpfmilterDaemon
from lab.processes import free_port, until
from tests.survival.site import FAIL, ask, changed, frozen, inet_socket, ini, name_server, wait_for_workers

PATIENCE = {"dns.silence.MAX_WAITED": 1.0}  # seconds, not a minute


@contextmanager
def mute() -> Iterator[socket.socket]:
    """A resolver that takes questions and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        # Outside of the range for clients: a name server takes its place, over TCP as well.
        sock.bind(("127.0.0.1", free_port()))
        yield sock


def questions(sock: socket.socket) -> bytes:
    """All that has been asked since the last look."""
    found = b""
    while select.select([sock], [], [], 0)[0]:
        found += sock.recv(4096)
    return found


def test_a_silent_resolver_is_reported_and_soon_costs_no_time() -> None:
    address = inet_socket()
    with mute() as resolver:
        port = resolver.getsockname()[1]
        text = ini(address, f"127.0.0.1:{port}", dns="timeout = 2s", milter="workers = 1")
        with SpfmilterDaemon(text, command=changed(PATIENCE)) as daemon:
            assert ask(address, FAIL) == "continue", "no sender is refused for our own fault"
            daemon.wait_for_log(
                rf"error: nameservers not responding nameservers=127.0.0.1:{port} reason=timeout "
                r'fix="start the nameserver or repair it, or name another in \[dns\] nameservers'
            )
            numbers = iter(range(1000))

            def is_not_asked() -> bool:
                name = f"new{next(numbers)}"
                assert ask(address, f"<a@{name}.example>") == "continue"
                spent = float(re.findall(r"message client=.* ms=([\d.]+)", daemon.log())[-1])
                # Not even until a packet would be sent again.
                return name.encode() not in questions(resolver) and spent < 400

            until(is_not_asked, 30, "messages do not wait for the resolver any more")
            last = re.findall(r"message client=.*", daemon.log())[-1]
            assert "problem_kind=own-resolver" in last
            assert daemon.log().count("nameservers not responding") == 1
            resolver.close()
            with name_server(port=port):
                daemon.wait_for_log(r" nameservers responding again nameservers=127.0.0.1:\d+ seconds=\d+")
                assert ask(address, FAIL) == "550"
                assert daemon.stop() == 0


@contextmanager
def alone(worker: int, workers: Sequence[int]) -> Iterator[None]:
    """Of these workers, only this one runs, so that it gets the next message."""
    others = [pid for pid in workers if pid != worker]
    for pid in others:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: all(map(frozen, others)), 10, "no thread of theirs takes the message")
        yield
    finally:
        for pid in others:
            os.kill(pid, signal.SIGCONT)


def test_what_one_worker_has_waited_for_costs_no_time_in_the_others() -> None:
    """Otherwise each would wait with a message of its own, and where mail is rare for much longer than a minute."""
    address = inet_socket()
    with mute() as resolver:
        port = resolver.getsockname()[1]
        text = ini(address, f"127.0.0.1:{port}", dns="timeout = 2s", milter="workers = 4")
        with SpfmilterDaemon(text, command=changed(PATIENCE)) as daemon:
            workers = wait_for_workers(daemon, 4)
            with alone(workers[0], workers):
                assert ask(address, "<a@first.example>") == "continue"
            assert b"first" in questions(resolver)
            probes = 0

            def have_probed() -> bool:
                nonlocal probes
                if select.select([resolver], [], [], 0)[0]:
                    probes += 1
                    assert b"example" not in resolver.recv(4096)
                return probes >= 32

            until(have_probed, 60, "each worker has asked for some seconds")
            for number, worker in enumerate(workers):
                with alone(worker, workers):
                    assert ask(address, f"<a@then{number}.example>") == "continue"
                assert b"then" not in questions(resolver)
            assert daemon.log().count("nameservers not responding") == 1
            daemon.signal(signal.SIGHUP)
            until(lambda: daemon.log().count("worker exited") == len(workers), 20, "new workers have their places")
            resolver.close()
            with name_server(port=port):
                daemon.wait_for_log(" nameservers responding again ")
                workers = wait_for_workers(daemon, 4)
                for worker in workers:
                    with alone(worker, workers):
                        assert ask(address, FAIL) == "550"
                assert daemon.stop() == 0
            # Two, if two workers have seen the end in the same instant (docs/decisions/0051).
            assert 1 <= daemon.log().count("nameservers responding again") <= 2
