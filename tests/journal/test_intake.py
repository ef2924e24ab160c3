"""The end of the storage process: which rows it still waits for."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from spfmilter.journal.backlog import Backlog, Leftovers
from spfmilter.journal.channel import RowChannel, Sender, packets
from spfmilter.journal.intake import Intake
from spfmilter.journal.totals import TotalsFile
from tests.journal.values import rows


class Ends:
    """A worker and a storage process, in one process."""

    def __init__(self) -> None:
        channel = RowChannel()
        self.worker = Sender(channel._sending)
        self._sending, self._receiving = channel._sending, channel._receiving
        channel._sending = channel._sending.dup()  # to_receive closes its own
        self.backlog = Backlog(TotalsFile().of_storage(), Leftovers())
        self.ending, self.orphaned = threading.Event(), threading.Event()
        self.intake = Intake(channel.to_receive(), self.backlog, self.orphaned)
        self.thread = threading.Thread(target=self.intake.run, args=(self.ending,), daemon=True)

    def send(self, number: int) -> None:
        """The worker sends so many rows."""
        for packet in packets(rows(number)):
            assert self.worker.send(packet)

    def worker_exits(self) -> None:
        """The kernel closes what it had."""
        self._sending.close()

    def close(self) -> None:
        """Close what is left."""
        self._sending.close()
        self._receiving.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with closing(Ends()) as made:
        yield made


def test_a_process_that_is_replaced_does_not_wait_for_the_workers(ends: Ends) -> None:
    """Its successor takes what they send later."""
    ends.send(3)
    ends.ending.set()
    ends.thread.start()
    ends.thread.join(60)
    assert (ends.thread.is_alive(), ends.backlog.waiting, ends.backlog.complete) == (False, 3, True)


def test_the_last_rows_of_the_workers_are_waited_for_if_the_supervisor_was_killed(ends: Ends) -> None:
    ends.send(3)
    ends.orphaned.set()
    ends.ending.set()
    ends.thread.start()
    while ends.backlog.waiting < 3:  # it has looked, and seen the end
        ends.thread.join(0.01)
    assert (ends.thread.is_alive(), ends.backlog.complete) == (True, False)
    ends.send(4)
    ends.worker_exits()
    ends.thread.join(60)
    assert (ends.thread.is_alive(), ends.backlog.waiting, ends.backlog.complete) == (False, 7, True)
