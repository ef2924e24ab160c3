"""The parts of the daemon, and how healthy each is: values only, with words for times and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum


class Level(Enum):
    """How a part stands. The values are the exit statuses of monitoring plugins."""

    OK = 0
    WARNING = 1  # mail is checked, and something needs a look
    CRITICAL = 2  # mail is not checked, or soon will not be
    UNKNOWN = 3  # it could not be found out

    @property
    def word(self) -> str:
        """Return its name in lower case."""
        return self.name.lower()


# The names of the parts, in the order in which they are shown.
NAMES = (
    "socket",
    "daemon",
    "workers",
    "configuration",
    "resolver",
    "caches",
    "state",
    "storage",
    "exemptions",
    "journal",
    "page",
    "metrics",
    "versions",
)
_BY_SEVERITY = (Level.CRITICAL, Level.WARNING, Level.UNKNOWN, Level.OK)
# What a part says to programs: numbers, texts, and lists of those.
Data = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """A number that a monitoring system draws, as its performance data."""

    label: str
    value: float
    unit: str = ""  # s, B, %, or c for a counter
    limits: str = ""  # "WARNING;CRITICAL;MINIMUM;MAXIMUM", each of them may be empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the daemon, and how it stands."""

    name: str
    level: Level
    text: str
    fix: str = ""  # what to do; empty if there is nothing to do, or if it is unknown
    short: str = ""  # for the summary of a healthy daemon; empty: the part is not mentioned there
    details: tuple[str, ...] = ()  # further lines
    data: Data = field(default_factory=dict)
    gauges: tuple[Gauge, ...] = ()


def worst(levels: Iterable[Level]) -> Level:
    """Return the level of several parts together."""
    return min(levels, key=_BY_SEVERITY.index, default=Level.UNKNOWN)


_SPANS = ((86400.0, "d", 3600.0, "h"), (3600.0, "h", 60.0, "min"), (60.0, "min", 1.0, "s"))


def span(seconds: float) -> str:
    """Return a span of time for people: ``3 d 4 h``, ``12 min 5 s``, ``2.5 s``, ``2.1 ms``."""
    for size, name, part, part_name in _SPANS:
        if seconds >= size:
            rest = int(seconds % size // part)
            return f"{int(seconds // size)} {name}" + (f" {rest} {part_name}" if rest else "")
    if seconds >= 1 or seconds <= 0:
        return f"{seconds:.3g} s"
    return f"{seconds * 1000:.3g} ms"


def ago(seconds: float) -> str:
    """Return how long ago something was, in words."""
    return f"{span(max(1.0, round(seconds)))} ago"


def size(number: int) -> str:
    """Return a number of bytes for people: ``37 MB``."""
    return f"{number / 1e6:.0f} MB"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 session``, ``2 sessions``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
