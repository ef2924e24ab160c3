"""Rows on their way from a worker: packets of bounded size, a queue of bounded size, and no row that is not counted."""

import marshal
import random
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from spfmilter.journal import channel
from spfmilter.journal.channel import (
    MAX_PACKET,
    MAX_ROWS,
    Packet,
    Receiver,
    RowChannel,
    decode,
    encode,
    is_row,
    packets,
)
from spfmilter.journal.recorder import Recorder
from spfmilter.journal.totals import TotalsFile
from tests.journal.values import row, rows, transaction

CHOICE = random.Random(50)  # noqa: S311 - which octet changes is no secret


def unpacked(made: Any) -> list[Any]:
    return [each for packet in made for each in packet.unpack()]


# -- packets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 63, 64, 65, 1000])
@pytest.mark.parametrize("size", [None, 0, 300, 16_000])
def test_all_rows_are_in_packets_of_bounded_size(number: int, size: int | None) -> None:
    given = rows(number, None if size is None else bytes(size))
    made = list(packets(given))
    assert unpacked(made) == given
    assert all(packet.rows <= MAX_ROWS and packet.size <= MAX_PACKET for packet in made)
    assert all(decode(encode(packet)) == packet for packet in made)


def test_a_row_that_is_too_large_goes_without_its_answers() -> None:
    made = list(packets([row(0), row(1, bytes(MAX_PACKET)), row(2)]))
    assert unpacked(made) == rows(3)


def test_a_row_that_is_too_large_without_them_is_left_out() -> None:
    assert unpacked(packets([row(0), ("x" * MAX_PACKET, None), row(2)])) == [row(0), row(2)]


def test_a_packet_fits_into_the_socket() -> None:
    """Also the largest one, with the system's smallest buffer."""
    (packet,) = packets([row(0, bytes(MAX_PACKET - 1000))])
    with closing(Pair()) as pair:
        assert pair.sender.send(packet)
        assert list(pair.receiver.read()) == [packet]


@pytest.mark.parametrize("change", ["octet", "short", "long", "empty", "other", "noise"])
def test_a_corrupt_packet_is_none(change: str) -> None:
    data = encode(next(packets(rows(3))))
    for _ in range(50):
        place = CHOICE.randrange(len(data))
        match change:
            case "octet":
                hostile = bytearray(data)
                hostile[place] ^= 1 + CHOICE.randrange(255)
            case "short":
                hostile = bytearray(data[:place])
            case "long":
                hostile = bytearray(data + b"x")
            case "empty":
                hostile = bytearray()
            case "other":
                hostile = bytearray(encode(Packet(MAX_ROWS + 1, b"x")))
            case _:
                hostile = bytearray(CHOICE.randbytes(place))
        assert decode(bytes(hostile)) is None


@pytest.mark.parametrize(
    "value", [None, 7, (), ("x",), [row()], {}, (None,) * 100, (*row()[:-1], 1.5), (*row()[:-1], ())]
)
def test_what_is_no_row_is_left_out(value: Any) -> None:
    assert not is_row(value)
    assert Packet(2, marshal.dumps([value, row()])).unpack() == [row()]
    assert Packet(1, marshal.dumps(value)).unpack() in ([], [row()])


def test_a_body_that_is_none_has_no_rows() -> None:
    assert Packet(1, b"").unpack() == []
    assert Packet(1, b"[\xff\xff\xff\x7f").unpack() == []


# -- the queue of a worker ---------------------------------------------------------------------------------------------


class Pair:
    """Both ends, in one process: the supervisor's own pair closes one of them in each."""

    def __init__(self, buffer: int = 1 << 16) -> None:
        self.ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        for end in self.ends:
            end.setblocking(False)
        self.sender, self.receiver = channel.Sender(self.ends[0]), Receiver(self.ends[1])

    def close(self) -> None:
        """Close both ends."""
        for end in self.ends:
            end.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with closing(Pair()) as made:
        yield made


class Worker:
    """A worker's recorder, and its counts."""

    def __init__(self, pair: Pair, max_waiting: int = 1 << 20) -> None:
        self.totals = TotalsFile()
        self.recorder = Recorder(
            pair.sender, self.totals.of_worker(0), host="mx", local_parts=False, max_waiting=max_waiting
        )

    def record(self, number: int) -> None:
        """Record so many messages."""
        for _ in range(number):
            self.recorder.record(transaction())

    def counted(self) -> tuple[int, int]:
        """Rows that wait, and that are dropped."""
        self.recorder.flush()
        counts = self.totals.totals()
        return counts.waiting, counts.dropped


def test_rows_are_sent_in_full_packets_and_the_rest_by_the_beat(pair: Pair) -> None:
    worker = Worker(pair)
    worker.record(MAX_ROWS + 3)
    assert [packet.rows for packet in pair.receiver.read()] == [MAX_ROWS]
    worker.recorder.flush()
    assert [packet.rows for packet in pair.receiver.read()] == [3]
    assert worker.counted() == (0, 0)


def test_rows_wait_while_nothing_reads_and_none_is_lost() -> None:
    with closing(Pair(buffer=1 << 16)) as pair:
        worker = Worker(pair)
        worker.record(5000)
        waiting, dropped = worker.counted()
        assert waiting > 0
        assert dropped == 0
        received = 0
        while waiting:
            received += sum(packet.rows for packet in pair.receiver.read())
            waiting, dropped = worker.counted()
        received += sum(packet.rows for packet in pair.receiver.read())
        assert (received, dropped) == (5000, 0)


def test_the_oldest_rows_give_way_and_are_counted() -> None:
    with closing(Pair(buffer=1 << 16)) as pair:
        worker = Worker(pair, max_waiting=30_000)
        worker.record(3000)
        waiting, dropped = worker.counted()
        in_channel = sum(packet.rows for packet in pair.receiver.read())
        assert dropped > 0
        assert waiting + dropped + in_channel == 3000
        assert waiting < 400


def test_the_last_rows_are_sent_at_the_end(pair: Pair) -> None:
    worker = Worker(pair)
    worker.record(5)
    worker.recorder.close()
    assert [packet.rows for packet in pair.receiver.read()] == [5]


def test_rows_that_nobody_reads_any_more_are_counted_at_the_end(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spfmilter.journal.recorder._LAST", 0.05)
    worker = Worker(pair)
    worker.record(5)
    pair.ends[1].close()
    worker.recorder.close()
    assert worker.counted() == (0, 5)


def test_nothing_that_goes_wrong_reaches_the_message(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("spfmilter.journal.recorder.row_of", broken)
    worker = Worker(pair)
    worker.record(2)
    assert worker.counted() == (0, 2)


# -- the end of the storage process ------------------------------------------------------------------------------------


def test_hostile_packets_are_counted_and_the_next_one_is_read(pair: Pair) -> None:
    (good,) = packets(rows(2))
    for data in (b"x", encode(good)[:-1], CHOICE.randbytes(5000), bytes(MAX_PACKET + 1000), encode(good)):
        pair.ends[0].send(data)
    assert list(pair.receiver.read()) == [good]
    assert (pair.receiver.corrupt, pair.receiver.ended) == (4, False)


def test_the_end_of_all_senders_is_seen(pair: Pair) -> None:
    pair.ends[0].close()
    assert list(pair.receiver.read()) == []
    assert pair.receiver.ended


def test_what_remains_can_be_taken_out() -> None:
    (packet,) = packets(rows(2))
    with closing(RowChannel()) as made:
        assert channel.Sender(made._sending).send(packet)
        assert list(made.remaining()) == [packet]
        assert list(made.remaining()) == []
