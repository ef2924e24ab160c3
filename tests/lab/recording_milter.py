"""The smallest milter that Postfix will talk to: it answers what it is told to and keeps what it was asked.

It knows the milter protocol's framing, so that the lab's Postfix can be tried without libmilter and without spfmilter.
"""

import socketserver
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

CONTINUE = b"c"
_ANSWERED = frozenset(b"CHMRTLNBEU")  # the commands that await a reply; macros, abort and quit do not


class RecordingMilter:
    """A milter on a unix socket; `replies` maps a command letter ("M" for MAIL) to the reply packets to send."""

    def __init__(self, path: Path, replies: Mapping[str, list[bytes]] | None = None) -> None:
        """Bind at once; everyone may connect, as Postfix's smtpd does so as another user."""
        self.asked: list[tuple[str, list[str]]] = []
        self.macros: dict[str, dict[str, str]] = {}
        self._replies = replies or {}
        self._server = _Server(str(path), _Session)
        self._server.milter = self
        path.chmod(0o666)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def hear(self, command: str, payload: bytes) -> list[bytes]:
        """Keep one command; the packets that answer it."""
        if command == "O":  # SMFIC_OPTNEG: version 6, all modifications, no protocol step left out
            return [b"O" + struct.pack("!III", 6, 0x1FF, 0)]
        fields = [field.decode("utf-8", "surrogateescape") for field in payload.split(b"\0")]
        if command == "D":  # SMFIC_MACRO: for which command, then names and values
            self.macros.setdefault(fields[0][:1], {}).update(_pairs([fields[0][1:], *fields[1:]]))
            return []
        self.asked.append((command, fields))
        return self._replies.get(command, [CONTINUE]) if ord(command) in _ANSWERED else []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    milter: RecordingMilter


class _Session(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Read packets (length, command letter, payload) until the MTA hangs up."""
        with suppress(OSError):
            while len(head := self.rfile.read(4)) == 4:
                packet = self.rfile.read(struct.unpack("!I", head)[0])
                for reply in self.server.milter.hear(chr(packet[0]), packet[1:]):
                    self.wfile.write(struct.pack("!I", len(reply)) + reply)


def _pairs(fields: list[str]) -> dict[str, str]:
    return dict(zip(fields[0::2], fields[1::2], strict=False))
