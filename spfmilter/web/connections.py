"""Connections of visitors: how many there may be, from whom, and how long each may take for its request.

uvicorn waits for a request as long as the visitor likes, and counts who says nothing among those that are served. Knows
sockets and HTTP's phases as uvicorn shows them; does not know what is asked for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from ipaddress import ip_address
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from spfmilter.settings.values import Network
from spfmilter.web.ratelimit import network_of

MOST = 1024  # connections at once; each takes a descriptor and some kilobytes
MOST_HEADERS = 16 * 1024  # bytes of a request before its body; a link has 300 at most, a proxy adds some hundred
KEEP_ALIVE = 5  # seconds for which a connection without a further request stays
_SHARE = 64  # connections of one network: an office behind one address opens six a browser
_REQUEST_TIME = 10.0  # seconds until a whole request is there
_ANSWER_TIME = 30.0  # seconds until the visitor has taken the answer; the evaluation has a third of them


class _Phase(Enum):
    WAITING = "no whole request is there"
    ANSWERING = "a whole request is there, and not answered"


class Door:
    """Who may connect: a share for each network, and when all is full, who has been silent for longest makes room."""

    def __init__(self, proxies: Sequence[Network]) -> None:
        """Args: proxies: whose connections are those of many visitors, and have no share."""
        self._proxies = proxies
        self._networks: Counter[str] = Counter()
        self._open = 0
        self._waiting: dict[Connection, None] = {}  # the longest first

    def enter(self, host: str) -> str | None:
        """The network that a connection counts for, empty for none; None if it may not be."""
        network = "" if self._is_proxy(host) else network_of(host)
        if network and self._networks[network] >= _SHARE:
            return None
        if self._open >= MOST and self._waiting:
            next(iter(self._waiting)).drop()
        self._networks[network] += 1
        self._open += 1
        return network

    def leave(self, connection: Connection, network: str) -> None:
        """A connection that had entered is gone."""
        self.busy(connection)
        self._open -= 1
        self._networks[network] -= 1
        if not self._networks[network]:
            del self._networks[network]

    def waits(self, connection: Connection) -> None:
        """The connection is to bring a request, from now on."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def busy(self, connection: Connection) -> None:
        """The connection has brought one."""
        self._waiting.pop(connection, None)

    def _is_proxy(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


class Connection(H11Protocol):
    """uvicorn's connection, with a time limit in each phase; names of overridden methods are uvicorn's."""

    def __init__(self, *args: Any, door: Door, **others: Any) -> None:
        super().__init__(*args, **others)
        self._door, self._network = door, ""
        self._phase, self._timer = _Phase.WAITING, self.loop.call_later(_REQUEST_TIME, self.drop)
        self._entered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A visitor has connected."""
        super().connection_made(transport)
        network = self._door.enter(self.client[0] if self.client else "")
        if network is None:
            self.drop()
            return
        self._network, self._entered = network, True
        self._begin(_Phase.WAITING)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever has ended it."""
        super().connection_lost(exc)
        self._timer.cancel()
        if self._entered:
            self._entered = False
            self._door.leave(self, self._network)

    def data_received(self, data: bytes) -> None:
        """Some of a request has come."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """The answer is on its way; the next request may be in memory already."""
        self._begin(_Phase.WAITING)
        super().on_response_complete()
        self._look()

    def drop(self) -> None:
        """End it at once: what was not read of the answer is lost, since who does not read would not let it end."""
        self._door.busy(self)
        if self.transport is not None:
            self.transport.abort()

    def _look(self) -> None:
        """A whole request begins the next phase; a part of one, however often more of it comes, does not."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        unanswered = cycle is not None and not cycle.response_complete
        if self._phase is _Phase.WAITING and unanswered and not self.cycle.more_body:
            self._begin(_Phase.ANSWERING)

    def _begin(self, phase: _Phase) -> None:
        self._phase = phase
        self._timer.cancel()
        if not self._entered:
            return
        if phase is _Phase.WAITING:
            self._door.waits(self)
            self._timer = self.loop.call_later(_REQUEST_TIME, self.drop)
        else:
            self._door.busy(self)
            self._timer = self.loop.call_later(_ANSWER_TIME, self.drop)


def protocol(proxies: Sequence[Network]) -> Callable[..., Connection]:
    """What makes a connection of one server, for uvicorn; ``proxies`` are trusted to bring many visitors."""
    return partial(Connection, door=Door(proxies))
