"""Fresh answers on their way from the storage process to the workers, which forget what is outdated.

Knows for how long the answers count, and how many there are at most. A worker looks once a second, beside its messages.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence

from spfmilter.daemon.board import Board
from spfmilter.evaluation.engine import Engine
from spfmilter.evaluation.fresh import Fresh, forget_outdated, pack, unpack
from spfmilter.observe import log

_MAX_QUESTIONS = 2000  # of all evaluations: a look at as many takes a worker some milliseconds


class RefreshBoard(Board):
    """The memory."""

    def __init__(self) -> None:
        super().__init__("spfmilter-refreshed")
        self._fresh: deque[Fresh] = deque()  # in the process that writes

    def add(self, fresh: Fresh, now: float) -> None:
        """Let all workers forget what differs from these answers. The oldest ones make room.

        Raises:
            OSError: there is no memory for them.
        """
        self._fresh.append(fresh)
        while self._fresh[0].until <= now or sum(len(one.digests) for one in self._fresh) > _MAX_QUESTIONS:
            self._fresh.popleft()
        self.publish(pack(list(self._fresh)), len(self._fresh))


class RefreshReader:
    """Keeps the caches of one worker free of what is outdated."""

    def __init__(self, board: RefreshBoard, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._board, self._engine, self._clock = board, engine, clock
        self._version = board.version()  # a new worker remembers nothing that could be outdated
        self._fresh: Sequence[Fresh] = ()

    def look(self) -> None:
        """Forget what is outdated. Call this once a second.

        Repeated for as long as answers count: an evaluation that began before them may put its verdict into the cache
        after them.
        """
        try:
            if self._board.version() != self._version and (found := self._board.read()) is not None:
                self._version, self._fresh = found[0], unpack(found[1])
            if self._fresh:
                now = self._clock()
                self._fresh = [one for one in self._fresh if one.until > now]
                forget_outdated(self._engine, self._fresh)
        except Exception:  # noqa: BLE001 - a bug, or no memory: mail goes on, and answers end by their TTL
            self._fresh = ()
            log.fault("refresh", traceback.format_exc())
