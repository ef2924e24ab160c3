"""Open the store that the settings name. Loads the libraries of that one alone."""

from __future__ import annotations

from pathlib import Path

from spfmilter.exemptions.embedded import EmbeddedStore
from spfmilter.exemptions.store import FILE, Store, StoreError
from spfmilter.packages import how_to_install
from spfmilter.settings import Settings


def open_store(settings: Settings) -> Store:
    """Return the store. Nothing is opened before the first question.

    Raises:
        StoreError: the settings name none, or a library is missing.
    """
    if settings.state.url is not None:
        try:
            from spfmilter.exemptions.server import ServerStore  # noqa: PLC0415 - only where asked for
        except ModuleNotFoundError:
            raise StoreError(f"the package redis is missing: {how_to_install('redis', 'redis')}") from None
        return ServerStore(settings.state.url)
    if settings.journal.url is not None and not settings.journal.url.embedded:
        from spfmilter.exemptions.sql import SqlStore  # noqa: PLC0415 - SQLAlchemy takes its time to load

        return SqlStore(settings.journal.url)
    if settings.state.folder:
        return EmbeddedStore(Path(settings.state.folder) / FILE)
    raise StoreError(
        "the settings name no place for exemptions: write a folder into [state] folder, or a server into [state] url"
    )
