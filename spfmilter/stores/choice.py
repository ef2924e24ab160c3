"""Which store the settings name: a Redis or Valkey server, the PostgreSQL of the journal, or a file of this host.

Knows the order in which they are chosen. Does not know what is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from spfmilter.packages import how_to_install
from spfmilter.settings import Settings
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.settings.urls import StateUrl

_T = TypeVar("_T")


class StoreError(Exception):
    """The store cannot be used. The message says why, and what to do if that is known; it holds no password."""

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied  # another user could perhaps use it


def is_shared(settings: Settings) -> bool:
    """Return whether other hosts use the same store."""
    return settings.state.url is not None or (settings.journal.url is not None and not settings.journal.url.embedded)


def place(settings: Settings, file: str) -> str:
    """Return the store that the settings name, for people; empty: none. ``file`` is that of this host."""
    if settings.state.url is not None:
        return str(settings.state.url)
    if settings.journal.url is not None and not settings.journal.url.embedded:
        return str(settings.journal.url)
    return f"{settings.state.folder}/{file}" if settings.state.folder else ""


def choose(
    settings: Settings,
    what: str,
    *,
    server: Callable[[StateUrl], _T],
    sql: Callable[[JournalUrl], _T],
    embedded: Callable[[Path], _T],
) -> _T:
    """Return the store that one of the three makes.

    Args:
        settings: which name it.
        what: is stored, for the error.
        server: makes one on a Redis or Valkey server. May raise ModuleNotFoundError: the library is missing.
        sql: makes one in PostgreSQL.
        embedded: makes one of this host, in a folder.

    Raises:
        StoreError: the settings name none, or a library is missing.
    """
    if settings.state.url is not None:
        try:
            return server(settings.state.url)
        except ModuleNotFoundError:
            raise StoreError(f"the package redis is missing: {how_to_install('redis', 'redis')}") from None
    if settings.journal.url is not None and not settings.journal.url.embedded:
        return sql(settings.journal.url)
    if settings.state.folder:
        return embedded(Path(settings.state.folder))
    raise StoreError(
        f"the settings name no place for {what}: write a folder into [state] folder, or a server into [state] url"
    )
