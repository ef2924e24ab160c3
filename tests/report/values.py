"""Values of the report, made short."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

from spfmilter.journal.database import open_engine, upgrade
from spfmilter.journal.reader import reading
from spfmilter.journal.rows import Decision
from spfmilter.report.gather import Confirm, gather
from spfmilter.report.period import WantedSpan
from spfmilter.report.summary import MailReport
from spfmilter.settings.journalurl import journal_url
from tests.report.traffic import NOW, store
from tests.values import settings

DAYS = 86_400_000


def at(text: str, zone: tzinfo = UTC) -> int:
    """Return a date as milliseconds."""
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


class Summer(tzinfo):
    """Central European time in 2026: one hour before UTC, two from 29 March to 25 October at 01:00 UTC.

    Of our own, since a host need not have a database of time zones.
    """

    def utcoffset(self, when: datetime | None) -> timedelta:
        """Return the offset to UTC."""
        return timedelta(hours=1) + self.dst(when)

    def dst(self, when: datetime | None) -> timedelta:
        """Return how much of it is summer time."""
        assert when is not None
        plain = when.replace(tzinfo=None)
        end = datetime(2026, 10, 25, 2 if when.fold else 3)  # noqa: DTZ001 - local
        return timedelta(hours=int(datetime(2026, 3, 29, 2) <= plain < end))  # noqa: DTZ001 - local

    def fromutc(self, when: datetime) -> datetime:
        """Return a time of UTC in this zone."""
        plain = when.replace(tzinfo=None)
        summer = datetime(2026, 3, 29, 1) <= plain < datetime(2026, 10, 25, 1)  # noqa: DTZ001 - in UTC
        again = datetime(2026, 10, 25, 1) <= plain < datetime(2026, 10, 25, 2)  # noqa: DTZ001 - the hour that is twice
        return (when + timedelta(hours=2 if summer else 1)).replace(fold=int(again))

    def tzname(self, when: datetime | None) -> str:
        """Return the name of the time."""
        return "CEST" if self.dst(when) else "CET"


BERLIN = Summer()
KATHMANDU = timezone(timedelta(hours=5, minutes=45), "+0545")


def filled(folder: Path, rows: Iterable[Decision]) -> str:
    """Make a journal with these rows in a file, and return its URL."""
    url = f"sqlite:///{folder / 'journal.db'}"
    fill(url, rows)
    return url


def fill(url: str, rows: Iterable[Decision]) -> None:
    """Write rows into a journal, which is made if there is none."""
    parsed = journal_url(url)
    assert parsed is not None
    engine = open_engine(parsed)
    try:
        upgrade(engine, parsed)
        store(engine, rows)
    finally:
        engine.dispose()


def report(
    url: str,
    ini: str = "",
    *,
    since: int = NOW - 7 * DAYS,
    until: int = NOW,
    zone: tzinfo = UTC,
    confirm: Confirm | None = None,
) -> MailReport:
    """Return the report on a journal, as the command makes it."""
    parsed = journal_url(url)
    assert parsed is not None
    with reading(parsed) as journal:
        return gather(journal, settings(ini), WantedSpan(since, until, NOW, zone), confirm=confirm)
