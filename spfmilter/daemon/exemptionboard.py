"""The exemptions in force, in memory that the storage process writes and all workers read.

A worker looks once a second, beside its messages (docs/decisions/0056-exemptions.md). Does not know where the
exemptions are kept.
"""

from __future__ import annotations

import struct
import traceback
from contextlib import suppress
from dataclasses import dataclass

from spfmilter.daemon.board import Board
from spfmilter.exemptions.inforce import NO_EXEMPTIONS, Exemptions, unpack
from spfmilter.observe import log

_STATE_AT = 256  # bytes
_REASON = 300  # bytes
_STATE = struct.Struct(f"=dQ{_REASON}s")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardState:
    """What the storage process reports of the store."""

    number: int  # of exemptions in force
    looked: float  # when the store last answered, on the monotonic clock; 0.0: not yet
    errors: int  # questions that failed, since the start of the daemon
    reason: str  # why the last one failed; empty: it did not


class ExemptionBoard(Board):
    """The memory: what ``pack`` has made of the exemptions, and how their store stands."""

    def __init__(self) -> None:
        super().__init__("spfmilter-exemptions")
        if self.refused:
            fix = "raise the limits of the process (ulimit -a), and restart"
            log.error("temporary exemptions unavailable", reason=self.refused, fix=fix)

    def note(self, *, looked: float, errors: int, reason: str) -> None:
        """Store how the store stands: see ``BoardState``."""
        with suppress(OSError):
            self._write(_STATE.pack(looked, errors, reason.encode("utf-8", "replace")[:_REASON]), _STATE_AT)

    def state(self) -> BoardState:
        """Return how the store stands."""
        number = self.number()
        data = self._read(_STATE.size, _STATE_AT)
        if len(data) < _STATE.size:
            return BoardState(number=number, looked=0.0, errors=0, reason="")
        looked, errors, reason = _STATE.unpack(data)
        text = reason.rstrip(b"\0").decode("utf-8", "replace")
        return BoardState(number=number, looked=looked, errors=errors, reason=text)


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
