"""Whether our own nameservers have stopped answering, as one process sees it. Knows times; sends no packet.

| state     | a lookup             | it begins                                                                      |
| --------- | -------------------- | ------------------------------------------------------------------------------ |
| answering | waits for its answer | at the start, and with any answer of a nameserver                              |
| silent    | waits for its answer | when a lookup fails, and no nameserver has answered anything since it was sent |
| given up  | fails at once        | after ``MAX_WAITED`` seconds in which probes have had no answer either         |

Lookups fail at once only while ``probe.Probe`` asks for the end of the silence: a process without one always waits.

The workers of a host tell each other of a silence (``reports``). One that hears of it takes over its beginning, so all
of them count the same minute. Each goes by its own probes: an answer to one of them ends the silence in that worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

MAX_WAITED = 60.0  # seconds of silence in which lookups wait: a nameserver that is restarted comes back sooner
_PROBE_HOLDS = 5.0  # seconds after a probe in which lookups may rely on it
_PROBED_FOR = 2.0  # seconds of own probes without an answer, before lookups rely on what another worker has found
_ANNOUNCED_EVERY = 60.0  # seconds between two announcements of a silence: a resolver may come and go
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A silence has begun or ended, for the log."""

    over: bool
    seconds: float  # since it began
    reason: str  # of the first lookup that failed, such as "timeout"; empty at the end, if only others had one


@dataclass(frozen=True, slots=True)
class Report:
    """What one worker tells the others."""

    since: float | None  # when the silence began; None: the nameservers answer
    announced: float  # when a silence was last announced
    is_announced: bool = False  # this one was


class Silence:
    """The silence of our nameservers. Any thread may call ``begin`` and ``spares_waiting``; one thread calls the rest.

    Without a lock: each attribute is written whole, and a reader that is a moment late waits for one answer more.

    Attributes:
        since: when the first lookup was sent that no nameserver has answered; None: they answer.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self._reason = ""  # why a lookup of this process failed first; empty: none has
        self._first_probe: float | None = None  # of this silence
        self._probed = _NEVER  # when the last probe was sent
        self._announced = _NEVER  # when a silence was last announced, by any worker
        self._is_announced = False  # this one was, by any worker

    def begin(self, since: float, reason: str) -> None:
        """Note a failed lookup: no nameserver has answered anything since it was sent."""
        self._reason = self._reason or reason
        if self.since is None:
            self.since = since

    def spares_waiting(self, now: float) -> bool:
        """Return whether a lookup fails at once."""
        since, first = self.since, self._first_probe
        if since is None or first is None or now - since < MAX_WAITED:
            return False
        return now - first >= _PROBED_FOR and now - self._probed < _PROBE_HOLDS

    def probed(self, now: float) -> None:
        """Note that a probe was sent."""
        self._first_probe = now if self._first_probe is None else self._first_probe
        self._probed = now

    def hear(self, reports: Iterable[Report], is_silent_since: Callable[[float], bool]) -> None:
        """Take over what other workers have found.

        Args:
            reports: theirs.
            is_silent_since: tells whether this process has had no answer since a time; if not, its own view stands.
        """
        for report in reports:
            self._announced = max(self._announced, report.announced)
            if report.since is not None and is_silent_since(report.since):
                self._is_announced = self._is_announced or report.is_announced
                if self.since is None or report.since < self.since:
                    self.since = report.since

    def report(self) -> Report:
        """Return what to tell the other workers."""
        return Report(self.since, self._announced, is_announced=self._is_announced)

    def announce(self, now: float) -> Change | None:
        """Return the silence if it should be announced now: once, and at most one in a minute, for all workers.

        A worker announces only what a lookup of its own has met.
        """
        if self.since is None or not self._reason or self._is_announced or now - self._announced < _ANNOUNCED_EVERY:
            return None
        self._is_announced, self._announced = True, now
        return Change(over=False, seconds=now - self.since, reason=self._reason)

    def end(self, now: float) -> Change | None:
        """End the silence: a nameserver has answered. Return it if its beginning was announced."""
        since, announced, reason = self.since, self._is_announced, self._reason
        self.since, self._first_probe, self._is_announced, self._reason = None, None, False, ""
        return Change(over=True, seconds=now - since, reason=reason) if since is not None and announced else None
