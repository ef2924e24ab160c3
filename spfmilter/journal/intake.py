"""Take the journal's rows out of the channel, so that workers never wait for the database. Knows no database."""

from __future__ import annotations

import threading
import time

from spfmilter.journal.backlog import Backlog
from spfmilter.journal.channel import Receiver

ENOUGH = 1000  # rows for a transaction
_WAIT = 0.5  # seconds
_GATHER = 0.05  # seconds between two looks: packets come in crowds, and one wakeup is enough for many
ORPHANED = 20.0  # seconds at most in which the workers of a supervisor that was killed send their last rows


class Intake:
    """A task of the storage process."""

    name = "journal channel"

    def __init__(self, receiver: Receiver, backlog: Backlog, orphaned: threading.Event) -> None:
        """Prepare.

        Args:
            receiver: of the packets.
            backlog: to which they are added.
            orphaned: the supervisor was killed. Set before ``ending``.
        """
        self._receiver, self._backlog, self._orphaned = receiver, backlog, orphaned
        self._corrupt = 0  # packets that are already counted

    def run(self, ending: threading.Event) -> None:
        """Read until ``ending`` is set and the channel is empty.

        If the supervisor was killed, its workers are about to end: read until they have, some seconds at most.
        """
        until = None
        while True:
            is_last = ending.is_set()
            self._read()
            if is_last:
                until = until or time.monotonic() + ORPHANED
                if not self._orphaned.is_set() or self._receiver.ended or time.monotonic() > until:
                    break
            self._receiver.wait(_WAIT)
            ending.wait(_GATHER)
        self._backlog.complete = True
        self._backlog.enough.set()

    def _read(self) -> None:
        """Read what is there. Each packet is counted before it is taken: this process may be killed in between."""
        self._backlog.take_over(ENOUGH)
        while rows := self._receiver.coming():
            self._backlog.expect(rows)
            self._backlog.add(self._receiver.take(), ENOUGH)
        if self._receiver.corrupt > self._corrupt:
            self._backlog.corrupt(self._receiver.corrupt - self._corrupt)
            self._corrupt = self._receiver.corrupt
