"""Where lines go: none waits for a reader, none is glued to another, and each is written or counted."""

import errno
import fcntl
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from spfmilter.observe import sink
from spfmilter.observe.sink import Datagrams, Outlet, Sink, standard_stream
from tests.observe.test_log import standard_error as standing_in


class Scripted:
    """An outlet that takes so many bytes of each write; an OSError for a number below zero."""

    def __init__(self, *room: int, torn_by: memoryview | None = None) -> None:
        self.room = list(room)
        self.text = b""
        self.torn_by = torn_by or memoryview(bytearray(4)).cast("i")

    def write(self, data: bytes) -> int:
        """As scripted."""
        room = self.room.pop(0) if self.room else len(data)
        if room < 0:
            raise OSError(-room, os.strerror(-room))
        self.text += data[:room]
        return min(room, len(data))

    def close(self) -> None:
        """Take no more."""
        self.room = [-errno.EBADF] * 100


def sink_of(outlet: Outlet) -> Sink:
    return Sink(outlet, lambda lost: b"lost %d\n" % lost)


FULL = -errno.EAGAIN


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOSPC, errno.EPIPE, errno.EIO, errno.ENOBUFS, errno.ENXIO])
def test_what_cannot_be_written_is_written_in_order_when_it_can(error: int) -> None:
    outlet = Scripted(-error, -error, -error, -error)
    lines = sink_of(outlet)
    for line in (b"a\n", b"b\n", b"c\n"):
        lines.put(line)
    lines.flush()
    assert outlet.text == b""
    lines.flush()
    lines.put(b"d\n")
    assert outlet.text == b"a\nb\nc\nd\n"
    assert lines.lost == 0


def test_beyond_the_bound_lines_are_lost_and_the_report_stands_in_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "MAX_LINES", 2)
    outlet = Scripted(*[FULL] * 5)
    lines = sink_of(outlet)
    for line in (b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"):
        lines.put(line)
    outlet.room = [2, FULL]
    lines.put(b"f\n")  # one of those that wait is written; no later line comes before the report
    assert outlet.text == b"a\n"
    outlet.room = []
    lines.put(b"g\n")
    assert outlet.text == b"a\nb\nlost 4\ng\n"
    assert lines.lost == 4


def test_the_memory_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "MAX_BYTES", 10)
    outlet = Scripted(FULL, FULL, FULL)
    lines = sink_of(outlet)
    lines.put(b"12345678\n")
    lines.put(b"12\n")
    lines.flush()
    lines.flush()
    assert outlet.text == b"12345678\nlost 1\n"
    lines.put(b"more than that\n")
    lines.put(b"x\n")
    assert outlet.text == b"12345678\nlost 1\nlost 1\nx\n"


def test_a_line_that_is_broken_off_is_continued() -> None:
    outlet = Scripted(3, FULL, 2)
    lines = sink_of(outlet)
    lines.put(b"abcdefgh\n")
    lines.put(b"i\n")
    assert outlet.text == b"abc"
    lines.flush()
    assert outlet.text == b"abcde"
    lines.put(b"j\n")
    assert outlet.text == b"abcdefgh\ni\nj\n"


def test_another_process_closes_a_break_and_the_line_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    torn = memoryview(bytearray(4)).cast("i")
    one, other = Scripted(3, FULL, torn_by=torn), Scripted(torn_by=torn)
    first, second = sink_of(one), sink_of(other)
    first.put(b"abcdef\n")
    first.flush()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    second.put(b"second\n")
    assert other.text == b"\nsecond\n"
    first.flush()
    assert one.text == b"abcabcdef\n"  # in the common file: abc, second, abcdef
    second.put(b"third\n")
    assert other.text == b"\nsecond\nthird\n"


@pytest.mark.parametrize("room", [1, 4])
def test_a_break_that_is_closed_by_half(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torn = memoryview(bytearray(4)).cast("i")
    sink_of(Scripted(3, torn_by=torn)).put(b"abcdef\n")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    outlet = Scripted(room, FULL, torn_by=torn)
    lines = sink_of(outlet)
    lines.put(b"second\n")
    lines.flush()
    lines.flush()
    assert outlet.text == b"\nsecond\n"
    assert torn[0] == 0


def test_a_datagram_that_is_too_long_is_lost_and_does_not_stand_in_the_way() -> None:
    outlet = Scripted(-errno.EMSGSIZE)
    lines = sink_of(outlet)
    lines.put(b"long")
    assert lines.lost == 1
    lines.put(b"a\n")
    assert outlet.text == b"lost 1\na\n"


def test_a_fork_leaves_what_waits_to_the_parent_and_the_parent_counts_what_a_child_leaves() -> None:
    lines = sink_of(Scripted(FULL))
    lines.put(b"the parent's\n")
    child = sink_of(Scripted(*[FULL] * 9))
    child.put(b"the parent's\n")
    child.forget(7)
    child.put(b"a\n")
    child.put(b"b\n")
    lines.bury(7)
    assert lines.lost == 2
    outlet = Scripted()
    lines._outlet = outlet
    lines.flush()
    lines.bury(7)
    lines.flush()
    assert outlet.text == b"the parent's\nlost 2\n", "once"
    child.forget(-1)
    child.put(b"c\n")
    lines.bury(1 << 20)
    assert lines.lost == 2


def test_a_sink_that_takes_the_place_of_another_reports_what_that_one_could_not_write() -> None:
    old, outlet = sink_of(Scripted(*[FULL] * 4)), Scripted()
    old.put(b"a\n")
    old.put(b"b\n")
    old.close()
    new = sink_of(outlet)
    new.inherit(old)
    new.put(b"c\n")
    assert outlet.text == b"lost 2\nc\n"


# -- standard error ----------------------------------------------------------------------------------------------------


@contextmanager
def outlet_to(descriptor: int) -> Iterator[Outlet]:
    with standing_in(descriptor):
        outlet = standard_stream(2)
        yield outlet
        outlet.close()


def reopened() -> Outlet:
    return standard_stream(2)


def not_reopened() -> Outlet:
    return sink._Shared(2)


@pytest.mark.parametrize("made", [reopened, not_reopened])
@pytest.mark.parametrize("size", [40, 4096, 5000, 70_000])
def test_lines_through_a_pipe_that_is_full_now_and_then(made: Callable[[], Outlet], size: int) -> None:
    """Each comes through whole, the long ones, too, and the pipe's other users find it as it was."""
    reader, writer = os.pipe()
    wanted = b"".join(b"%d" % number + b"x" * size + b"\n" for number in range(10))
    with standing_in(writer):
        lines = sink_of(made())
        for line in wanted.splitlines(keepends=True):
            lines.put(line)
        assert os.get_blocking(writer)
        os.set_blocking(reader, False)
        found = b""
        while len(found) < len(wanted):
            found += os.read(reader, 1 << 16)
            lines.flush()
        lines.close()
    assert found == wanted
    assert lines.lost == 0
    os.close(reader)
    os.close(writer)


def test_two_processes_that_ask_for_room_do_not_wait_for_each_other() -> None:
    reader, writer = os.pipe()
    with outlet_to(reader), standing_in(writer):
        shared = sink._Shared(2)
        pid = os.fork()
        if not pid:
            assert shared._lock is not None
            fcntl.lockf(shared._lock, fcntl.LOCK_EX)
            os.write(writer, b"held")
            os.read(reader, 0)
            os.kill(os.getpid(), 19)
            os._exit(0)
        assert os.read(reader, 4) == b"held"
        with pytest.raises(BlockingIOError):
            shared.write(b"line\n")
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        assert shared.write(b"line\n") == 5, "a lock dies with its process"
        shared.close()
    os.close(reader)
    os.close(writer)


def test_a_file_keeps_the_position_that_it_shares(tmp_path: Path) -> None:
    """Redirected with > and not with >>: what others write to it comes behind our lines, and not over them."""
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file, outlet_to(file.fileno()) as outlet:
        outlet.write(b"ours\n")
        file.write(b"theirs\n")
        outlet.write(b"ours\n")
    assert path.read_bytes() == b"ours\ntheirs\nours\n"


def test_a_log_file_may_be_truncated_or_renamed(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as file, outlet_to(file.fileno()) as outlet:
        outlet.write(b"before\n")
        os.truncate(path, 0)
        outlet.write(b"after\n")
        assert path.read_bytes() == b"after\n"
        path.rename(tmp_path / "log.1")
        outlet.write(b"on\n")
    assert (tmp_path / "log.1").read_bytes() == b"after\non\n"


def test_a_terminal_is_written_to_and_stays_as_it_is() -> None:
    master, terminal = os.openpty()
    with outlet_to(terminal) as outlet:
        outlet.write(b"line\n")
        assert os.read(master, 100) == b"line\r\n"
        assert os.get_blocking(terminal)
    os.close(master)
    os.close(terminal)


@pytest.mark.parametrize("made", [reopened, not_reopened])
def test_a_terminal_without_a_reader_is_not_waited_for(made: Callable[[], Outlet]) -> None:
    """As with Ctrl-S, also where it is another user's and cannot be opened again; its other users find it blocking."""
    master, terminal = os.openpty()
    with standing_in(terminal):
        outlet = made()
        pid = os.fork()
        if not pid:
            signal.alarm(20)  # the end of a process that waits
            try:
                while True:
                    outlet.write(b"x" * 150 + b"\n")
            except BlockingIOError:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert os.get_blocking(terminal)
        os.set_blocking(master, False)
        with suppress(BlockingIOError):
            while True:
                os.read(master, 1 << 16)
        assert outlet.write(b"line\n") == 5
        outlet.close()
    os.close(master)
    os.close(terminal)


def test_a_socket_is_sent_to() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, outlet_to(theirs.fileno()) as outlet:
        assert outlet.write(b"line\n") == 5
        assert ours.recv(100) == b"line\n"
        assert theirs.getblocking()
        with pytest.raises(BlockingIOError):
            [outlet.write(b"x" * 4096) for _ in range(10_000)]


def test_a_service_that_is_started_anew_gets_the_next_line(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as first:
        first.bind(path)
        outlet = Datagrams(path)
        outlet.write(b"one")
        assert first.recv(100) == b"one"
    for _ in range(3):
        with pytest.raises(OSError, match=r"refused|No such file"):
            outlet.write(b"two")
    Path(path).unlink()
    with pytest.raises(OSError, match="No such file"):
        outlet.write(b"two")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as second:
        second.bind(path)
        outlet.write(b"three")
        assert second.recv(100) == b"three"
    outlet.close()
