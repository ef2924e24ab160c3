"""A peer that leaves while we are about to answer: a message that has ended, and no error of ours."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.dnsserver import ScriptedDNS
from lab.milterclient import MilterClient
from lab.milterwire import CONNECT, EOM, MAIL, RCPT, packet, strings
from lab.processes import group_members, until
from tests.wire.running import CLIENT, Running, folder, running

INI = """
on_error = accept
[policy]
reject_at = rcpt
[policy.mailfrom]
softfail = quarantine
[headers]
authserv_id = mx.example.net
"""
FORGED = [("Authentication-Results", "mx.example.net; spf=pass"), ("Subject", "x")] * 3


@pytest.fixture(scope="module", params=["inet", "unix"])
def daemon(dns: ScriptedDNS, request: pytest.FixtureRequest) -> Iterator[Running]:
    with folder() as path:
        address = f"unix:{path}/socket" if request.param == "unix" else None
        with running(dns, INI, address=address) as serving:
            yield serving
    assert serving.daemon.process.returncode == 0


@contextmanager
def standing_still(daemon: Running) -> Iterator[None]:
    """The workers read what is sent meanwhile when its sender is gone."""
    pids = [pid for pid in group_members(daemon.daemon.process.pid) if pid != daemon.daemon.process.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: all("T" in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3] for pid in pids), 10, "all stand")
    yield
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def at_connect(mta: MilterClient) -> None:
    mta.negotiate()


def at_mail(mta: MilterClient) -> None:
    mta.greet(CLIENT)


def at_rcpt(mta: MilterClient) -> None:
    mta.greet(CLIENT)
    mta.mail("<a@fail.example>", macros={"i": "rcpt"})


def at_end(mta: MilterClient, sender: str, queue_id: str) -> None:
    mta.greet(CLIENT)
    assert mta.mail(sender, macros={"i": queue_id}).proceeds
    mta.rcpt("<bob@example.net>")
    for name, value in FORGED:
        mta.header(name, value)


STAGES: dict[str, tuple[Callable[[MilterClient], None], bytes]] = {
    "negotiation": (lambda _: None, packet(b"O", b"\0\0\0\x06\0\0\1\xff\0\x1f\xff\xff")),
    "connect": (at_connect, packet(CONNECT.command, strings("a.example") + b"4\0\x19" + strings(CLIENT))),
    "mail": (at_mail, packet(MAIL.command, strings("<a@fail.example>"))),
    "rcpt": (at_rcpt, packet(RCPT.command, strings("<bob@example.net>"))),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_peer_that_leaves_before_the_end(daemon: Running, stage: str) -> None:
    before, last = STAGES[stage]
    for _ in range(5):
        with daemon.client() as mta:
            before(mta)
            with standing_still(daemon):
                mta.send_raw(last)
                mta.close()
    healthy(daemon)


@pytest.mark.parametrize("sender", ["<a@pass.example>", "<a@soft.example>"])
def test_a_peer_that_leaves_at_the_end_of_a_message(daemon: Running, sender: str) -> None:
    """Whether it is to be changed or held: the line says that the message was abandoned."""
    queue_ids = [f"{sender[3:7]}{number}" for number in range(5)]
    for queue_id in queue_ids:
        with daemon.client() as mta:
            at_end(mta, sender, queue_id)
            with standing_still(daemon):
                mta.send_raw(packet(EOM.command))
                mta.close()
    for queue_id in queue_ids:
        line = daemon.line(queue_id)
        assert " ended=abandoned" in line
        assert f" action={'accept' if 'pass' in sender else 'quarantine'}" in line
    healthy(daemon)


def healthy(daemon: Running) -> None:
    """The next message is checked, and nothing counts as an error of ours."""
    with daemon.client() as mta:
        mta.greet(CLIENT)
        assert mta.deliver("<a@pass.example>", ["<bob@example.net>"]).reply.kind == "continue"
    log = daemon.daemon.log()
    assert "internal error" not in log
    assert "Traceback" not in log
    assert not re.search("(?m) error: ", log)
