"""A unix datagram socket that keeps the received datagrams, such as the receiver of sd_notify(3) or syslog(3).

It knows datagrams of text. It does not know what they mean.
"""

import socket
import threading
from pathlib import Path

_GOODBYE = b"\0"  # both protocols send text only


class Datagrams:
    """The socket. A thread reads it, so a full buffer never blocks the sender."""

    def __init__(self, path: Path) -> None:
        """Bind the path. Any user may send to it, since a sender may have given up root."""
        self.path = path
        self._received: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def received(self) -> list[str]:
        """Return the datagrams so far, in order. Works after close(), too."""
        return list(self._received)

    def close(self) -> None:
        """End the thread. A second call is harmless."""
        if self._thread.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
                own.sendto(_GOODBYE, str(self.path))
            self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while (datagram := self._socket.recv(65536)) != _GOODBYE:
            self._received.append(datagram.decode("utf-8", "replace"))
