"""A reload's beginning: the new settings, as far as they can be had while the daemon runs, and how often they are read.

Knows the INI file's problems and the old workers that still have sessions; starts and ends no process itself.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from spfmilter.daemon.child import Child
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import open_signer
from spfmilter.observe import log
from spfmilter.settings import Settings, SettingsError, load

MOST_OLD = 8  # generations that drain at the same time
_INTERVAL = 5.0  # seconds at least between two reloads while an old generation drains


class RefusedError(Exception):
    """The new settings cannot be used; the text says why, and each problem is in the log."""


def read(path: Path, old: Settings, *, counting: bool) -> Settings:
    """The settings in the file, with those of the old ones that only a restart can change.

    Args:
        path: the INI file.
        old: the settings in force.
        counting: whether there is a folder for metrics.

    Raises:
        RefusedError: the file, or the secrets for the help page's links, cannot be used.
    """
    with suppress(OSError):  # which load() reports
        if path.is_fifo():  # a read would wait until something is written to it
            raise RefusedError(f"{path} is a named pipe: the settings must be in a file")
    try:
        fresh = load(path)
        open_signer(fresh)
        return _with_what_stays(old, fresh, counting=counting)
    except SettingsError as error:
        for problem in error.problems:
            log.error("configuration problem", file=error.source, problem=str(problem))
        raise RefusedError(f"{len(error.problems)} problems in {error.source}") from None
    except SecretError as error:
        raise RefusedError(str(error)) from None
    except Exception:  # noqa: BLE001 - a bug, or no memory: the old settings are good
        log.fault("reload", traceback.format_exc())
        raise RefusedError("internal error") from None


def _with_what_stays(old: Settings, fresh: Settings, *, counting: bool) -> Settings:
    """The new settings with the socket that we have: to change it would mean to refuse connections."""
    keep = {name: getattr(old.milter, name) for name in ("socket", "socket_mode", "socket_group")}
    for name, value in keep.items():
        if getattr(fresh.milter, name) != value:
            log.warning("setting needs a restart", section="milter", key=name, keeps=str(value))
    if fresh.metrics.listen and not counting:
        log.warning("setting needs a restart", section="metrics", key="listen", keeps="(none)")
        fresh = replace(fresh, metrics=old.metrics)
    return replace(fresh, milter=fresh.milter.model_copy(update=keep))


class Pace:
    """When the next reload may begin (docs/decisions/0028-output.md).

    Sessions that stay open keep their generation alive, and each reload adds one. The first is done at once. While old
    ones drain, the next waits for some seconds after the last, and for the oldest where there are too many. What is
    read in the end are the newest settings.
    """

    def __init__(self) -> None:
        self._last = float("-inf")
        self._waits = False

    def allows(self, old: Sequence[Child], now: float) -> bool:
        """Whether a reload may begin, given the workers of all generations that drain; hurries the oldest if not."""
        draining = sorted({child.generation for child in old})
        if not draining or (len(draining) < MOST_OLD and now >= self._last + _INTERVAL):
            self._last, self._waits = now, False
            return True
        if len(draining) >= MOST_OLD:
            for child in old:
                if child.generation <= draining[-MOST_OLD]:
                    child.hurry()
        if not self._waits:
            self._waits = True
            log.info("reload waiting", draining=len(draining))
        return False
