"""Ask the DNS for one connection: send questions early, and read their answers when they are needed.

Knows the questions of one message, and what to do when an answer arrives (``then``). So a connection that waits for one
answer also handles the others. Everything runs in the calling thread, which is libmilter's own: handing work to another
thread costs more than it saves. ``Flight`` sends and reads the packets. A question that another connection has in
flight is not sent again. Failures are returned as an Answer, never raised.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
from contextlib import suppress

from spfmilter.dns import transport, wire
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.cache import Key, MessageAnswers
from spfmilter.dns.flight import Flight
from spfmilter.dns.pending import FIRST_WAIT, TIMEOUT, Carrier, Pending, Then
from spfmilter.dns.resolver import Resolver
from spfmilter.dns.server import Server

_TCP_WAIT = 5.0  # seconds for an answer over TCP if there is another server to ask
_SILENCE = Answer(Status.FAILED, failure="no nameserver answers", local_failure=True)
_TICK = 0.05  # seconds between two looks at an answer that another connection reads, if no descriptor is free


def ask_once(resolver: Resolver, name: str, rdtype: Type, deadline: float) -> Answer:
    """Return the answer to a single question, by ``deadline`` (on the resolver's clock) at the latest."""
    channel = Channel(resolver)
    try:
        return channel.ask(name, rdtype, deadline)
    finally:
        channel.close()


class Channel:
    """The lookups of one connection, for one message at a time: ``forget`` after each, ``close`` in the end.

    Its methods are called by one thread at a time; other connections' threads call ``wake`` only.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._cache, self._clock = resolver.cache, resolver.clock
        self._answers = MessageAnswers(self._clock)
        self._wanted: dict[Key, Pending] = {}  # this message's questions that are in flight
        self._then: dict[Key, list[Then]] = {}
        self._flight: Flight | None = None  # with this connection's own sockets
        self._reading: set[Carrier] = set()  # the flights that this connection reads or waits for
        self._poll = select.poll()
        self._polled: dict[int, Carrier | None] = {}  # by descriptor; None: our waker, for other connections
        self._waker = -1

    # -- what others call --------------------------------------------------------------------------------------------

    def start(self, name: str, rdtype: Type, then: Then | None = None) -> None:
        """Send a question, unless its answer is known or under way. Call ``then`` with the answer."""
        key = (rdtype, name.lower().removesuffix("."))
        answer = self._known(key)
        if answer is None and key not in self._wanted:
            answer = self._want(key)
        if then is not None and answer is not None:
            then(answer)
        elif then is not None:
            self._then.setdefault(key, []).append(then)

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """Return the answer to a question, by ``deadline`` (on the resolver's clock) at the latest.

        If the deadline has passed already, return an answer that has arrived, and send no question. A question that
        times out stays in flight for callers that have time left.
        """
        key = (rdtype, name.lower().removesuffix("."))
        answer = self._known(key)
        if answer is not None:
            return answer
        try:
            return self._wait_for(key, deadline)
        finally:
            if self._reading:
                self._read_no_more(self._reading)

    def forget(self) -> None:
        """Forget the answers and questions of the message. A question that no other connection wants is dropped."""
        if not (self._answers or self._wanted):
            return
        for pending in self._wanted.values():
            pending.flight.disown(pending)
        for table in (self._answers, self._wanted, self._then):
            table.clear()
        if self._flight is not None and self._flight.is_over():
            self._flight = None

    def close(self) -> None:
        """Forget the message and close the sockets. The channel can be used again."""
        self.forget()
        if self._flight is not None:
            self._flight.close()
            self._flight = None
        if self._polled:
            self._poll, self._polled = select.poll(), {}
        if self._waker >= 0:
            os.close(self._waker)
            self._waker = -1

    def wake(self) -> None:
        """Make this connection look again. Called by other connections' threads, whose questions it waits for."""
        if self._waker >= 0:
            os.eventfd_write(self._waker, 1)

    # -- questions ---------------------------------------------------------------------------------------------------

    def _known(self, key: Key, *, counted: bool = True) -> Answer | None:
        pending = self._wanted.get(key)
        if pending is None:
            answer = self._answers.get(key)
            if answer is None:
                answer = self._cache.get(key, counted=counted)
                if answer is not None:
                    self._answers.put(key, answer)
            return answer
        if pending.answer is None:
            return None
        self._take_in(key, pending, pending.answer)
        return self._answers.get(key)

    def _want(self, key: Key) -> Answer | None:
        """Send a question, or join the equal question of another connection. Return its answer if it is known."""
        asked = wire.question(key[1], key[0])
        if asked is None:
            answer = Answer(Status.NOT_ASKED)
            self._answers.put(key, answer)
            return answer
        if self._resolver.silence.spares_waiting(self._clock()):
            answer = self._cache.stale(key) or _SILENCE
            self._resolver.observe(key, _SILENCE, 0.0)
            self._answers.put(key, answer)
            return answer
        if self._flight is None:
            self._flight = Flight(self._resolver)
        while (pending := self._flight.ask(key, asked)) is None:
            known = self._cache.get(key, counted=False)
            if known is not None:
                self._answers.put(key, known)
                return known
        self._wanted[key] = pending
        return None if pending.answer is None else self._known(key)

    def _take_in(self, key: Key, pending: Pending, answer: Answer) -> None:
        """Keep the answer to a question, with its age, and run the functions that wait for it."""
        del self._wanted[key]
        if pending.flight is not self._flight or pending.wait > FIRST_WAIT:
            pending.flight.disown(pending)  # otherwise ``Flight.is_over`` cleans up, once for the whole message
        self._answers.put(key, answer, pending.came)
        thens = self._then.pop(key, None) if self._then else None
        if thens is not None:
            if self._reading:  # a function may take long, and other connections may wait for packets
                self._read_no_more(self._reading)
            for then in thens:
                then(answer)

    # -- waiting -----------------------------------------------------------------------------------------------------

    def _wait_for(self, key: Key, deadline: float) -> Answer:
        # Not the time of sending: lookups of slow names that the client chose may have used up that time.
        since = self._clock()
        over = False
        answer = None
        while answer is None:
            pending = self._wanted.get(key)
            if pending is None:
                if since >= deadline:
                    return self._cache.stale(key) or Answer(Status.FAILED, failure=TIMEOUT)
                answer = self._want(key)
                continue
            if over:
                return self._out_of_time(key, pending, shared=self._clock() - since >= self._resolver.shared_timeout)
            if pending.tcp_server is not None and not pending.fetching and self._clock() < deadline:
                since = self._clock()  # the wait for TCP begins now
                self._over_tcp(pending, deadline)
            else:
                over = self._clock() >= deadline
                self._pump(pending, deadline)
            answer = self._known(key, counted=False)
        return answer

    def _out_of_time(self, key: Key, pending: Pending, *, shared: bool) -> Answer:
        """Return a failure to this caller. The question stays in flight, for callers with a later deadline.

        Cache the failure if it is ``shared``: this caller has waited long enough to show that the domain is slow.
        """
        flight = pending.flight
        with flight.lock:
            if pending.tcp_server is None:  # otherwise a server has answered, and is asked over TCP
                pending.blame(self._clock())
            answer = flight.failed(pending)
            told, pending.told = pending.told, True
        if not told:
            self._resolver.observe(key, answer, self._clock() - pending.started)
        stale = self._cache.stale(key)
        if stale is None and shared:
            self._cache.put(key, answer)
        return stale or answer

    def _pump(self, asked: Pending, deadline: float) -> None:
        """Wait until a packet arrives, another connection wakes us, or a resend is due. Then take in the answers."""
        asleep: list[Pending] = []
        until = self._read_alone(deadline)
        if until is None:
            until, watched, asleep = self._share_out(asked, deadline)
            self._watch(watched)
        try:
            ready = self._poll.poll(max(0.0, (until - self._clock()) * 1000))
            self._read(ready)
            now = self._clock()
            if until <= now < deadline:
                for flight in self._reading:
                    flight.act(self, now)
        finally:
            for pending in asleep:
                with pending.flight.lock:
                    pending.waiters.discard(self)
        for key, pending in list(self._wanted.items()):
            if pending.answer is not None and self._wanted.get(key) is pending:
                self._take_in(key, pending, pending.answer)

    def _read_alone(self, deadline: float) -> float | None:
        """Become the only reader of our own sockets, if all answers come over them and no packet was sent again.

        Most waits are of this kind. They need no waker, since no other connection reads for us.

        Returns:
            Until when to sleep; None if this is another kind of wait, for ``_share_out``.
        """
        flight = self._flight
        if flight is None or self._reading - {flight}:
            return None
        with flight.lock:
            until = deadline
            for pending in self._wanted.values():
                if pending.flight is not flight or pending.answer is not None:
                    return None
                if pending.tcp_server is not None or pending.wait > FIRST_WAIT:
                    return None
                until = min(until, pending.due)
                pending.deadline = min(pending.deadline, deadline)
            if not flight.read_alone(self, len(self._wanted)):
                return None
            watched = flight.watched
        self._reading.add(flight)
        if self._polled is not watched:
            self._watch(watched)
            self._polled = watched
        return until

    def _share_out(self, asked: Pending, deadline: float) -> tuple[float, dict[int, Carrier | None], list[Pending]]:
        """Become the reader of flights that have none, and sleep until other readers have the remaining answers.

        Return until when to sleep, the descriptors to watch, and the questions whose readers will wake us.
        """
        until, watched, asleep, flights = deadline, dict[int, Carrier | None](), list[Pending](), set[Carrier]()
        # A connection that reads only its own sockets needs no waker before its first packet is sent again.
        if any(pending.flight is not self._flight or pending.wait > FIRST_WAIT for pending in self._wanted.values()):
            self._watch_waker(watched)
        for pending in self._wanted.values():
            flight = pending.flight
            if flight not in flights:
                flights.add(flight)
                until = min(until, flight.read_by(self, watched))
            pending.deadline = min(pending.deadline, deadline)
            if pending.answer is not None:  # it arrived before we became the reader
                until = 0.0
            elif pending.fetching or pending.tcp_server is not None or flight.reader is not self:
                asleep.append(pending)
                self._watch_waker(watched)
                until = min(until, self._sleep_on(pending, may_fetch=pending is asked))
        if self._waker < 0 and (asleep or flights != {self._flight}):
            until = min(until, self._clock() + _TICK)
        if self._reading != flights:
            self._read_no_more(self._reading - flights)
            self._reading = flights
        return until, watched, asleep

    def _sleep_on(self, pending: Pending, *, may_fetch: bool) -> float:
        """Ask to be woken when another connection has read the answer, or stops reading.

        Return until when to sleep: 0 if there is something to do at once.
        """
        with pending.flight.lock:
            pending.waiters.add(self)
            is_free = may_fetch and pending.tcp_server is not None and not pending.fetching
            return 0.0 if is_free or pending.flight.reader is None or pending.answer is not None else float("inf")

    def _watch_waker(self, watched: dict[int, Carrier | None]) -> None:
        """Watch an eventfd on which other connections wake us, if a descriptor is free."""
        if self._waker < 0:
            with suppress(OSError):
                self._waker = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        if self._waker >= 0:
            watched[self._waker] = None

    def _watch(self, watched: dict[int, Carrier | None]) -> None:
        if watched != self._polled:
            for descriptor in self._polled.keys() - watched.keys():
                self._poll.unregister(descriptor)
            for descriptor in watched:
                self._poll.register(descriptor, select.POLLIN)
            self._polled = watched

    def _read(self, ready: list[tuple[int, int]]) -> None:
        for descriptor, _ in ready:
            flight = self._polled[descriptor]
            if flight is None:
                with suppress(BlockingIOError):
                    os.eventfd_read(descriptor)
            else:
                with flight.lock:
                    flight.read(descriptor)

    def _read_no_more(self, flights: set[Carrier]) -> None:
        for flight in list(flights):
            self._reading.discard(flight)
            flight.read_no_more(self)

    # -- TCP ---------------------------------------------------------------------------------------------------------

    def _over_tcp(self, pending: Pending, deadline: float) -> None:
        """Ask again over TCP (RFC 7766). Used only for the answer needed now: this connection reads nothing else."""
        self._read_no_more(self._reading)
        flight = pending.flight
        with flight.lock:
            server = pending.tcp_server
            if server is None or pending.fetching or pending.answer is not None:
                return  # another connection was quicker
            pending.fetching = True
            limit = min(deadline, self._clock() + _TCP_WAIT) if len(pending.servers) > 1 else deadline
            edns = pending.goes_with_edns(server, self._clock())
        failure, answer = "no answer over TCP", None
        try:
            answer = self._exchange(pending, server, limit, edns=edns)
        except (OSError, wire.MalformedError, wire.TruncatedError) as error:
            failure = f"no answer over TCP ({error!s:.80})"
        finally:
            with flight.lock:
                pending.fetching = False
                flight.fetched(pending, server, answer, failure, edns=edns, over=self._clock() >= deadline)

    def _exchange(self, pending: Pending, server: Server, limit: float, *, edns: bool) -> Answer | wire.Dangling:
        ident, asked = secrets.randbits(16), pending.asked
        request = wire.packet(asked, ident, edns=edns)
        with server.socket(socket.SOCK_STREAM) as sock:
            data = transport.exchange(sock, server.endpoint, request, limit, self._clock)
        if wire.identifier(data) != ident or not wire.is_reply_to(asked, data):
            raise wire.MalformedError("an answer to another question")
        return wire.parse(asked, data, self._resolver.private.enters)
