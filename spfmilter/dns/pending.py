"""Hold a question that is not answered yet: the servers to ask, and the connections that wait.

Knows what follows when a server fails. Sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from spfmilter.dns import wire
from spfmilter.dns.answer import ANSWERED, Answer, Status
from spfmilter.dns.cache import Key
from spfmilter.dns.server import Server

AVOID_FOR = 30.0  # seconds: after a timeout, a server is asked only after the others
FIRST_WAIT = 0.4  # seconds until a lost packet is sent again
TIMEOUT = "timeout"
_MAX_WAIT = 3.2
_WITH_EDNS = 2  # packets with EDNS at least, one to each server, before all go without (none ever answered one)
_SLOWER_FROM = 0.8  # seconds: from this wait on, the next is four times as long if only the domain is silent

Then = Callable[[Answer], None]


class Waiter(Protocol):
    """A connection that waits for an answer; see ``channel.Channel``."""

    def wake(self) -> None:
        """Make the connection look again: the answer is there, or a reader is needed."""
        ...


class Carrier(Protocol):
    """The sockets over which a question was sent, as other connections see them; see ``flight.Flight``."""

    lock: Lock
    reader: Waiter | None

    def join(self, pending: Pending) -> bool:
        """Register one more connection for the answer. Return False if it is too late for that."""
        ...

    def disown(self, pending: Pending) -> None:
        """Stop waiting for the answer."""
        ...

    def read_by(self, reader: Waiter, watched: dict[int, Carrier | None]) -> float:
        """Make this connection the reader, unless there is another. Return until when it may sleep."""
        ...

    def read(self, descriptor: int) -> None:
        """Locked: read the packets that have arrived."""
        ...

    def act(self, reader: Waiter, now: float) -> None:
        """Send the packets again that are due."""
        ...

    def read_no_more(self, reader: Waiter) -> None:
        """Stop reading; another connection becomes the reader."""
        ...

    def failed(self, pending: Pending) -> Answer:
        """Locked: return the failure for a question that is given up now."""
        ...

    def fetched(
        self, pending: Pending, server: Server, answer: Answer | wire.Dangling | None, failure: str, *,
        edns: bool, over: bool,
    ) -> None:  # fmt: skip
        """Locked: take an answer or a failure that came over TCP."""
        ...


@dataclass(slots=True, eq=False)
class Pending:
    """A question in flight, for every connection of the process that wants its answer.

    The lock of its flight guards it. Only ``answer`` may be read without the lock: it is written once, after ``came``.
    """

    key: Key | None  # None: a probe, whose answer is not needed
    asked: wire.Question
    servers: list[Server]  # may still answer; the first is asked next
    started: float  # times are on the resolver's clock
    flight: Carrier  # has sent it
    due: float = 0.0  # when to send it again
    sent: float = 0.0  # when the first of ``servers`` was asked
    wait: float = FIRST_WAIT  # seconds until it is sent again
    resent: int = 0  # packets after the first one, to all servers
    deadline: float = float("inf")  # the earliest deadline of the connections that have waited for it
    ttl: int = wire.MAX_TTL  # seconds: the shortest of the CNAME chain so far
    chain: int = 0  # CNAME targets that were asked for
    tcp_server: Server | None = None  # sent a truncated answer, and has the whole answer for TCP
    fetching: bool = False  # a connection is fetching the answer over TCP
    plain: Server | None = None  # has refused the question with EDNS, and is asked without
    last_chance: bool = False  # after one server's error, those that seem dead have been asked once
    failure: str = TIMEOUT
    said: dict[str, str] = field(default_factory=dict)  # by the name of each server that was asked: its error, if any
    heard: bool = False  # a server has replied to it in some way
    told: bool = False  # its timeout has been counted
    interest: int = 1  # connections that want the answer, now or later
    waiters: set[Waiter] = field(default_factory=set)  # connections that sleep until the answer is there
    came: float = 0.0  # when the answer arrived
    answer: Answer | None = None

    def begin_anew(self, servers: list[Server], now: float) -> None:
        """Forget all replies so far, CNAMEs included, so that the question can be asked from the start."""
        if self.key is not None:
            self.asked = wire.question(self.key[1], self.key[0]) or self.asked
        self.servers, self.started, self.wait, self.ttl, self.chain = servers, now, FIRST_WAIT, wire.MAX_TTL, 0
        self.heard, self.last_chance, self.failure, self.plain, self.resent = False, False, TIMEOUT, None, 0
        self.said.clear()

    def goes_with_edns(self, server: Server, now: float) -> bool:
        """Tell whether to ask the server with EDNS (RFC 6891).

        Some drop such a question (section 7). One that was never heard with EDNS is asked without it in the end.
        """
        if self.plain is server or not server.knows_edns(now):
            return False
        return server.speaks_edns or self.resent < max(_WITH_EDNS, len(self.servers))

    def drop(self, server: Server, failure: str) -> None:
        """Remove a server that will not answer."""
        self.failure = self.said[server.name] = failure
        self.servers = [other for other in self.servers if other is not server]

    def given(self, answer: Answer, server: Server, now: float) -> Answer:
        """Return the answer that this server has given, with what each server that was asked has said.

        The answer may have lain unread while the client was idle, so its age is counted from the question.
        """
        took = now - self.started
        heard = server.alone if len(self.said) == 1 else tuple({**self.said, server.name: ANSWERED}.items())
        return answer.told(max(0, min(self.ttl, answer.ttl) - int(took)), heard, took)

    def failed(self, took: float, *, is_ours: bool) -> Answer:
        """Return the failure after this many seconds. ``is_ours``: none of our servers answers any question."""
        heard = tuple(self.said.items())
        return Answer(Status.FAILED, failure=self.failure, local_failure=is_ours, heard=heard, took=took)

    def blame(self, now: float) -> None:
        """Avoid the server that was asked last, if it has answered no question of any connection since then.

        If it has answered others, the server works, and the domain's own servers are silent.
        """
        for server in self.servers[:1]:
            if server.last_heard < self.sent <= now - FIRST_WAIT:
                server.avoid_until = now + AVOID_FOR

    def rotate(self) -> None:
        """Move the first server to the end, so that another is asked next."""
        self.servers = [*self.servers[1:], *self.servers[:1]]

    def wait_longer(self) -> None:
        """Double the wait for the next packet, or make it four times as long if only the domain is silent.

        The domain is silent if our servers have answered other questions meanwhile. By then three packets would have
        to be lost, which is unlikely.
        """
        self.resent += 1
        if self.wait >= _SLOWER_FROM and any(server.last_heard > self.started for server in self.servers):
            self.wait *= 4
        else:
            self.wait = min(2 * self.wait, _MAX_WAIT)

    def has_only_dead(self, now: float) -> bool:
        """Tell whether one server has reported an error, and all others have recently let questions time out."""
        has_error = self.heard and self.failure != TIMEOUT
        return has_error and all(server.avoid_until > now for server in self.servers)
