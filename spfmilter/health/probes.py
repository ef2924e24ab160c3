"""The probes: one function for each part or two, all asked at the same time, within a time limit for all together.

To add a part, write a function that yields it, and add a line to ``PROBES`` and its name to ``parts.NAMES``. A part
that a daemon does not have is not yielded. What a probe asks must end by ``Known.deadline``. A probe that does not is
left behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from spfmilter.health import configuration, exemptions, journal, servers, service, workers
from spfmilter.health.known import Asked, Known, gather, wait_for
from spfmilter.health.parts import Level, Part

# Of the time for all: when the files must have been read, when the probes have to end, and when they are left behind.
_FILES, _PROBES, _ALL = 0.4, 0.85, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class PartProbe:
    """What finds out about parts."""

    parts: tuple[str, ...]  # that it may yield
    look: Callable[[Known], Iterator[Part]]
    late: Level = Level.WARNING  # if it does not end in time


PROBES = (
    PartProbe(parts=("socket", "daemon"), look=service.service, late=Level.CRITICAL),
    PartProbe(parts=("workers",), look=workers.workers),
    PartProbe(parts=("configuration",), look=configuration.configuration),
    PartProbe(parts=("resolver",), look=servers.resolver, late=Level.CRITICAL),
    PartProbe(parts=("caches",), look=workers.caches),
    PartProbe(parts=("state",), look=servers.state),
    PartProbe(parts=("storage",), look=workers.storage),
    PartProbe(parts=("exemptions",), look=exemptions.exemptions),
    PartProbe(parts=("journal",), look=journal.journal),
    PartProbe(parts=("page",), look=servers.page),
    PartProbe(parts=("metrics",), look=servers.metrics),
    PartProbe(parts=("versions",), look=configuration.versions),
)


def look(path: Path, names: Collection[str], timeout: float) -> list[Part]:
    """Return the parts of these names, as far as the daemon has them, in the order of ``PROBES``.

    Args:
        path: of the INI file.
        names: of the parts that are wanted.
        timeout: seconds for all together.
    """
    began = time.monotonic()
    known = gather(path, began + _FILES * timeout, began + _PROBES * timeout)
    return ask(known, names, began + _ALL * timeout, PROBES)


def ask(known: Known, names: Collection[str], until: float, probes: Collection[PartProbe]) -> list[Part]:
    """Return the parts of these names. Leave probes behind that do not end by ``until``, on the monotonic clock."""
    wanted = [probe for probe in probes if any(name in names for name in probe.parts)]
    asked = [Asked(lambda probe=probe: list(probe.look(known)), _late(probe)) for probe in wanted]  # type: ignore[misc]
    wait_for(asked, until)
    parts = []
    for probe, answer in zip(wanted, asked, strict=True):
        found = _failed(probe, answer.failure) if answer.failure is not None else answer.value
        parts += [part for part in found if part.name in names]
    return parts


def _late(probe: PartProbe) -> list[Part]:
    return [Part(name=name, level=probe.late, text="no outcome in time") for name in probe.parts]


def _failed(probe: PartProbe, error: Exception) -> list[Part]:
    text = f"internal error: {type(error).__name__}: {error}"
    return [Part(name=name, level=Level.UNKNOWN, text=text, fix="report it: a bug") for name in probe.parts]
