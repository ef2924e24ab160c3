"""Send the questions of one connection, read the answers, and give them to all connections that asked.

Knows resending, several nameservers and their health, refusals by ICMP, and when a failure is our resolver's fault. A
question belongs to the flight that sent it. The process has only one in flight for each name and type. The answer stays
in the ``Pending``, so every connection that wants it gets it, even without a cache.

**Locks.** ``lock`` guards a whole flight. A thread holds it to send, to read and to give out answers, but never while
it waits (poll, TCP). A thread holds the lock of at most one flight. Meanwhile it may take the cache's lock, under which
no other is taken. Each connection's own thread runs what follows from an answer (``Then``), without a lock. So two
threads never wait for each other, and the work that follows from a record delays no other session.

**The reader.** One of the connections that wait for a flight's answers is its ``reader``. It polls the sockets, and
sends packets again when they are due. The others sleep, each on its own descriptor. They are woken when their answer is
there, or when the reader leaves and one of them has to take over. The reader is woken when another connection has sent
a packet over these sockets.

**Old packets.** A packet can lie unread while its connection is idle. The TTL of an answer is counted from its
question. A failure may be over by now, so the question is sent again.
"""

from __future__ import annotations

import secrets
import socket
import threading

from spfmilter.dns import transport, wire
from spfmilter.dns.answer import Answer, Status
from spfmilter.dns.cache import Key
from spfmilter.dns.pending import AVOID_FOR, FIRST_WAIT, TIMEOUT, Carrier, Pending, Waiter
from spfmilter.dns.resolver import Resolver
from spfmilter.dns.server import Server

_ERROR_WAITS = 0.6  # seconds: after an error of one server, the longest wait for servers that seem dead
_MAX_CHAIN = 10  # packets for one CNAME chain that the server does not follow by itself
_PROBE_AFTER = 2.0  # seconds of silence after which we ask whether our nameservers live at all
_SILENT_FOR = FIRST_WAIT + 0.1  # seconds of silence that suggest dead servers: by then we have sent two packets
_PACKET = 4096  # bytes: more than the EDNS size that we offer; longer data comes in fragments, so TCP is asked
_FRESH = 5.0  # seconds: a question that has waited longer is sent again for a session that joins
_NEVER = float("inf")
_NO_EDNS = frozenset({"FORMERR", "NOTIMP", "BADVERS"})


class Flight:
    """The sockets of one connection, and the questions that were sent over them.

    Methods whose docstring begins with "Locked" are called with ``lock`` held.

    Attributes:
        lock: guards everything else here.
        reader: the connection that reads the answers at present.
        sockets: by descriptor.
        watched: the descriptors that the reader polls. A new socket makes a new table: this one is never changed.
    """

    def __init__(self, resolver: Resolver) -> None:
        self.lock = threading.Lock()
        self.reader: Waiter | None = None
        self.sockets: dict[int, socket.socket] = {}
        self.watched: dict[int, Carrier | None] = {}
        self._resolver, self._clock = resolver, resolver.clock
        self._pending: dict[Key | None, Pending] = {}
        self._sent: dict[tuple[int, int], tuple[Pending, Server, bool]] = {}  # by descriptor and id; with EDNS
        self._by_endpoint: dict[tuple[str, int], socket.socket] = {}
        self._local = True  # no nameserver of these sockets is on another host
        self._left = False  # its own connection has stopped using it
        self._resumed = self._clock()  # when reading began again; packets that arrived before may be old

    # -- what connections call ---------------------------------------------------------------------------------------

    def ask(self, key: Key, asked: wire.Question) -> Pending | None:
        """Return the question in flight, sent now or earlier by another connection. It may be answered already.

        Return None if another connection has just received the answer. The caller looks in the cache, then asks again.
        """
        in_flight = self._resolver.in_flight
        found = in_flight.get(key)
        if found is None:
            pending = Pending(key, asked, self._resolver.by_health(), self._clock(), self)
            with self.lock:  # a connection that finds it in ``in_flight`` waits here until it is sent
                found = in_flight.setdefault(key, pending)
                if found is pending:
                    self._pending[key] = pending
                    cache = self._resolver.cache
                    if key in cache and cache.get(key, counted=False) is not None:  # it has just arrived
                        self._remove(pending)
                        return None
                    self._send(pending)
                    self._tell_reader()
                    return pending
        return found if found.flight.join(found) else None

    def join(self, pending: Pending) -> bool:
        """Register one more connection for the answer. Return False if it is too late for that."""
        with self.lock:
            if self._pending.get(pending.key) is not pending:
                return False
            if self.reader is None:  # the answer may lie unread
                self._resumed = self._clock()
                for descriptor in list(self.sockets):
                    self.read(descriptor)
            now = self._clock()
            if pending.answer is None and pending.tcp_server is None and now - pending.sent > _FRESH:
                if self.reader is None:
                    self._ask_anew(pending)
                else:  # the domain's servers may have recovered meanwhile
                    self._send(pending)
                    self._tell_reader()
            if pending.answer is not None and now - pending.started > _FRESH:
                return False  # the TTL may have ended; if not, the answer is in the cache
            pending.interest += 1
            return True

    def disown(self, pending: Pending) -> None:
        """Stop waiting for the answer. If no other connection waits, a late answer is ignored."""
        with self.lock:
            pending.interest -= 1
            if not pending.interest and self._pending.get(pending.key) is pending:
                self._remove(pending)
            self._close_unused()

    def is_over(self) -> bool:
        """Tell whether the next message needs a new flight. If so, this one closes once no connection waits on it.

        New ports make answers hard to forge (RFC 5452 section 9.2). On loopback, forging is impossible: sockets stay.
        """
        if self._pending or not self._local:
            self.close()
        elif self._sent:  # the connection does not disown each question that was answered normally
            with self.lock:
                self._close_unused()
        return self._left

    def close(self) -> None:
        """End the use by its own connection. Other connections may still read answers here."""
        with self.lock:
            self._left = True
            self._close_unused()

    def read_no_more(self, reader: Waiter) -> None:
        """Stop reading, and wake another connection that waits, so that it becomes the reader."""
        with self.lock:
            if self.reader is reader:
                self.reader = None
            for pending in self._pending.values() if self.reader is None else ():
                for waiter in pending.waiters:
                    waiter.wake()
                    return

    # -- reading -----------------------------------------------------------------------------------------------------

    def read_alone(self, reader: Waiter, questions: int) -> bool:
        """Locked: make this connection the reader if it is the only one, with all questions. Return whether it is."""
        if len(self._pending) != questions or (self.reader is not reader and self.reader is not None):
            return False
        if self.reader is None:
            self.reader, self._resumed = reader, self._clock()
        return True

    def read_by(self, reader: Waiter, watched: dict[int, Carrier | None]) -> float:
        """Make this connection the reader, unless there is another. Add the sockets to what it watches.

        Return until when it may sleep. A packet is then due to be sent again.
        """
        with self.lock:
            if self.reader is None:
                self.reader, self._resumed = reader, self._clock()
            if self.reader is not reader:
                return _NEVER
            watched.update(self.watched)
            return min([p.due for p in self._pending.values() if p.tcp_server is None], default=_NEVER)

    def act(self, reader: Waiter, now: float) -> None:
        """Send the packets again that are due, if this connection is the reader."""
        with self.lock:
            if self.reader is reader:
                for pending in [p for p in self._pending.values() if p.due <= now and p.tcp_server is None]:
                    self._resend(pending, now)

    def read(self, descriptor: int) -> None:
        """Locked: read the packets that have arrived, until none is left or none is expected."""
        sock = self.sockets.get(descriptor)
        while sock is not None:
            try:
                data = sock.recv(_PACKET + 1)
            except BlockingIOError:
                return
            except OSError as error:  # ICMP port unreachable
                self.refused(sock, error.strerror or "network error")
                return
            ident = wire.identifier(data)
            found = self._sent.get((descriptor, ident)) if ident is not None else None
            if found is None or not wire.is_reply_to(found[0].asked, data):
                continue  # stray, late or forged; the real answer may still come
            pending, server, edns = found
            pending.heard = True
            data = wire.marked_truncated(data) if len(data) > _PACKET else data
            server.hear(self._clock(), edns=edns and wire.is_no_error(data))
            if self._pending.get(pending.key) is pending:
                del self._sent[descriptor, ident or 0]
                self._understand(pending, server, data, edns=edns)
            if not self._sent:
                return  # saves a system call

    def refused(self, sock: socket.socket, failure: str) -> None:
        """Locked: handle an ICMP error: no server listens on the other end of this socket."""
        endpoint = next(endpoint for endpoint, known in self._by_endpoint.items() if known is sock)
        for pending in list(self._pending.values()):
            for server in pending.servers:
                # A server that sent a truncated answer is not dropped: it still has the whole answer for TCP.
                if server.endpoint == endpoint and pending.tcp_server is not server:
                    server.avoid_until = self._clock() + AVOID_FOR
                    self._no_answer(pending, server, failure)
                    break

    def _understand(self, pending: Pending, server: Server, data: bytes, *, edns: bool) -> None:
        try:
            answer = wire.parse(pending.asked, data, self._resolver.private.enters)
        except wire.TruncatedError:
            pending.tcp_server = server
            self._wake(pending)  # one of the waiting connections fetches the answer
        except wire.MalformedError as error:
            self._no_answer(pending, server, f"malformed answer: {error}")
        else:
            self.take(pending, server, answer, edns=edns)

    def take(self, pending: Pending, server: Server, answer: Answer | wire.Dangling, *, edns: bool) -> None:
        """Locked: take a server's answer. ``edns``: the question was sent with EDNS."""
        if isinstance(answer, wire.Dangling):
            pending.ttl, pending.chain = min(pending.ttl, answer.ttl), pending.chain + 1
            pending.asked = wire.from_labels(answer.target, pending.asked.type)
            if pending.chain >= _MAX_CHAIN:
                self._finish(pending, Answer(Status.NO_DATA, ttl=pending.ttl), server)  # an endless chain has no data
            else:
                self._send(pending)
        elif answer.status is not Status.FAILED:
            server.answered(edns=edns, now=self._clock())
            self._finish(pending, answer, server)
        elif answer.failure in _NO_EDNS and edns:
            pending.plain = server  # RFC 6891 section 7: ask again without EDNS
            pending.servers = [server, *(other for other in pending.servers if other is not server)]
            self._send(pending)
        else:
            self._no_answer(pending, server, answer.failure)

    def fetched(
        self, pending: Pending, server: Server, answer: Answer | wire.Dangling | None, failure: str, *,
        edns: bool, over: bool,
    ) -> None:  # fmt: skip
        """Locked: take an answer or failure that came over TCP. If time was ``over``, another connection may retry."""
        if pending.answer is None and (answer is not None or not over):
            pending.tcp_server = None
            if answer is not None:
                self.take(pending, server, answer, edns=edns)
            else:
                self.next_server(pending, server, failure)
        elif pending.answer is None:
            pending.failure = failure
        self._wake(pending)
        self._tell_reader()

    def _no_answer(self, pending: Pending, server: Server, failure: str) -> None:
        """Go on to the next server after an error. If the error may have lain unread for long, ask all again."""
        if pending.key is not None and pending.sent + _FRESH < self._resumed:
            self._ask_anew(pending)
        else:
            self.next_server(pending, server, failure)

    def next_server(self, pending: Pending, server: Server, failure: str) -> None:
        """Locked: drop a server that has no answer, and ask the next one unless it was asked already."""
        was_next = bool(pending.servers) and pending.servers[0] is server
        pending.drop(server, failure)
        if pending.has_only_dead(self._clock()) and not pending.last_chance:
            # A dead domain may have made these servers look dead. Ask each once before believing the error.
            pending.last_chance = was_next = True
            for _ in pending.servers[1:]:
                self._send(pending)
                pending.rotate()
        if was_next or not pending.servers:
            self._send(pending)

    # -- sending -----------------------------------------------------------------------------------------------------

    def _send(self, pending: Pending) -> None:
        """Send one packet to the next server that can be reached. Finish the question if there is none.

        An attacker can guess neither its id nor its port, which the kernel chooses (RFC 5452 section 9.2).
        """
        while pending.servers and pending.answer is None:
            server = pending.servers[0]
            try:
                sock = self._socket(server)
                descriptor = sock.fileno()
                while (descriptor, ident := secrets.randbits(16)) in self._sent:
                    pass
                edns = pending.goes_with_edns(server, self._clock())
                transport.send(sock, wire.packet(pending.asked, ident, edns=edns))
            except OSError as error:
                if not transport.is_our_lack(error):
                    server.avoid_until = self._clock() + AVOID_FOR
                pending.drop(server, error.strerror or "network error")
                continue
            self._sent[descriptor, ident] = pending, server, edns
            pending.said[server.name] = ""
            pending.sent = self._clock()
            pending.due = pending.sent + pending.wait
            return
        if pending.answer is None:
            self._finish(pending, self.failed(pending))

    def _socket(self, server: Server) -> socket.socket:
        sock = self._by_endpoint.get(server.endpoint)
        if sock is None:
            sock = transport.connected(server.socket(socket.SOCK_DGRAM), server.endpoint)
            self._by_endpoint[server.endpoint] = self.sockets[sock.fileno()] = sock
            self.watched = {**self.watched, sock.fileno(): self}
            self._local = self._local and server.is_local
        return sock

    def _resend(self, pending: Pending, now: float) -> None:
        """Handle silence: ask the next server, and wait longer each time."""
        pending.blame(now)
        if (pending.last_chance or pending.wait > _ERROR_WAITS) and pending.has_only_dead(now):
            self._finish(pending, self.failed(pending))
            return
        pending.rotate()
        pending.wait_longer()
        self._send(pending)
        # With a short time limit, probe early enough for the answer to arrive.
        probe_after = min(_PROBE_AFTER, (pending.deadline - pending.started) / 3)
        if now - pending.started > probe_after and self._resolver.wants_probe(pending.started):
            probe = Pending(None, wire.PROBE, self._resolver.by_health(), now, self)
            self._pending[None] = probe
            self._send(probe)

    def _ask_anew(self, pending: Pending) -> None:
        """Send a question from the start again, and ignore answers to its earlier packets: they may be old."""
        self._forget_packets(pending)
        pending.begin_anew(self._resolver.by_health(), self._clock())
        self._send(pending)

    def failed(self, pending: Pending) -> Answer:
        """Locked: return the failure of a question that no server has answered.

        It is our resolver's fault only if no nameserver has answered anything since we asked.
        """
        # Too short a wait proves nothing about our servers: a record can delay its last lookup until the deadline.
        took = self._clock() - pending.started
        silent = pending.failure != TIMEOUT or took >= _SILENT_FOR
        is_ours = not pending.heard and silent and self._resolver.is_at_fault(pending.started, pending.failure)
        return pending.failed(took, is_ours=is_ours)

    # -- the end of a question ---------------------------------------------------------------------------------------

    def _finish(self, pending: Pending, answer: Answer, server: Server | None = None) -> None:
        """Cache the answer of this server, or a failure, and wake the connections that wait for it."""
        now, cache = self._clock(), self._resolver.cache
        if pending.key is not None:
            self._resolver.observe(pending.key, answer, now - pending.started)
            stale = cache.stale(pending.key) if server is None else None
            answer = answer if server is None else pending.given(answer, server, now)
            if stale is None:
                cache.put(pending.key, answer)
            answer = stale or answer
        pending.came, pending.answer = now, answer
        self._remove(pending)  # only now: a connection that no longer finds the question looks in the cache
        self._wake(pending)

    def _tell_reader(self) -> None:
        """Wake the reader: it has to expect a new packet, perhaps on a new socket."""
        if self.reader is not None:
            self.reader.wake()

    def _wake(self, pending: Pending) -> None:
        for waiter in pending.waiters:
            waiter.wake()

    def _remove(self, pending: Pending) -> None:
        self._pending.pop(pending.key, None)
        if pending.key is not None:
            self._resolver.in_flight.pop(pending.key, None)
            if not pending.answer:
                self._forget_packets(pending)

    def _forget_packets(self, pending: Pending) -> None:
        self._sent = {where: sent for where, sent in self._sent.items() if sent[0] is not pending}

    def _close_unused(self) -> None:
        """Forget sent packets if only probes are pending. Close the sockets if their own connection has left."""
        if self._pending:
            if self._pending.keys() != {None}:
                return
            self._pending.clear()
        self._sent.clear()
        if self._left:
            for sock in self.sockets.values():
                sock.close()
            self.sockets.clear()
            self._by_endpoint.clear()
            self.watched = {}
