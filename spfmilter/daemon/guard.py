"""Runs the steps of a loop that must go on: a step that fails costs that step, and a line in the log."""

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
    """For one loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}  # by step: when it may be said again that it failed

    def run(self, step: Callable[_P, object], /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Run one step; whatever it raises ends here."""
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
