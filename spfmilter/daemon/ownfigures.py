"""What a worker reports about itself: sessions, memory, caches, and whether the nameservers answer it."""

from __future__ import annotations

import os

from spfmilter.daemon.snapshot import Figures
from spfmilter.evaluation.engine import Engine
from spfmilter.milter.callbacks import Callbacks

_PAGE = os.sysconf("SC_PAGE_SIZE")


class OwnFigures:
    """The figures of this process. Open what they need early: once descriptors have run out, it is too late."""

    def __init__(self, engine: Engine, callbacks: Callbacks) -> None:
        self._engine, self._callbacks = engine, callbacks
        self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def now(self) -> Figures:
        """Return the present figures."""
        engine = self._engine
        answers, verdicts = engine.answers.counters, engine.verdicts.counters
        since = engine.resolver.silence.since
        return Figures(
            pid=os.getpid(),
            sessions=len(self._callbacks.sessions),
            memory=self._resident(),
            silence=0.0 if since is None else max(0.0, engine.clock() - since),
            errors=engine.resolver.errors.seconds(engine.clock()),
            answers=len(engine.answers),
            answer_hits=answers.hits,
            answer_misses=answers.misses,
            verdicts=len(engine.verdicts),
            verdict_hits=verdicts.hits,
            verdict_misses=verdicts.misses,
        )

    def _resident(self) -> int:
        """Return the resident memory in bytes (proc(5))."""
        return int(os.pread(self._statm, 256, 0).split()[1]) * _PAGE
