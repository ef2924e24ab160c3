"""Open the store of requests that the settings name. Loads the libraries of that one alone."""

from __future__ import annotations

from pathlib import Path

from spfmilter.exemptions.store import StoreError
from spfmilter.packages import how_to_install
from spfmilter.requests.embedded import EmbeddedRequests
from spfmilter.requests.store import FILE, RequestStore
from spfmilter.settings import Settings


def open_store(settings: Settings) -> RequestStore:
    """Return the store. Nothing is opened before the first question.

    Raises:
        StoreError: the settings name none, or a library is missing.
    """
    if settings.state.url is not None:
        try:
            from spfmilter.requests.server import ServerRequests  # noqa: PLC0415 - only where asked for
        except ModuleNotFoundError:
            raise StoreError(f"the package redis is missing: {how_to_install('redis', 'redis')}") from None
        return ServerRequests(settings.state.url)
    if settings.journal.url is not None and not settings.journal.url.embedded:
        from spfmilter.requests.sql import SqlRequests  # noqa: PLC0415 - SQLAlchemy takes its time to load

        return SqlRequests(settings.journal.url)
    if settings.state.folder:
        return EmbeddedRequests(Path(settings.state.folder) / FILE)
    raise StoreError(
        "the settings name no place for requests: write a folder into [state] folder, or a server into [state] url"
    )
