"""A child process as the supervisor sees it: its pid, its messages, and how it ended.

Knows fork and the socket pair. Decides nothing.
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
    processor: int | None = None  # the processor that the child is pinned to

    def listen(self) -> tuple[Word, ...] | None:
        """Return the words that the child has sent; None if it has sent nothing, so there is no sign of life.

        An unknown byte is a sign of life, too.
        """
        try:
            data = self.link.recv(4096)
        except OSError:
            return None
        return tuple(_WORDS[byte] for byte in data if byte in _WORDS) if data else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal. Do nothing if the child is already gone."""
        with suppress(OSError):
            os.kill(self.pid, number)

    def dismiss(self) -> None:
        """Tell a worker to accept no new session and to end with its last one."""
        self.signal(signal.SIGUSR1)

    def hurry(self) -> None:
        """Tell a worker to accept no new session, and to end after ``drain_timeout`` at the latest."""
        self.signal(signal.SIGTERM)


def fork(work: Callable[[socket.socket], int], slot: int, close: Callable[[], None]) -> Child:
    """Start a child that runs ``work`` with its end of the link. The child never returns from this function.

    Args:
        work: runs in the child; its result is the exit status.
        slot: see ``Child``.
        close: runs first in the child: closes everything that belongs to the supervisor alone.

    Raises:
        OSError: the system refuses the process or the descriptors.
    """
    ours, theirs = socket.socketpair()
    # The child inherits the supervisor's handlers, and a signal for the child must not be lost to them. Block the
    # signals until the child has its own handlers, see let_signals_in.
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
            # Not sys.exit: libmilter's thread is still in its loop, and takes seconds to stop.
            os._exit(status)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    ours.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return Child(pid=pid, link=ours, slot=slot)


def let_signals_in() -> None:
    """Unblock the signals in the child, after its handlers are in place."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD_BY)


def ending(status: int) -> str:
    """Return how a process ended, in words: its signal by name, or its exit status."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        return f"killed by {name}" + (" (core dumped)" if os.WCOREDUMP(status) else "")
    return f"exit status {os.waitstatus_to_exitcode(status)}"


def keep_to(processor: int) -> None:
    """Pin this process, with all its future threads, to one processor (docs/decisions/0017-one-processor.md).

    If a system call filter or a smaller cpuset prevents that, log it and run on any processor.
    """
    try:
        os.sched_setaffinity(0, {processor})
    except OSError as error:
        log.info("worker not pinned to a processor", processor=processor, reason=error.strerror or str(error))


def use_batch_scheduling() -> None:
    """Use the scheduling policy SCHED_BATCH (sched(7)) for this process, with all its future threads.

    A worker that wakes up for one packet of a message then does not interrupt the MTA, which is writing the next packet
    (docs/decisions/0022-cheap-messages.md). A policy that an administrator has chosen stays.
    """
    with suppress(OSError):  # a system call filter forbids it: we lose only some speed
        if os.sched_getscheduler(0) == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def raise_file_limit() -> None:
    """Raise the limit of open files to the maximum. A session needs one descriptor, and another for DNS queries."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # forbidden, by a system call filter for example
        fix = "LimitNOFILE= in the unit, or ulimit -n"
        log.warning("open files limit cannot be raised", limit=soft, reason=str(error), fix=fix)
    else:
        log.info("open files limit raised", limit=wanted, was=soft)
