"""A way into a private Postfix on which every connection counts as that of one client, with an address of our choice.

It is for programs that cannot say XCLIENT themselves, such as another Postfix. It knows that each connection begins
with it, and passes on what is said then, both ways, unread.
"""

import selectors
import socket
import socketserver
import threading
from types import TracebackType
from typing import Self

from lab.smtp import SmtpDialogue

_CHUNK = 65536


class Passage:
    """A port of loopback that leads to `port`, where Postfix then sees a client with these attributes of XCLIENT."""

    def __init__(self, port: int, **client: str) -> None:
        """Bind it; connections are taken from start() on."""

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with SmtpDialogue("127.0.0.1", port) as smtp:
                    greeting = smtp.xclient(**client)
                    self.request.sendall(f"{greeting}\r\n".encode())
                    if greeting.code == 220:
                        _pass_on(self.request, smtp.connection)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self._server.daemon_threads = True  # a connection that is still open does not outlive us
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        """Where it is entered."""
        return int(self._server.server_address[1])

    def start(self) -> Self:
        """Take connections."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Take none any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Bytes from each to the other, until one of them has no more."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, (one, other))
        selector.register(other, selectors.EVENT_READ, (other, one))
        while True:
            for key, _ in selector.select():
                source, target = key.data
                if not (data := source.recv(_CHUNK)):
                    return
                target.sendall(data)
