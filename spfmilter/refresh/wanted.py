"""Tell on which ways tokens could come, by the settings. Loads nothing that only a help page needs."""

from __future__ import annotations

import os

from spfmilter.settings import Settings
from spfmilter.stores.choice import is_shared


def has_page(settings: Settings) -> bool:
    """Return whether a help page of this host could hand a token to the daemon."""
    folder = settings.state.folder
    return settings.reply.help_url is not None and bool(folder and os.path.isdir(folder))  # noqa: PTH112 - it raises nothing


def has_hosts(settings: Settings) -> bool:
    """Return whether other hosts could do so: they share a server."""
    return settings.reply.help_url is not None and is_shared(settings)
