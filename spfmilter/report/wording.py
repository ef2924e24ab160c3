"""The words that the terminal and the page have in common. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from spfmilter.journal.sums import RefusedDomain
from spfmilter.report.summary import MailReport

# What was done, from the most severe to the mildest.
DONE = {
    "reject": "rejected",
    "defer": "deferred",
    "quarantine": "quarantined",
    "tag": "tagged",
    "accept": "accepted",
}
IDENTITIES = {"mailfrom": "MAIL FROM", "helo": "HELO"}


def nothing(report: MailReport) -> str:
    """Return why a report has no messages."""
    if report.oldest is None or report.newest is None:
        return "The journal is empty: it has recorded no message yet."
    first, last = report.period.shown(report.oldest), report.period.shown(report.newest)
    return f"The journal holds no message of this time. It has messages from {first} to {last}."


def begins_later(report: MailReport) -> str:
    """Return a sentence if the journal does not reach back as far as was asked; else empty."""
    if report.oldest is None or report.oldest <= report.asked or not report.totals.messages:
        return ""
    return f"The journal begins at {report.period.shown(report.oldest)}."


def host_names(report: MailReport, shown: int = 4) -> str:
    """Return the names of the MTAs; empty if no message was recorded."""
    hosts = report.totals.hosts
    more = len(hosts) - shown
    names = ", ".join(host or "unknown host" for host, _ in hosts.most_common(shown))
    return f"{names} and {more} more" if more > 0 else names


def each(report: MailReport, size: int = 1) -> str:
    """Return how long so many steps of the trend are, such as ``a day`` or ``2 hours``."""
    unit = report.period.unit.word
    if unit[0].isdigit():
        number, word = unit.split()
        return f"{int(number) * size} {word}"
    return f"{size} {unit}s" if size > 1 else f"{'an' if unit == 'hour' else 'a'} {unit}"


def listed(counts: Counter[str]) -> str:
    """Return the numbers of messages by what was done with them."""
    return ", ".join(f"{counts[action]:,} {word}" for action, word in DONE.items() if counts[action])


def mostly(one: RefusedDomain) -> str:
    """Return the most frequent result of a domain's refused messages."""
    return max(one.results, key=lambda result: one.results[result]) if one.results else "no result"


def share(count: int, total: int) -> str:
    """Return a part in per cent. What is not zero is not shown as zero, and what is not all not as all."""
    if not count or not total:
        return ""
    part = 100 * count / total
    return "<0.1 %" if part < 0.1 else ">99.9 %" if 99.9 < part < 100 else f"{part:.1f} %"


def others(counts: Counter[str], known: Sequence[str]) -> list[str]:
    """Return the words that the journal holds beside the known ones, the most frequent first."""
    return [word for word, _ in counts.most_common(20) if word not in known]
