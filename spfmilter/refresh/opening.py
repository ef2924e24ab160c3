"""Open the way to the other hosts that the settings name. Loads the libraries of that one alone."""

from __future__ import annotations

from spfmilter.packages import how_to_install
from spfmilter.refresh.hosts import Hosts, HostsError
from spfmilter.settings import Settings


def open_hosts(settings: Settings) -> Hosts:
    """Return the way to the other hosts. Nothing is opened before the first look.

    Raises:
        HostsError: a library is missing.
    """
    if settings.state.url is not None:
        try:
            from spfmilter.refresh.overredis import RedisHosts  # noqa: PLC0415 - only where asked for
        except ModuleNotFoundError:
            raise HostsError(f"the package redis is missing: {how_to_install('redis', 'redis')}") from None
        return RedisHosts(settings.state.url)
    if settings.journal.url is None or settings.journal.url.embedded:
        raise HostsError("the settings name no server")
    from spfmilter.refresh.overpostgresql import PostgresqlHosts  # noqa: PLC0415 - SQLAlchemy takes its time to load

    return PostgresqlHosts(settings.journal.url)
