"""Journals of every kind, and the page that is made of each."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from spfmilter.journal.rows import Decision
from spfmilter.report.findings import pointers
from spfmilter.report.page import page
from tests.report import traffic
from tests.report.traffic import NOW, forwarded, partner, refused, row
from tests.report.values import DAYS, filled, report
from tests.values import settings

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\x1b[31m[bold]"
LONG = "x" * 240 + ".example"
INI = "[exempt]\nforwarders = .alumni.example, mx.old.example\nnetworks = 10.0.0.0/8\n"


def hostile() -> Iterator[Decision]:
    """Rows of which each text is markup, or very long, and which become findings all the same."""
    for text in (HOSTILE, LONG, "\u202eright to left \u05d0\u05d1", "{{ 7 * 7 }}{% raw %}"):
        yield refused(NOW - 60_000, host=text, sender_domain=text, helo=text, client_name=text, override_by=text)
        yield refused(NOW - 60_000, sender_domain=text, mailfrom_result="temperror", override=text[:30])
        yield row(
            NOW - 60_000,
            mailfrom_result=text[:16],
            helo_result=text[:16],
            action=text[:16],
            decided_by=text[:16],
            skip=text[:30],
        )
    yield from forwarded(40, helo=HOSTILE)
    yield from forwarded(40, helo=HOSTILE, client_name=HOSTILE + ".example", client="203.0.113.66")
    yield from forwarded(40, helo=LONG, client_name=LONG, client="203.0.114.66")
    yield from partner(12, sender_domain=LONG)


JOURNALS = {
    "week": (lambda: traffic.week(4000), INI, 7),
    "monitor": (lambda: traffic.week(4000, monitor=True), "[policy]\nmode = monitor\n", 7),
    "month": (lambda: traffic.endless(4000), INI, 31),
    "hours": (lambda: traffic.week(4000), "", 2),
    "one": (lambda: [row()], "", 7),
    "hostile": (hostile, INI, 7),
    "empty": (list[Decision], "", 7),
}


def made(folder: Path, name: str) -> str:
    """Return the page of a journal that is made in a folder."""
    rows, ini, days = JOURNALS[name]
    written: Iterable[Decision] = rows()
    found = report(filled(folder, written), ini, since=NOW - days * DAYS)
    return page(found, pointers(found, settings(ini)))
