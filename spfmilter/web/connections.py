"""Limit the connections of visitors: their number, their number from one network, and the time for each request.

uvicorn waits for a request without a time limit, and counts idle connections among those that it serves. Knows sockets
and HTTP's phases as uvicorn shows them. Does not know what is requested.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import Enum
from functools import partial
from ipaddress import ip_address
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from spfmilter.settings.networklist import NetworkList
from spfmilter.web.ratelimit import network_of

MAX_CONNECTIONS = 1024  # connections at once; each takes a descriptor and some kilobytes
MAX_HEADERS = 16 * 1024  # bytes of a request before its body; a link has at most 300, and a proxy adds a few hundred
KEEP_ALIVE = 5  # seconds after which a connection without a further request is closed
_SHARE = 64  # connections of one network: an office behind one address opens six for each browser
_REQUEST_TIME = 10.0  # seconds until the whole request has arrived
_ANSWER_TIME = 30.0  # seconds until the visitor has read the answer; the evaluation has a third of them


class _Phase(Enum):
    WAITING = "no whole request is there"
    ANSWERING = "a whole request is there, and not answered"


class Admission:
    """Decide who may connect. Each network has a share. If all places are taken, the longest silent one is closed."""

    def __init__(self, proxies: NetworkList) -> None:
        """Args: proxies: they connect for many visitors, so the share does not apply to them."""
        self._proxies = proxies
        self._networks: Counter[str] = Counter()
        self._open = 0
        self._waiting: dict[Connection, None] = {}  # the longest first

    def enter(self, host: str) -> str | None:
        """Let a connection in. Return the network that it counts for, empty for none; None: it must be closed."""
        network = "" if self._is_proxy(host) else network_of(host)
        if network and self._networks[network] >= _SHARE:
            return None
        if self._open >= MAX_CONNECTIONS and self._waiting:
            next(iter(self._waiting)).drop()
        self._networks[network] += 1
        self._open += 1
        return network

    def leave(self, connection: Connection, network: str) -> None:
        """Forget a connection that had entered and is gone."""
        self.busy(connection)
        self._open -= 1
        self._networks[network] -= 1
        if not self._networks[network]:
            del self._networks[network]

    def waits(self, connection: Connection) -> None:
        """Note that the connection waits for a request from now on."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def busy(self, connection: Connection) -> None:
        """Note that the connection's request has arrived."""
        self._waiting.pop(connection, None)

    def _is_proxy(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return self._proxies.covers(address)


class Connection(H11Protocol):
    """uvicorn's connection, with a time limit in each phase. The names of overridden methods are uvicorn's."""

    def __init__(self, *args: Any, admission: Admission, **others: Any) -> None:
        super().__init__(*args, **others)
        self._admission, self._network = admission, ""
        self._phase, self._timer = _Phase.WAITING, self.loop.call_later(_REQUEST_TIME, self.drop)
        self._entered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a visitor in who has connected, or close the connection."""
        super().connection_made(transport)
        network = self._admission.enter(self.client[0] if self.client else "")
        if network is None:
            self.drop()
            return
        self._network, self._entered = network, True
        self._begin(_Phase.WAITING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, which either side has closed."""
        super().connection_lost(exc)
        self._timer.cancel()
        if self._entered:
            self._entered = False
            self._admission.leave(self, self._network)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Begin the next phase once the answer is sent. The next request may already be in memory."""
        self._begin(_Phase.WAITING)
        super().on_response_complete()
        self._look()

    def drop(self) -> None:
        """Close the connection at once, without waiting for a visitor who does not read. The unread answer is lost."""
        self._admission.busy(self)
        if self.transport is not None:
            self.transport.abort()

    def _look(self) -> None:
        """Begin the next phase if a whole request has arrived. Parts of a request do not extend the time limit."""
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
            self._admission.waits(self)
            self._timer = self.loop.call_later(_REQUEST_TIME, self.drop)
        else:
            self._admission.busy(self)
            self._timer = self.loop.call_later(_ANSWER_TIME, self.drop)


def protocol(proxies: NetworkList) -> Callable[..., Connection]:
    """Return the connection factory of one server, for uvicorn. ``proxies`` may connect for many visitors."""
    return partial(Connection, admission=Admission(proxies))
