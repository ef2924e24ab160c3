"""Watch the nameservers from a worker's main thread, and log when they fall silent or answer nothing but errors.

Knows the events and their keys. ``dns/silence.py`` and ``dns/errors.py`` know when they begin and end.
"""

from __future__ import annotations

from spfmilter.dns import selftest
from spfmilter.dns.probe import Probe
from spfmilter.dns.reports import Reports
from spfmilter.dns.resolver import Resolver
from spfmilter.observe import log


class NameserverWatch:
    """Watches the nameservers of a process; for one thread, which calls ``look`` each second."""

    def __init__(self, resolver: Resolver, reports: Reports) -> None:
        self._resolver, self._reports = resolver, reports
        self._probe = Probe(resolver, reports)

    def look(self) -> None:
        """Probe the nameservers if they are silent, and log what has begun or ended. Do not wait."""
        self._look_at_silence()
        self._look_at_errors()

    def _look_at_silence(self) -> None:
        change = self._probe.step()
        if change is None:
            return
        if change.over:
            log.info("nameservers responding again", nameservers=self._names(), seconds=round(change.seconds))
        else:
            names, fix = self._names(), selftest.FIX
            log.error("nameservers not responding", nameservers=names, reason=change.reason, fix=fix)

    def _look_at_errors(self) -> None:
        errors, now = self._resolver.errors, self._resolver.clock()
        servers = self._resolver.nameservers()
        change = errors.step(self._reports.errors_of_others(servers, now), now)
        self._reports.tell_errors(errors.report(), servers, now)
        if change is None:
            return
        seconds = round(change.seconds)
        if not change.over:
            log.error(
                "nameservers answer only with errors",
                nameservers=self._names(),
                reason=change.reason,
                seconds=seconds,
                fix=selftest.FIX_ERRORS,
            )
        # The last worker that sees the end logs it. We have told ours before: of two that see it together, one is last.
        elif all(report.since is None for report in self._reports.errors_of_others(servers, now)):
            log.info("nameservers answer without errors again", nameservers=self._names(), seconds=seconds)

    def _names(self) -> str:
        return ", ".join(map(str, self._resolver.nameservers()))

    def withdraw(self) -> None:
        """Close the sockets, and tell the other workers nothing any more."""
        self._probe.withdraw()
        servers, now = self._resolver.nameservers(), self._resolver.clock()
        self._reports.tell_errors(self._resolver.errors.last_good(), servers, now)
