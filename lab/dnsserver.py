"""A scripted, authoritative DNS server on loopback, over UDP and TCP on one port.

It knows the transports, the delays and the received questions. `lab.dnszone` knows the records, `lab.dnsmessage` the
messages. It knows nothing about SPF.

In a test: `with ScriptedDNS(zonedata) as server: ...`. For benchmarks, `python -m lab.dnsserver --port P zone.yml` runs
as a separate process, with its own GIL.
"""

import argparse
import heapq
import itertools
import selectors
import signal
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

from lab.dnsmessage import parse_query, respond
from lab.dnszone import TYPE_NAMES, TYPES, Answer, Zone, ZoneData, name_to_text, name_to_wire
from lab.processes import free_port

_CACHE_LIMIT = 100_000  # random names of a benchmark must not fill the memory
_PORT_TRIES = 50  # a port free for UDP may be taken for TCP


class _DelayLine:
    """Run actions at their time, in one thread. A heap keeps them, so each query has its own delay."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()  # keeps equal times in order, and callables from being compared
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="dns-delays", daemon=True)
        self._thread.start()

    def put(self, delay: float, action: Callable[[], None]) -> None:
        """Run the action in `delay` seconds."""
        with self._wake:
            heapq.heappush(self._heap, (time.monotonic() + delay, next(self._order), action))
            self._wake.notify()

    def stop(self) -> None:
        """Drop the waiting actions, and end the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            action()

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next action and return it at its time; None when stopping."""
        with self._wake:
            while not self._stopping:
                wait = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._heap)[2]
                self._wake.wait(wait)
        return None


class ScriptedDNS:
    """The server: answers from its zone data, counts the questions, and misbehaves as the entries say.

    Entries beyond RFC 7208's test suite, each for the whole name, or for the types of its `{'ONLY': type or list}`:
    `{'RCODE': 'SERVFAIL'}`; `{'TRUNCATE': True}` (TC over UDP, whole over TCP); `{'RAW': bytes or callable}`;
    `{'TTL': n}`; `{'FORMERR_ON_EDNS': True}`; `{'SILENT_TO_EDNS': True}`, over both transports; `{'OVERSIZE': True}`
    (whole over UDP, whatever size the client takes); `{'WRONG_QUESTION': True}` and `{'WRONG_ID': True}`, or `'FIRST'`
    where the honest answer follows the forged one; `{'DROP_FIRST': n}`; `{'TCP_ONLY_TIMEOUT': True}`;
    `{'DELAY': seconds}`, on top of the server's own `delay`.
    """

    def __init__(
        self,
        zonedata: ZoneData | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        delay: float = 0.0,
        ttl: int = 300,
        negative_ttl: int = 300,
    ) -> None:
        self.delay = delay
        self._host = host
        self._make_zone = partial(Zone, ttl=ttl, negative_ttl=negative_ttl)
        self._state = threading.Condition()  # guards the counters, and the zone with its cache
        self._asked: Counter[tuple[bytes, int]] = Counter()
        self._asked_over_tcp: Counter[tuple[bytes, int]] = Counter()
        self._dropped: Counter[bytes] = Counter()
        self._zone = self._make_zone(zonedata or {})
        self._cache: dict[tuple[bytes, int], Answer] = {}
        self._udp, self._listener = bind_both(host, port)
        self.port: int = self._udp.getsockname()[1]
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._line = _DelayLine()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve_udp, name="dns-udp", daemon=True),
            threading.Thread(target=self._serve_tcp, name="dns-tcp", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def address(self) -> str:
        """The server as "HOST:PORT"."""
        return f"[{self._host}]:{self.port}" if ":" in self._host else f"{self._host}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the threads and close the sockets."""
        if self._closed:
            return
        self._closed = True
        self._wake_writer.send(b"x")
        self._udp.sendto(b"", self._udp.getsockname())  # ends recvfrom() on every platform; close() does not
        for thread in self._threads:
            thread.join()
        self._line.stop()
        for sock in (self._udp, self._listener, self._wake_reader, self._wake_writer):
            sock.close()

    def load(self, zonedata: ZoneData) -> None:
        """Serve other data from the next query on. Errors in the data are raised before anything changes."""
        zone = self._make_zone(zonedata)
        with self._state:
            self._zone, self._cache = zone, {}
            self._dropped.clear()

    @property
    def queries(self) -> Counter[tuple[str, str]]:
        """Return a copy of the count of queries by (name in lower case, type), over both transports."""
        return self._readable(self._asked)

    def queries_for(self, *names: str) -> Counter[tuple[str, str]]:
        """Return the same count for these names only: packets of an earlier test may be counted in the next."""
        return Counter({key: times for key, times in self.queries.items() if key[0] in names})

    @property
    def tcp_queries(self) -> Counter[tuple[str, str]]:
        """Return the count for TCP only."""
        return self._readable(self._asked_over_tcp)

    def reset_counts(self) -> None:
        """Reset the counts of queries, and those of DROP_FIRST."""
        with self._state:
            self._asked.clear()
            self._asked_over_tcp.clear()
            self._dropped.clear()

    def wait_until_asked(self, name: str, rtype: str, *, times: int = 1, timeout: float = 10.0) -> bool:
        """Wait for a query to arrive, for tests that act before its answer. Return False if it did not arrive."""
        key = (name_to_wire(name).lower(), TYPES[rtype])
        with self._state:
            return self._state.wait_for(lambda: self._asked[key] >= times, timeout)

    def _readable(self, counts: Counter[tuple[bytes, int]]) -> Counter[tuple[str, str]]:
        with self._state:
            return Counter(
                {
                    (name_to_text(name), TYPE_NAMES.get(qtype, f"TYPE{qtype}")): times
                    for (name, qtype), times in counts.items()
                }
            )

    def _handle(self, wire: bytes, *, tcp: bool) -> tuple[list[bytes], float]:
        """Return the messages to send for a received one, and the delay in seconds."""
        query = parse_query(wire)
        if query is None:
            return [], 0.0
        key = (query.name, query.qtype)
        with self._state:
            self._asked[key] += 1
            if tcp:
                self._asked_over_tcp[key] += 1
            self._state.notify_all()
            answer = self._cache.get(key)
            if answer is None:
                if len(self._cache) >= _CACHE_LIMIT:
                    self._cache.clear()
                answer = self._cache[key] = self._zone.answer(*key)
            drop_first = answer.behaviour.drop_first
            if drop_first and self._dropped[query.name] < drop_first:
                self._dropped[query.name] += 1
                return [], 0.0
        return respond(query, wire, answer, tcp=tcp), self.delay + answer.behaviour.delay

    def _serve_udp(self) -> None:
        while True:
            wire, client = self._udp.recvfrom(65535)
            if self._closed:
                return
            messages, delay = self._handle(wire, tcp=False)
            for message in messages:
                if delay:
                    self._line.put(delay, partial(self._send_udp, message, client))
                else:
                    self._send_udp(message, client)

    def _send_udp(self, message: bytes, client: tuple[str, int]) -> None:
        try:
            self._udp.sendto(message, client)
        except OSError:
            return  # the client has gone, or the scripted bytes are too long for a datagram

    def _serve_tcp(self) -> None:
        """Serve all connections in one thread. Only the delay line writes, so messages never interleave."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            connections: dict[socket.socket, bytearray] = {}
            while not self._closed:
                for key, _ in selector.select():
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    if sock is self._listener:
                        connection = sock.accept()[0]
                        connection.settimeout(10)  # a client that does not read must not stop the delay line
                        connections[connection] = bytearray()
                        selector.register(connection, selectors.EVENT_READ)
                    elif sock in connections and not self._read(sock, connections[sock]):
                        selector.unregister(sock)
                        del connections[sock]
                        sock.close()
            for connection in connections:
                connection.close()

    def _read(self, connection: socket.socket, buffer: bytearray) -> bool:
        """Read from a connection, and answer the complete queries. Return False at its end."""
        try:
            received = connection.recv(65535)
        except OSError:
            return False
        buffer += received
        while len(buffer) >= 2 and len(buffer) >= 2 + (length := int.from_bytes(buffer[:2])):
            wire = bytes(buffer[2 : 2 + length])
            del buffer[: 2 + length]
            messages, delay = self._handle(wire, tcp=True)
            for message in messages:
                framed = struct.pack(">H", len(message)) + message
                self._line.put(delay, partial(_send_tcp, connection, framed))
        return bool(received)


def _send_tcp(connection: socket.socket, framed: bytes) -> None:
    try:
        connection.sendall(framed)
    except OSError:
        return  # the client has gone


def bind_both(host: str, port: int = 0) -> tuple[socket.socket, socket.socket]:
    """Return a UDP socket and a listening TCP socket on the same port; 0: on a free one.

    A free one is not taken from the system's range for clients: a server that is started again at its port would find
    a client's socket there.
    """
    for tries_left in reversed(range(_PORT_TRIES if port == 0 else 1)):
        # With the interface of a link-local address, which bind() does not read from the text.
        family, _, _, _, place = socket.getaddrinfo(
            host, port or free_port(), type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
        listener = None
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            listener = socket.create_server(place, family=family, backlog=256)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)  # bursts of a benchmark
            udp.bind(listener.getsockname())
        except OSError:
            if listener is not None:
                listener.close()
            udp.close()
            if not tries_left:
                raise
            continue
        return udp, listener
    raise AssertionError  # the last try returns or raises


def main() -> None:
    """Serve a zone file until SIGTERM or SIGINT. Print one line when the server is ready."""
    import yaml  # noqa: PLC0415 - only this entry needs it

    parser = argparse.ArgumentParser(prog="python -m lab.dnsserver", description=__doc__.partition("\n")[0])
    parser.add_argument("zone", type=Path, help="a YAML file: owner name -> list of entries")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--delay", type=float, default=0.0, metavar="MS", help="milliseconds before every answer")
    arguments = parser.parse_args()
    zonedata = yaml.safe_load(arguments.zone.read_text(encoding="utf-8")) or {}
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)  # before the threads start, which inherit it
    with ScriptedDNS(zonedata, host=arguments.host, port=arguments.port, delay=arguments.delay / 1000) as server:
        print(f"ready {server.address}", flush=True)
        signal.sigwait(stop)


if __name__ == "__main__":
    main()
