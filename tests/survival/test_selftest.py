"""`spfmilter run --self-test`: it says which name servers answer, and the daemon starts all the same."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.daemon import SpfmilterDaemon
from lab.processes import free_port
from tests.survival.site import CLIENT, ask, inet_socket, ini, name_server, shortened

ROOT = {"a.root-servers.net": [{"A": "198.41.0.4"}], "pass.example": [{"TXT": f"v=spf1 ip4:{CLIENT} -all"}]}
SELF_TEST = (*shortened(start__SELF_TEST_TIME=1), "--self-test")  # a dead server is given up after 1 s, not 5
UNHURRIED = (*shortened(start__SELF_TEST_TIME=8), "--self-test")  # one that works has time on a busy machine, too


@contextmanager
def silent() -> Iterator[str]:
    """A name server that never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def test_a_good_name_server() -> None:
    address = inet_socket()
    with name_server(ROOT) as dns, SpfmilterDaemon(ini(address, dns.address), command=UNHURRIED) as daemon:
        assert f"self-test: nameserver answers nameserver={dns.address} outcome=data" in daemon.log()
        assert "error" not in daemon.log()
        assert ask(address) == "continue"


def test_a_name_server_without_that_name_answers_too() -> None:
    with name_server({}) as dns, SpfmilterDaemon(ini(inet_socket(), dns.address), command=UNHURRIED) as daemon:
        assert f"self-test: nameserver answers nameserver={dns.address}" in daemon.log()


@pytest.mark.parametrize("kind", ["silent", "closed"])
def test_a_dead_name_server(kind: str) -> None:
    """The daemon is ready, says what is wrong and what to do, and refuses no mail for its own faults."""
    address = inet_socket()
    with silent() as mute:
        dead = mute if kind == "silent" else f"127.0.0.1:{free_port()}"
        text = ini(address, dead, dns="timeout = 1s", policy_mailfrom="temperror = defer")
        with SpfmilterDaemon(text, command=SELF_TEST) as daemon:
            why = "timeout" if kind == "silent" else '"Connection refused"'
            assert f"self-test: nameserver does not answer nameserver={dead} reason={why}" in daemon.log()
            assert "no nameserver answers; every check will be a temperror" in daemon.log()
            assert (
                daemon.log().count('fix="start the nameserver or repair it, or name another in [dns] nameservers') == 2
            )
            assert ask(address) == "continue"
            assert "problem_kind=own-resolver" in daemon.log()


def test_one_dead_and_one_good() -> None:
    address = inet_socket()
    with (
        name_server(ROOT) as dns,
        silent() as dead,
        SpfmilterDaemon(ini(address, f"{dead}, {dns.address}"), command=UNHURRIED) as daemon,
    ):
        assert f"does not answer nameserver={dead} reason=timeout" in daemon.log()
        assert f"nameserver answers nameserver={dns.address} outcome=data" in daemon.log()
        assert "no nameserver answers" not in daemon.log()
        assert ask(address) == "continue"


def test_without_the_option_nothing_is_asked() -> None:
    with silent() as dead, SpfmilterDaemon(ini(inet_socket(), dead)) as daemon:
        assert "self-test" not in daemon.log()


def test_a_setting_without_effect_is_said_at_the_start_and_at_a_reload() -> None:
    address = inet_socket()
    with name_server(ROOT) as dns:
        text = ini(address, dns.address, relays="refuse = yes")
        with SpfmilterDaemon(text) as daemon:
            said = r"setting without effect .*\[relays\] refuse: has no effect: trusted is empty"
            daemon.wait_for_log(said)
            daemon.rewrite(text.replace("refuse = yes", "refuse = no\n[headers]\nwrite =\nskipped = yes"))
            daemon.signal(signal.SIGHUP)
            daemon.wait_for_log(r"setting without effect .*\[headers\] skipped")
            assert ask(address) == "continue"
