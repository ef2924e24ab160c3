"""A child process as the supervisor sees it: its pid, what it has said, and how it ended.

Knows fork and the socket pair; decides nothing.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from spfmilter.daemon.link import Word
from spfmilter.observe import log

_WORDS = {word.value[0]: word for word in Word}
_TOLD_BY = (signal.SIGTERM, signal.SIGUSR1)  # how a child is told to end


@dataclass(slots=True, eq=False)
class Child:
    """A process that the supervisor has started."""

    pid: int
    link: socket.socket
    slot: int  # names its metrics; -1 for the exporter
    processor: int | None = None  # the one that it keeps to

    def listen(self) -> tuple[Word, ...] | None:
        """Return the words that it has said; None if it has said nothing, which is no sign of life.

        A byte that is no word is a sign of life like any other.
        """
        try:
            data = self.link.recv(4096)
        except OSError:
            return None
        return tuple(_WORDS[byte] for byte in data if byte in _WORDS) if data else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; one that is gone already needs none."""
        with suppress(OSError):
            os.kill(self.pid, number)

    def dismiss(self) -> None:
        """Tell a worker to take no new session and to end with its last one."""
        self.signal(signal.SIGUSR1)

    def hurry(self) -> None:
        """Tell a worker to take no new session, and to end at the end of ``drain_timeout`` in any case."""
        self.signal(signal.SIGTERM)


def fork(work: Callable[[socket.socket], int], slot: int, close: Callable[[], None]) -> Child:
    """Start a child that does ``work`` with its end of the link, and never returns from here.

    Args:
        work: the child's whole life; its result is the exit status.
        slot: see ``Child``.
        close: what the child does first: let go of all that is the supervisor's alone.

    Raises:
        OSError: the system has no process or no descriptors for it.
    """
    ours, theirs = socket.socketpair()
    # A signal for the child must not be lost to the supervisor's handlers that it is born with: it waits until the
    # child has its own, see let_signals_in.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD_BY)
    try:
        pid = os.fork()
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        status = os.EX_SOFTWARE
        try:
            log.forked(slot)
            ours.close()
            signal.set_wakeup_fd(-1)
            close()
            status = work(theirs)
        except BaseException:  # noqa: BLE001 - nothing may return into the supervisor's code in the child
            log.fault("child", traceback.format_exc())
        finally:
            log.flush()
            # Not sys.exit: libmilter's thread is still in its loop, and takes seconds to be told otherwise.
            os._exit(status)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return Child(pid=pid, link=ours, slot=slot)


def let_signals_in() -> None:
    """In the child: its handlers are in place."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD_BY)


def ending(status: int) -> str:
    """How a process ended, in words: its signal by name, or its exit status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"killed by {name}" + (" (core dumped)" if os.WCOREDUMP(status) else "")
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def keep_to(processor: int) -> None:
    """Run this process, with all threads that it will have, on one processor (docs/decisions/0017-one-processor.md).

    Where that is not possible, a system call filter or a shrunken cpuset being in the way, it runs anywhere.
    """
    try:
        os.sched_setaffinity(0, {processor})
    except OSError as error:
        log.info("worker not pinned to a processor", processor=processor, reason=error.strerror or str(error))


def use_batch_scheduling() -> None:
    """Let this process, with all threads that it will have, wait its turn (sched(7), SCHED_BATCH).

    Woken by one packet of a message, a worker then does not interrupt the MTA that is writing the next one
    (docs/decisions/0022-cheap-messages.md). A policy that an administrator has chosen stays.
    """
    with suppress(OSError):  # a system call filter: only the gain is lost
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def raise_file_limit() -> None:
    """Let the daemon have as many open files as it may: a session needs one, and one while it asks the DNS."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    except (OSError, ValueError) as error:  # forbidden, by a system call filter for example
        log.warning("open files limit cannot be raised", limit=soft, reason=str(error))
    else:
        log.info("open files limit raised", limit=max(soft, wanted), was=soft)
