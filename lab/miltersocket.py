"""Milter packets over a blocking socket.

It knows lengths, time limits and addresses, and nothing of what is in a packet.
"""

import socket
import struct

from lab.milterwire import MilterError

_PACKET_LIMIT = 16 << 20  # a length beyond this is no length, but bytes out of step


class MilterSocket:
    """A connection that gathers what is to be sent until `flush()` or until something is to be read."""

    def __init__(self, address: str, *, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._outgoing: list[bytes] = []
        self._socket = _dial(address, timeout)
        self._incoming = self._socket.makefile("rb")

    @property
    def local(self) -> str:
        """This side's address, "HOST:PORT"; empty on a unix socket."""
        name = self._socket.getsockname()
        return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else ""

    def close(self) -> None:
        """Close the connection; what was put and not flushed is lost."""
        self._incoming.close()
        self._socket.close()

    def put(self, *data: bytes) -> None:
        """Have these bytes sent, behind what waits already."""
        self._outgoing += data

    def flush(self) -> None:
        """Send what waits."""
        if not self._outgoing:
            return
        data, self._outgoing = b"".join(self._outgoing), []
        try:
            self._socket.sendall(data)
        except OSError as error:
            msg = f"{self._address}: {error} while sending {len(data)} octets"
            raise MilterError(msg) from error

    def packet(self, awaited: str) -> tuple[bytes, bytes]:
        """The next packet as (command, data); what is awaited is named in the error when none comes."""
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
    """A connected socket, from an address in Sendmail's notation (`inet:PORT@HOST`, `inet6:...`, `unix:PATH`)."""
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
