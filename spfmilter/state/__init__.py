"""What several processes must remember together: since when a sender has been deferred.

Knows what is asked and who answers: a table that the workers of this host share, and beside it, where ``[state] url``
names one, a server that the MX hosts share. Does not know what a sender is, nor what is done with the answer.
"""

from __future__ import annotations

from spfmilter.observe import log
from spfmilter.settings.urls import StateUrl
from spfmilter.state.deferrals import Deferrals
from spfmilter.state.table import OnThisHost, Table

__all__ = ["Deferrals", "Table", "open_deferrals"]

# Beyond the longest deferral: senders' servers come again hours apart, and one that is accepted at last, after the
# bound, must not be taken for a new one when it has more to send.
_AFTERWARDS = 86400.0  # seconds


def open_deferrals(url: StateUrl | None, table: Table, *, bound: float) -> Deferrals:
    """What a worker remembers with.

    Args:
        url: the server of ``[state] url``; None for none.
        table: what this host's workers share; made by the supervisor, before it forks them.
        bound: seconds for which something is deferred at most. It is remembered for a day longer.
    """
    keep = bound + _AFTERWARDS
    host = OnThisHost(table, keep)
    if url is None:
        return host
    try:
        from spfmilter.state.server import OnAServer  # noqa: PLC0415 - only where asked for
    except ModuleNotFoundError as error:  # mail is not to wait for a package that an upgrade has lost
        log.error("state server unavailable, using local memory", server=str(url), reason=str(error))
        return host
    return OnAServer(url, host, keep)
