"""Where the log's lines go, and in which form: text or JSON, to a standard stream, syslog or the journal.

Knows the forms of a line and what each target needs beside it: a time, a priority, fields. Does not know the events.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress

from spfmilter.observe import journal
from spfmilter.observe.sink import Datagrams, Outlet, Sink, standard_stream
from spfmilter.settings.schema import LogFormat, LogSection, LogTarget
from spfmilter.text import log_value, unicode_line

_SYSLOG = "/dev/log"
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_MAIL = 2 << 3  # syslog's facility (RFC 3164 section 4.1.1)
_STDOUT, _STDERR = 1, 2
Value = str | int | float | bool
Stamp = Callable[[logging.LogRecord], str]  # returns the time of a record
_BLANK = logging.LogRecord("spfmilter", 0, "", 0, "", None, None).__dict__


class Event(logging.LogRecord):
    """Make the library's record without its costly __init__, which collects values that our lines do not show."""

    def __init__(self, level: int, event: str, fields: Mapping[str, Value], trace: str) -> None:
        self.__dict__.update(_BLANK)
        self.levelno, self.levelname, self.msg = level, logging.getLevelName(level), event
        self.created = time.time()
        self.msecs = self.created % 1 * 1000
        self.fields, self.trace = fields, trace


def _utc(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@functools.lru_cache(maxsize=8)
def _second(when: int) -> str:
    """Return the time in UTC to the second. Cached, since a busy server writes many lines in one second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when))


def _local(record: logging.LogRecord) -> str:
    """Return the local time, with its offset from UTC: for a person at a terminal."""
    local = time.localtime(record.created)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{int(record.msecs):03d} {time.strftime('%z', local)}"


class _Formatter(logging.Formatter):
    """Format a record's event and fields as ``event key=value ...`` or as one JSON object.

    Args:
        form: text or JSON.
        stamp: returns the time for a line of text; None: the line has no time. JSON always has the time in UTC.
    """

    def __init__(self, form: LogFormat, stamp: Stamp | None) -> None:
        super().__init__()
        self._form, self._stamp = form, stamp

    def format(self, record: logging.LogRecord) -> str:
        """Return one line. In text, a traceback follows below it; in JSON, the traceback is a key."""
        fields: Mapping[str, Value] = getattr(record, "fields", {})
        trace = self.formatException(record.exc_info) if record.exc_info else getattr(record, "trace", "")
        level = record.levelname.lower()
        if self._form is LogFormat.JSON:
            cleaned = {
                key: unicode_line(value, 1024) if isinstance(value, str) else value for key, value in fields.items()
            }
            line = {"time": _utc(record), "level": level, "event": record.getMessage(), **cleaned}
            if trace:
                line["traceback"] = trace
            return json.dumps(line, ensure_ascii=True)
        parts = [self._stamp(record)] if self._stamp else []
        if record.levelno != logging.INFO:
            parts.append(f"{level}:")
        parts.append(record.getMessage())
        # Numbers and our own words (StrEnum) are not of the class str. They need no sanitizer.
        parts += [
            f"{key}={log_value(value, 1024) if value.__class__ is str else value}" for key, value in fields.items()
        ]
        # Indented and sanitized line by line: an exception may quote untrusted input, which must not forge a log line.
        return "\n".join([" ".join(parts), *(f"    {unicode_line(line, 1024)}" for line in trace.splitlines())])


class Target(logging.Handler):
    """Pass lines to a sink, which never waits."""

    def __init__(self, section: LogSection, outlet: Outlet, *, stamp: Stamp | None = None) -> None:
        super().__init__()
        self.section = section  # the settings that this target was made from
        self.sink = Sink(outlet, self._report)
        self.setFormatter(_Formatter(section.format, stamp))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. A failure never reaches the caller; it counts as a lost line."""
        try:
            self.sink.put(self._encoded(record))
        except Exception:  # noqa: BLE001 - e.g. no memory for the line
            self.sink.lose(1)

    def flush(self) -> None:
        """Write the waiting lines, as many as the outlet takes now."""
        with self.lock or nullcontext(), suppress(Exception):
            self.sink.flush()

    def close(self) -> None:
        """Close the outlet, because another target replaces this one."""
        self.sink.close()
        super().close()

    def _report(self, lost: int) -> bytes:
        return self._encoded(Event(logging.WARNING, "log lines lost", {"lines": lost}, ""))

    def _encoded(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode("utf-8", "backslashreplace")


class _JournalStream(Target):
    """Write lines with their priorities to a standard stream that leads to the journal."""

    def _encoded(self, record: logging.LogRecord) -> bytes:
        text = journal.with_priority(self.format(record), _PRIORITIES.get(record.levelno, 6))
        return f"{text}\n".encode("utf-8", "backslashreplace")


class _Syslog(Target):
    """Send one datagram a line (RFC 3164 section 4.1; local syslog daemons want neither time nor host)."""

    def _encoded(self, record: logging.LogRecord) -> bytes:
        priority = _MAIL | _PRIORITIES.get(record.levelno, 6)
        return f"<{priority}>spfmilter: {self.format(record)}".encode("utf-8", "backslashreplace")


class _Journal(Target):
    """Send one entry a line: the line itself, and a field of the journal for each key."""

    def _encoded(self, record: logging.LogRecord) -> bytes:
        pairs = {"MESSAGE": self.format(record), "PRIORITY": str(_PRIORITIES.get(record.levelno, 6))}
        pairs["SYSLOG_IDENTIFIER"] = "spfmilter"
        fields: Mapping[str, Value] = getattr(record, "fields", {})
        pairs.update({f"SPFMILTER_{key.upper()}": unicode_line(str(value), 1024) for key, value in fields.items()})
        return journal.entry(pairs)


def open_target(section: LogSection) -> tuple[Target, str]:
    """Return the target of the settings, and the reason if stderr replaces it; empty if it does not."""
    trouble = ""
    try:
        match section.to:
            case LogTarget.SYSLOG:
                return _Syslog(section, Datagrams(_SYSLOG)), ""
            case LogTarget.JOURNAL:
                return _Journal(section, journal.Entries()), ""
            case LogTarget.AUTO:
                if journal.takes_stream(_STDERR):
                    return _Journal(section, journal.Entries()), ""
            case LogTarget.STDOUT:
                return _to_stream(section, _STDOUT), ""
            case LogTarget.STDERR:
                pass
    except OSError as error:
        trouble = error.strerror or str(error)
        section = section.model_copy(update={"to": LogTarget.STDERR})
    return _to_stream(section, _STDERR), trouble


def _to_stream(section: LogSection, number: int) -> Target:
    """Return the target for a standard stream. The journal knows the time itself, and needs a priority."""
    if journal.takes_stream(number):
        return _JournalStream(section, standard_stream(number))
    return Target(section, standard_stream(number), stamp=_local if os.isatty(number) else _utc)
