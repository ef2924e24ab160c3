"""Open the store of requests that the settings name. Loads the libraries of that one alone."""

from __future__ import annotations

from spfmilter.requests.embedded import EmbeddedRequests
from spfmilter.requests.store import FILE, RequestStore
from spfmilter.settings import Settings
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.settings.urls import StateUrl
from spfmilter.stores import choice


def open_store(settings: Settings) -> RequestStore:
    """Return the store. Nothing is opened before the first question.

    Raises:
        choice.StoreError: the settings name none, or a library is missing.
    """
    return choice.choose(
        settings, "requests", server=_on_server, sql=_in_sql, embedded=lambda folder: EmbeddedRequests(folder / FILE)
    )


def _on_server(url: StateUrl) -> RequestStore:
    from spfmilter.requests.server import ServerRequests  # noqa: PLC0415 - only where asked for

    return ServerRequests(url)


def _in_sql(url: JournalUrl) -> RequestStore:
    from spfmilter.requests.sql import SqlRequests  # noqa: PLC0415 - SQLAlchemy takes its time to load

    return SqlRequests(url)
