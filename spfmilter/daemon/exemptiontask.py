"""Keep the exemptions in force equal to those of their store: a task of the storage process.

Knows how often to look, what to do while the store is away (the last known list stays in force), and what to log.
Workers are given the list by the board (docs/decisions/0056-exemptions.md).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress

from spfmilter.daemon.exemptionboard import ExemptionBoard
from spfmilter.exemptions import saved
from spfmilter.exemptions.exemption import MOST, MOST_BY_SPF, Exemption, valid
from spfmilter.exemptions.inforce import choose, pack
from spfmilter.exemptions.opening import open_store
from spfmilter.exemptions.store import Store, place
from spfmilter.exemptions.when import utc
from spfmilter.observe import log
from spfmilter.observe.ratelimited import RateLimitedLog
from spfmilter.settings import Settings
from spfmilter.stores.choice import StoreError, is_shared
from spfmilter.stores.rows import Row

EVERY = 0.5  # seconds between two looks. With a worker's beat of one second, a change is in force within two
_REREAD = 30.0  # seconds after which the store is read without a sign of a change: for rows that were edited by hand


def is_wanted(settings: Settings) -> bool:
    """Return whether there is a store to look at, or a folder in which there may be one."""
    return is_shared(settings) or bool(settings.state.folder and os.path.isdir(settings.state.folder))  # noqa: PTH112 - it raises nothing


def remembered(settings: Settings) -> Sequence[Exemption]:
    """Return the exemptions of the last run, for the time until the store answers."""
    try:
        return saved.load(settings.state.folder, place(settings))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        fix = "nothing, if the store answers; else give the file in that folder to the daemon's user, or remove it"
        log.warning("saved exemptions unusable", folder=settings.state.folder, reason=reason, fix=fix)
        return ()


def begin(settings: Settings, board: ExemptionBoard) -> None:
    """Put the exemptions of the last run in force, before there is any worker."""
    known = choose(remembered(settings), time.time())
    if known:
        with suppress(OSError):  # no memory: the task reports it
            board.publish(pack(known), len(known))


def settle(settings: Settings, board: ExemptionBoard) -> None:
    """Let no exemption stay in force if the settings, after a reload, name no store any more."""
    if not place(settings) and board.state().number:
        with suppress(OSError):
            board.publish(pack([]), 0)


class ExemptionTask:
    """See ``storage.Task``."""

    name = "exemptions"

    def __init__(
        self,
        settings: Settings,
        board: ExemptionBoard,
        *,
        opened: Callable[[Settings], Store] = open_store,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._board, self._opened, self._wall_clock = settings, board, opened, wall_clock
        self._place, self._folder = place(settings), settings.state.folder
        self._store: Store | None = None
        self._version: Hashable = None  # of the store, when it was last read
        self._read_at = float("-inf")
        self._errors, self._away = board.state().errors, ""
        self._published = False  # by this task; the list on the board may be that of another store
        self._known: Mapping[str, Exemption] = {
            one.id: one for one in remembered(settings) if one.is_in_force(wall_clock())
        }
        self._limits = RateLimitedLog()

    def run(self, ending: threading.Event) -> None:
        """Look at the store until ``ending`` is set."""
        try:
            while not ending.is_set():
                self.step()
                ending.wait(EVERY)
        finally:
            if self._store is not None:
                self._store.close()

    def step(self) -> None:
        """Look once. A store that cannot be used changes nothing that is in force."""
        reason = ""
        try:
            self._expire()
            self._look()
        except StoreError as error:
            reason = str(error)
            self._errors += 1
        self._tell_of(reason)
        looked = self._board.state().looked if reason else time.monotonic()
        self._board.note(looked=looked, errors=self._errors, reason=reason)

    def _tell_of(self, reason: str) -> None:
        if reason:
            self._limits.exemptions_away(self._place, reason, len(self._known))
        elif self._away:
            log.info("exemption store responding again", store=self._place)
        self._away = reason

    def _look(self) -> None:
        if self._store is None:
            self._store = self._opened(self._settings)
        version = self._store.version()
        if version == self._version and time.monotonic() < self._read_at + _REREAD:
            return
        rows = self._store.read()
        if version is None and not rows and self._known and not self._store.forgets:
            raise StoreError(f"{self._place} is not there any more")
        self._take(rows)
        self._version, self._read_at = version, time.monotonic()

    def _take(self, rows: Sequence[Row]) -> None:
        now = self._wall_clock()
        found = {one.id: one for one in valid(rows, self._refuse)}
        if self._store is not None and self._store.forgets:
            lost = [one for one in self._known.values() if one.id not in found and one.is_in_force(now)]
            if lost:
                self._store.give_back(lost)
                fix = "let the server keep its data over a restart (docs/exemptions.md)"
                event = "exemption store has lost exemptions, given back"
                log.warning(event, store=self._place, number=len(lost), fix=fix)
                found |= {one.id: one for one in lost}
        chosen = {one.id: one for one in choose(found.values(), now)}
        if len(chosen) < (wanted := sum(one.is_in_force(now) for one in found.values())):
            self._limits.exemptions_too_many(wanted - len(chosen), MOST, MOST_BY_SPF)
        if chosen != self._known or not self._published:
            before = self._known
            self._put_in_force(chosen)
            self._log_changes(before, chosen, found)

    def _refuse(self, row: Row, why: str) -> None:
        self._limits.exemption_invalid(self._place, str(row.get("id"))[:32], why)

    def _log_changes(
        self, before: Mapping[str, Exemption], chosen: Mapping[str, Exemption], found: Mapping[str, Exemption]
    ) -> None:
        now = self._wall_clock()
        for one in chosen.values():
            if one.id not in before:
                about = {"exempts": str(one.subject), "until": utc(one.until), "because": one.because}
                log.info("exemption added", id=one.id, **about, by=one.added_by)
        for one in before.values():
            if one.id not in chosen and one.is_in_force(now):
                last = found.get(one.id)
                by = last.removed_by if last is not None else ""
                log.info("exemption removed", id=one.id, exempts=str(one.subject), by=by or "unknown")

    def _expire(self) -> None:
        """Log the exemptions that have ended. The workers have not used them since, by their own clocks."""
        now = self._wall_clock()
        ended = [one for one in self._known.values() if not one.is_in_force(now)]
        if ended:
            self._put_in_force({one.id: one for one in self._known.values() if one.is_in_force(now)})
        for one in ended:
            about = {"because": one.because, "by": one.added_by}
            log.info("exemption expired", id=one.id, exempts=str(one.subject), **about)

    def _put_in_force(self, chosen: Mapping[str, Exemption]) -> None:
        """Publish a list, and save it for the next start.

        Raises:
            StoreError: there is no memory for it, so that the former list stays.
        """
        try:
            self._board.publish(pack(chosen.values()), len(chosen))
        except OSError as error:
            raise StoreError(f"the list cannot be given to the workers: {error.strerror or error}") from None
        self._known, self._published = chosen, True
        try:
            saved.save(self._folder, self._place, list(chosen.values()))
        except OSError as error:
            self._limits.exemptions_not_saved(self._folder, error.strerror or str(error))
