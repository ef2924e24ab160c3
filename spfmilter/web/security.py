"""Add security headers to every answer, so a browser only shows the page and does nothing else.

Also logs every error that leaves the application.
"""

from __future__ import annotations

import traceback

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spfmilter.observe import log

# Allowed are our own style sheet and icon, and forms to ourselves; no script, no frame, no other host.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",  # the address of a page contains the case
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
}


class SecurityHeaders:
    """Wrap the application: add the headers, log the errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "private, no-cache")
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception:  # noqa: BLE001 - the boundary: Starlette has answered 500 and passes the error on
            log.fault("help page", traceback.format_exc())
