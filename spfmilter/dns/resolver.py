"""Hold what all connections of a process share for their lookups: nameservers, cache, and the questions in flight.

Knows resolv.conf, and which nameserver to ask first. Asks nothing itself: each connection has a ``Channel``. Never
applies the search list or the host's own domain: if a sender's domain does not exist, the answer must not come from
``domain.corp.local`` (RFC 7208 section 4.3).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from spfmilter.dns.answer import Answer
from spfmilter.dns.cache import AnswerCache, Key
from spfmilter.dns.errors import Errors
from spfmilter.dns.pending import Pending
from spfmilter.dns.server import Server
from spfmilter.dns.silence import Silence
from spfmilter.settings.values import Nameserver
from spfmilter.zones import Zones

# Is told of each answer to a question that was sent: the question, and the seconds that it took.
Observe = Callable[[Key, Answer, float], None]
RESOLV_CONF = Path("/etc/resolv.conf")
MIN_SHARED_TIMEOUT = 2.0  # seconds: the least for ``Resolver.shared_timeout`` at work
_RECHECK_AFTER = 5.0  # seconds between looks at resolv.conf
_PROBE_EVERY = 1.0  # seconds between two probes


class Resolver:
    """The stub resolver of a process; safe for use by several threads at once.

    Without ``nameservers`` it uses those of resolv.conf, and reads the file again when it changes.

    Attributes:
        shared_timeout: seconds that a connection must have waited before its timeout is cached for other connections.
        silence: whether our nameservers have stopped answering.
        errors: whether they answer nothing but errors.
    """

    def __init__(  # noqa: PLR0913 - each has its default
        self,
        nameservers: Sequence[Nameserver] = (),
        *,
        cache: AnswerCache | None = None,
        resolv_conf: Path = RESOLV_CONF,
        clock: Callable[[], float] = time.monotonic,
        observe: Observe = lambda *_: None,
        private: Zones | None = None,
        shared_timeout: float = MIN_SHARED_TIMEOUT,
    ) -> None:
        self.clock, self._observe = clock, observe
        self.shared_timeout = shared_timeout
        self.private = private or Zones()  # a CNAME from outside must not lead into these
        self.cache = cache if cache is not None else AnswerCache(entries=0, clock=clock)
        self._resolv_conf = None if nameservers else resolv_conf
        self._stamp: tuple[int, int] | None = None
        self._next_look = 0.0
        self._servers = [Server(address) for address in nameservers]
        self._last_probe = float("-inf")
        self.silence, self.errors = Silence(), Errors()
        self.in_flight: dict[Key, Pending] = {}  # questions that were sent, and whose answer has not been read

    def nameservers(self) -> tuple[Nameserver, ...]:
        """Return the addresses of the servers in use."""
        return tuple(server.address for server in self.by_health())

    def observe(self, key: Key, answer: Answer, seconds: float) -> None:
        """Note how a question ended that took so many seconds, and tell it to the observer."""
        self.errors.note(key[1], answer, self.clock())
        self._observe(key, answer, seconds)

    # -- for channels ------------------------------------------------------------------------------------------------

    def by_health(self) -> list[Server]:
        """Return the servers. Those that recently let a question time out come last."""
        now = self.clock()
        if self._resolv_conf is not None and now >= self._next_look:
            self._next_look = now + _RECHECK_AFTER
            self._read_resolv_conf(self._resolv_conf)
        if len(self._servers) == 1:
            return self._servers.copy()
        return sorted(self._servers, key=lambda server: server.avoid_until > now)

    def silent_since(self, when: float) -> bool:
        """Tell whether no nameserver has answered any question since then."""
        return all(server.last_heard < when for server in self._servers)

    def is_at_fault(self, since: float, failure: str) -> bool:
        """Tell whether no nameserver has answered any question since then. If so, their silence has begun."""
        silent = self.silent_since(since)
        if silent:
            self.silence.begin(since, failure)
        return silent

    def wants_probe(self, since: float) -> bool:
        """Tell whether to send a probe: no server has answered since then, and the last probe is not too recent."""
        now = self.clock()
        asked = since <= self._last_probe and now < self._last_probe + _PROBE_EVERY
        if asked or not self.silent_since(since):
            return False
        self._last_probe = now
        return True

    def _read_resolv_conf(self, path: Path) -> None:
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return
            found = _nameservers(path.read_text("utf-8", "replace"))
        except OSError:
            found, stamp = [], (0, 0)
        self._stamp = stamp
        # Without a usable file, keep the present servers. At the start, use the local host, as resolv.conf(5) says.
        if found or not self._servers:
            known = {server.address: server for server in self._servers}  # keeps the health of servers that stay
            addresses = map(Nameserver, found or ["127.0.0.1"])
            self._servers = [known.get(address) or Server(address) for address in addresses]


def _nameservers(text: str) -> list[str]:
    """Return the nameservers of a resolv.conf(5). Like glibc, ignore other lines and those without an address.

    dnspython's reader rejects the whole file for one odd word in the search list, which is not used here.
    """
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            with suppress(ValueError):
                found.append(_as_sockets_take_it(words[1]))
    return found


def _as_sockets_take_it(text: str) -> str:
    """Return the address. Its zone, an interface, stays only where it means something: at a link-local address.

    Raises:
        ValueError: it is no address.
    """
    address = ip_address(text)
    if not isinstance(address, IPv6Address) or address.is_link_local:
        return str(address)
    return str(address.ipv4_mapped or IPv6Address(int(address)))
