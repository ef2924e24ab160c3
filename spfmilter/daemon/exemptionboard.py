"""The exemptions in force, in memory that one process writes and all workers read (docs/decisions/0056-exemptions.md).

The storage process writes a list into the half that is not in use, and then its place into the head. A worker looks at
the head once a second, and reads the list if it is another one. Neither waits for the other. Does not know where the
exemptions are kept.
"""

from __future__ import annotations

import os
import struct
import traceback
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b

from spfmilter.exemptions.inforce import NO_EXEMPTIONS, Exemptions, unpack
from spfmilter.observe import log

_DIGEST = 16  # bytes
_HEAD = struct.Struct(f"=QQQI{_DIGEST}s")  # version, place of the list, its length, its number, its digest
_STATE_AT = 256  # bytes
_REASON = 300  # bytes
_STATE = struct.Struct(f"=dQ{_REASON}s")
_HALVES = (1 << 16, 1 << 28)  # where a list may begin; what is not written takes no memory
_MOST = _HALVES[1] - _HALVES[0]  # bytes of a list
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardState:
    """What the storage process reports of the store."""

    number: int  # of exemptions in force
    looked: float  # when the store last answered, on the monotonic clock; 0.0: not yet
    errors: int  # questions that failed, since the start of the daemon
    reason: str  # why the last one failed; empty: it did not


class ExemptionBoard:
    """The memory. Make this before forking the processes that share it."""

    def __init__(self) -> None:
        self._file: int | None = None  # None if the system refuses one: mail is answered without it, too
        try:
            # Not mapped into memory: if memory runs out, a write fails, but the process is not killed.
            self._file = os.memfd_create("spfmilter-exemptions", os.MFD_CLOEXEC)
        except OSError as error:
            reason, fix = error.strerror or str(error), "raise the limits of the process (ulimit -a), and restart"
            log.error("temporary exemptions unavailable", reason=reason, fix=fix)

    # -- one process writes ------------------------------------------------------------------------------------------

    def publish(self, data: bytes, number: int) -> None:
        """Put a list in force: what ``pack`` has made of so many exemptions.

        Raises:
            OSError: there is no memory for it; the former list stays.
        """
        if self._file is None or len(data) > _MOST:
            raise OSError("there is no room for the list")
        version, place, *_ = self._head()
        free = _HALVES[1] if place == _HALVES[0] else _HALVES[0]
        _write(self._file, data, free)
        digest = blake2b(data, digest_size=_DIGEST).digest()
        _write(self._file, _HEAD.pack(version + 1, free, len(data), number, digest), 0)

    def note(self, *, looked: float, errors: int, reason: str) -> None:
        """Store how the store stands: see ``BoardState``."""
        if self._file is not None:
            with suppress(OSError):
                _write(self._file, _STATE.pack(looked, errors, reason.encode("utf-8", "replace")[:_REASON]), _STATE_AT)

    # -- all processes read ------------------------------------------------------------------------------------------

    def state(self) -> BoardState:
        """Return how the store stands."""
        number = self._head()[3]
        data = self._read(_STATE.size, _STATE_AT)
        if len(data) < _STATE.size:
            return BoardState(number=number, looked=0.0, errors=0, reason="")
        looked, errors, reason = _STATE.unpack(data)
        text = reason.rstrip(b"\0").decode("utf-8", "replace")
        return BoardState(number=number, looked=looked, errors=errors, reason=text)

    def version(self) -> int:
        """Return the number of the list; 0: there has been none."""
        return self._head()[0]

    def read(self) -> tuple[int, bytes] | None:
        """Return the list with its version; None: there is none, or it is being replaced now."""
        for _ in range(_ATTEMPTS):
            version, place, length, _, digest = self._head()
            if not version:
                return None
            data = self._read(length, place)
            if blake2b(data, digest_size=_DIGEST).digest() == digest:
                return version, data
        return None

    def _head(self) -> tuple[int, int, int, int, bytes]:
        data = self._read(_HEAD.size, 0)
        if len(data) < _HEAD.size:
            return 0, 0, 0, 0, b""
        version, place, length, number, digest = _HEAD.unpack(data)
        return version, place, length, number, digest

    def _read(self, length: int, place: int) -> bytes:
        """Return the bytes at a place; fewer where no more have been written, or where the system refuses them."""
        if self._file is not None:
            with suppress(OSError):
                return os.pread(self._file, length, place)
        return b""


def _write(file: int, data: bytes, place: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, place)
        view, place = view[written:], place + written


class ExemptionReader:
    """The exemptions of one worker: always those of the last list that it has read."""

    def __init__(self, board: ExemptionBoard) -> None:
        self._board = board
        self._version = 0
        self._current = NO_EXEMPTIONS
        self.refresh()

    def current(self) -> Exemptions:
        """Return the exemptions. Cheap: called for messages."""
        return self._current

    def refresh(self) -> None:
        """Read the list if it is another one. Call this once a second, beside the messages."""
        if self._board.version() != self._version and (found := self._board.read()) is not None:
            self._version, data = found
            try:
                self._current = unpack(data)
            except Exception:  # noqa: BLE001 - a bug, or no memory: mail goes on with the former list
                log.fault("exemptions", traceback.format_exc())
