"""Visitors who say nothing, or not all, or do not listen: they block the page for no other visitor, and not for long.

Real connections to the real process. Addresses of 127.0.0.0/8 are visitors of different networks: no proxy is trusted,
unless a test says so.
"""

import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lab.processes import until
from spfmilter.web import connections
from tests.web.site import Site, serving

pytestmark = pytest.mark.outside

DIRECT = "rate = 10000/second\ntrusted_proxies = 192.0.2.80"
PROXIED = "rate = 10000/second\ntrusted_proxies = 127.0.0.0/8"
MUTE, OTHER = "127.0.1.{}", "127.0.2.1"
FAR = 60.0  # seconds: far beyond every limit


def endpoint(site: Site) -> tuple[str, int]:
    parts = urlsplit(site.url)
    return parts.hostname or "", parts.port or 0


@contextmanager
def rate_limit(site: Site, number: int, address: Callable[[int], str]) -> Iterator[list[socket.socket]]:
    """So many connections, which have said nothing yet."""
    with ExitStack() as stack:
        found = []
        for place in range(number):
            sock = socket.create_connection(endpoint(site), timeout=FAR, source_address=(address(place), 0))
            found.append(stack.enter_context(sock))
        yield found


def of_one_network(place: int) -> str:
    return MUTE.format(1 + place % 250)


def status(site: Site, source: str, path: str = "/healthz") -> int:
    """What a visitor gets; 0 where the connection ends without an answer."""
    connection = HTTPConnection(*endpoint(site), timeout=FAR, source_address=(source, 0))
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return 0
    finally:
        connection.close()


def wait_for_end(sock: socket.socket) -> bytes:
    """What still comes on a connection, until the page ends it."""
    said = b""
    with suppress(ConnectionResetError, BrokenPipeError):
        while piece := sock.recv(4096):
            said += piece
    return said


def test_300_mute_connections_do_not_block_the_page(tmp_path: Path) -> None:
    with serving(tmp_path, DIRECT) as site, rate_limit(site, 300, of_one_network):
        assert status(site, OTHER) == 200, "another network has its own share"
        assert status(site, MUTE.format(251)) == 0, "this one's is used up"
        assert status(site, OTHER, urlsplit(site.link()).path) == 200
        until(lambda: status(site, MUTE.format(251)) == 200, FAR, "the mute ones have been ended")


def test_beyond_the_share_a_connection_ends_at_once(tmp_path: Path) -> None:
    with (
        serving(tmp_path, DIRECT) as site,
        rate_limit(site, connections._SHARE + 40, of_one_network) as silent,
        selectors.DefaultSelector() as ended,
    ):
        for sock in silent:
            ended.register(sock, selectors.EVENT_READ)
        until(lambda: len(ended.select(1)) >= 40, FAR, "those that are too many are ended")
        assert status(site, OTHER) == 200


def test_mute_connections_of_many_networks_make_room_for_one_that_speaks(tmp_path: Path) -> None:
    """Each network is within its share, and all of them fill the page."""
    with (
        serving(tmp_path, DIRECT) as site,
        rate_limit(site, connections.MAX_CONNECTIONS + 20, lambda place: f"127.1.{place // 40}.1") as silent,
    ):
        assert status(site, OTHER) == 200
        assert wait_for_end(silent[0]) == b"", "the first of them has made room"
        assert status(site, OTHER) == 200


def test_a_proxy_has_no_share(tmp_path: Path) -> None:
    with serving(tmp_path, PROXIED) as site, rate_limit(site, 300, of_one_network) as silent:
        assert status(site, MUTE.format(251)) == 200
        for sock in silent:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert all(wait_for_end(sock).startswith(b"HTTP/1.1 200 ") for sock in silent)


SLOW = {
    "nothing": (b"", b""),
    "a header that goes on": (b"GET /healthz HTTP/1.1\r\nHost: h\r\n", b"X-A: b\r\n"),
    "a line that goes on": (b"GET /", b"a"),
    "a body that goes on": (b"POST /spf/ HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n", b"a"),
    "a body in pieces": (b"POST /spf/ HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "a second request that goes on": (b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /", b"a"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site"), DIRECT) as running:
        yield running


def test_a_request_has_an_end_however_slowly_it_comes(site: Site) -> None:
    """All of them at a time: each is ended although a little more of it comes again and again."""
    began = time.monotonic()
    with rate_limit(site, len(SLOW), of_one_network) as slow, selectors.DefaultSelector() as selector:
        for sock, (start, more) in zip(slow, SLOW.values(), strict=True):
            sock.sendall(start)
            selector.register(sock, selectors.EVENT_READ, more)
        time_of_first_end = 0.0
        while selector.get_map():
            ready = {key.fileobj for key, _ in selector.select(0.2)}
            for key in list(selector.get_map().values()):
                try:
                    ended = key.fileobj in ready and not key.fileobj.recv(4096)  # type: ignore[union-attr]
                    if not ended:
                        key.fileobj.sendall(key.data)  # type: ignore[union-attr]
                except (ConnectionResetError, BrokenPipeError):
                    ended = True
                if ended:
                    time_of_first_end = time_of_first_end or time.monotonic()
                    selector.unregister(key.fileobj)
            left = [more for more in SLOW if SLOW[more][1] in {key.data for key in selector.get_map().values()}]
            assert time.monotonic() - began < FAR, left
    assert time_of_first_end - began >= connections.KEEP_ALIVE - 1, "and not at once"


def test_headers_without_end_are_refused_and_cost_no_memory(site: Site) -> None:
    piece = b"X-A: " + b"b" * 8000 + b"\r\n"
    with rate_limit(site, 1, of_one_network) as (sock,), suppress(ConnectionResetError, BrokenPipeError):
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n")
        for _ in range(10_000):
            sock.sendall(piece)
        pytest.fail("80 MB of headers were taken")
    assert status(site, OTHER) == 200


def test_a_long_line_is_answered_with_400(site: Site) -> None:
    assert status(site, OTHER, "/spf/" + "a" * (1 << 20)) in {400, 0}  # it may end while we are still sending
    assert status(site, OTHER, "/spf/" + "a" * 2000) == 404


def test_who_asks_without_end_and_does_not_read_is_ended(site: Site) -> None:
    """Each answer waits in our memory until it is read; no more requests are read meanwhile."""
    request = b"GET /spf/ HTTP/1.1\r\nHost: h\r\n\r\n" * 200
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.bind((OTHER, 0))
        sock.settimeout(FAR)
        sock.connect(endpoint(site))
        with suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(1_000_000):
                sock.sendall(request)
            pytest.fail("it went on")
    assert status(site, OTHER) == 200


def test_a_visitor_who_stays_is_served_again_and_again(site: Site) -> None:
    connection = HTTPConnection(*endpoint(site), timeout=FAR, source_address=(OTHER, 0))
    for _ in range(50):
        connection.request("GET", "/spf/")
        answer = connection.getresponse()
        assert (answer.status, len(answer.read()) > 1000) == (200, True)
    connection.close()
