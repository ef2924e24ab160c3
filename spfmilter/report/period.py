"""The time that a report is about: read from the options, and cut into the steps of the trend in local time.

Knows the local time zone and its changes of offset. Times are milliseconds since 1970 UTC, as in the journal.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from spfmilter.settings.values import duration
from spfmilter.text import ascii_line

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
_LONGEST_DATE = 40  # characters
_LATEST = 253_402_214_400_000  # 9999-12-31: what Python's dates can hold


class Unit(NamedTuple):
    """The length of a step of the trend."""

    word: str
    length: int  # milliseconds into which the database divides the time: the step itself, or a part of it
    longest: int  # the longest span that is shown in such steps


_UNITS = (
    Unit("5 minutes", 5 * MINUTE, 3 * HOUR),
    Unit("hour", HOUR, 3 * DAY),
    Unit("day", DAY, 62 * DAY),
    Unit("week", DAY, 2 * 366 * DAY),
    Unit("month", DAY, _LATEST),
)


class WantedSpan(NamedTuple):
    """The span that somebody asked for."""

    since: int  # the first millisecond
    until: int  # the first one after it
    now: int  # when it was asked
    zone: tzinfo | None = None  # in which times are shown; None: that of this host


class Segment(NamedTuple):
    """A part of the span in which local time has one offset to UTC."""

    start: int
    end: int
    offset: int


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time.

    Attributes:
        since: its first millisecond.
        until: the first millisecond after it.
        zone: the time zone in which it is shown; None: that of this host.
    """

    since: int
    until: int
    zone: tzinfo | None = None

    @property
    def unit(self) -> Unit:
        """Return the unit of the trend: the longer the span, the longer the unit."""
        return next(unit for unit in _UNITS if self.until - self.since <= unit.longest)

    def local(self, time: int) -> datetime:
        """Return a time as a date with its zone."""
        return datetime.fromtimestamp(min(max(time, 0), _LATEST) / 1000, UTC).astimezone(self.zone)

    def shown(self, time: int) -> str:
        """Return a time for people, to the minute, such as ``2026-11-23 14:05``. The zone is said once, elsewhere."""
        return f"{self.local(time):%Y-%m-%d %H:%M}"

    def iso(self, time: int) -> str:
        """Return a time for programs: RFC 3339 with the local offset."""
        return self.local(time).isoformat(timespec="seconds")

    @property
    def zone_name(self) -> str:
        """Return the names and offsets of the local time, such as ``CET, UTC+01:00``."""
        return " and ".join(dict.fromkeys(_zone(self.local(time)) for time in (self.since, self.until)))

    def starts(self) -> Sequence[int]:
        """Return when the steps of the trend begin. The first one may begin before the span."""
        unit = self.unit
        if unit.length < DAY:
            first = _offset(self.local(self.since)) + self.since
            first -= first % unit.length + _offset(self.local(self.since))
            return range(first, self.until, unit.length)
        return list(self._days(unit.word))

    def _days(self, word: str) -> Iterator[int]:
        day = self.local(self.since).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        if word == "week":
            day -= timedelta(days=day.weekday())
        elif word == "month":
            day = day.replace(day=1)
        while (start := instant(day, self.zone)) < self.until:
            yield start
            if word == "month":
                day = (day + timedelta(days=32)).replace(day=1)
            else:
                day += timedelta(days=7 if word == "week" else 1)

    def segments(self) -> Iterator[Segment]:
        """Yield the parts of the span in which the offset to UTC is the same, in order."""
        start = at = self.since
        while at < self.until:
            following = min(at + DAY, self.until)
            offset = _offset(self.local(at))
            if _offset(self.local(following)) != offset:
                low, high = at, following  # the change lies behind low, and not behind high
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if _offset(self.local(middle)) == offset else (low, middle)
                yield Segment(start, high, offset)
                start = following = high
            at = following
        if start < self.until:
            yield Segment(start, self.until, _offset(self.local(start)))

    def label(self, start: int) -> str:
        """Return the name of a step for people."""
        when = self.local(start)
        match self.unit.word:
            case "day":
                return f"{when:%a} {when.day} {when:%b}"
            case "week":
                return f"week of {when.day} {when:%b %Y}"
            case "month":
                return f"{when:%b %Y}"
            case _:
                return f"{when.day} {when:%b %H:%M}"


def place(starts: Sequence[int], time: int) -> int:
    """Return the number of the step in which a time lies."""
    return max(0, bisect_right(starts, time) - 1)


def instant(moment: datetime, zone: tzinfo | None) -> int:
    """Return a date as a time. Without a zone of its own, it is in local time."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone) if zone is not None else moment.astimezone()
    return round(moment.timestamp() * 1000)


def read_time(text: str, now: int, zone: tzinfo | None = None) -> int:
    """Read how long ago (``90m``, ``24h``, ``7d``), or a date in local time (``2026-11-20``, ``2026-11-20T14:30``).

    Raises:
        ValueError: it is neither.
    """
    try:
        return max(0, now - round(duration(text.strip()).seconds * 1000))
    except ValueError:
        pass
    try:
        # Of a longer text, Python can take the beginning for a date.
        date = datetime.fromisoformat(text.strip() if len(text) <= _LONGEST_DATE else "")
        return min(max(0, instant(date, zone)), _LATEST)
    except (ValueError, OverflowError, OSError):
        shown = ascii_line(text, 60)
        raise ValueError(
            f"{shown!r} is no time: write how long ago, such as 90m, 24h or 7d, or a date, such as 2026-11-20 or "
            "2026-11-20T14:30"
        ) from None


def _offset(when: datetime) -> int:
    passed = when.utcoffset()
    return round(passed.total_seconds() * 1000) if passed is not None else 0


def _zone(when: datetime) -> str:
    minutes = _offset(when) // MINUTE
    sign = "-" if minutes < 0 else "+"
    if when.tzname() == "UTC":
        return "UTC"
    return f"{when:%Z}, UTC{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
