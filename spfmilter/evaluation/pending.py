"""A question that is not answered yet: who was asked, who may still answer, and who waits for it.

Knows what to make of servers that have failed; sends nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spfmilter.evaluation import wire
from spfmilter.evaluation.answer import Answer
from spfmilter.evaluation.cache import Key

if TYPE_CHECKING:
    from spfmilter.evaluation.lookups import Server

FIRST_WAIT = 0.4  # seconds until a lost packet is sent again; then doubled
TIMEOUT = "timeout"

Then = Callable[[Answer], None]


@dataclass(slots=True, eq=False)
class Pending:
    """A question on its way."""

    key: Key | None  # None: a probe, whose answer nobody needs
    asked: wire.Question
    servers: list[Server]  # those that may still answer, the next to ask first
    started: float
    due: float  # when to act again
    sent: float = 0.0  # when the first of ``servers`` was asked
    wait: float = FIRST_WAIT
    ttl: int = wire.MAX_TTL
    chain: int = 0
    following: bool = False  # another connection has asked, and its answer will be in the cache
    long: Server | None = None  # the answer did not fit: to be had from here over TCP
    failure: str = TIMEOUT
    heard: bool = False  # some server has said something about it
    then: list[Then] = field(default_factory=list)

    def drop(self, server: Server, failure: str) -> None:
        """That server will not answer this."""
        self.failure = failure
        self.servers = [other for other in self.servers if other is not server]

    def has_only_dead(self, now: float) -> bool:
        """Whether a server has said that it has no answer, and all others have let questions time out lately."""
        has_error = self.heard and self.failure != TIMEOUT
        return has_error and all(server.avoid_until > now for server in self.servers)
