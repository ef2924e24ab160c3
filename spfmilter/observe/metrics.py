"""Counters for Prometheus, over all processes of the daemon. They cost nothing if the INI file asks for none.

Knows the names of the metrics and prometheus-client's multiprocess mode. Every process writes its own files into one
folder. The files are named by the slot, not by the pid: restarts and reloads continue with the same files.
"""

from __future__ import annotations

import functools
import itertools
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from spfmilter import __version__
from spfmilter.counters import Counters
from spfmilter.model import Disposition, Identity, OverrideType, Result, Transaction
from spfmilter.observe import log
from spfmilter.observe.ratelimited import RateLimitedLog

_P = ParamSpec("_P")

# Seconds, for: an answer from memory, a near and a far resolver, several round trips, a lost packet, the time limit.
_BUCKETS = (0.0002, 0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
# Label values that are known before anything is counted, beside those of the model.
_SKIPPED = ("none", "skipped")  # identity and result of a message without a verdict
_DNS_OUTCOMES = ("data", "no data", "no such name", "a private name", "failed", "own resolver")
_CACHES = ("answers", "verdicts")
_CAUSES = (
    *("killed by SIGKILL", "killed by SIGSEGV", "killed by SIGABRT", "killed by SIGBUS"),
    *(f"exit status {status}" for status in (0, 1, os.EX_SOFTWARE, os.EX_OSERR)),
)
_RELOADS = ("done", "refused")
_ROWS = ("written", "dropped")


class Metrics:
    """Count nothing. The daemon uses this if ``[metrics] listen`` is empty."""

    def transaction(self, ended: Transaction) -> None:
        """Count one transaction, from MAIL FROM to its end or abort."""

    def session(self, change: int) -> None:
        """Count a session that began (1) or ended (-1)."""

    def dns_query(self, outcome: str) -> None:
        """Count a DNS query by its outcome."""

    def cache(self, name: str, counters: Counters) -> None:
        """Take over the counters of a cache, which hold its totals so far."""

    def fault(self) -> None:
        """Count an internal error."""

    def log_lines_lost(self, total: int) -> None:
        """Take over the total of log lines that this process has lost so far."""

    def worker_ended(self, cause: str) -> None:
        """Count a worker that exited without being told to."""

    def workers(self, number: int) -> None:
        """Set the number of workers that serve."""

    def reload(self, outcome: str) -> None:
        """Count a reload that was done or refused."""

    def exemptions(self, number: int, errors: int) -> None:
        """Set the number of exemptions in force, and take over the total of failed questions to their store."""

    def journal(self, *, written: int, dropped: int, waiting: int, reachable: bool | None) -> None:
        """Take over the journal's totals of rows so far, how many wait, and whether the database takes rows."""


def _harmless(
    method: Callable[Concatenate[_Prometheus, _P], None],
) -> Callable[Concatenate[_Prometheus, _P], None]:
    """Catch every error of a method: losing a count is better than losing a message."""

    @functools.wraps(method)
    def call(self: _Prometheus, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - no error of the library may cost a message
            self.lost(error)

    return call


class _Prometheus(Metrics):
    """Count into the files of one slot."""

    def __init__(self, slot: str) -> None:
        import prometheus_client as prometheus  # noqa: PLC0415 - only where asked for
        from prometheus_client import values  # noqa: PLC0415

        from spfmilter.observe.counterfile import CounterFile  # noqa: PLC0415

        self._rate_limited = RateLimitedLog()
        values.MmapedDict = CounterFile  # type: ignore[attr-defined]
        values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]
        new: Any = {"registry": None, "namespace": "spfmilter"}
        labels = ("identity", "result", "action")
        self._messages = prometheus.Counter("messages", "MAIL FROM commands, by result and action.", labels, **new)
        self._monitor_actions = prometheus.Counter(
            "monitor_actions", "Actions that monitor mode did not take.", ("action",), **new
        )
        self._refused = prometheus.Counter("recipients_refused", "Recipients refused at RCPT TO.", **new)
        self._separate = prometheus.Counter(
            "recipients_separated", "Recipients told to send a separate message.", **new
        )
        self._overrides = prometheus.Counter("overrides", "Messages that an override accepted.", ("type",), **new)
        self._forged = prometheus.Counter(
            "forged_fields", "Forged header fields found; removed, but in monitor mode.", **new
        )
        self._seconds = prometheus.Histogram(
            "evaluation_seconds", "Time of one evaluation.", ("identity",), buckets=_BUCKETS, **new
        )
        self._dns = prometheus.Counter("dns_queries", "DNS queries.", ("outcome",), **new)
        self._cache = prometheus.Counter("cache_lookups", "Cache lookups and evictions.", ("cache", "outcome"), **new)
        self._internal_errors = prometheus.Counter("internal_errors", "Internal errors.", **new)
        self._lost = prometheus.Counter("log_lines_lost", "Log lines that could not be written.", **new)
        self._seen_lost = 0
        self._ended = prometheus.Counter(
            "worker_restarts", "Workers that exited without being told to.", ("cause",), **new
        )
        self._reloads = prometheus.Counter("reloads", "Reloads of the settings.", ("outcome",), **new)
        self._rows = prometheus.Counter("journal_rows", "Rows of the journal, by outcome.", ("outcome",), **new)
        self._seen_rows: dict[str, int] = {}
        live: Any = {"multiprocess_mode": "livesum", **new}
        self._sessions = prometheus.Gauge("sessions_open", "Sessions open.", **live)
        self._workers = prometheus.Gauge("workers", "Workers that serve.", **live)
        self._exemptions = prometheus.Gauge("exemptions", "Temporary exemptions in force.", **live)
        self._store_errors = prometheus.Counter(
            "exemption_store_errors", "Questions to the store of the exemptions that failed.", **new
        )
        self._seen_errors = 0
        self._rows_waiting = prometheus.Gauge("journal_rows_waiting", "Rows that wait for the database.", **live)
        self._database = prometheus.Gauge("journal_database_up", "1: the journal's database takes rows.", **live)
        self._build = prometheus.Gauge("build_info", "Version of the daemon.", ("version", "python"), **live)
        self._seen: dict[str, dict[str, int]] = {}  # by cache: the totals that are already counted
        self._sessions.set(0)  # the process that had this slot before may have died with open sessions
        if slot == "supervisor":
            self._build.labels(__version__, platform.python_version()).set(1)
            self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Create the series of all known label values, in one process, whose file stays.

        Prometheus sees no increase where a series begins with its first event. Then an alert would miss that event.
        """
        verdicts = itertools.product(Identity, Result)
        for (identity, result), action in itertools.product([*verdicts, _SKIPPED], Disposition):
            self._messages.labels(identity, result, action)
        for name, outcome in itertools.product(_CACHES, Counters().numbers()):
            self._cache.labels(name, outcome)
        for counter, values in (
            (self._monitor_actions, [action for action in Disposition if action is not Disposition.ACCEPT]),
            (self._overrides, OverrideType),
            (self._seconds, Identity),
            (self._dns, _DNS_OUTCOMES),
            (self._ended, _CAUSES),
            (self._reloads, _RELOADS),
            (self._rows, _ROWS),
        ):
            for value in values:
                counter.labels(value)

    @_harmless
    def transaction(self, ended: Transaction) -> None:
        deciding, action = ended.action.verdict, ended.action
        result = deciding.result if deciding is not None else "skipped"
        identity = deciding.check.identity if deciding is not None else "none"
        self._messages.labels(identity, result, action.disposition).inc()
        if action.would is not None:
            self._monitor_actions.labels(action.would).inc()
        if action.override is not None:
            self._overrides.labels(action.override.type).inc()
        if ended.refused:
            self._refused.inc(ended.refused)
        if ended.separated:
            self._separate.inc(ended.separated)
        if ended.removed:
            self._forged.inc(ended.removed)
        for verdict in ended.verdicts:
            self._seconds.labels(verdict.check.identity).observe(verdict.elapsed)

    @_harmless
    def session(self, change: int) -> None:
        self._sessions.inc(change)

    @_harmless
    def dns_query(self, outcome: str) -> None:
        self._dns.labels(outcome).inc()

    @_harmless
    def cache(self, name: str, counters: Counters) -> None:
        seen = self._seen.setdefault(name, {})
        for outcome, number in counters.numbers().items():
            self._cache.labels(name, outcome).inc(number - seen.get(outcome, 0))
            seen[outcome] = number

    @_harmless
    def fault(self) -> None:
        self._internal_errors.inc()

    @_harmless
    def log_lines_lost(self, total: int) -> None:
        if total != self._seen_lost:
            self._lost.inc(total - self._seen_lost)
            self._seen_lost = total

    @_harmless
    def worker_ended(self, cause: str) -> None:
        self._ended.labels(cause).inc()

    @_harmless
    def workers(self, number: int) -> None:
        self._workers.set(number)

    @_harmless
    def reload(self, outcome: str) -> None:
        self._reloads.labels(outcome).inc()

    @_harmless
    def exemptions(self, number: int, errors: int) -> None:
        self._exemptions.set(number)
        if errors != self._seen_errors:
            self._store_errors.inc(errors - self._seen_errors)
            self._seen_errors = errors

    def journal(self, *, written: int, dropped: int, waiting: int, reachable: bool | None) -> None:
        for outcome, total in zip(_ROWS, (written, dropped), strict=True):
            self._rows.labels(outcome).inc(max(0, total - self._seen_rows.get(outcome, 0)))
            self._seen_rows[outcome] = total
        self._rows_waiting.set(waiting)
        self._database.set(0 if reachable is False else 1)

    def lost(self, error: Exception) -> None:
        """Log that a count was lost."""
        self._rate_limited.not_counted(str(error))


def open_metrics(folder: Path | None, slot: str) -> Metrics:
    """Return the metrics of a process.

    If the folder has no space or an unreadable file, the process counts nothing and logs an error.

    Args:
        folder: shared by all processes; None: count nothing.
        slot: names the process's files.
    """
    if folder is None:
        return Metrics()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    try:
        return _Prometheus(slot)
    except Exception as error:  # noqa: BLE001 - as above: mail is answered without metrics, too
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        log.error(
            "metrics disabled in this process",
            process=slot,
            folder=str(folder),
            reason=reason,
            fix="make space there, then reload",
        )
        return Metrics()


def try_again(metrics: Metrics, folder: Path | None, slot: str) -> Metrics:
    """Open the metrics again if they count nothing, for lack of space for example. Return the metrics to use."""
    return metrics if isinstance(metrics, _Prometheus) else open_metrics(folder, slot)


def forget(folder: Path | None, slot: str) -> None:
    """Remove the gauges of a dead process, such as its open sessions. Its counters stay."""
    if folder is None:
        return
    try:
        for path in folder.glob(f"gauge_live*_{slot}.db"):
            path.unlink(missing_ok=True)
    except OSError as error:  # read-only, or no longer ours: the gauges count until another process takes the slot
        log.warning(
            "metrics of an exited worker cannot be removed",
            process=slot,
            reason=error.strerror or str(error),
            fix=f"let the daemon write in {folder}",
        )


def application(folder: Path) -> Any:
    """Return the WSGI application (PEP 3333) that answers ``/metrics`` with the sums over all processes' files."""
    import prometheus_client as prometheus  # noqa: PLC0415 - only where asked for
    from prometheus_client import multiprocess  # noqa: PLC0415

    class Collector(multiprocess.MultiProcessCollector):
        """Read the files of all processes. Pass over an empty file: a process is just creating it."""

        def collect(self) -> Any:
            files = [str(path) for path in folder.glob("*.db") if _size(path)]
            return self.merge(files, accumulate=True)  # type: ignore[no-untyped-call]

    registry = prometheus.CollectorRegistry()
    Collector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return prometheus.make_wsgi_app(registry)


def _size(path: Path) -> int:
    """Return the size in bytes; 0 if the file is gone, since ``forget`` removes some."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
