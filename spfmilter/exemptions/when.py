"""Times of an exemption: what a person writes, as Unix seconds, and back. All functions are told the present."""

from __future__ import annotations

from datetime import UTC, datetime

from spfmilter.settings.values import duration
from spfmilter.stores.rows import LATEST

FOREVER = "forever"
_EXAMPLE = "2026-12-31, 2026-12-31T18:00 or 2026-12-31T18:00+01:00"


def end_after(text: str, now: int) -> int | None:
    """Return when a span of time ends that begins now: ``30m``, ``12h``, ``7d``; None: ``forever``.

    Raises:
        ValueError: it is no span of time, or it ends after the year 9999.
    """
    if text.strip().lower() == FOREVER:
        return None
    seconds = duration(text.strip().lower()).seconds
    if seconds < 1:
        raise ValueError(f"{text!a} is too short: write 1s or more, such as 7d")
    if now + seconds > LATEST:
        raise ValueError(f"{text!a} is too long: write {FOREVER}")
    return now + round(seconds)


def end_at(text: str, now: int) -> int:
    """Return the moment of a date and time in the form of ISO 8601; without a zone it is this host's.

    A date alone stands for its first second.

    Raises:
        ValueError: it is no date, or it is over.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        found = int(moment.timestamp())  # naive times are local ones
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{text!a} is no date and time: write {_EXAMPLE}") from None
    if found <= now:
        raise ValueError(f"{text!a} is over: write a time to come")
    if found > LATEST:
        raise ValueError(f"{text!a} is too late: write --for {FOREVER}")
    return found


def utc(seconds: int | None) -> str:
    """Return a moment for programs and the log: ``2026-12-31T17:00:00Z``; None: ``forever``."""
    if seconds is None:
        return FOREVER
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def local(seconds: int | None) -> str:
    """Return a moment for people, in this host's zone: ``2026-12-31 18:00:00 CET``; None: ``forever``."""
    if seconds is None:
        return FOREVER
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
