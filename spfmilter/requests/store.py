"""Where requests are kept: one interface, the name of the place, and the limits that hold for all stores.

Knows no store's own language. A store may take its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol

from spfmilter.requests.request import SenderRequest, is_crowded, valid
from spfmilter.settings import Settings
from spfmilter.stores import choice
from spfmilter.stores.rows import Row

FILE = "requests/requests.db"  # in [state] folder: a folder of its own, which the help page's user may write


class RequestStore(Protocol):
    """Keeps requests for one host, or for several. All methods raise ``choice.StoreError``.

    Rows are untrusted input.
    """

    name: str  # for people, without a password

    def prepare(self) -> None:
        """Make what is missing, such as the file and its table, so that the first request need not wait for it."""

    def find(self, case_id: str) -> Row | None:
        """Return the row of a case; None: there is none."""

    def read(self) -> Sequence[Row]:
        """Return all rows."""

    def add(self, request: SenderRequest) -> bool:
        """Keep another request. Return False, and keep what is there, if its case has one."""

    def answer(self, request: SenderRequest) -> bool:
        """Keep the answer of a request. Return False, and change nothing, if it is open no more."""

    def end(self, exemptions: Sequence[str], now: int) -> None:
        """Note that exemptions, by their ids, have ended: they were removed."""

    def note_mailed(self, case_ids: Sequence[str], now: int | None) -> None:
        """Note when requests were in a digest; None: they were in none."""

    def forget(self, now: int) -> None:
        """Remove the requests whose time has come."""

    def close(self) -> None:
        """Let go of the store."""


class AskOutcome(Enum):
    """What has become of another request."""

    KEPT = "kept"
    THERE_ALREADY = "the case has one"
    TOO_MANY = "too many are open"


def ask(store: RequestStore, request: SenderRequest) -> AskOutcome:
    """Keep another request, if there are not too many.

    Raises:
        choice.StoreError: the store cannot be used.
    """
    store.forget(request.asked)
    present = list(valid(store.read(), lambda _row, _why: None))
    if any(one.case_id == request.case_id for one in present):
        return AskOutcome.THERE_ALREADY
    if is_crowded(present, request.address, request.domain):
        return AskOutcome.TOO_MANY
    return AskOutcome.KEPT if store.add(request) else AskOutcome.THERE_ALREADY


def place(settings: Settings) -> str:
    """Return the store that the settings name, for people; empty: none."""
    return choice.place(settings, FILE)
