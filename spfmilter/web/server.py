"""The process of ``spfmilter web``: secrets, socket, server, in this order. The only owner of uvicorn.

Knows how the page is served, and behind which proxies; ``connections`` knows how long a visitor may take. Does not know
what is on the page.
"""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from spfmilter.daemon.notify import notify
from spfmilter.helplink.secretfile import SecretError, load_secrets
from spfmilter.observe import log
from spfmilter.settings import Settings
from spfmilter.settings.values import nameserver
from spfmilter.web import connections
from spfmilter.web.app import build

_BACKLOG = 256  # connections that the kernel holds for us
_SLACK = 64  # connections that are about to end while others have come
_STOP_TIME = 5  # seconds for requests that are under way


class PageStartError(Exception):
    """The page cannot be served; the log says why."""


class _Server(uvicorn.Server):
    """Tells the service manager when it serves and when it stops (sd_notify(3))."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        notify("READY=1")

    async def on_tick(self, counter: int) -> bool:
        notify()  # what was not taken then
        log.flush()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        notify("STOPPING=1")
        await super().shutdown(sockets)


def serve(settings: Settings) -> None:
    """Serve the page until SIGTERM or SIGINT.

    Raises:
        PageStartError: there is no secret, or the socket cannot be had.
    """
    log.capture_output()
    log.configure(settings.log)
    try:
        app = application(settings)
        listener = _listen(settings.web.listen)
    except (SecretError, OSError) as error:
        log.error("cannot start", reason=str(error))
        raise PageStartError(str(error)) from None
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,  # an address here is a case
        server_header=False,
        proxy_headers=False,  # done by application(), where the tests see it as well
        http=connections.protocol(settings.web.trusted_proxies),  # type: ignore[arg-type]  # it is called, as a class is
        ws="none",
        limit_concurrency=connections.MOST + _SLACK,
        timeout_keep_alive=connections.KEEP_ALIVE,
        h11_max_incomplete_event_size=connections.MOST_HEADERS,
        timeout_graceful_shutdown=_STOP_TIME,
    )
    # uvicorn handles these while it serves, and then sends itself the one that it got: that is to be a clean end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    log.info("help page served", listen=settings.web.listen)
    _Server(config).run([listener])


def _end(*_: object) -> None:
    sys.exit(0)


def application(settings: Settings) -> ASGIApp:
    """The page as it is served: behind the proxies that are trusted, a visitor is who they say he is.

    Raises:
        SecretError: there is no secret to read tokens with.
    """
    app = build(settings, load_secrets(Path(settings.web.secret_file)), _hostname(settings))
    trusted = [str(network) for network in settings.web.trusted_proxies]
    return ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type,return-value]  # two spellings of ASGI's types


def _hostname(settings: Settings) -> str:
    """The mail server's name: as results carry it, else as links do, else this host's."""
    help_url = str(settings.reply.help_url or "")
    return settings.headers.own_id or urlsplit(help_url).hostname or socket.gethostname()


def _listen(address: str) -> socket.socket:
    place = nameserver(address)
    return socket.create_server(
        (place.address, place.port),
        family=socket.AF_INET6 if ":" in place.address else socket.AF_INET,
        backlog=_BACKLOG,
    )
