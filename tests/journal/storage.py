"""The storage process's part of the journal, without a channel: rows go in, and are read from the database."""

import threading

from spfmilter.journal.backlog import Backlog, Leftovers
from spfmilter.journal.channel import packets
from spfmilter.journal.reader import reading
from spfmilter.journal.rows import Row
from spfmilter.journal.totals import TotalsFile
from spfmilter.journal.writer import Writer
from spfmilter.settings.journalurl import JournalUrl
from tests.journal.values import row

KEEP = 400 * 86400.0


class Storage:
    """A storage process without a channel."""

    def __init__(self, url: JournalUrl, keep: float = KEEP) -> None:
        self.totals = TotalsFile()
        self.backlog = Backlog(self.totals.of_storage(), Leftovers())
        self.writer = Writer(url, keep, self.backlog)

    def write(self, given: list[Row]) -> tuple[int, int]:
        """Write these rows and end. Return how many are written, and how many are lost."""
        for packet in packets(given):
            self.backlog.add(packet, 1)
        self.backlog.complete = True
        self.backlog.enough.set()
        ending = threading.Event()
        ending.set()
        self.writer.run(ending)
        counts = self.totals.totals()
        return counts.written, counts.dropped


def hostile(number: int, cell: object) -> Row:
    """A row that no worker makes."""
    made_row = list(row(number))
    made_row[1] = cell  # type: ignore[call-overload]
    return tuple(made_row)


def written(url: JournalUrl) -> list[Row]:
    with reading(url) as journal:
        return [tuple(each) for each in journal.decisions(since=0)]
