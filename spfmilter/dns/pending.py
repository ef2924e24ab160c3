"""A question that is not answered yet: who was asked, who may still answer, and who waits for it.

Knows what to make of servers that have failed; sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from spfmilter.dns import wire
from spfmilter.dns.answer import Answer
from spfmilter.dns.cache import Key
from spfmilter.dns.server import Server

AVOID_FOR = 30.0  # seconds that a server which let a question time out is asked only after the others
FIRST_WAIT = 0.4  # seconds until a lost packet is sent again
TIMEOUT = "timeout"
_MAX_WAIT = 3.2
_WITH_EDNS = 2  # packets with EDNS, and one to each server, before servers that never answered one are asked without
_SLOWER_FROM = 0.8  # seconds: a wait that is followed by one four times as long, where only the domain is silent

Then = Callable[[Answer], None]


class Waiter(Protocol):
    """A connection that waits for an answer; see ``channel.Channel``."""

    def wake(self) -> None:
        """Look again: the answer is there, or a reader is needed."""
        ...


class Carrier(Protocol):
    """The sockets over which a question was sent, as other connections see them; see ``flight.Flight``."""

    lock: Lock
    reader: Waiter | None

    def join(self, pending: Pending) -> bool:
        """Want the answer, too."""
        ...

    def disown(self, pending: Pending) -> None:
        """Want the answer no more."""
        ...

    def read_by(self, reader: Waiter, watched: dict[int, Carrier | None]) -> float:
        """Be read by that connection, if no other connection reads."""
        ...

    def read(self, descriptor: int) -> None:
        """Locked: read the packets that have arrived."""
        ...

    def act(self, reader: Waiter, now: float) -> None:
        """Send again what is due."""
        ...

    def read_no_more(self, reader: Waiter) -> None:
        """Leave the reading to another connection."""
        ...

    def failed(self, pending: Pending) -> Answer:
        """Locked: return the failure that the question comes to if it is given up now."""
        ...

    def fetched(
        self, pending: Pending, server: Server, answer: Answer | wire.Dangling | None, failure: str, *,
        edns: bool, over: bool,
    ) -> None:  # fmt: skip
        """Locked: take what came over TCP."""
        ...


@dataclass(slots=True, eq=False)
class Pending:
    """A question on its way, for every connection of the process that wants its answer.

    Guarded by the lock of its flight, but for ``answer``, which is written once, and after ``came``.
    """

    key: Key | None  # None: a probe, whose answer is not needed
    asked: wire.Question
    servers: list[Server]  # those that may still answer, the next to ask first
    started: float
    flight: Carrier  # over whose sockets it was sent
    due: float = 0.0  # when to act again
    sent: float = 0.0  # when the first of ``servers`` was asked
    wait: float = FIRST_WAIT
    resent: int = 0  # packets after the first one, to all servers
    deadline: float = float("inf")  # the earliest of those that have waited for it
    ttl: int = wire.MAX_TTL
    chain: int = 0
    tcp_server: Server | None = None  # the answer did not fit: to be had from here over TCP
    fetching: bool = False  # a connection is fetching it over TCP
    plain: Server | None = None  # this one has refused the question with EDNS, and is asked it without
    last_chance: bool = False  # a server has said "error", and those that seem dead have been asked once, too
    failure: str = TIMEOUT
    heard: bool = False  # some server has said something about it
    told: bool = False  # that it has timed out was counted
    interest: int = 1  # connections that want the answer, now or later
    waiters: set[Waiter] = field(default_factory=set)  # those that sleep until it is there
    came: float = 0.0
    answer: Answer | None = None

    def begin_anew(self, servers: list[Server], now: float) -> None:
        """Forget all answers so far, aliases included: the question is asked once more."""
        if self.key is not None:
            self.asked = wire.question(self.key[1], self.key[0]) or self.asked
        self.servers, self.started, self.wait, self.ttl, self.chain = servers, now, FIRST_WAIT, wire.MAX_TTL, 0
        self.heard, self.last_chance, self.failure, self.plain, self.resent = False, False, TIMEOUT, None, 0

    def goes_with_edns(self, server: Server, now: float) -> bool:
        """Tell whether to ask the server with EDNS (RFC 6891).

        Some drop such a question (section 7). One that was never heard with EDNS is asked without it in the end.
        """
        if self.plain is server or not server.knows_edns(now):
            return False
        return server.speaks_edns or self.resent < max(_WITH_EDNS, len(self.servers))

    def drop(self, server: Server, failure: str) -> None:
        """Ask this server no more: it will not answer."""
        self.failure = failure
        self.servers = [other for other in self.servers if other is not server]

    def blame(self, now: float) -> None:
        """Blame the server that was asked last. Ask others first if it has said nothing to any connection.

        Otherwise it lives, and it is the domain that is dead.
        """
        for server in self.servers[:1]:
            if server.last_heard < self.sent <= now - FIRST_WAIT:
                server.avoid_until = now + AVOID_FOR

    def rotate(self) -> None:
        """Ask another server next time, if there is one."""
        self.servers = [*self.servers[1:], *self.servers[:1]]

    def wait_longer(self) -> None:
        """Wait twice as long for the next packet's answer; four times where it is the domain that is silent.

        That is so where our servers have spoken since the question went out: hardly by chance are three packets lost.
        """
        self.resent += 1
        if self.wait >= _SLOWER_FROM and any(server.last_heard > self.started for server in self.servers):
            self.wait *= 4
        else:
            self.wait = min(2 * self.wait, _MAX_WAIT)

    def has_only_dead(self, now: float) -> bool:
        """Tell whether one server has no answer, and all others have let questions time out lately."""
        has_error = self.heard and self.failure != TIMEOUT
        return has_error and all(server.avoid_until > now for server in self.servers)
