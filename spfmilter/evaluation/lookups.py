"""Asks the DNS: questions over UDP to the nameservers, again when nothing comes, over TCP when the answer is too long.

Knows sockets, servers and time; the packets are ``wire``'s. Every trouble comes back as an Answer, nothing is raised.
The search list and the host's own domain are never applied: a sender's domain that does not exist must not be answered
for ``domain.corp.local`` (RFC 7208 section 4.3 speaks of the domain itself).
"""

from __future__ import annotations

import secrets
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dns.exception
import dns.resolver

from spfmilter.evaluation import wire
from spfmilter.evaluation.answer import Answer, Status, Type
from spfmilter.settings.types import Nameserver

RESOLV_CONF = Path("/etc/resolv.conf")
_FIRST_WAIT = 0.4  # seconds until a lost packet is sent again; then doubled
_LONGEST_WAIT = 3.2
_TCP_WAIT = 5.0  # seconds for an answer over TCP where another server could be asked instead
_AVOID_FOR = 30.0  # seconds that a server which let a question time out is asked only after the others
_RECHECK_AFTER = 5.0  # seconds between looks at resolv.conf
_MAX_CHAIN = 10  # packets for one CNAME chain that the server does not follow by itself


@dataclass(slots=True)
class _Server:
    """A nameserver and what is remembered of its health."""

    address: Nameserver
    avoid_until: float = 0.0
    edns: bool = True

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address.address else socket.AF_INET
        return socket.socket(family, kind)

    @property
    def endpoint(self) -> tuple[str, int]:
        return self.address.address, self.address.port


class Resolver:
    """The stub resolver of a process; safe for use by several threads at once.

    ``nameservers`` empty means those of resolv.conf, which is read again when it changes.
    """

    def __init__(
        self,
        nameservers: Sequence[Nameserver] = (),
        *,
        resolv_conf: Path = RESOLV_CONF,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._resolv_conf = None if nameservers else resolv_conf
        self._stamp: tuple[int, int] | None = None
        self._next_look = 0.0
        self._servers = [_Server(address) for address in nameservers]

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """The answer to one question, by ``deadline`` (on the clock of ``time.monotonic``) at the latest."""
        asked = wire.question(name, rdtype)
        if asked is None:
            return Answer(Status.NOT_ASKED)
        ttl = wire.MAX_TTL
        for _ in range(_MAX_CHAIN):
            answer = _Exchange(asked, self._by_health(), deadline, self._clock).run()
            if not isinstance(answer, wire.Dangling):
                return replace(answer, ttl=min(ttl, answer.ttl))
            ttl = min(ttl, answer.ttl)
            asked = wire.from_labels(answer.target, rdtype)
        return Answer(Status.NO_DATA, ttl=ttl)  # a chain without an end holds nothing

    def nameservers(self) -> tuple[Nameserver, ...]:
        """The servers in use, for people."""
        return tuple(server.address for server in self._by_health())

    def _by_health(self) -> list[_Server]:
        now = self._clock()
        if self._resolv_conf is not None and now >= self._next_look:
            self._next_look = now + _RECHECK_AFTER
            self._read_resolv_conf(self._resolv_conf)
        return sorted(self._servers, key=lambda server: server.avoid_until > now)

    def _read_resolv_conf(self, path: Path) -> None:
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            found = dns.resolver.Resolver(str(path)).nameservers
        except (OSError, ValueError, dns.exception.DNSException):  # ValueError: a nameserver that is no address
            found, stamp = [], (0, 0)
        self._stamp = stamp
        # Without a usable file the servers of before stay; at first that of resolv.conf(5): the local host.
        if found or not self._servers:
            self._servers = [_Server(Nameserver(str(address))) for address in found or ["127.0.0.1"]]


class _Exchange:
    """One question, sent to one server after the other until one of them answers."""

    def __init__(
        self, asked: wire.Question, servers: list[_Server], deadline: float, clock: Callable[[], float]
    ) -> None:
        self.asked, self.deadline, self.clock = asked, deadline, clock
        self.waiting = servers  # not yet known to have nothing for us, the next to ask first
        self.sockets: dict[int, tuple[socket.socket, _Server, int]] = {}  # by descriptor, with the id that was sent
        self.poll = select.poll()
        self.failure = "timeout"

    def run(self) -> Answer | wire.Dangling:
        """Ask until an answer comes, every server has failed, or the time is over."""
        wait = _FIRST_WAIT
        try:
            while self.waiting:
                server = self.waiting[0]
                if not self._send(server):
                    continue
                until = min(self.clock() + wait, self.deadline)
                answer = self._receive(until)
                if answer is not None:
                    return answer
                if self.clock() >= self.deadline:
                    server.avoid_until = self.clock() + _AVOID_FOR
                    break
                if server in self.waiting:  # silent: the others first
                    server.avoid_until = self.clock() + _AVOID_FOR
                    self.waiting = [*(s for s in self.waiting if s is not server), server]
                    wait = min(2 * wait, _LONGEST_WAIT)
            return Answer(Status.FAILED, failure=self.failure)
        finally:
            for sock, _, _ in self.sockets.values():
                sock.close()

    def _send(self, server: _Server) -> bool:
        """One packet from a port and with an id that nobody can guess (RFC 5452 section 9.2): the kernel's and ours."""
        ident = secrets.randbits(16)
        try:
            sock = server.socket(socket.SOCK_DGRAM)
            sock.settimeout(0)
            self.sockets[sock.fileno()] = (sock, server, ident)
            sock.connect(server.endpoint)
            sock.send(wire.packet(self.asked, ident, edns=server.edns))
        except OSError as error:
            self._give_up(server, error.strerror or "network error")
            return False
        self.poll.register(sock, select.POLLIN)
        return True

    def _give_up(self, server: _Server, failure: str) -> None:
        self.failure = failure
        self.waiting = [s for s in self.waiting if s is not server]

    def _receive(self, until: float) -> Answer | wire.Dangling | None:
        """The first usable answer by ``until``; late ones of servers asked before count too."""
        while self.waiting:
            left = until - self.clock()
            for descriptor, _ in self.poll.poll(max(0.0, left) * 1000):
                answer = self._read(*self.sockets[descriptor])
                if answer is not None:
                    return answer
                if not self.waiting:
                    return None
                if self.sockets[descriptor][1] not in self.waiting:
                    self.poll.unregister(descriptor)
                    if self.waiting and descriptor == next(reversed(self.sockets)):
                        return None  # the server just asked said no: on to the next without waiting
            if left <= 0:
                return None
        return None

    def _read(self, sock: socket.socket, server: _Server, ident: int) -> Answer | wire.Dangling | None:
        """What one packet says; None where it says nothing, or the server turned out to be of no use."""
        try:
            data = sock.recv(65535)
        except BlockingIOError:
            return None
        except OSError as error:  # ICMP: nobody listens there
            self._give_up(server, error.strerror or "network error")
            server.avoid_until = self.clock() + _AVOID_FOR
            return None
        if wire.identifier(data) != ident or not wire.is_reply_to(self.asked, data):
            return None  # not an answer to us: stray, or forged; the real one may still come
        return self._understand(server, data)

    def _understand(self, server: _Server, data: bytes) -> Answer | wire.Dangling | None:
        try:
            answer = wire.parse(self.asked, data)
        except wire.TruncatedError:
            return self._over_tcp(server)
        except wire.MalformedError as error:
            self._give_up(server, f"malformed answer: {error}")
            return None
        if isinstance(answer, Answer) and answer.status is Status.FAILED:
            if answer.failure in {"FORMERR", "NOTIMP", "BADVERS"} and server.edns:
                server.edns = False  # RFC 6891 section 7: ask again without EDNS
                self._send(server)
                return None
            self._give_up(server, answer.failure)
            return None
        server.avoid_until = 0.0
        return answer

    def _over_tcp(self, server: _Server) -> Answer | wire.Dangling | None:
        ident = secrets.randbits(16)
        request = wire.packet(self.asked, ident, edns=server.edns)
        until = self.deadline if self.waiting == [server] else min(self.deadline, self.clock() + _TCP_WAIT)
        try:
            with server.socket(socket.SOCK_STREAM) as sock:
                self._limit(sock, until)
                sock.connect(server.endpoint)
                sock.sendall(struct.pack("!H", len(request)) + request)
                (length,) = struct.unpack("!H", self._exactly(sock, 2, until))
                data = self._exactly(sock, length, until)
            mine = wire.identifier(data) == ident and wire.is_reply_to(self.asked, data)
            answer = wire.parse(self.asked, data) if mine else None
        except (OSError, wire.MalformedError, wire.TruncatedError) as error:
            self._give_up(server, f"no answer over TCP ({error!s:.80})")
            return None
        if answer is None:
            self._give_up(server, "an answer over TCP to another question")
            return None
        if isinstance(answer, Answer) and answer.status is Status.FAILED:
            self._give_up(server, answer.failure)
            return None
        return answer

    def _exactly(self, sock: socket.socket, count: int, until: float) -> bytes:
        data = bytearray()
        while len(data) < count:
            self._limit(sock, until)
            piece = sock.recv(count - len(data))
            if not piece:
                raise ConnectionError("connection closed")
            data += piece
        return bytes(data)

    def _limit(self, sock: socket.socket, until: float) -> None:
        """Let nothing on this socket outlast the time, however slowly the bytes drip."""
        left = until - self.clock()
        if left <= 0:
            raise TimeoutError("timeout")
        sock.settimeout(left)
