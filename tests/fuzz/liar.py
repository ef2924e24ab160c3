"""A state server that answers what a Redis may not: wrong types, impossible times, half a reply, nothing."""

import random
import socket
import threading
from contextlib import suppress
from typing import Self

_REPLIES = (
    b"+OK\r\n", b"$-1\r\n", b"$3\r\nnan\r\n", b"$3\r\ninf\r\n", b"$1\r\n0\r\n", b"$2\r\n-1\r\n", b"$5\r\n1e308\r\n",
    b":7\r\n", b"-ERR %s\r\n", b"*2\r\n+OK\r\n$1\r\nx\r\n", b"*-1\r\n", b"$999999999\r\nx", b"$-5\r\n", b"x", b"",
    b"\xff\xfe\r\n", b"$4\r\n\xff\xfe\xfd\xfc\r\n", b"*100000000\r\n", b"$3\r\n1_0\r\n", b"_\r\n", b",1.5\r\n",
)  # fmt: skip


class LyingState:
    """Listens on a free port of 127.0.0.1; the replies are drawn by a seed."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), as close() does not
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._lie, args=(connection,), daemon=True).start()

    def _lie(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65536):
                if self._random.random() < 0.1:
                    return
                connection.sendall(b"".join(self._random.choices(_REPLIES, k=self._random.randrange(1, 4))))
