"""Milter packets over a blocking socket.

It knows lengths, time limits and addresses. It does not know the content of a packet.
"""

import select
import socket
import struct

from lab.milterwire import MilterError

_PACKET_LIMIT = 16 << 20  # a larger length means that the stream is out of step


class MilterSocket:
    """A connection that buffers packets until `flush()` or until the next read."""

    def __init__(self, address: str, *, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._outgoing: list[bytes] = []
        self._socket = _dial(address, timeout)
        self._incoming = self._socket.makefile("rb")

    @property
    def local(self) -> str:
        """Return this side's address, "HOST:PORT"; empty on a unix socket."""
        name = self._socket.getsockname()
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""

    def close(self) -> None:
        """Close the connection. Bytes that were not flushed are lost."""
        self._incoming.close()
        self._socket.close()

    def put(self, *data: bytes) -> None:
        """Buffer these bytes, after those that already wait."""
        self._outgoing += data

    def flush(self) -> None:
        """Send the buffered bytes."""
        if not self._outgoing:
            return
        data, self._outgoing = b"".join(self._outgoing), []
        try:
            self._socket.sendall(data)
        except OSError as error:
            msg = f"{self._address}: {error} while sending {len(data)} octets"
            raise MilterError(msg) from error

    def has_answer(self, seconds: float) -> bool:
        """Return whether there is something to read, waiting so many seconds at most."""
        self.flush()
        return bool(select.select([self._socket], [], [], seconds)[0])

    def packet(self, awaited: str) -> tuple[bytes, bytes]:
        """Return the next packet as (command, data). If none comes, the error says what was awaited."""
        self.flush()
        (length,) = struct.unpack(">I", self._read(4, awaited))
        if not 1 <= length <= _PACKET_LIMIT:
            msg = f"{self._address}: {length} as the length of a packet while waiting for {awaited}"
            raise MilterError(msg)
        content = self._read(length, awaited)
        return content[:1], content[1:]

    def _read(self, size: int, awaited: str) -> bytes:
        try:
            data = self._incoming.read(size)
        except TimeoutError:
            msg = f"{self._address}: no answer within {self._timeout:g} s while waiting for {awaited}"
            raise MilterError(msg) from None
        except OSError as error:
            msg = f"{self._address}: {error} while waiting for {awaited}"
            raise MilterError(msg) from error
        if len(data) < size:
            msg = f"{self._address}: closed by the filter while waiting for {awaited}"
            raise MilterError(msg)
        return data


def _dial(address: str, timeout: float) -> socket.socket:
    """Return a connected socket for an address in Sendmail's notation (`inet:PORT@HOST`, `inet6:...`, `unix:PATH`)."""
    kind, _, rest = address.partition(":")
    port, _, host = rest.partition("@")
    target: str | tuple[str, int]
    if kind == "unix" and rest:
        family, target = socket.AF_UNIX, rest
    elif kind in {"inet", "inet6"} and port.isdecimal() and host:
        family = socket.AF_INET6 if kind == "inet6" else socket.AF_INET
        target = (host.strip("[]"), int(port))
    else:
        msg = f"{address!r} is neither inet:PORT@HOST nor inet6:PORT@HOST nor unix:PATH"
        raise ValueError(msg)
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(target)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        sock.close()
        msg = f"{address}: {error}"
        raise MilterError(msg) from error
    return sock
