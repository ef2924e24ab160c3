"""No memory is left to the workers: each message gets an answer or its connection ends, and later mail is served."""

import resource
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from lab.daemon import SpfmilterDaemon
from lab.load import Load, Mail
from lab.processes import until
from tests.survival.site import (
    FAIL,
    PASS,
    SOFT,
    NameServer,
    all_served,
    children,
    inet_socket,
    ini,
    wait_for_workers,
    workers,
)

NONE = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def size(pid: int) -> int:
    """Bytes of address space."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def leave(pid: int, octets: int) -> None:
    """Let a process have so much more memory than it has now (RLIMIT_AS)."""
    resource.prlimit(pid, resource.RLIMIT_AS, (size(pid) + octets, resource.RLIM_INFINITY))


@pytest.mark.parametrize("octets", [0, 16 << 20], ids=["none", "16 MB"])
def test_no_memory_left(dns: NameServer, octets: int) -> None:
    """If something fails for lack of memory, the message follows on_error, or its worker ends; no session hangs."""
    address = inet_socket()
    large = tuple(("Received", f"from mail.example ({number:060000d})") for number in range(20))
    mails = [
        Mail(sender=sender, headers=large) for sender in (PASS, FAIL, SOFT, "<a@deep.example>", "<a@slow.example>")
    ]
    with SpfmilterDaemon(ini(address, dns.address, dns="timeout = 2s", policy="reject_at = message")) as daemon:
        old = workers(daemon)
        for pid in old:
            leave(pid, octets)
        with Load(address, mails, connections=60, messages=3, timeout=60) as load:
            tally = load.finish()
        print(f"\n{tally}\n{tally.by_sender}")
        assert not [cut for cut in tally.cuts if "no answer within" in cut.reason], "no session hangs"
        for pid in set(old) & set(children(daemon)):
            with suppress(ProcessLookupError):  # it has ended since
                resource.prlimit(pid, resource.RLIMIT_AS, NONE)
        wait_for_workers(daemon, 2, timeout=40)
        until(lambda: all_served(address, 1), 20, "later mail is served")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_notification("READY=1", count=2)
        until(
            lambda: not set(old) & set(children(daemon)), 100, lambda: f"the old workers' end:\n{daemon.log()[-3000:]}"
        )
