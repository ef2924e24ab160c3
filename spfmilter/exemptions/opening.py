"""Open the store that the settings name. Loads the libraries of that one alone."""

from __future__ import annotations

from spfmilter.exemptions.embedded import EmbeddedStore
from spfmilter.exemptions.store import FILE, Store
from spfmilter.settings import Settings
from spfmilter.settings.journalurl import JournalUrl
from spfmilter.settings.urls import StateUrl
from spfmilter.stores import choice


def open_store(settings: Settings) -> Store:
    """Return the store. Nothing is opened before the first question.

    Raises:
        choice.StoreError: the settings name none, or a library is missing.
    """
    return choice.choose(
        settings, "exemptions", server=_on_server, sql=_in_sql, embedded=lambda folder: EmbeddedStore(folder / FILE)
    )


def _on_server(url: StateUrl) -> Store:
    from spfmilter.exemptions.server import ServerStore  # noqa: PLC0415 - only where asked for

    return ServerStore(url)


def _in_sql(url: JournalUrl) -> Store:
    from spfmilter.exemptions.sql import SqlStore  # noqa: PLC0415 - SQLAlchemy takes its time to load

    return SqlStore(url)
