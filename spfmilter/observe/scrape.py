"""A small HTTP server for ``/metrics``: one thread, and a limit on everything that a client can use up.

Knows as much of HTTP (RFC 9112) as a monitoring system needs: GET and HEAD, one request a connection. Does not know
what is served. Idle connections and slow readers occupy no thread. If there are too many connections, the oldest one is
closed. So other clients are always served.
"""

from __future__ import annotations

import asyncio
import http
import http.client
import io
import socket
from collections.abc import Callable, Iterable, Mapping
from email.message import Message
from typing import Any

from spfmilter.observe.ratelimited import RateLimitedLog

MAX_CONNECTIONS = 64  # connections at once
REQUEST_TIMEOUT = 10.0  # seconds for a whole request, until the client has read the answer
_HEAD_LIMIT = 16 * 1024  # bytes of a request's line and header fields
_BACKLOG = 128

# A WSGI application (PEP 3333): prometheus-client gives us one.
Application = Callable[[dict[str, Any], Callable[[str, list[tuple[str, str]]], object]], Iterable[bytes]]


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: the address is in use, not ours, or not permitted, or its interface (``fe80::1%eth0``) is not there.
    """
    ((family, kind, _, _, place),) = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(place)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def serve(application: Application, sock: socket.socket, end: socket.socket) -> None:
    """Serve until ``end`` becomes readable.

    Raises:
        OSError: the system has no descriptors left.
    """
    asyncio.run(_Server(application).run(sock, end))


class _Server:
    def __init__(self, application: Application) -> None:
        self._application = application
        self._open: dict[asyncio.Task[None], None] = {}  # oldest first
        self._rate_limited = RateLimitedLog()

    async def run(self, sock: socket.socket, end: socket.socket) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(lambda _, context: self._rate_limited.not_served(str(context.get("message"))))
        loop.add_reader(end, ended.set)
        server = await asyncio.start_server(self._connected, sock=sock, limit=_HEAD_LIMIT, backlog=_BACKLOG)
        await ended.wait()
        server.close()
        for task in self._open:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker
        if len(self._open) >= MAX_CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()
        self._open[task] = None
        writer.transport.set_write_buffer_limits(0)  # drain() then waits until the kernel has taken all
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT):
                writer.write(await self._answer(reader))
                await writer.drain()
            writer.close()
        # The client has gone, is too slow, sent half a request, or was closed for others. CancelledError is caught,
        # too: asyncio would log the cancelled task.
        except (TimeoutError, EOFError, OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._open.pop(task, None)

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(http.HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        try:
            return respond(head, self._application)
        except Exception as error:  # noqa: BLE001 - a broken file or no memory: the next request may succeed
            self._rate_limited.not_served(f"{type(error).__name__}: {error}")
            return _response(http.HTTPStatus.INTERNAL_SERVER_ERROR)


def respond(head: bytes, application: Application) -> bytes:
    """Return the response to a request. ``head`` is the request line with the header fields."""
    line, _, rest = head.partition(b"\r\n")
    try:
        method, target, version = line.decode("latin-1").split(" ")
        fields = http.client.parse_headers(io.BytesIO(rest))
    except (ValueError, http.client.HTTPException):
        return _response(http.HTTPStatus.BAD_REQUEST)
    if not version.startswith("HTTP/1."):
        return _response(http.HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    if method not in {"GET", "HEAD"}:
        return _response(http.HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
    status, given, body = _ask(application, target, fields)
    return _response(status, given, body, with_body=method == "GET")


def _ask(application: Application, target: str, fields: Message) -> tuple[str, dict[str, str], bytes]:
    path, _, query = target.partition("?")
    environment = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query}
    for name in ("Accept", "Accept-Encoding"):
        if (value := fields.get(name)) is not None:
            environment[f"HTTP_{name.upper().replace('-', '_')}"] = value
    said: dict[str, Any] = {}
    body = b"".join(application(environment, lambda status, headers: said.update(status=status, headers=headers)))
    return said["status"], dict(said["headers"]), body


def _response(
    status: http.HTTPStatus | str, fields: Mapping[str, str] | None = None, body: bytes = b"", *, with_body: bool = True
) -> bytes:
    phrase = f"{status.value} {status.phrase}" if isinstance(status, http.HTTPStatus) else status
    all_fields = {**(fields or {}), "Content-Length": str(len(body)), "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in all_fields.items())
    return f"HTTP/1.1 {phrase}\r\n{head}\r\n".encode("latin-1") + (body if with_body else b"")
