"""Many sessions of one worker at once: their equal questions are one, and those that wait for the dead cost little."""

import time
from contextlib import ExitStack

from lab import milterwire
from lab.dnsserver import ScriptedDNS
from lab.processes import group_members
from tests.wire.running import Running, running

ONE_WORKER = "workers = 1\n"
HELO = "victim.example"
DEAD = [f"dead{number}.example" for number in range(600)]


def test_sessions_with_the_same_helo_ask_once() -> None:
    """Else each is one more chance for a forged answer to fit (a birthday attack). The clients are idle after HELO."""
    with ScriptedDNS({HELO: [{"TXT": "v=spf1 -all"}], "pass.example": [{"TXT": "v=spf1 +all"}]}) as dns:
        with running(dns, ONE_WORKER) as serving, ExitStack() as stack:
            sessions = [stack.enter_context(serving.client()) for _ in range(100)]
            for mta in sessions:
                mta.greet("192.0.2.1", HELO)
            assert dns.wait_until_asked(HELO, "TXT")
            replies = {mta.mail("<alice@pass.example>").kind for mta in sessions}
        assert len(replies) == 1
        assert dns.queries[HELO, "TXT"] <= 2, "once, and once more where the machine is very busy"


def worker_seconds(serving: Running) -> float:
    """The CPU time of the only worker so far, all its threads, and the supervisor's."""
    clocks = [(~pid << 3) | 2 for pid in group_members(serving.daemon.process.pid)]
    return sum(map(time.clock_gettime, clocks))


def test_many_sessions_that_wait_do_not_wake_each_other() -> None:
    """A thread that waits for Python's lock wakes up at each switch interval; hundreds leave no time for work."""
    with ScriptedDNS({name: ["TIMEOUT"] for name in DEAD}) as dns:
        with running(dns, ONE_WORKER, lookups="timeout = 5s") as serving, ExitStack() as stack:
            sessions = [stack.enter_context(serving.client()) for _ in DEAD]
            for mta in sessions:
                mta.greet("192.0.2.1", "mta")
            before = worker_seconds(serving)
            for mta, name in zip(sessions, DEAD, strict=True):
                mta.send_raw(milterwire.packet(b"M", milterwire.strings(f"<alice@{name}>")))
                # One by one: libmilter starts no thread while one counts as idle, and a thread that it has woken for
                # one session still does. The sessions of a crowd would wait for each other, and not for the DNS.
                assert dns.wait_until_asked(name, "TXT", timeout=60)
            each = (worker_seconds(serving) - before) / len(DEAD)
        assert each < 0.004, "seconds; 0.0015 is usual"
