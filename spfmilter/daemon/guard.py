"""Run the steps of a loop that must go on. A step that fails is logged, and the loop continues."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec

from spfmilter.observe import log

_SAY_EVERY = 60.0  # seconds between two lines about the same step
_P = ParamSpec("_P")


class Guard:
    """Guard the steps of one loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}  # by step: when its failure may be logged again

    def run(self, step: Callable[_P, object], /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Run one step, and catch everything that it raises."""
        try:
            step(*args, **kwargs)
        except Exception:  # noqa: BLE001 - a bug, or no memory: the loop goes on
            with suppress(Exception):
                self._say(step.__name__)

    def _say(self, step: str) -> None:
        now = self._clock()
        if now >= self._next.get(step, now):
            self._next[step] = now + _SAY_EVERY
            log.fault(f"supervisor: {step.strip('_')}", traceback.format_exc())
