"""The log: one function per event, in text or JSON with the same keys, to stderr, syslog or the journal.

Knows the events and their keys. Untrusted input passes the sanitizer (``text``) before it becomes part of a line.
Recipients are never logged.
"""

from __future__ import annotations

import functools
import io
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path

from spfmilter.addresses import is_idna2008
from spfmilter.model import Condition, Facts, Override, SkipReason, Transaction, Verdict
from spfmilter.observe.sink import Datagrams, Outlet, Sink, hold_standard_descriptors, standard_error
from spfmilter.settings.schema import LogFormat, LogSection, LogTarget
from spfmilter.text import NAME_LIMIT, log_value, unicode_line

_LOGGER = logging.getLogger("spfmilter")
_JOURNAL = Path("/run/systemd/journal/socket")
_SYSLOG = Path("/dev/log")
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_MAIL = 2 << 3  # syslog's facility (RFC 3164 section 4.1.1)
_PATH_LIMIT = 320  # characters of a reverse-path in the log
_STRAY_LIMIT = 1024  # characters of captured output without a line break; then they are logged
_WARN_EVERY = 600.0  # seconds between two warnings of the same kind
Value = str | int | float | bool


@functools.lru_cache(maxsize=8)
def _second(when: int) -> str:
    """Return the time in UTC to the second. Cached, since a busy server writes many lines in one second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when))


class _Formatter(logging.Formatter):
    """Format a record's event and fields as ``event key=value ...`` or as one JSON object."""

    def __init__(self, form: LogFormat, *, stamp: bool) -> None:
        super().__init__()
        self._form, self._stamp = form, stamp

    def format(self, record: logging.LogRecord) -> str:
        """Return one line. In text, a traceback follows below it; in JSON, the traceback is a key."""
        fields: Mapping[str, Value] = getattr(record, "fields", {})
        trace = self.formatException(record.exc_info) if record.exc_info else getattr(record, "trace", "")
        stamp = f"{_second(int(record.created))}.{int(record.msecs):03d}Z"
        level = record.levelname.lower()
        if self._form is LogFormat.JSON:
            cleaned = {
                key: unicode_line(value, 1024) if isinstance(value, str) else value for key, value in fields.items()
            }
            line = {"time": stamp, "level": level, "event": record.getMessage(), **cleaned}
            if trace:
                line["traceback"] = trace
            return json.dumps(line, ensure_ascii=True)
        parts = [stamp] if self._stamp else []
        if record.levelno != logging.INFO:
            parts.append(f"{level}:")
        parts.append(record.getMessage())
        # Numbers and our own words (StrEnum) are not of the class str. They need no sanitizer.
        parts += [
            f"{key}={log_value(value, 1024) if value.__class__ is str else value}" for key, value in fields.items()
        ]
        # Indented and sanitized line by line: an exception may quote untrusted input, which must not forge a log line.
        return "\n".join([" ".join(parts), *(f"    {unicode_line(line, 1024)}" for line in trace.splitlines())])


class _Handler(logging.Handler):
    """Pass lines to a sink, which never waits."""

    def __init__(self, section: LogSection, outlet: Outlet, *, stamp: bool = False) -> None:
        super().__init__()
        self.section = section  # the settings that this handler was made from
        self.sink = Sink(outlet, self._report)
        self.setFormatter(_Formatter(section.format, stamp=stamp))

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
        """Close the outlet, because another handler replaces this one."""
        self.sink.close()
        super().close()

    def _report(self, lost: int) -> bytes:
        return self._encoded(_Record(logging.WARNING, "log lines lost", {"lines": lost}, ""))

    def _encoded(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode("utf-8", "backslashreplace")


class _SyslogHandler(_Handler):
    """Send one datagram a line (RFC 3164 section 4.1; local syslog daemons want neither time nor host)."""

    def _encoded(self, record: logging.LogRecord) -> bytes:
        priority = _MAIL | _PRIORITIES.get(record.levelno, 6)
        return f"<{priority}>spfmilter: {self.format(record)}".encode("utf-8", "backslashreplace")


class _JournalHandler(_Handler):
    """Speak the journal's native protocol (systemd.journal-fields(7)): the line, and a journal field for each key."""

    def _encoded(self, record: logging.LogRecord) -> bytes:
        pairs = {"MESSAGE": self.format(record), "PRIORITY": _PRIORITIES.get(record.levelno, 6)}
        pairs["SYSLOG_IDENTIFIER"] = "spfmilter"
        fields: Mapping[str, Value] = getattr(record, "fields", {})
        pairs.update({f"SPFMILTER_{key.upper()}": unicode_line(str(value), 1024) for key, value in fields.items()})
        return b"".join(_journal_pair(key, str(value)) for key, value in pairs.items())


def _journal_pair(key: str, value: str) -> bytes:
    raw = value.encode("utf-8", "replace")
    if b"\n" not in raw:
        return key.encode() + b"=" + raw + b"\n"
    return key.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"


def configure(settings: LogSection) -> None:
    """Send the log to the configured target. If that is not possible, use stderr and log a warning."""
    _LOGGER.setLevel(settings.level.upper())
    _LOGGER.propagate = False
    logging.raiseExceptions = False  # an error in logging must not be printed to stderr
    old = _handlers()
    if [(h.section.to, h.section.format) for h in old] == [(settings.to, settings.format)]:
        return  # keep the handler, and with it the lines that wait
    handler, trouble = _handler(settings)
    _LOGGER.handlers[:] = [handler]
    for before in old:
        before.close()
        handler.sink.inherit(before.sink)
    if trouble:
        warning("log target unavailable, using stderr", target=settings.to, reason=trouble)


def _handlers() -> list[_Handler]:
    return [handler for handler in _LOGGER.handlers if isinstance(handler, _Handler)]


def _handler(settings: LogSection) -> tuple[_Handler, str]:
    trouble = ""
    try:
        match settings.to:
            case LogTarget.SYSLOG:
                return _SyslogHandler(settings, Datagrams(str(_SYSLOG))), ""
            case LogTarget.JOURNAL:
                return _JournalHandler(settings, Datagrams(str(_JOURNAL))), ""
            case LogTarget.STDERR:
                pass
    except OSError as error:
        trouble = error.strerror or str(error)
        settings = settings.model_copy(update={"to": LogTarget.STDERR})
    return _Handler(settings, standard_error(), stamp=True), trouble


def flush() -> None:
    """Write the lines that could not be written before. Call this about once a second."""
    for handler in _handlers():
        handler.flush()


def lost() -> int:
    """Return how many lines this process has lost so far."""
    return sum(handler.sink.lost for handler in _handlers())


def forked(child: int) -> None:
    """Drop the waiting lines in a process that was just forked: the parent writes them.

    ``child`` is a number that no other living child has.
    """
    for handler in _handlers():
        handler.sink.forget(child)


def ended(child: int) -> None:
    """Count, in the parent, the lines that an ended child could not write as lost."""
    for handler in _handlers():
        handler.sink.bury(child)


class _Stray(io.TextIOBase):
    """Replace sys.stdout and sys.stderr: log what Python or a library prints."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        """Log the complete lines, and keep the rest."""
        *lines, self._begun = (self._begun + text).split("\n")
        if len(self._begun) > _STRAY_LIMIT:
            lines, self._begun = [*lines, self._begun], ""
        for line in lines:
            if line.strip():
                warning("unexpected output", text=line)
        return len(text)


def capture_output() -> None:
    """Log all output of this process, since printing a traceback or a warning could block on a slow reader.

    A daemon calls this before it opens anything and before it configures its log.
    """
    with suppress(OSError):  # there is no /dev/null
        hold_standard_descriptors()
    sys.stdout = sys.stderr = _Stray()


_BLANK = logging.LogRecord(_LOGGER.name, 0, "", 0, "", None, None).__dict__


class _Record(logging.LogRecord):
    """Make the library's record without its costly __init__, which collects values that our lines do not show."""

    def __init__(self, level: int, event: str, fields: Mapping[str, Value], trace: str) -> None:
        self.__dict__.update(_BLANK)
        self.levelno, self.levelname, self.msg = level, logging.getLevelName(level), event
        self.created = time.time()
        self.msecs = self.created % 1 * 1000
        self.fields, self.trace = fields, trace


def _event(level: int, event: str, fields: Mapping[str, Value], trace: str = "") -> None:
    if _LOGGER.isEnabledFor(level):
        _LOGGER.handle(_Record(level, event, fields, trace))


def info(event: str, **fields: Value) -> None:
    """Log something that an administrator may want to know."""
    _event(logging.INFO, event, fields)


def warning(event: str, **fields: Value) -> None:
    """Log something that an administrator should look at."""
    _event(logging.WARNING, event, fields)


def error(event: str, **fields: Value) -> None:
    """Log something that does not work."""
    _event(logging.ERROR, event, fields)


def fault(where: str, trace: str, **fields: Value) -> None:
    """Log an internal error with its traceback. ``on_error`` decides about the message."""
    _event(logging.ERROR, "internal error", {"where": where, **fields}, trace)


def transaction(ended: Transaction) -> None:
    """Log one transaction, from MAIL FROM to its end or abort."""
    if _LOGGER.isEnabledFor(logging.INFO):
        _event(logging.INFO, "message", transaction_fields(ended))
    for verdict in ended.verdicts:
        if verdict.fault is not None:
            fault("evaluation", verdict.fault, queue_id=ended.queue_id, domain=verdict.check.domain)


def transaction_fields(ended: Transaction) -> dict[str, Value]:
    """Return the keys of a transaction's line. Keys without a value are left out.

    Untrusted input is shortened here and sanitized when the line is written.
    """
    action = ended.action
    fields: dict[str, Value] = {"queue_id": ended.queue_id} if ended.queue_id else {}
    fields |= _said(ended.facts)
    for verdict in ended.verdicts:
        fields[f"spf_{verdict.check.identity}"] = verdict.result
    if action.verdict is not None:
        fields |= _deciding(action.verdict, action.condition or action.verdict.condition)
    if ended.plan.skip is not None:
        fields["skip"] = ended.plan.skip
    if action.override is not None:
        fields |= _override(action.override)
    fields["action"] = action.disposition
    if action.would is not None:
        fields["would"] = action.would
    fields |= {"rcpt": ",".join(ended.recipients)[:_PATH_LIMIT]} if ended.recipients else {}
    fields |= {"refused": ended.refused} if ended.refused else {}  # recipients
    fields |= {"separated": ended.separated} if ended.separated else {}
    fields["rule"] = str(action.rule)
    if ended.ended != "message":
        fields["ended"] = ended.ended
    fields |= {"forged": ended.removed} if ended.removed else {}
    fields |= {"untagged": ended.untagged} if ended.untagged else {}
    return fields | _costs(ended.verdicts) if ended.verdicts else fields


def _said(facts: Facts) -> dict[str, Value]:
    fields: dict[str, Value] = {"client": str(facts.client.address or ("local" if facts.client.local else "unknown"))}
    if facts.client.name:
        fields["name"] = facts.client.name[:NAME_LIMIT]
    if facts.relay is not None:
        fields["relay"] = str(facts.relay.address)
    if facts.helo:
        fields["helo"] = facts.helo[:NAME_LIMIT]
    fields["from"] = f"<{facts.reverse_path}>"[:_PATH_LIMIT]
    if not (is_idna2008(facts.reverse_path.domain) and is_idna2008(facts.helo or "")):
        fields["idna"] = "uts46"
    if facts.authenticated:
        fields["auth"] = facts.authenticated[:NAME_LIMIT]
    return fields


def _override(override: Override) -> Mapping[str, Value]:
    return {"override": override.type} | ({"override_by": override.by} if override.by else {})


def _costs(verdicts: Iterable[Verdict]) -> dict[str, Value]:
    lookups, void, elapsed = 0, 0, 0.0
    for verdict in verdicts:
        lookups, void, elapsed = lookups + verdict.lookups, void + verdict.void_lookups, elapsed + verdict.elapsed
    return {"lookups": lookups, "void": void, "ms": round(elapsed * 1000, 1)}


def _deciding(verdict: Verdict, condition: Condition | None) -> dict[str, Value]:
    check, problem = verdict.check, verdict.problem
    fields: dict[str, Value] = {"identity": check.identity}
    if check.domain:
        fields["domain"] = check.domain
    if verdict.term:
        fields["term"] = verdict.term[:NAME_LIMIT]
    if condition is not None:
        fields["condition"] = condition
    if check.record:
        fields["pinned"] = "yes"
    if verdict.term_domain and verdict.term_domain != check.domain:
        fields["record"] = verdict.term_domain
    if problem is not None:
        fields |= {"problem": problem.text, "problem_kind": problem.kind}
        if problem.term:
            fields["problem_term"] = problem.term
    return fields


class RateLimitedLog:
    """Log each kind of warning at most once in ten minutes, with the number of suppressed ones."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}  # by event: when it may be logged again
        self._held: dict[str, int] = {}

    def private_client(self, address: str) -> None:
        """Warn of a private client address outside the exempt networks: probably a NAT or a proxy."""
        self._warn(
            "private client address, SPF skipped: if this is mail from outside, a NAT or proxy in front of the "
            "MTA hides the real address",
            client=address,
            rule=f"[exempt] {SkipReason.PRIVATE}",
        )

    def unreadable(self, reason: str) -> None:
        """Warn of a name from the MTA that is not UTF-8. pymilter cannot decode it, and drops the event."""
        self._warn("non-UTF-8 value from the MTA, ignored", reason=reason)

    def state_away(self, server: str, reason: str) -> None:
        """Warn that the server of ``[state] url`` did not answer. ``server`` is its URL without the password."""
        self._warn("state server not responding, using local memory", server=server, reason=reason)

    def state_wrong(self, server: str, key: str) -> None:
        """Warn that the server of ``[state] url`` holds no plausible time under our ``key``."""
        self._warn("state server value invalid, overwritten", server=server, key=key)

    def not_counted(self, reason: str) -> None:
        """Warn that the metrics lost a count, for lack of memory."""
        self._warn("metrics update lost", reason=reason)

    def not_served(self, reason: str) -> None:
        """Warn that a request for the metrics could not be answered."""
        self._warn("metrics request failed", reason=reason)

    def not_remembered(self, reason: str) -> None:
        """Warn that this host has no memory left for a deferral, or no lock."""
        self._warn("deferral not stored", reason=reason)

    def _warn(self, event: str, **fields: Value) -> None:
        with self._lock:
            now = self._clock()
            if now < self._next.get(event, now):
                self._held[event] = self._held.get(event, 0) + 1
                return
            held, self._next[event] = self._held.pop(event, 0), now + _WARN_EVERY
        warning(event, **fields, **({"suppressed": held} if held else {}))
