"""systemd's journal: recognise a standard stream that leads there, write entries, and send them.

Knows sd-daemon(3), systemd.journal-fields(7) and the native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/).
Does not know the events. Imports only the outlets, since the commands use it as well.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
from collections.abc import Mapping

from spfmilter.observe.sink import Datagrams

_SOCKET = "/run/systemd/journal/socket"
_NO_CHANGES = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def takes_stream(number: int) -> bool:
    """Return whether a standard stream of this process, 1 or 2, leads to the journal: systemd.exec(5), $JOURNAL_STREAM.

    The variable alone is not enough: children inherit it, even if their streams go elsewhere.
    """
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(number)
        return (status.st_dev, status.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False


def with_priority(text: str, priority: int) -> str:
    """Return lines for such a stream, each with its priority (sd-daemon(3)): 0, emergency, to 7, debug.

    Each line becomes an entry of its own. A line without a prefix would have the priority "info".
    """
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


def entry(fields: Mapping[str, str]) -> bytes:
    """Return an entry in the native protocol. The names of the fields are capital letters, digits and underscores."""
    return b"".join(_field(key.encode(), value.encode("utf-8", "replace")) for key, value in fields.items())


def _field(key: bytes, value: bytes) -> bytes:
    if b"\n" not in value:
        return key + b"=" + value + b"\n"
    return key + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"


class Entries(Datagrams):
    """Send each entry as a datagram, or as a sealed memory file if it is too long for a datagram."""

    def __init__(self) -> None:
        """Connect.

        Raises:
            OSError: there is no journal, or it cannot be reached.
        """
        super().__init__(_SOCKET)

    def write(self, data: bytes) -> int:
        """Send one entry at once.

        Raises:
            OSError: nothing was sent. EMSGSIZE: this entry can never be sent.
        """
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
        file = _memory_file(data)
        try:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))
            self._socket.sendmsg([b""], [rights])
        finally:
            os.close(file)
        return len(data)


def _memory_file(data: bytes) -> int:
    """Return a descriptor of a file in memory that holds the data and can no longer change (memfd_create(2)).

    Raises:
        OSError: with EMSGSIZE, if this process has no descriptor or memory for it.
    """
    try:
        file = os.memfd_create("spfmilter-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        raise OSError(errno.EMSGSIZE, error.strerror) from None
    try:
        with open(file, "wb", closefd=False) as writer:
            writer.write(data)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _NO_CHANGES)
    except OSError as error:
        os.close(file)
        raise OSError(errno.EMSGSIZE, error.strerror) from None
    return file
