"""A state server that is broken or hostile: it cannot let deferred mail through, and costs bounded time and memory."""

import itertools
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import ExitStack, contextmanager, suppress

import pytest
import redis as library

from lab.redis import Redis, unavailable
from spfmilter.settings.urls import state_url
from spfmilter.state import server
from spfmilter.state.server import _CONNECTIONS, PREFIX, OnAServer
from spfmilter.state.table import OnThisHost, Table

pytestmark = pytest.mark.outside

DAY = 86400.0
NOW = 1_764_000_000.25
FIRST = NOW - 3600
AWAY = "state server not responding, using local memory"
OVERWRITTEN = "state server value invalid, overwritten"
MAX_ANSWER = 8 << 20  # bytes: an answer of megabytes is seen, the library's own objects are not

needs_redis = pytest.mark.skipif(bool(unavailable()), reason=unavailable() or "available")


@pytest.fixture
def host() -> Iterator[Callable[[str], OnAServer]]:
    with ExitStack() as stack:

        def make(url: str) -> OnAServer:
            table, meant = Table(), state_url(url)
            stack.callback(table.close)
            assert meant is not None
            made = OnAServer(meant, OnThisHost(table, DAY), DAY)
            stack.callback(made._threads.shutdown)
            return made

        yield make


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared() -> Iterator[Redis]:
    with Redis() as running:
        yield running


WRONG = {
    "zero": "0",
    "minus one": "-1",
    "minus zero": "-0.0",
    "far ago": str(NOW - DAY - 60),
    "tomorrow": str(NOW + DAY),
    "infinite": "inf",
    "minus infinite": "-inf",
    "overflow": "1e999",
    "exponent": "1.7e9",
    "no number": "nan",
    "hexadecimal": "0x6923dd00",
    "grouped": "1_764_000_000",
    "blanks": " 1764000000 ",
    "words": "nonsense",
    "nothing": "",
    "zero octets": b"\0" * 16,
    "other digits": "\u0661\u0667\u0666\u0664\u0660\u0660\u0660\u0660\u0660\u0660",
    "too many digits": "1764000000." + "0" * 100,
    "digits without end": "9" * 5000,
}


@needs_redis
@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_a_value_that_can_be_no_time_is_not_known_and_is_overwritten(
    shared: Redis, host, monkeypatch, caplog, value: str | bytes
) -> None:
    """A time of 0 would be far beyond every bound: all deferred mail would be accepted."""
    monkeypatch.setattr(server, "TIMEOUT", 20.0)
    one = host(f"redis://127.0.0.1:{shared.port}")
    with library.Redis(port=shared.port) as memory:
        memory.set(f"{PREFIX}wrong", value)
        assert one.since("wrong", NOW) == NOW
        assert memory.get(f"{PREFIX}wrong") == repr(NOW).encode()
        assert DAY - 60 < memory.ttl(f"{PREFIX}wrong") <= DAY
    assert one.since("wrong", NOW + 60) == NOW
    assert said(caplog) == [OVERWRITTEN]


@needs_redis
def test_so_is_a_key_of_another_type(shared: Redis, host, monkeypatch, caplog) -> None:
    monkeypatch.setattr(server, "TIMEOUT", 20.0)
    with library.Redis(port=shared.port) as memory:
        memory.delete(f"{PREFIX}list")
        memory.rpush(f"{PREFIX}list", "a", "b")
        assert host(f"redis://127.0.0.1:{shared.port}").since("list", NOW) == NOW
        assert memory.get(f"{PREFIX}list") == repr(NOW).encode()
    assert said(caplog) == [OVERWRITTEN]


@needs_redis
@pytest.mark.parametrize("value", [FIRST, NOW - DAY + 60, NOW, NOW + 30, int(FIRST)])
def test_a_time_that_can_be_right_is_believed(shared: Redis, host, monkeypatch, caplog, value: float) -> None:
    """Another host's clock may be half a minute ahead; the earlier time counts."""
    monkeypatch.setattr(server, "TIMEOUT", 20.0)
    with library.Redis(port=shared.port) as memory:
        memory.set(f"{PREFIX}right", value)
        assert host(f"redis://127.0.0.1:{shared.port}").since("right", NOW) == min(value, NOW)
        assert float(memory.get(f"{PREFIX}right")) == value
    assert caplog.records == []


@needs_redis
def test_of_a_huge_value_only_the_beginning_is_read(shared: Redis, host, monkeypatch) -> None:
    monkeypatch.setattr(server, "TIMEOUT", 20.0)
    with library.Redis(port=shared.port) as memory:
        memory.setrange(f"{PREFIX}huge", 64 << 20, b"x")
        with measured() as peak:
            assert host(f"redis://127.0.0.1:{shared.port}").since("huge", NOW) == NOW
            assert peak() < MAX_ANSWER


# -- the protocol ------------------------------------------------------------------------------------------------------


@contextmanager
def measured() -> Iterator[Callable[[], int]]:
    """Gives the most bytes that Python's objects have taken since."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield lambda: tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


FLOOD = 96 << 20  # bytes, after which a test ends that would go on
PIECE = b"x" * 65536
GREETING = b"+OK\r\n" * 8  # for the handshake: more of it than any version of the library asks for


def flood(start: bytes) -> Callable[[socket.socket], None]:
    def talk(client: socket.socket) -> None:
        client.sendall(start)
        for _ in range(FLOOD // len(PIECE)):
            client.sendall(PIECE)

    return talk


def drip(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def talk(client: socket.socket) -> None:
        client.sendall(start)
        ended = threading.Event()
        for _ in itertools.repeat(None, 600):
            ended.wait(0.1)
            client.sendall(piece)

    return talk


def say(text: bytes) -> Callable[[socket.socket], None]:
    def talk(client: socket.socket) -> None:
        for _ in range(6):
            client.sendall(text)
            client.recv(4096)

    return talk


TALKS = {
    "a line without end": flood(b"+"),
    "an error without end": flood(b"-ERR "),
    "a number without end": flood(b":9"),
    "a text of 10 GB": flood(b"$10000000000\r\n"),
    "a list of 10 thousand million": flood(b"*10000000000\r\n+"),
    "a good greeting, then a flood": flood(GREETING + b"$10000000000\r\n"),
    "slow octets": drip(b"+", b"x"),
    "a slow text": drip(GREETING + b"$100000\r\n", b"1"),
    "slow lists": drip(b"", b"*1\r\n"),
    "lists in lists": say(b"*1\r\n" * 4000),
    "lists in lists, nearly": say(b"*2\r\n" * 1500),
    "a number of 5000 digits": say(b":" + b"9" * 5000 + b"\r\n"),
    "a number of 900 digits": say(b":" + b"9" * 900 + b"\r\n"),
    "a text of negative length": say(b"$-7\r\nabc\r\n"),
    "a text of no length": say(b"$\xff\r\nabc\r\n"),
    "nothing at all": say(b"$-1\r\n"),
    "an empty line": say(b"\r\n"),
    "octets": say(bytes(range(256))),
    "another protocol": say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "moved": say(b"-MOVED 1 192.0.2.1:6379\r\n"),
    "many answers at once": say(GREETING * 3 + b"$12\r\n1764000000.0\r\n" * 40),
    "its end": lambda _: None,
    "silence": say(b""),
}


@contextmanager
def hostile(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on loopback; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as clients:

        def one(client: socket.socket) -> None:
            with client, suppress(OSError):
                talk(client)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    client.settimeout(30)
                    clients.callback(client.close)
                    threading.Thread(target=one, args=(client,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
def test_for_any_answer_of_the_server_the_hosts_own_memory_is_used(host, caplog, talk) -> None:
    """The first time of the host itself is the answer, and no thread and no memory is left with the server."""
    with hostile(talk) as port:
        one = host(f"redis://:secret@127.0.0.1:{port}/3")
        with measured() as peak:
            assert one._host.since("a", FIRST) == FIRST
            for _ in range(_CONNECTIONS + 1):
                one._next = 0.0  # it is due again
                assert one.since("a", NOW) == FIRST
            # All threads are free again, long before the server has ended.
            meet = threading.Barrier(_CONNECTIONS)
            busy = [one._threads.submit(meet.wait, 30) for _ in range(_CONNECTIONS)]
            assert not wait(busy, 30).not_done
            assert peak() < MAX_ANSWER
    assert set(said(caplog)) <= {AWAY, OVERWRITTEN}
    assert all(len(str(record.fields)) < 1000 for record in caplog.records)
