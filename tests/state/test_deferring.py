"""The bound of deferring a sender whose DNS fails: it outlasts workers and reloads, and hosts share it.

``temp.example`` answers SERVFAIL; the messages of a test are one that is tried again and again.
"""

import os
import signal
import time
from collections.abc import Iterator

import pytest
import redis as library

from lab.dnsserver import ScriptedDNS
from lab.processes import group_members, until
from lab.redis import Redis, unavailable
from spfmilter.settings.schema import PolicySection
from tests.wire.running import CLIENT, ZONE, Running, running

pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif("defer_at_most" not in PolicySection.model_fields, reason="there is no bound yet"),
]

DEFER = "[policy]\ndefer_at_most = {}\n[policy.mailfrom]\ntemperror = defer\n"
KEY = "spfmilter:defer:temp.example 192.0.2.0/24"


@pytest.fixture(scope="module")
def dns() -> Iterator[ScriptedDNS]:
    with ScriptedDNS(ZONE) as server:
        yield server


def answer(host: Running) -> str:
    """What the MTA is told at MAIL FROM."""
    with host.client() as mta:
        mta.greet(CLIENT)
        return mta.mail("<alice@temp.example>").code


def accepts(host: Running) -> bool:
    return answer(host) != "451"


def test_the_bound_outlasts_the_workers_and_a_reload(dns: ScriptedDNS) -> None:
    with running(dns, DEFER.format("1s")) as host:
        assert not accepts(host)
        until(lambda: accepts(host), 10, "accepted after the bound")
        supervisor = host.daemon.process.pid
        for worker in set(group_members(supervisor)) - {supervisor}:
            os.kill(worker, signal.SIGKILL)
        assert accepts(host)
        host.daemon.rewrite(host.daemon.ini_path.read_text() + "[log]\nlevel = debug\n")
        host.daemon.signal(signal.SIGHUP)
        host.daemon.wait_for_log("reloaded")
        assert accepts(host)
        assert "worker exited unexpectedly" in host.daemon.log()


@pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available")
def test_two_hosts_share_the_time_and_do_without_the_server_when_it_is_away(dns: ScriptedDNS) -> None:
    with Redis() as server, library.Redis(port=server.port) as memory:
        text = DEFER.format("1h") + f"[state]\nurl = redis://127.0.0.1:{server.port}/0\n"
        with running(dns, text) as one, running(dns, text) as other:
            assert not accepts(one)
            assert time.time() - 600 < float(memory.get(KEY)) <= time.time()
            memory.set(KEY, time.time() - 7200)
            until(lambda: accepts(one) and accepts(other), 30, "both hosts believe in the server's time")
            server.stop()
            assert accepts(other), "it remembers what it was told"
            other.daemon.wait_for_log("state server not responding, using local memory")
