"""Real Postfix under load while workers die and settings change: no message is lost.

The client does what a sending MTA does: it offers a message until it is accepted, and a message is his until then.
"""

import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from lab import postfix
from lab.daemon import SpfmilterDaemon
from lab.postfix import Postfix
from lab.processes import free_port, until
from lab.smtp import SmtpDialogue
from tests.survival.site import CLIENT, NameServer, ini, wait_for_workers
from tests.survival.test_killed import kill_one

pytestmark = pytest.mark.skipif(bool(postfix.unavailable()), reason=postfix.unavailable() or "available")

SENDERS = 8


@dataclass
class Sender:
    """One sending MTA with a queue of its own."""

    port: int
    queue: list[str]
    accepted: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Offer each message until it is accepted; the forged one before each is to be refused."""
        for identity in self.queue:
            while not self._offer(identity):
                pass

    def _offer(self, identity: str) -> bool:
        content = f"From: a@pass.example\nTo: bob@example.net\nMessage-ID: <{identity}@pass.example>\n\nHello.\n"
        with SmtpDialogue("127.0.0.1", self.port, timeout=60) as smtp:
            if smtp.xclient(addr=CLIENT, name="mail.example").code != 220:
                self.answers["xclient deferred"] += 1
                return False
            smtp.ehlo("mail.example")
            forged = smtp.mail("a@fail.example")
            self.answers[f"forged {forged.code}"] += 1
            if forged.code == 250:
                self.wrong.append("\n".join(smtp.transcript))
            smtp.rset()
            for step in (smtp.mail("a@pass.example"), smtp.rcpt("bob@example.net"), smtp.data(content)):
                if step.code != 250:
                    self.answers[f"deferred {step.code}"] += 1
                    if not 400 <= step.code < 500 and step.code != 503:  # RCPT after a MAIL that was deferred
                        self.wrong.append("\n".join(smtp.transcript))
                    return False
            self.accepted.append(identity)
            self.answers["accepted"] += 1
            smtp.quit()
        return True


@contextmanager
def site(dns: NameServer, **sections: str) -> Iterator[tuple[SpfmilterDaemon, Postfix, str]]:
    port = free_port()
    text = ini(f"inet:{port}@127.0.0.1", dns.address, **sections)
    with (
        SpfmilterDaemon(text) as daemon,
        Postfix(smtpd_milters=f"inet:127.0.0.1:{port}", milter_default_action="tempfail") as server,
    ):
        yield daemon, server, text


def at_work(port: int, messages: int) -> tuple[list[Sender], list[threading.Thread]]:
    """So many messages over some senders, each in a thread."""
    identities = [f"m{number}" for number in range(messages)]
    senders = [Sender(port, identities[first::SENDERS]) for first in range(SENDERS)]
    threads = [threading.Thread(target=sender.run, daemon=True) for sender in senders]
    for thread in threads:
        thread.start()
    return senders, threads


def check(senders: list[Sender], server: Postfix) -> Counter[str]:
    """Every accepted message is in the mailbox, once; nothing else is, and nothing waits in the queue."""
    accepted = [identity for sender in senders for identity in sender.accepted]
    offered = [identity for sender in senders for identity in sender.queue]
    assert [text for sender in senders for text in sender.wrong] == []
    assert sorted(accepted) == sorted(offered)
    server.flush()
    until(lambda: not server.queue(), 60, "an empty queue")
    arrived = Counter(str(mail.message["Message-ID"]) for mail in server.delivered(timeout=30, count=len(offered)))
    assert arrived == Counter(f"<{identity}@pass.example>" for identity in offered)
    return sum((sender.answers for sender in senders), Counter[str]())


@pytest.mark.parametrize("messages", [300, pytest.param(4000, marks=pytest.mark.soak)])
def test_workers_die_every_half_second(dns: NameServer, messages: int) -> None:
    with site(dns) as (daemon, server, _):
        senders, threads = at_work(server.port, messages)
        pids, pause = [], threading.Event()
        while any(thread.is_alive() for thread in threads):
            pids.append(kill_one(daemon).pid)
            pause.wait(0.5)
        for thread in threads:
            thread.join()
        answers = check(senders, server)
        wait_for_workers(daemon, 2)
        until(lambda: daemon.log().count("worker exited unexpectedly") == len(pids), 10, "all deaths are noted")
        named = [
            int(pid)
            for pid in re.findall(r'worker exited unexpectedly pid=(\d+) how="killed by SIGKILL"', daemon.log())
        ]
    print(f"\n{len(pids)} workers killed, {messages} messages of {SENDERS} senders, all delivered once: {answers}")
    assert sorted(named) == sorted(pids)
    assert len(pids) >= 3
    assert answers["accepted"] == messages


def test_a_reload_under_load_defers_nothing(dns: NameServer) -> None:
    """Three of them, the last to a policy that does not refuse."""
    with site(dns) as (daemon, server, text):
        senders, threads = at_work(server.port, 360)
        for number in (1, 2, 3):
            aim = number * 60
            until(lambda aim=aim: sum(len(sender.accepted) for sender in senders) >= aim, 60, f"{aim} accepted")
            assert any(thread.is_alive() for thread in threads)
            daemon.rewrite(text + ("[reply]\nfail = generation 3.\n" if number == 3 else ""))
            daemon.signal(signal.SIGHUP)
            daemon.wait_for_notification("READY=1", count=number + 1)
        with SmtpDialogue("127.0.0.1", server.port) as smtp:
            smtp.xclient(addr=CLIENT, name="mail.example")
            smtp.ehlo("mail.example")
            assert "generation 3." in smtp.mail("a@fail.example").text
        for thread in threads:
            thread.join()
        answers = check(senders, server)
        assert "milter" not in "".join(line for line in server.log().splitlines() if "warning" in line)
    print(f"\n3 reloads: {answers}")
    assert answers == {"accepted": 360, "forged 550": 360}


def test_a_killed_supervisor_under_postfix(dns: NameServer) -> None:
    """While no process listens, Postfix defers; nothing is lost."""
    with site(dns) as (daemon, server, _):
        senders, threads = at_work(server.port, 120)
        until(lambda: sum(len(sender.accepted) for sender in senders) >= 40, 60, "40 accepted")
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.process.wait()
        daemon.start()
        for thread in threads:
            thread.join()
        answers = check(senders, server)
    print(f"\nsupervisor killed: {answers}")
    assert answers["accepted"] == 120
