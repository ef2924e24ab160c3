"""Whether our own nameservers have stopped answering, as one process sees it. Knows times; sends no packet.

| state     | a lookup             | it begins                                                                      |
| --------- | -------------------- | ------------------------------------------------------------------------------ |
| answering | waits for its answer | at the start, and with any answer of a nameserver                              |
| silent    | waits for its answer | when a lookup fails, and no nameserver has answered anything since it was sent |
| given up  | fails at once        | after ``MAX_WAITED`` seconds in which probes have had no answer either         |

Lookups fail at once only while ``probe.Probe`` asks for the end of the silence: a process without one always waits.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_WAITED = 60.0  # seconds of silence in which lookups wait: a nameserver that is restarted comes back sooner
_PROBE_HOLDS = 5.0  # seconds after a probe in which lookups may rely on it
_ANNOUNCED_EVERY = 60.0  # seconds between two announcements of a silence: a resolver may come and go


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A silence has begun or ended, for the log."""

    over: bool
    seconds: float  # since it began
    reason: str  # of the first lookup that failed, such as "timeout"


class Silence:
    """The silence of our nameservers. Any thread may call ``begin`` and ``spares_waiting``; one thread calls the rest.

    Without a lock: each attribute is written whole, and a reader that is a moment late waits for one answer more.

    Attributes:
        since: when the first lookup was sent that no nameserver has answered; None: they answer.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self._reason = ""
        self._probed = float("-inf")  # when the last probe was sent
        self._announced = float("-inf")  # when a silence was last announced
        self._is_announced = False  # this one was

    def begin(self, since: float, reason: str) -> None:
        """Note a failed lookup: no nameserver has answered anything since it was sent."""
        if self.since is None:
            self._reason = reason
            self.since = since

    def spares_waiting(self, now: float) -> bool:
        """Return whether a lookup fails at once."""
        since = self.since
        return since is not None and now - since >= MAX_WAITED and now - self._probed < _PROBE_HOLDS

    def probed(self, now: float) -> None:
        """Note that a probe was sent."""
        self._probed = now

    def announce(self, now: float) -> Change | None:
        """Return the silence if it should be announced now: once, and at most one in a minute."""
        if self.since is None or self._is_announced or now - self._announced < _ANNOUNCED_EVERY:
            return None
        self._is_announced, self._announced = True, now
        return Change(over=False, seconds=now - self.since, reason=self._reason)

    def end(self, now: float) -> Change | None:
        """End the silence: a nameserver has answered. Return it if its beginning was announced."""
        since, announced = self.since, self._is_announced
        self.since, self._is_announced = None, False
        return Change(over=True, seconds=now - since, reason=self._reason) if since is not None and announced else None
