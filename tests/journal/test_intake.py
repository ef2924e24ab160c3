"""The end of the storage process: which rows it still waits for."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from spfmilter.journal.backlog import Backlog, Leftovers
from spfmilter.journal.channel import Packet, Receiver, RowChannel, Sender, packets
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
        self.totals = TotalsFile()
        self.backlog = Backlog(self.totals.of_storage(), Leftovers())
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


class Killed(BaseException):
    """The process ends at this point."""


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_a_process_that_is_killed_as_it_takes_a_packet(ends: Ends, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """No row is lost unseen: each lies in the channel still, or counts as lost with the process."""
    take, left = Receiver.take, [taken]

    def last(receiver: Receiver) -> Packet | None:
        packet = take(receiver)
        left[0] -= 1
        if not left[0]:
            raise Killed
        return packet

    monkeypatch.setattr(Receiver, "take", last)
    for _ in range(3):
        ends.send(5)
    with pytest.raises(Killed):
        ends.intake.run(ends.ending)
    monkeypatch.undo()
    in_channel = sum(packet.rows for packet in ends.intake._receiver.read())
    assert (ends.totals.ended(os.getpid()), in_channel) == (5 * taken, 15 - 5 * taken)
