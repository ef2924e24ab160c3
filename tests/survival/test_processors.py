"""Where and when workers run: each on one processor, spread over all that the daemon may use, and after the MTA."""

import os
import signal
from contextlib import suppress

from lab.daemon import COMMAND, SpfmilterDaemon
from lab.processes import until
from tests.survival.site import inet_socket, ini, tasks, wait_for_workers, workers

OURS = os.sched_getaffinity(0)
NO_DNS = "127.0.0.1:9"  # no test here asks the DNS


def processors(daemon: SpfmilterDaemon, number: int) -> list[set[int]]:
    """Of each worker, all threads counted."""
    return [
        {processor for task in tasks(pid) for processor in os.sched_getaffinity(int(task.name))}
        for pid in wait_for_workers(daemon, number)
    ]


def test_each_worker_keeps_to_one_processor() -> None:
    """Also after a reload, and the one that takes the place of another: a processor is not left without a worker."""
    number = len(OURS) + 1
    with SpfmilterDaemon(ini(inet_socket(), NO_DNS, milter=f"workers = {number}")) as daemon:
        until(lambda: all_spread(daemon, number), 10, "each keeps to one")
        killed = workers(daemon)[0]
        os.kill(killed, signal.SIGKILL)
        until(lambda: killed not in workers(daemon), 10, "it is gone")
        until(lambda: all_spread(daemon, number), 10, "each keeps to one")
        before = set(workers(daemon))
        daemon.signal(signal.SIGHUP)
        until(lambda: not before & set(workers(daemon)), 20, "the new generation is alone")
        until(lambda: all_spread(daemon, number), 10, "each keeps to one")


def all_spread(daemon: SpfmilterDaemon, number: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):  # a thread of a start has ended meanwhile
        return spread(processors(daemon, number))
    return False


def spread(found: list[set[int]]) -> bool:
    """Whether each has one processor, and each processor at least one of them."""
    return all(len(each) == 1 for each in found) and set().union(*found) == OURS


def test_on_request_the_kernel_places_them() -> None:
    with SpfmilterDaemon(ini(inet_socket(), NO_DNS, milter="workers = 2\npin_workers = no")) as daemon:
        assert processors(daemon, 2) == [OURS, OURS]


def policies(pid: int) -> set[int]:
    """How the threads of a process are scheduled."""
    return {os.sched_getscheduler(int(task.name)) for task in tasks(pid)}


def test_workers_let_the_mta_go_first_and_the_supervisor_does_not() -> None:
    """The supervisor has next to nothing to do, and should do that at once."""
    with SpfmilterDaemon(ini(inet_socket(), NO_DNS, milter="workers = 2")) as daemon:
        assert [policies(pid) for pid in wait_for_workers(daemon, 2)] == [{os.SCHED_BATCH}, {os.SCHED_BATCH}]
        assert policies(daemon.process.pid) == {os.SCHED_OTHER}


def test_another_policy_that_was_chosen_for_the_daemon_stays() -> None:
    idle = ("chrt", "--idle", "0", *COMMAND)
    with SpfmilterDaemon(ini(inet_socket(), NO_DNS, milter="workers = 2"), command=idle) as daemon:
        assert [policies(pid) for pid in wait_for_workers(daemon, 2)] == [{os.SCHED_IDLE}, {os.SCHED_IDLE}]
