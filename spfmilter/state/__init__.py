"""Remember, for several processes together, since when a sender has been deferred.

Knows two stores. One is a table that the workers of this host share. The other is a server that the MX hosts share, if
``[state] url`` names one. Does not know what a sender is, nor how the policy uses the answer.
"""

from __future__ import annotations

from spfmilter.observe import log
from spfmilter.packages import how_to_install
from spfmilter.settings.urls import StateUrl
from spfmilter.state.deferrals import Deferrals
from spfmilter.state.table import OnThisHost, Table

__all__ = ["Deferrals", "Table", "open_deferrals", "why_silent"]

# Added to the longest deferral. Sending servers retry hours apart. A server whose mail was accepted after the bound
# must not count as new when it sends its next message.
_AFTERWARDS = 86400.0  # seconds


def open_deferrals(url: StateUrl | None, table: Table, *, bound: float) -> Deferrals:
    """Return the store for a worker's deferrals.

    Args:
        url: the server of ``[state] url``; None: no server.
        table: shared by this host's workers; the supervisor makes it before it forks them.
        bound: the longest deferral, in seconds. Each deferral is remembered for one day longer.
    """
    keep = bound + _AFTERWARDS
    host = OnThisHost(table, keep)
    if url is None:
        return host
    try:
        from spfmilter.state.server import OnAServer  # noqa: PLC0415 - only where asked for
    except ModuleNotFoundError as error:  # a package that an upgrade removed must not stop mail
        fix = f"{how_to_install('redis', error.name or 'redis')}, and restart"
        log.error("state server unavailable, using local memory", server=str(url), reason=str(error), fix=fix)
        return host
    return OnAServer(url, host, keep)


def why_silent(url: StateUrl) -> str:
    """Ask the server once whether it is there. Return why it does not answer; empty if it does."""
    try:
        from spfmilter.state.server import ping  # noqa: PLC0415 - only where asked for
    except ModuleNotFoundError as error:
        return f"the package {error.name} is missing: {how_to_install('redis', error.name or 'redis')}"
    return ping(url)
