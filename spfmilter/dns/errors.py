"""Whether our own nameservers answer nothing but errors, as one process sees it. Knows times; sends no packet.

A resolver that has lost its way to the Internet, or that does not serve this host, answers every question with SERVFAIL
or REFUSED. It also passes on the errors of a sender's broken domain, but then other domains have answers. So errors are
the nameservers' own fault only if they come for ``DOMAINS`` different domains, over ``LASTING`` seconds, and no other
answer comes in that time.

The workers of a host tell each other of it (``reports``): all of them count the same domains and the same time, and a
good answer that one of them gets ends it in all.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from zlib import crc32

from spfmilter.dns import wire
from spfmilter.dns.answer import Answer, Status
from spfmilter.dns.silence import Change

LASTING = 60.0  # seconds with nothing but errors: a resolver that is restarted is back sooner
DOMAINS = 10  # different ones: a few broken domains may write to us at the same time
_BITS = 64
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """What one worker tells the others; times are those of ``time.monotonic``."""

    since: float | None = None  # when the first error came after the last good answer; None: there was none
    latest: float = _NEVER  # when the last error came
    domains: int = 0  # those with errors, as a set of bits
    good: float = _NEVER  # when the last good answer came
    is_announced: bool = False


class Errors:
    """The errors of our nameservers. Any thread may call ``note``; one thread calls the rest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # for an error, and once a second; a good answer takes none
        self._answered = _NEVER  # when this process had a good answer
        self._good = _NEVER  # when any worker had one
        self._reason = ""  # of this process's last error; empty: it has had none
        self._report = ErrorReport()

    def note(self, name: str, answer: Answer, now: float) -> None:
        """Note an answer to a question that was sent. No answer at all counts as neither good nor an error."""
        if answer.status is not Status.FAILED:
            self._answered = now
        elif wire.is_error(answer):
            with self._lock:
                self._reason, old = answer.failure, self._report
                since = now if old.since is None else old.since
                self._report = replace(old, since=since, latest=now, domains=old.domains | _bit(name))

    def step(self, others: Sequence[ErrorReport], now: float) -> Change | None:
        """Take over what other workers have found. Return a beginning or an end for the log; None if there is none.

        A worker announces only what a question of its own has met.
        """
        with self._lock:
            self._good = max([self._good, self._answered, *(report.good for report in others)])
            since = self._report.since
            if since is not None and self._good >= since:
                return self._end(since, now)
            known = [r for r in (self._report, *others) if r.since is not None and r.since > self._good]
            if known:
                self._report = _together(known)
            if not self._reason or self._report.is_announced or not _is_lasting(self._report):
                return None
            self._report = replace(self._report, is_announced=True)
            return Change(over=False, seconds=self.seconds(now), reason=self._reason)

    def _end(self, since: float, now: float) -> Change | None:
        ended, reason = self._report, self._reason
        self._report, self._reason = ErrorReport(), ""
        return Change(over=True, seconds=now - since, reason=reason) if ended.is_announced else None

    def report(self) -> ErrorReport:
        """Return what to tell the other workers."""
        return replace(self._report, good=self._good)

    def last_good(self) -> ErrorReport:
        """Return what to tell the other workers when this one ends."""
        return ErrorReport(good=self._good)

    def seconds(self, now: float) -> float:
        """Return for how long the nameservers have answered nothing but errors; 0.0 if that is not announced."""
        since = self._report.since
        return max(0.0, now - since) if since is not None and self._report.is_announced else 0.0


def _is_lasting(report: ErrorReport) -> bool:
    if report.since is None or report.latest - report.since < LASTING:
        return False
    return report.domains.bit_count() >= DOMAINS


def _together(reports: Sequence[ErrorReport]) -> ErrorReport:
    """Return the reports as one. At least one of them has a beginning."""
    domains = 0
    for report in reports:
        domains |= report.domains
    return ErrorReport(
        since=min(report.since for report in reports if report.since is not None),
        latest=max(report.latest for report in reports),
        domains=domains,
        is_announced=any(report.is_announced for report in reports),
    )


def _bit(name: str) -> int:
    """Return the bit of a name's domain: of its last two labels, because one domain can have any number of names.

    Two domains may have the same bit. Domains below co.uk count as one. So there may be more than ``DOMAINS``, never
    fewer.
    """
    domain = name.lower().rstrip(".").rsplit(".", 2)[-2:]
    return 1 << crc32(".".join(domain).encode("utf-8", "surrogatepass")) % _BITS
