"""A proxy to a private Postfix that gives every connection the client address of our choice, with XCLIENT.

It is for programs that cannot say XCLIENT themselves, such as another Postfix. It begins each connection with XCLIENT,
and then copies the bytes both ways, unread.
"""

import selectors
import socket
import socketserver

from lab.server import ThreadServer
from lab.smtp import SmtpDialogue

_CHUNK = 65536


class Passage(ThreadServer):
    """A loopback port that leads to `port`. Postfix there sees a client with these attributes of XCLIENT."""

    def __init__(self, port: int, **client: str) -> None:
        """Bind the port. `with` begins to accept connections."""

        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with SmtpDialogue("127.0.0.1", port) as smtp:
                    greeting = smtp.xclient(**client)
                    self.request.sendall(f"{greeting}\r\n".encode())
                    if greeting.code == 220:
                        _pass_on(self.request, smtp.connection)

        super().__init__(Connection)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes in both directions, until one side ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, (one, other))
        selector.register(other, selectors.EVENT_READ, (other, one))
        while True:
            for key, _ in selector.select():
                source, target = key.data
                if not (data := source.recv(_CHUNK)):
                    return
                target.sendall(data)
