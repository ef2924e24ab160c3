"""Run the process of ``spfmilter web``: read the secrets, open the socket, start the server. The only owner of uvicorn.

Knows how the page is served, and behind which proxies. ``connections`` knows how long a visitor may take. Does not know
what is on the page.
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from spfmilter.daemon import hints, page
from spfmilter.daemon.notify import notify
from spfmilter.helplink.secretfile import SecretError, load_secrets
from spfmilter.observe import log
from spfmilter.settings import Settings
from spfmilter.settings.values import nameserver
from spfmilter.web import connections
from spfmilter.web.app import build

_SLACK = 64  # connections that are about to end while new ones have arrived
_STOP_TIME = 5  # seconds for running requests


class PageStartError(Exception):
    """The page cannot be served; the log says why."""


class _Server(uvicorn.Server):
    """Tell the service manager when the page is served and when it stops (sd_notify(3))."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        notify("READY=1")

    async def on_tick(self, counter: int) -> bool:
        notify()  # send what the manager did not take earlier
        log.flush()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        notify("STOPPING=1")
        await super().shutdown(sockets)


def serve(settings: Settings) -> None:
    """Serve the page until SIGTERM or SIGINT.

    Raises:
        PageStartError: the secrets cannot be read or created, or the socket cannot be opened.
    """
    log.capture_output()
    log.configure(settings.log)
    try:
        app = application(settings)
        listener = _listen(settings.web.listen)
    except (SecretError, PageStartError) as error:
        log.error("cannot start", reason=str(error))
        raise PageStartError(str(error)) from None
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,  # the address of a page contains a case
        server_header=False,
        proxy_headers=False,  # application() does it, so the tests cover it
        http=connections.protocol(settings.web.trusted_proxies),  # type: ignore[arg-type]  # uvicorn only calls it, like a class
        ws="none",
        limit_concurrency=connections.MAX_CONNECTIONS + _SLACK,
        timeout_keep_alive=connections.KEEP_ALIVE,
        h11_max_incomplete_event_size=connections.MAX_HEADERS,
        timeout_graceful_shutdown=_STOP_TIME,
    )
    # uvicorn handles these signals while it serves. Then it sends itself the signal again: exit cleanly on that.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    log.info("help page served", listen=settings.web.listen)
    _Server(config).run([listener])


def _end(*_: object) -> None:
    sys.exit(0)


def application(settings: Settings) -> ASGIApp:
    """Return the application as it is served. It takes a visitor's address from the trusted proxies.

    Raises:
        SecretError: the secrets for the tokens cannot be read or created.
    """
    app = build(settings, load_secrets(Path(settings.web.secret_file)), settings.public_name or socket.gethostname())
    trusted = [str(network) for network in settings.web.trusted_proxies]
    return ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type,return-value]  # two spellings of ASGI's types


def _listen(address: str) -> socket.socket:
    chosen = nameserver(address)
    try:
        return page.listen(chosen.address, chosen.port)
    except OSError as error:
        reason = hints.explained(error, chosen.address, chosen.port)
        raise PageStartError(f"cannot listen on [web] listen = {address}: {reason}") from None
