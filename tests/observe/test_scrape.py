"""The HTTP server for /metrics: what it answers, and that no client keeps it from others."""

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from spfmilter.observe import scrape

LARGE = b"x" * 20_000_000  # more than the kernel takes for a reader that does not read


def application(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
    """Tells what it was asked."""
    if environ["PATH_INFO"] == "/broken":
        raise RuntimeError("broken file")
    start("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/large":
        return [LARGE]
    return [f"{environ['PATH_INFO']}|{environ['QUERY_STRING']}|{environ.get('HTTP_ACCEPT')}".encode()]


@contextmanager
def running() -> Iterator[tuple[str, int]]:
    sock = scrape.listen("127.0.0.1", 0)
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=scrape.serve, args=(application, sock, theirs))
    thread.start()
    try:
        yield sock.getsockname()
    finally:
        ours.close()
        thread.join(20)
        theirs.close()
        assert not thread.is_alive(), "its end does not wait for clients"


def said(request: bytes) -> tuple[str, bytes]:
    """The status line and the body."""
    head, _, body = scrape.respond(request, application).partition(b"\r\n\r\n")
    return head.decode().partition("\r\n")[0].partition(" ")[2], body


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: a\r\naccept: text/plain\r\n\r\n", "200 OK", b"/metrics||text/plain"),
        (b"GET /metrics?name[]=a HTTP/1.0\r\n\r\n", "200 OK", b"/metrics|name[]=a|None"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK", b""),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed", b""),
        (b"GET /metrics HTTP/2\r\n\r\n", "505 HTTP Version Not Supported", b""),
        (b"GET\r\n\r\n", "400 Bad Request", b""),
        (b"\xff\xfe\r\n\r\n", "400 Bad Request", b""),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", "400 Bad Request", b""),
    ],
)
def test_the_answer(request_: bytes, status: str, body: bytes) -> None:
    assert said(request_) == (status, body)


def test_the_length_of_an_answer_is_told_also_without_it() -> None:
    head = scrape.respond(b"HEAD / HTTP/1.1\r\n\r\n", application)
    assert b"\r\nContent-Length: 7\r\n" in head
    assert b"\r\nConnection: close\r\n" in head


def get(address: tuple[str, int], path: str = "/metrics") -> bytes:
    with urllib.request.urlopen(f"http://{address[0]}:{address[1]}{path}", timeout=20) as answer:
        body: bytes = answer.read()
    return body


@pytest.mark.outside
def test_mute_and_slow_clients_do_not_keep_it_from_others() -> None:
    """Far more than it holds at once; the oldest have given way, and those are told."""
    with running() as address, ExitStack() as stack:
        crowd = []
        for number in range(6 * scrape.MAX_CONNECTIONS):
            client = stack.enter_context(socket.create_connection(address, timeout=20))
            client.sendall((b"", b"GET /metr", b"GET /large HTTP/1.1\r\n\r\n", b"\0" * 100)[number % 4])
            crowd.append(client)
        assert get(address).startswith(b"/metrics")
        for client in crowd[: 5 * scrape.MAX_CONNECTIONS : 4]:
            wait_for_the_end(client)


def wait_for_the_end(client: socket.socket) -> None:
    """Read until the server has ended the connection; it not doing so is a TimeoutError."""
    with suppress(ConnectionResetError):
        while client.recv(1 << 20):
            pass


@pytest.mark.outside
def test_an_answer_that_fits_no_buffer_arrives_whole() -> None:
    with running() as address:
        assert get(address, "/large") == LARGE


@pytest.mark.outside
def test_a_client_has_so_much_time_for_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "REQUEST_TIMEOUT", 0.2)
    with running() as address, ExitStack() as stack:
        for request in (b"", b"GET /metr", b"GET /large HTTP/1.1\r\n\r\n"):
            client = stack.enter_context(socket.create_connection(address, timeout=20))
            client.sendall(request)
            wait_for_the_end(client)


@pytest.mark.outside
def test_an_endless_header_is_refused() -> None:
    with running() as address, socket.create_connection(address, timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + b"A" * 17_000)
        assert client.recv(100).startswith(b"HTTP/1.1 431 ")


@pytest.mark.outside
def test_a_fault_is_an_answer_too() -> None:
    with running() as address:
        with pytest.raises(urllib.error.HTTPError, match="500"):
            get(address, "/broken")
        assert get(address).startswith(b"/metrics")
