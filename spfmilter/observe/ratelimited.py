"""Limit the rate of warnings that every message could cause.

Knows these warnings and their keys. ``log`` writes the lines.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from spfmilter.model import SkipReason
from spfmilter.observe import log
from spfmilter.observe.targets import Value

_WARN_EVERY = 600.0  # seconds between two warnings of the same kind
_JOURNAL = "look after the journal's database, as its own event says; mail does not depend on it"
_MEMORY = "free memory, or raise the limits of the process (ulimit -a)"


class RateLimitedLog:
    """Log each kind of warning at most once in ten minutes, with the number of suppressed ones.

    Safe for use by several threads at once.
    """

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
            fix="mail from outside: let the NAT or proxy pass the address on; your own: [exempt] networks",
        )

    def unreadable(self, reason: str) -> None:
        """Warn of a name from the MTA that is not UTF-8. pymilter cannot decode it, and drops the event."""
        self._warn("non-UTF-8 value from the MTA, ignored", reason=reason)

    def state_away(self, server: str, reason: str) -> None:
        """Warn that the server of ``[state] url`` did not answer. ``server`` is its URL without the password."""
        fix = "look after this server, or [state] url"
        self._warn("state server not responding, using local memory", server=server, reason=reason, fix=fix)

    def state_wrong(self, server: str, key: str) -> None:
        """Warn that the server of ``[state] url`` holds no plausible time under our ``key``."""
        fix = "let no other program write there, and set the clocks of all hosts"
        self._warn("state server value invalid, overwritten", server=server, key=key, fix=fix)

    def not_counted(self, reason: str) -> None:
        """Warn that the metrics lost a count, for lack of memory."""
        self._warn("metrics update lost", reason=reason, fix=_MEMORY)

    def not_served(self, reason: str) -> None:
        """Warn that a request for the metrics could not be answered."""
        self._warn("metrics request failed", reason=reason, fix="if this goes on, systemctl restart spfmilter")

    def not_remembered(self, reason: str) -> None:
        """Warn that this host has no memory left for a deferral, or no lock."""
        self._warn("deferral not stored", reason=reason, fix=_MEMORY)

    def exemptions_away(self, store: str, reason: str, number: int) -> None:
        """Warn that the store of the exemptions cannot be used. ``number`` are in force."""
        fix = "repair the store, or let the daemon reach it; the list stays in force meanwhile"
        self._warn(
            "exemption store not responding, last known exemptions in force",
            store=store,
            reason=reason,
            number=number,
            fix=fix,
        )

    def exemption_invalid(self, store: str, identity: str, reason: str) -> None:
        """Warn of a row in the store that is no exemption."""
        self._warn(
            "exemption invalid, ignored", store=store, id=identity, reason=reason, fix="remove that row from the store"
        )

    def exemptions_too_many(self, number: int, most: int, most_by_spf: int) -> None:
        """Warn that the store has more exemptions than workers take."""
        fix = f"at most {most}, and {most_by_spf} by a forwarder's SPF: put lists into the INI file"
        self._warn("too many exemptions, the newest ignored", number=number, fix=fix)

    def exemptions_not_saved(self, folder: str, reason: str) -> None:
        """Warn that the exemptions cannot be saved for the next start."""
        fix = "let the daemon's user write in that folder, or make space there"
        self._warn("exemptions not saved for the next start", folder=folder, reason=reason, fix=fix)

    def page_unheard(self, folder: str, reason: str) -> None:
        """Warn that the help page of this host cannot report corrected records."""
        fix = "let the daemon's user write in that folder; until then, a correction counts after [dns] cache_max_ttl"
        self._warn("help page cannot report corrected records", folder=folder, reason=reason, fix=fix)

    def hosts_unreached(self, reason: str) -> None:
        """Warn that the other hosts do not learn of corrected records, and that we do not learn of theirs."""
        fix = "look after this server; until then, a correction counts there after [dns] cache_max_ttl"
        self._warn("corrected records not exchanged with other hosts", reason=reason, fix=fix)

    def rows_dropped(self, rows: int, reason: str) -> None:
        """Warn that this process has dropped rows of the journal: so many since its start, the last for this reason."""
        self._warn("journal rows dropped", rows=rows, reason=reason, fix=_JOURNAL)

    def row_lost(self, trace: str) -> None:
        """Log an internal error that cost a row of the journal."""
        event = "journal row"
        if (held := self._suppressed(event)) is not None:
            log.fault(event, trace, **({"suppressed": held} if held else {}))

    def _warn(self, event: str, **fields: Value) -> None:
        if (held := self._suppressed(event)) is not None:
            log.warning(event, **fields, **({"suppressed": held} if held else {}))

    def _suppressed(self, event: str) -> int | None:
        """Return how often the event has been suppressed since it was last logged; None: suppress it now, too."""
        with self._lock:
            now = self._clock()
            if now < self._next.get(event, now):
                self._held[event] = self._held.get(event, 0) + 1
                return None
            self._next[event] = now + _WARN_EVERY
            return self._held.pop(event, 0)
