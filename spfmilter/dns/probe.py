"""Probe silent nameservers, so that no message has to wait for them.

Knows sockets. Any answer counts.
"""

from __future__ import annotations

import secrets
import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from spfmilter.dns import transport, wire
from spfmilter.dns.reports import Reports
from spfmilter.dns.resolver import Resolver
from spfmilter.dns.server import Server
from spfmilter.dns.silence import Change, Report

_EVERY = 1.0  # seconds between two probes
_KEPT = 5.0  # seconds that a probe's answer may take
_PACKET = 512  # bytes: the answer is not read beyond its question


@dataclass(slots=True)
class _Sent:
    server: Server
    sock: socket.socket
    ident: int
    at: float


class Probe:
    """Probes the nameservers of a process while they are silent; for one thread, which calls ``step`` each second.

    Args:
        resolver: the process's.
        reports: how it tells other workers of a silence, and hears of theirs; None: there are none.
    """

    def __init__(self, resolver: Resolver, reports: Reports | None = None) -> None:
        self._resolver, self._reports = resolver, reports
        self._sent: deque[_Sent] = deque()  # the oldest first: a few for each nameserver
        self._next = float("-inf")

    def step(self) -> Change | None:
        """Send and read probes, without waiting. Return a change of the silence for the log; None if there is none."""
        silence, now = self._resolver.silence, self._resolver.clock()
        silence.hear(self._others(now), self._resolver.silent_since)
        since = silence.since
        if since is None:
            return None
        self._read(now)
        if not self._resolver.silent_since(since):
            return self._end(now)
        if now >= self._next:
            self._next = now + _EVERY
            self._drop(sum(sent.at < now - _KEPT for sent in self._sent))
            self._send(now)
        change = silence.announce(now)
        self._tell(now)
        return change

    def _end(self, now: float) -> Change | None:
        """End the silence. The last worker that does so has it logged."""
        self.close()
        change = self._resolver.silence.end(now)
        self._tell(now)  # before we look at the others: of two that end together, one sees that it is the last
        return change if all(report.since is None for report in self._others(now)) else None

    def withdraw(self) -> None:
        """Close the sockets, and tell the other workers nothing any more."""
        self.close()
        if self._resolver.silence.since is not None:
            self._resolver.silence.end(self._resolver.clock())
            self._tell(self._resolver.clock())

    def _others(self, now: float) -> list[Report]:
        return self._reports.others(self._resolver.nameservers(), now) if self._reports is not None else []

    def _tell(self, now: float) -> None:
        if self._reports is not None:
            self._reports.tell(self._resolver.silence.report(), self._resolver.nameservers(), now)

    def close(self) -> None:
        """Close the sockets. ``step`` may be called again."""
        self._drop(len(self._sent))

    def _read(self, now: float) -> None:
        for sent in self._sent:
            with suppress(OSError):  # nothing has come, or its host says that no nameserver listens there
                data = sent.sock.recv(_PACKET)
                if wire.identifier(data) == sent.ident and wire.is_reply_to(wire.PROBE, data):
                    sent.server.last_heard = now

    def _send(self, now: float) -> None:
        for server in self._resolver.by_health():
            try:
                sock = transport.connected(server.socket(socket.SOCK_DGRAM), server.endpoint)
            except OSError:  # unreachable, or no descriptor: then lookups wait as usual
                continue
            ident = secrets.randbits(16)
            self._sent.append(_Sent(server, sock, ident, now))
            with suppress(OSError):
                transport.send(sock, wire.packet(wire.PROBE, ident, edns=False))
            self._resolver.silence.probed(now)

    def _drop(self, number: int) -> None:
        for _ in range(number):
            self._sent.popleft().sock.close()
