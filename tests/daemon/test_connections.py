"""Which connections no thread serves: sockets of this process stand for libmilter's, and the test is who reads them."""

import os
import socket
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import pytest

from spfmilter.daemon import connections
from spfmilter.daemon.connections import Unserved, can_start_threads

pytestmark = pytest.mark.outside

EVERY, SHORT, TIMEOUT = connections._LOOK_EVERY, connections._SHORT, 50.0


@dataclass
class Site:
    """A listening socket, and a clock that goes on by a look's time."""

    listener: socket.socket
    stack: ExitStack
    watch: Unserved = field(init=False)
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.watch = Unserved(self.listener.getsockname(), TIMEOUT)

    def session(self, said: bytes = b"") -> tuple[socket.socket, socket.socket]:
        """A connection: the MTA's end, which has said something, and ours."""
        mta = self.stack.enter_context(socket.socket(self.listener.family))
        mta.connect(self.listener.getsockname())
        ours, _ = self.listener.accept()
        self.stack.enter_context(ours)
        mta.sendall(said)
        return mta, ours

    def look(self, seconds: float = 0.0, longest: float = 0.0) -> int:
        """Look as often as it is due in so many seconds; what the last look has found."""
        found, until = self.watch.number, self.now + seconds
        if self.watch.is_due(self.now):
            found = self.watch.look(self.now, longest)
        while self.now + EVERY <= until:
            self.now += EVERY
            found = self.watch.look(self.now, longest)
        return found


@pytest.fixture(params=[socket.AF_INET, socket.AF_UNIX], ids=["inet", "unix"])
def site(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Site]:
    listener = socket.socket(request.param)
    with listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0) if request.param == socket.AF_INET else f"{tmp_path}/socket")
        listener.listen(100)
        yield Site(listener, stack)


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "can_start_threads", lambda _: False)


def is_ended(mta: socket.socket) -> bool:
    """Whether the MTA's end sees ours closed."""
    mta.setblocking(False)
    try:
        return mta.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.usefixtures("no_threads")
def test_a_connection_that_says_nothing_is_served(site: Site) -> None:
    mta, _ = site.session()
    assert site.look(10 * TIMEOUT) == 0
    assert not is_ended(mta)


def test_unread_data_for_longer_than_a_thread_may_take(site: Site) -> None:
    """Whether or not threads can be started now: that one was refused may be long ago."""
    mta, _ = site.session(b"hello")
    assert site.look(TIMEOUT - EVERY) == 0
    assert not is_ended(mta)
    assert site.look(EVERY) == 1
    assert is_ended(mta), "the MTA learns of it"
    assert site.look(TIMEOUT) == 1, "its descriptor stays"


@pytest.mark.usefixtures("no_threads")
def test_where_no_thread_can_be_started_one_is_sure_sooner(site: Site) -> None:
    for number in range(3):
        site.session(b"hello" * (number + 1))
    assert site.look(SHORT - EVERY) == 0
    assert site.look(EVERY) == 3


@pytest.mark.usefixtures("no_threads")
def test_data_behind_a_callback_that_runs_may_wait_as_long_as_it_does(site: Site) -> None:
    site.session(b"hello")
    assert site.look(20, longest=20) == 0
    assert site.look(EVERY, longest=20) == 1


@pytest.mark.usefixtures("no_threads")
def test_what_is_read_now_and_then_is_served(site: Site) -> None:
    """Also where there is something to read at each look."""
    mta, ours = site.session(b"hello")
    for number in range(20):
        assert site.look(EVERY) == 0
        ours.recv(100)
        mta.sendall(b"x" * (number % 3 + 1))
    assert not is_ended(mta)


@pytest.mark.usefixtures("no_threads")
def test_a_peer_that_does_not_read_keeps_its_own_thread(site: Site) -> None:
    """A thread waits until the reply can be written, and reads nothing meanwhile."""
    mta, ours = site.session(b"hello")
    ours.setblocking(False)
    mta.setblocking(False)
    with suppress(BlockingIOError):
        while ours.send(bytes(65536)):
            pass
    assert site.look(10 * TIMEOUT) == 0
    until = time.monotonic() + 20
    while connections._queued(ours.fileno(), termios.TIOCOUTQ) and time.monotonic() < until:
        with suppress(BlockingIOError):
            mta.recv(65536)
    assert site.look(TIMEOUT + EVERY) == 1


@pytest.mark.usefixtures("no_threads")
def test_a_peer_that_has_gone_is_not_served_either(site: Site) -> None:
    mta, _ = site.session(b"hello")
    site.session()[0].close()
    site.look()
    mta.close()  # begins no new time
    assert site.look(SHORT) == 2


@pytest.mark.usefixtures("no_threads")
def test_a_process_that_was_frozen_begins_anew(site: Site) -> None:
    mta, _ = site.session(b"hello")
    site.look()
    site.now += 10 * TIMEOUT
    assert site.look() == 0
    assert not is_ended(mta)


@pytest.mark.usefixtures("no_threads")
def test_other_sockets_of_the_process_are_not_looked_at(site: Site) -> None:
    """A question to the DNS whose answer is never read, the listening socket itself, a pipe."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns:
        dns.bind(("127.0.0.1", 0))
        dns.sendto(b"late", dns.getsockname())
        reading, writing = os.pipe()
        os.write(writing, b"x")
        waits = site.stack.enter_context(socket.socket(site.listener.family))
        waits.connect(site.listener.getsockname())
        assert site.look(10 * TIMEOUT) == 0
        os.close(reading)
        os.close(writing)


@pytest.mark.usefixtures("no_threads")
def test_without_a_descriptor_nothing_is_known(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.session(b"hello")

    def refuse(_: str) -> list[str]:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("os.listdir", refuse)
    assert site.look(10 * TIMEOUT) == 0
    assert connections.count(site.listener.getsockname()) == 1, "there may be some"


def test_connections_are_counted(site: Site) -> None:
    for _ in range(5):
        site.session()
    assert connections.count(site.listener.getsockname()) == 5


def test_threads_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_start_threads(3)
    monkeypatch.setattr(
        "threading.Thread.start", lambda _: (_ for _ in ()).throw(RuntimeError("can't start new thread"))
    )
    assert not can_start_threads(1)
