"""The way from the help page to the daemon of its host: one token, and one word in answer, over a unix socket.

The socket is in ``[state] folder``, which the page's user may enter. Who may write to it can have signed cases
evaluated again, and nothing else. Knows no token's content.
"""

from __future__ import annotations

import os
import socket
from contextlib import closing, suppress
from pathlib import Path

from spfmilter.refresh.limits import RefreshOutcome

FILE = "page.sock"  # in [state] folder
MAX_TOKEN = 2048  # bytes: more than any token has
_MODE = 0o660
_BACKLOG = 64
_ANSWER = 4.0  # seconds that the page waits: the visitor does so, too
_QUESTION = 1.0  # seconds that the daemon waits for a token

Connection = socket.socket


def ask(folder: str, token: str) -> RefreshOutcome | None:
    """Hand a token to the daemon. Return what became of it; None: no daemon answers in time."""
    if not folder:
        return None
    with suppress(OSError, ValueError), closing(_socket()) as connection:
        connection.settimeout(_ANSWER)
        connection.connect(str(Path(folder) / FILE))
        connection.send(token.encode())
        return RefreshOutcome(connection.recv(MAX_TOKEN).decode())
    return None


class Listener:
    """The daemon's end."""

    def __init__(self, folder: str) -> None:
        """Listen. The socket takes the place of one that an earlier process has left.

        Raises:
            OSError: the folder takes no socket.
        """
        path = Path(folder) / FILE
        temporary = path.with_name(f".{FILE}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        self._socket = _socket()
        try:
            self._socket.bind(str(temporary))
            temporary.chmod(_MODE)  # its group is that of the folder, whose set-group-ID bit says so
            self._socket.listen(_BACKLOG)
            temporary.rename(path)
        except OSError:
            self.close()
            temporary.unlink(missing_ok=True)
            raise

    def accept(self, seconds: float) -> Connection | None:
        """Return the next connection; None: there was none in that time.

        Raises:
            OSError: the system refuses it.
        """
        self._socket.settimeout(seconds)
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return None
        connection.settimeout(_QUESTION)
        return connection

    def close(self) -> None:
        """Stop listening. The file stays: another process may have made it by now."""
        self._socket.close()


def question(connection: Connection) -> str:
    """Return the token that the page has sent, which is untrusted input; empty: none, or no text."""
    with suppress(OSError, UnicodeDecodeError):
        return connection.recv(MAX_TOKEN).decode("ascii")
    return ""


def answer(connection: Connection, outcome: RefreshOutcome) -> None:
    """Tell the page what has become of its token, if it still listens, and close the connection."""
    with closing(connection), suppress(OSError):
        connection.send(outcome.encode())


def _socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
