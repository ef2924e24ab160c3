"""The handshake with a socket: what answers, how fast, and within which time."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from lab.processes import patience
from spfmilter.health.handshake import Place, SilentError, shake

pytestmark = pytest.mark.outside
ANSWER = (13).to_bytes(4, "big") + b"O" + (6).to_bytes(4, "big") + bytes(8)


@contextmanager
def serving(path: Path, talk: Callable[[socket.socket], object]) -> Iterator[Place]:
    """A server at a unix socket, with one connection."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            talk(connection)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield Place("unix", path=path)
        thread.join()


def test_a_milter(tmp_path: Path) -> None:
    said = bytearray()

    def milter(connection: socket.socket) -> None:
        said.extend(connection.recv(17))
        connection.sendall(ANSWER[:7])
        connection.sendall(ANSWER[7:])
        said.extend(connection.recv(100))

    with serving(tmp_path / "m.sock", milter) as place:
        shaken = shake(place, 10)
    assert (shaken.version, shaken.pid) == (6, os.getpid())
    assert 0 < shaken.seconds < 10
    assert said[4:5] == b"O"
    assert said[17:] == b"\0\0\0\1Q", "it takes its leave"


def test_an_end_right_after_the_answer_is_an_answer(tmp_path: Path) -> None:
    def milter(connection: socket.socket) -> None:
        connection.recv(17)
        connection.sendall(ANSWER)

    with serving(tmp_path / "m.sock", milter) as place:
        assert shake(place, 10).version == 6


def test_a_server_that_says_one_byte_now_and_then(tmp_path: Path) -> None:
    """Each byte comes within the time; all of them together do not."""
    end = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall((4000).to_bytes(4, "big") + b"O")
        with suppress(BrokenPipeError, ConnectionResetError):  # the other side has given up
            while not end.wait(0.05):
                connection.sendall(b"x")

    with serving(tmp_path / "m.sock", trickle) as place:
        began = time.monotonic()
        with pytest.raises(SilentError, match=r"no answer within 0\.3 s"):
            shake(place, 0.3)
        assert time.monotonic() - began < 1 * patience()
        end.set()


def test_a_server_that_takes_no_connection(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(tmp_path / "m.sock"))
        listener.listen(0)
        first.connect(str(tmp_path / "m.sock"))
        with pytest.raises(SilentError, match="its queue of connections is full"):
            shake(Place("unix", path=tmp_path / "m.sock"), 1)
