"""Show the parts: as a monitoring plugin does, for Nagios and its like and for people, and as JSON. Pure.

The form is that of the Monitoring Plugins Development Guidelines: one line with the state, and behind a bar the
performance data; further lines after it. All text is untrusted input here, whatever it came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from spfmilter.health.parts import Gauge, Level, Part, worst
from spfmilter.text import unicode_line

FORMAT = 1  # of the JSON; a new number for a change that breaks programs
_MAX_LINE = 1000  # characters of a text
_MAX_SUMMARY = 300
_INDENT = 16  # columns of level and name


def level_of(parts: Sequence[Part]) -> Level:
    """Return how the daemon stands as a whole."""
    return worst(part.level for part in parts)


def summary(parts: Sequence[Part]) -> str:
    """Return the first line without its performance data, such as ``SPFMILTER OK - 2 of 2 workers serve``."""
    level = level_of(parts)
    if level is Level.OK:
        said = [part.short for part in parts if part.short] or [f"{part.name}: {part.text}" for part in parts]
    else:
        said = [f"{part.name}: {part.text}" for part in parts if part.level is level]
    text = "; ".join(said) if said else "there is no such part in this daemon"
    return f"SPFMILTER {level.name} - {_line(text, _MAX_SUMMARY)}"


def plugin_text(parts: Sequence[Part]) -> Iterable[tuple[str, Level | None]]:
    """Yield the lines, and for the lines of parts their level: the first line, one for each part, and details."""
    gauges = " ".join(map(_gauge, (gauge for part in parts for gauge in part.gauges)))
    yield summary(parts) + (f" | {gauges}" if gauges else ""), None
    for part in parts:
        fix = f". Fix: {part.fix}" if part.fix else ""
        yield f"{part.level.word:<8} {part.name:<13} {_line(part.text)}{_line(fix)}", part.level
        for detail in part.details:
            yield f"{'':<22} {_line(detail)}", None


def _gauge(gauge: Gauge) -> str:
    number = f"{gauge.value:.6f}".rstrip("0").rstrip(".")
    text = f"{gauge.label}={number}{gauge.unit}"
    return f"{text};{gauge.limits}" if gauge.limits else text


def _line(text: str, limit: int = _MAX_LINE) -> str:
    """Return a text as one printable line without the bar, which begins performance data."""
    return unicode_line(text, limit).replace("|", "/")


def as_json(parts: Sequence[Part], now: float) -> str:
    """Return the parts as JSON text; ``now`` is the Unix time."""
    level = level_of(parts)
    whole = {
        "format": FORMAT,
        "time": now,
        "status": level.word,
        "exit_status": level.value,
        "summary": summary(parts),
        "parts": [
            {
                "name": part.name,
                "status": part.level.word,
                "text": _line(part.text),
                "fix": _line(part.fix) or None,
                "details": [_line(detail) for detail in part.details],
                "data": part.data,
            }
            for part in parts
        ],
        "performance": {gauge.label: gauge.value for part in parts for gauge in part.gauges},
    }
    return json.dumps(whole, indent=2)
