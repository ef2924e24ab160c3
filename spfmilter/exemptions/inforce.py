"""The exemptions as a worker has them: found by the domain in MAIL FROM and the client, or by a forwarder's name.

A lookup takes one step for each length of prefix that occurs, whatever the number of exemptions. Knows nothing of who
has added them. Knows no store and no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TypeVar

from spfmilter.addresses import patterns_of
from spfmilter.exemptions.exemption import MOST, MOST_BY_SPF, Exemption, Subject
from spfmilter.exemptions.when import utc
from spfmilter.model import IPAddress

_Key = TypeVar("_Key", str, int)
_Entry = tuple[str, int | None]  # id and end
# Id, end, version of IP (0: no network), bits of the host part, bits of the network, and the three names.
Packed = tuple[str, int | None, int, int, int, str, str, str]
# (bits of the host part, entries by the bits of the network), the longest prefix first
_Tables = Sequence[tuple[int, Mapping[int, _Entry]]]
_NO_TABLES: Mapping[int, _Tables] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The exemption that lets a message in."""

    id: str
    subject: Subject
    until: int | None  # Unix seconds; None: for ever

    def __str__(self) -> str:
        return f"{self.subject}, until {utc(self.until)}" if self.until is not None else f"{self.subject}, for ever"


class Exemptions:
    """A list of exemptions that nothing changes."""

    __slots__ = ("_domains", "_forwarders", "_forwarders_spf", "_networks", "number")

    def __init__(self, rows: Iterable[Packed] = ()) -> None:
        """Take the exemptions; of those for the same subject, the one that lasts longest counts."""
        self.number = 0  # of exemptions, with those that have ended since
        # By pattern of a domain (empty: any), version of IP, and bits of the host part.
        networks: dict[str, dict[int, dict[int, dict[int, _Entry]]]] = {}
        self._domains: dict[str, _Entry] = {}
        self._forwarders: dict[str, _Entry] = {}
        self._forwarders_spf: dict[str, _Entry] = {}
        for identity, until, version, host_bits, bits, domain, forwarder, forwarder_spf in rows:
            self.number += 1
            entry = (identity, until)
            if version:
                table = networks.setdefault(domain, {}).setdefault(version, {}).setdefault(host_bits, {})
                _put(table, bits, entry)
            elif domain:
                _put(self._domains, domain, entry)
            elif forwarder:
                _put(self._forwarders, forwarder, entry)
            else:
                _put(self._forwarders_spf, forwarder_spf, entry)
        self._networks: Mapping[str, Mapping[int, _Tables]] = {
            pattern: {version: sorted(tables.items()) for version, tables in versions.items()}
            for pattern, versions in networks.items()
        }

    def __bool__(self) -> bool:
        return self.number > 0

    def find(self, domain: str, address: IPAddress, now: float) -> Match | None:
        """Return the exemption for a sender domain and a client, the most specific one; None if there is none.

        Args:
            domain: of MAIL FROM; empty: the null sender.
            address: of the client.
            now: Unix seconds.
        """
        version, number = address.version, int(address)
        for pattern in (*(patterns_of(domain) if domain else ()), ""):
            for host_bits, table in self._networks.get(pattern, _NO_TABLES).get(version, ()):
                entry = table.get(number >> host_bits)
                if entry is not None and _lasts(entry, now):
                    place = ip_network((number >> host_bits << host_bits, address.max_prefixlen - host_bits))
                    written = str(address) if not host_bits else str(place)
                    return Match(id=entry[0], subject=Subject(written, pattern), until=entry[1])
            entry = self._domains.get(pattern)
            if entry is not None and _lasts(entry, now):
                return Match(id=entry[0], subject=Subject(domain=pattern), until=entry[1])
        return None

    def forwarder(self, name: str, now: float) -> Match | None:
        """Return the exemption for a forwarder's host name; None if there is none."""
        for pattern in patterns_of(name) if self._forwarders else ():
            entry = self._forwarders.get(pattern)
            if entry is not None and _lasts(entry, now):
                return Match(id=entry[0], subject=Subject(forwarder=pattern), until=entry[1])
        return None

    def has_forwarders(self, now: float) -> bool:
        """Return whether any forwarder is exempt by its name."""
        return any(_lasts(entry, now) for entry in self._forwarders.values())

    def by_spf(self, now: float) -> Iterator[Match]:
        """Yield the exemptions for forwarders by the SPF record of their domain."""
        for domain, entry in self._forwarders_spf.items():
            if _lasts(entry, now):
                yield Match(id=entry[0], subject=Subject(forwarder_spf=domain), until=entry[1])


def _put(table: dict[_Key, _Entry], key: _Key, entry: _Entry) -> None:
    known = table.get(key)
    if known is None or (known[1] is not None and (entry[1] is None or entry[1] > known[1])):
        table[key] = entry


def _lasts(entry: _Entry, now: float) -> bool:
    return entry[1] is None or entry[1] > now


NO_EXEMPTIONS = Exemptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The exemptions at one moment, for one message."""

    exemptions: Exemptions
    now: float  # Unix seconds

    def __bool__(self) -> bool:
        return bool(self.exemptions)

    def find(self, domain: str, address: IPAddress) -> Match | None:
        """See ``Exemptions.find``."""
        return self.exemptions.find(domain, address, self.now)

    def forwarder(self, name: str) -> Match | None:
        """See ``Exemptions.forwarder``."""
        return self.exemptions.forwarder(name, self.now)

    def has_forwarders(self) -> bool:
        """See ``Exemptions.has_forwarders``."""
        return self.exemptions.has_forwarders(self.now)

    def by_spf(self) -> Iterator[Match]:
        """See ``Exemptions.by_spf``."""
        return self.exemptions.by_spf(self.now)


NONE_IN_FORCE = InForce(exemptions=NO_EXEMPTIONS, now=0.0)


def choose(exemptions: Iterable[Exemption], now: float) -> list[Exemption]:
    """Return those in force, the oldest first, and as many as a worker takes."""
    chosen: list[Exemption] = []
    by_spf = 0
    for one in sorted(exemptions, key=lambda each: (each.added, each.id)):
        if one.is_in_force(now) and len(chosen) < MOST:
            by_spf += bool(one.forwarder_spf)
            if not one.forwarder_spf or by_spf <= MOST_BY_SPF:
                chosen.append(one)
    return chosen


def pack(exemptions: Iterable[Exemption]) -> bytes:
    """Return what a worker needs of the exemptions, as bytes for ``unpack``."""
    return json.dumps([_packed(one) for one in exemptions], separators=(",", ":")).encode()


def _packed(one: Exemption) -> Packed:
    """Return numbers in place of the network, which take a tenth of the time to load."""
    version = host_bits = bits = 0
    if one.network is not None:
        version, host_bits = one.network.version, one.network.max_prefixlen - one.network.prefixlen
        bits = int(one.network.network_address) >> host_bits
    return one.id, one.until, version, host_bits, bits, one.domain, one.forwarder, one.forwarder_spf


def unpack(data: bytes) -> Exemptions:
    """Return the exemptions of ``pack``. For bytes of our own processes only."""
    return Exemptions(json.loads(data))
