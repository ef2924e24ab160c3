"""Asks the DNS for one connection: questions go out early, on a socket of their own, and are read when they are needed.

Knows packets in flight: resending, several nameservers, TCP for long answers, and what to do as soon as an answer is
there (``then``), so that whoever waits for one answer lets the others get on, too. All in the calling thread: libmilter
calls on its own threads, and handing work to another costs more than it brings. Every trouble comes back as an Answer.
"""

from __future__ import annotations

import errno
import secrets
import select
import socket
from typing import TYPE_CHECKING

from spfmilter.evaluation import transport, wire
from spfmilter.evaluation.answer import Answer, Status, Type
from spfmilter.evaluation.cache import Key, MessageAnswers
from spfmilter.evaluation.pending import FIRST_WAIT, TIMEOUT, Pending, Then

if TYPE_CHECKING:
    from spfmilter.evaluation.lookups import Resolver, Server

_LONGEST_WAIT = 3.2
_ERROR_WAITS = 0.6  # seconds: waits longer than that are not begun for dead servers, once another has said "error"
_AVOID_FOR = 30.0  # seconds that a server which let a question time out is asked only after the others
_MAX_CHAIN = 10  # packets for one CNAME chain that the server does not follow by itself
_FOLLOW_TICK = 0.002  # seconds between two looks for an answer that another connection is waiting for
_PROBE_AFTER = 2.0  # seconds of silence after which we ask whether our nameservers live at all
_PATIENCE = 2.0  # seconds that somebody must have waited for an answer before its timeout is known to others
_TCP_WAIT = 5.0  # seconds for an answer over TCP where another server could be asked instead
_PACKET = 4096  # bytes: more than the EDNS size that we offer
_NO_EDNS = frozenset({"FORMERR", "NOTIMP", "BADVERS"})
# What we have run out of says nothing of a server: descriptors, memory, ports.
_OUR_LACK = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EADDRNOTAVAIL})


class Channel:
    """The lookups of one connection, for one message at a time: ``forget`` after each, ``close`` in the end."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._cache, self._clock = resolver.cache, resolver.clock
        self._answers = MessageAnswers(self._clock)
        self._pending: dict[Key | None, Pending] = {}
        self._sent: dict[tuple[int, int], tuple[Pending, Server, bool]] = {}  # by descriptor and id; with EDNS
        self._sockets: dict[tuple[str, int], socket.socket] = {}  # by endpoint
        self._by_descriptor: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self.reading = False  # somebody waits here, so that others may rely on what is in flight

    # -- what others call --------------------------------------------------------------------------------------------

    def start(self, name: str, rdtype: Type, then: Then | None = None) -> None:
        """Send a question, unless its answer is known or on its way; ``then`` is called with the answer."""
        key = (rdtype, name.lower().removesuffix("."))
        answer = self._known(key)
        pending = None
        if answer is None:
            pending = self._pending.get(key) or self._begin(key)
            answer = self._answers.get(key)
        if answer is not None:
            if then is not None:
                then(answer)
        elif then is not None and pending is not None:
            pending.then.append(then)

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """The answer to a question, by ``deadline`` (on the resolver's clock) at the latest.

        A deadline is its caller's own: one that ends is no answer to whoever asks again with time left.
        After the deadline nothing is asked and nothing waited for. An answer that has come by then is used.
        """
        key = (rdtype, name.lower().removesuffix("."))
        answer = self._known(key)
        if answer is None and self._clock() >= deadline:
            answer = self._at_hand(key)
        if answer is None:
            self.reading = True  # before the question goes out, so that nobody else sends it, too
            try:
                if key not in self._pending:
                    self._begin(key)
                answer = self._wait_for(key, deadline)
            finally:
                self.reading = False
        return answer

    def forget(self) -> None:
        """Forget the message: its answers, and questions that nobody needs any more. Late answers are then strays."""
        if not (self._answers or self._pending or self._sent):
            return
        for pending in self._pending.values():
            self._resolver.release(pending.key, self)
        for table in (self._answers, self._pending, self._sent):
            table.clear()

    def close(self) -> None:
        """Forget the message and close the sockets. The channel can be used again."""
        self.forget()
        for sock in self._sockets.values():
            self._poll.unregister(sock)
            sock.close()
        self._sockets.clear()
        self._by_descriptor.clear()

    # -- questions ---------------------------------------------------------------------------------------------------

    def _known(self, key: Key) -> Answer | None:
        answer = self._answers.get(key)
        if answer is None and key not in self._pending:
            answer = self._cache.get(key)
            if answer is not None:
                self._answers.put(key, answer)
        return answer

    def _begin(self, key: Key) -> Pending | None:
        """Put a question on its way; None where it is answered at once, because nobody can be asked."""
        asked = wire.question(key[1], key[0])
        if asked is None:
            self._answers.put(key, Answer(Status.NOT_ASKED))
            return None
        now = self._clock()
        pending = Pending(key, asked, self._resolver.by_health(), now, now)
        self._pending[key] = pending
        if self._resolver.claim(key, self):
            self._send(pending)
        else:
            pending.following, pending.due = True, now + FIRST_WAIT
        return pending if key in self._pending else None

    def _send(self, pending: Pending) -> None:
        """One packet to the next server that can be reached, from a port and with an id that nobody can guess.

        RFC 5452 section 9.2; the port is the kernel's choice for this connection's own socket.
        """
        while pending.servers and pending.key in self._pending:
            server = pending.servers[0]
            try:
                sock = self._socket(server)
                ident = self._free_ident(sock)
                edns = pending.plain is not server and server.knows_edns(self._clock())
                transport.send(sock, wire.packet(pending.asked, ident, edns=edns))
            except OSError as error:
                if error.errno not in _OUR_LACK:
                    server.avoid_until = self._clock() + _AVOID_FOR
                pending.drop(server, error.strerror or "network error")
                continue
            self._sent[sock.fileno(), ident] = pending, server, edns
            pending.sent = self._clock()
            pending.due = pending.sent + pending.wait
            return
        self._finish(pending, self._failed(pending))

    def _free_ident(self, sock: socket.socket) -> int:
        while (sock.fileno(), ident := secrets.randbits(16)) in self._sent:
            pass
        return ident

    def _socket(self, server: Server) -> socket.socket:
        sock = self._sockets.get(server.endpoint)
        if sock is None:
            sock = server.socket(socket.SOCK_DGRAM)
            try:
                sock.settimeout(0)
                sock.connect(server.endpoint)
            except OSError:
                sock.close()
                raise
            self._sockets[server.endpoint] = self._by_descriptor[sock.fileno()] = sock
            self._poll.register(sock, select.POLLIN)
        return sock

    def _failed(self, pending: Pending) -> Answer:
        """No server has answered: whose fault that is, depends on whether any of them has said anything at all."""
        # A question that hardly had time tells nothing of our servers, however its sender's record came to it so late.
        silent = pending.failure != TIMEOUT or self._clock() - pending.started >= FIRST_WAIT
        ours = not pending.heard and silent and self._resolver.silent_since(pending.started)
        return Answer(Status.FAILED, failure=pending.failure, ours=ours)

    def _finish(self, pending: Pending, answer: Answer) -> None:
        """The question is answered: remember it, and do what waits for it."""
        self._pending.pop(pending.key, None)
        if pending.key is None:
            return
        if not pending.following:
            self._resolver.observe(answer)
        stale = None
        if answer.status is Status.FAILED:
            stale = self._cache.stale(pending.key)
        elif not pending.following:
            # It may have lain unread while the client was idle: it is at most as old as the question.
            ttl = max(0, min(pending.ttl, answer.ttl) - int(self._clock() - pending.started))
            answer = answer.lasting(ttl)
        if stale is None and not pending.following:
            self._cache.put(pending.key, answer)
        answer = stale or answer
        self._answers.put(pending.key, answer)
        self._resolver.release(pending.key, self)
        for then in pending.then:
            then(answer)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def _wait_for(self, key: Key, deadline: float) -> Answer:
        # Not since when it is out: a stranger's slow names may have taken the time of those that come after them.
        since = self._clock()
        while (answer := self._answers.get(key)) is None:
            pending = self._pending[key]
            now = self._clock()
            if now >= deadline:
                return self._out_of_time(key, pending, now, patient=now - since >= _PATIENCE)
            if pending.long is not None:
                since = now  # what UDP has taken says nothing of TCP
                self._over_tcp(pending, pending.long, deadline)
            else:
                self._pump(deadline)
        return answer

    def _at_hand(self, key: Key) -> Answer:
        """The answer, if it lies unread in a socket, or another connection has it; else a failure."""
        if key in self._pending:
            for descriptor, _ in self._poll.poll(0):
                self._read_all(self._by_descriptor[descriptor], descriptor)
        answer = self._answers.get(key) or self._cache.get(key, counted=False) or self._cache.stale(key)
        return answer or Answer(Status.FAILED, failure=TIMEOUT)

    def _out_of_time(self, key: Key, pending: Pending, now: float, *, patient: bool) -> Answer:
        """A failure for this caller, whose deadline may be no other's; the question stays in flight.

        Only if it was waited for long enough that this says something of the domain, others learn of it.
        """
        if pending.long is None:  # else a server has answered, and whoever waits for TCP hears no other
            self._blame(pending, now)
        answer = self._failed(pending)
        if not pending.following:
            self._resolver.observe(answer)
        stale = self._cache.stale(key)
        if stale is None and patient and not pending.following:
            self._cache.put(key, answer)
        return stale or answer

    def _pump(self, deadline: float) -> None:
        """Wait for the next packet or the next time to act, and take in whatever there is."""
        pendings = list(self._pending.values())
        now = self._clock()
        until = min([deadline, *(now + _FOLLOW_TICK if p.following else p.due for p in pendings if p.long is None)])
        for descriptor, _ in self._poll.poll(max(0.0, (until - now) * 1000)):
            self._read_all(self._by_descriptor[descriptor], descriptor)
        now = self._clock()
        for pending in pendings:
            if pending.key in self._pending and pending.long is None:
                if pending.following:
                    self._look_over(pending, now)
                elif pending.due <= now:
                    self._resend(pending, now, deadline)

    def _look_over(self, pending: Pending, now: float) -> None:
        """Whether the connection that asked before us has its answer; if it gives up or is slow, ask ourselves."""
        key = pending.key
        answer = self._cache.get(key, counted=False) if key is not None else None
        if answer is not None:
            self._finish(pending, answer)
        elif pending.due <= now or (key is not None and self._resolver.claim(key, self)):
            pending.following = False
            self._send(pending)

    def _blame(self, pending: Pending, now: float) -> None:
        """The server that was asked last has not answered: ask others first, if it has said nothing to anybody.

        Otherwise it lives, and it is the domain that is dead.
        """
        for server in pending.servers[:1]:
            if not pending.following and server.last_heard < pending.sent <= now - FIRST_WAIT:
                server.avoid_until = now + _AVOID_FOR

    def _resend(self, pending: Pending, now: float, deadline: float) -> None:
        """Nothing came: the other servers first, and less often each time."""
        self._blame(pending, now)
        if (pending.last_chance or pending.wait > _ERROR_WAITS) and pending.has_only_dead(now):
            self._finish(pending, self._failed(pending))
            return
        pending.rotate()
        pending.wait = min(2 * pending.wait, _LONGEST_WAIT)
        self._send(pending)
        # A short time limit has to leave time for the probe and its answer.
        patience = min(_PROBE_AFTER, (deadline - pending.started) / 3)
        if now - pending.started > patience and self._resolver.wants_probe(pending.started):
            probe = Pending(None, wire.from_labels((), Type.A), self._resolver.by_health(), now, now)
            self._pending[None] = probe
            self._send(probe)

    def _read_all(self, sock: socket.socket, descriptor: int) -> None:
        """The packets that are there: every one, or until no more are awaited."""
        while True:
            try:
                data = sock.recv(_PACKET)
            except BlockingIOError:
                return
            except OSError as error:  # ICMP: nobody listens there
                self._refused(sock, error.strerror or "network error")
                return
            ident = wire.identifier(data)
            found = self._sent.get((descriptor, ident)) if ident is not None else None
            if found is None or not wire.is_reply_to(found[0].asked, data):
                continue  # not an answer to us: stray, late or forged; the real one may still come
            pending, server, edns = found
            pending.heard = True
            server.last_heard = self._clock()
            if self._pending.get(pending.key) is pending:
                del self._sent[descriptor, ident or 0]
                self._understand(pending, server, data, edns=edns)
            if not self._sent:
                return  # without asking the kernel once more

    def _refused(self, sock: socket.socket, failure: str) -> None:
        endpoint = next(endpoint for endpoint, known in self._sockets.items() if known is sock)
        for pending in list(self._pending.values()):
            for server in pending.servers:
                # One that sent a truncated answer still has the whole answer for TCP.
                if server.endpoint == endpoint and not pending.following and pending.long is not server:
                    server.avoid_until = self._clock() + _AVOID_FOR
                    self._next_server(pending, server, failure)
                    break

    def _understand(self, pending: Pending, server: Server, data: bytes, *, edns: bool) -> None:
        try:
            answer = wire.parse(pending.asked, data, self._resolver.private.enters)
        except wire.TruncatedError:
            pending.long = server
            return
        except wire.MalformedError as error:
            self._next_server(pending, server, f"malformed answer: {error}")
            return
        self._take(pending, server, answer, edns=edns)

    def _take(self, pending: Pending, server: Server, answer: Answer | wire.Dangling, *, edns: bool) -> None:
        """What a server has answered; ``edns``: to a question that spoke EDNS, whatever is known of it by now."""
        if isinstance(answer, wire.Dangling):
            pending.ttl, pending.chain = min(pending.ttl, answer.ttl), pending.chain + 1
            pending.asked = wire.from_labels(answer.target, pending.asked.type)
            if pending.chain >= _MAX_CHAIN:
                self._finish(pending, Answer(Status.NO_DATA, ttl=pending.ttl))  # a chain without end holds nothing
            else:
                self._send(pending)
        elif answer.status is not Status.FAILED:
            server.answered(edns=edns, refused_edns=pending.plain is server, now=self._clock())
            self._finish(pending, answer)
        elif answer.failure in _NO_EDNS and edns:
            pending.plain = server  # RFC 6891 section 7: ask again without
            pending.servers = [server, *(other for other in pending.servers if other is not server)]
            self._send(pending)
        else:
            self._next_server(pending, server, answer.failure)

    def _next_server(self, pending: Pending, server: Server, failure: str) -> None:
        was_next = bool(pending.servers) and pending.servers[0] is server
        pending.drop(server, failure)
        if pending.has_only_dead(self._clock()) and not pending.last_chance:
            # A stranger's dead domain may have made them look dead: each is asked once before the error is believed.
            pending.last_chance = True
            for _ in pending.servers[1:]:
                self._send(pending)
                pending.rotate()
            was_next = True
        if was_next or not pending.servers:
            self._send(pending)

    # -- TCP ---------------------------------------------------------------------------------------------------------

    def _over_tcp(self, pending: Pending, server: Server, deadline: float) -> None:
        """Ask again over TCP (RFC 7766); only when the answer is really needed, since it holds up all the others."""
        pending.long = None
        end = deadline
        if len(pending.servers) > 1:
            deadline = min(deadline, self._clock() + _TCP_WAIT)
        ident = secrets.randbits(16)
        edns = pending.plain is not server and server.knows_edns(self._clock())
        request = wire.packet(pending.asked, ident, edns=edns)
        try:
            with server.socket(socket.SOCK_STREAM) as sock:
                data = transport.exchange(sock, server.endpoint, request, deadline, self._clock)
            mine = wire.identifier(data) == ident and wire.is_reply_to(pending.asked, data)
            answer = wire.parse(pending.asked, data, self._resolver.private.enters) if mine else None
        except (OSError, wire.MalformedError, wire.TruncatedError) as error:
            failure = f"no answer over TCP ({error!s:.80})"
            if self._clock() >= end:  # not the server's fault: whoever has time left asks it again
                pending.long, pending.failure = server, failure
            else:
                self._next_server(pending, server, failure)
            return
        if answer is None:
            self._next_server(pending, server, "an answer over TCP to another question")
        else:
            self._take(pending, server, answer, edns=edns)
