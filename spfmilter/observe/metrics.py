"""Counters for Prometheus, over all processes of the daemon; free of cost where the INI file asks for none.

Knows the names of the metrics and prometheus-client's multiprocess mode: every process writes files of its own into one
folder, named by its slot and not by its pid, so that restarts and reloads go on counting in the same files.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from spfmilter import __version__
from spfmilter.model import Counters, Transaction
from spfmilter.observe import log

_P = ParamSpec("_P")

# Seconds: memory, a near and a far resolver, several round trips, a lost packet, the time limit.
_BUCKETS = (0.0002, 0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)


class Metrics:
    """Counts nothing: what the daemon uses where ``[metrics] listen`` is empty."""

    def transaction(self, ended: Transaction) -> None:
        """One MAIL FROM, however it ended."""

    def session(self, change: int) -> None:
        """A session has begun (1) or ended (-1)."""

    def dns_query(self, outcome: str) -> None:
        """A question to the DNS has been answered, or has failed."""

    def cache(self, name: str, counters: Counters) -> None:
        """What a cache has been good for so far."""

    def fault(self) -> None:
        """An internal error."""

    def log_lines_lost(self, total: int) -> None:
        """How many lines of its log this process could not write, so far."""

    def worker_ended(self, cause: str) -> None:
        """A worker exited that had not been told to."""

    def workers(self, number: int) -> None:
        """How many workers serve."""

    def reload(self, outcome: str) -> None:
        """A reload was done or refused."""


def _harmless(
    method: Callable[Concatenate[_Prometheus, _P], None],
) -> Callable[Concatenate[_Prometheus, _P], None]:
    """Lose a count rather than a message."""

    @functools.wraps(method)
    def call(self: _Prometheus, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - nothing that the library can meet is worth a message
            self.lost(error)

    return call


class _Prometheus(Metrics):
    """Counts into the files of one slot."""

    def __init__(self, slot: str) -> None:
        import prometheus_client as prometheus  # noqa: PLC0415 - only where asked for
        from prometheus_client import values  # noqa: PLC0415

        from spfmilter.observe.counterfile import CounterFile  # noqa: PLC0415

        self._rate_limited = log.RateLimitedLog()
        values.MmapedDict = CounterFile  # type: ignore[attr-defined]
        values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]
        new: Any = {"registry": None, "namespace": "spfmilter"}
        labels = ("identity", "result", "action")
        self._messages = prometheus.Counter("messages", "MAIL FROM commands judged.", labels, **new)
        self._monitor_actions = prometheus.Counter(
            "monitor_actions", "Actions that monitor mode did not take.", ("action",), **new
        )
        self._refused = prometheus.Counter("recipients_refused", "Recipients refused at RCPT TO.", **new)
        self._separate = prometheus.Counter(
            "recipients_separated", "Recipients told to come in a message of their own.", **new
        )
        self._overrides = prometheus.Counter("overrides", "Messages that an override accepted.", ("type",), **new)
        self._forged = prometheus.Counter("forged_fields", "Forged header fields removed.", **new)
        self._seconds = prometheus.Histogram(
            "evaluation_seconds", "Time of one evaluation.", ("identity",), buckets=_BUCKETS, **new
        )
        self._dns = prometheus.Counter("dns_queries", "Questions to the DNS.", ("outcome",), **new)
        self._cache = prometheus.Counter(
            "cache_lookups", "Looks into a cache, and what was thrown out.", ("cache", "outcome"), **new
        )
        self._internal_errors = prometheus.Counter("internal_errors", "Internal errors.", **new)
        self._lost = prometheus.Counter("log_lines_lost", "Lines of the log that could not be written.", **new)
        self._seen_lost = 0
        self._ended = prometheus.Counter("worker_restarts", "Workers that ended untold.", ("cause",), **new)
        self._reloads = prometheus.Counter("reloads", "Reloads of the settings.", ("outcome",), **new)
        live: Any = {"multiprocess_mode": "livesum", **new}
        self._sessions = prometheus.Gauge("sessions_open", "Sessions open.", **live)
        self._workers = prometheus.Gauge("workers", "Workers that serve.", **live)
        self._build = prometheus.Gauge("build_info", "Version of the daemon.", ("version", "python"), **live)
        self._seen: dict[str, dict[str, int]] = {}  # of the caches' counters, what has been counted already
        self._sessions.set(0)  # the slot's last owner may have died with sessions open
        if slot == "supervisor":
            self._build.labels(__version__, platform.python_version()).set(1)

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

    def lost(self, error: Exception) -> None:
        """A count has been lost."""
        self._rate_limited.not_counted(str(error))


def open_metrics(folder: Path | None, slot: str) -> Metrics:
    """Return the metrics of a process; ``folder`` is shared by all of them, None where nothing is counted.

    Where the folder has no space, or holds a file that cannot be read, the process counts nothing, and the log says so.
    """
    if folder is None:
        return Metrics()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    try:
        return _Prometheus(slot)
    except Exception as error:  # noqa: BLE001 - as above: mail is answered without figures, too
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
    """Return the metrics of a process that may have found no space earlier; those that count stay as they are."""
    return metrics if isinstance(metrics, _Prometheus) else open_metrics(folder, slot)


def forget(folder: Path | None, slot: str) -> None:
    """A process is dead: what it said of the present (open sessions) is no longer true; its counts stay."""
    if folder is None:
        return
    try:
        for path in folder.glob(f"gauge_live*_{slot}.db"):
            path.unlink(missing_ok=True)
    except OSError as error:  # read-only, or not ours any more: until the slot is taken again, they are counted
        log.warning("metrics of an exited worker cannot be removed", process=slot, reason=error.strerror or str(error))


def application(folder: Path) -> Any:
    """Return what answers a request for ``/metrics`` with the sums over all processes' files (WSGI, PEP 3333)."""
    import prometheus_client as prometheus  # noqa: PLC0415 - only where asked for
    from prometheus_client import multiprocess  # noqa: PLC0415

    class Collector(multiprocess.MultiProcessCollector):
        """Reads what all processes have counted; a file that a process is just making is empty still, and no error."""

        def collect(self) -> Any:
            files = [str(path) for path in folder.glob("*.db") if _size(path)]
            return self.merge(files, accumulate=True)  # type: ignore[no-untyped-call]

    registry = prometheus.CollectorRegistry()
    Collector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return prometheus.make_wsgi_app(registry)


def _size(path: Path) -> int:
    """In bytes; 0 for a file that is gone: ``forget`` removes some."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
