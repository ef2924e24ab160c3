"""A list of networks in sorted arrays: however many there are, an address is looked up in a microsecond.

Two networks are nested or apart. So their first addresses, and the addresses behind their last ones, divide the address
space into ranges, in each of which one entry is the most specific. ``find`` searches these ranges.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Self

from spfmilter.model import IPAddress
from spfmilter.settings.lists import EntryList
from spfmilter.settings.values import Network, network, to_ini

# What most lines of a file are; ``network`` reads all others, and takes ten times as long.
_OCTET = "(0|[1-9][0-9]{0,2})"
_PLAIN = re.compile(r"\.".join([_OCTET] * 4) + r"(?:/([1-9]|[12][0-9]|3[0-2]))?")
_PLAIN_IPV6 = re.compile(r"([0-9A-Fa-f:]+)(?:/([1-9][0-9]{0,2}))?")
_MAPPED = 0xFFFF  # the bits above the last 32 of an IPv4-mapped address
_IPV6 = 100  # added to the prefix length of a network of IPv6, to keep the two families apart
_HALF = (1 << 64) - 1
_NONE = -1


class _Ranges:
    """The ranges of one family: where each begins, as two halves of 64 bits, and the entry that is in force there."""

    __slots__ = ("_high", "_low", "_owner")

    def __init__(self) -> None:
        self._high, self._low, self._owner = array("Q"), array("Q"), array("i")

    def begin(self, number: int, owner: int) -> None:
        """Let a range begin at an address, the last one or behind it; an entry there replaces the one before."""
        high, low = number >> 64, number & _HALF
        if self._owner and self._low[-1] == low and self._high[-1] == high:
            self._owner[-1] = owner
            return
        self._high.append(high)
        self._low.append(low)
        self._owner.append(owner)

    def owner(self, number: int) -> int:
        """Return the place of the entry in force at an address; -1: there is none."""
        high = number >> 64
        begin, end = 0, len(self._high)
        if end and not self._high[0] == high == self._high[-1]:  # never for IPv4, whose upper halves are all 0
            end = bisect_right(self._high, high)
            begin = bisect_left(self._high, high, 0, end)
        place = bisect_right(self._low, number & _HALF, begin, end) - 1
        return self._owner[place] if place >= 0 else _NONE


class NetworkList(EntryList[Network]):
    """A list of networks and addresses."""

    __slots__ = ("_bits", "_high", "_ip4", "_ip6", "_known", "_low", "_parents")

    def __init__(self) -> None:
        super().__init__()
        self._high, self._low, self._bits = array("Q"), array("Q"), array("B")  # by place
        self._parents = array("i")  # by place: the smallest network of the list around it
        self._ip4, self._ip6 = _Ranges(), _Ranges()
        self._known: set[int] = set()  # while it is read

    def _take(self, text: str) -> bool:
        number, bits = _read(text)
        key = number << 8 | bits
        if key in self._known:
            return False
        self._known.add(key)
        self._high.append(number >> 64)
        self._low.append(number & _HALF)
        self._bits.append(bits)
        return True

    def close(self) -> Self:
        """Make the ranges."""
        self._known = set()
        self._parents = array("i", [_NONE]) * len(self)
        for ranges, width, family in ((self._ip4, 32, 0), (self._ip6, 128, _IPV6)):
            self._divide(ranges, width, family)
        return self

    def _divide(self, ranges: _Ranges, width: int, family: int) -> None:
        """Divide the addresses of a family into its ranges."""
        order = sorted(  # one number for each entry: first address, prefix length, place
            (self._number(place) << 8 | bits - family) << 32 | place
            for place, bits in enumerate(self._bits)
            if _family(bits) == family
        )
        around: list[tuple[int, int]] = []  # the networks that hold the present one, the largest first: end and place
        for key in order:
            number, bits, place = key >> 40, key >> 32 & 0xFF, key & 0xFFFFFFFF
            while around and around[-1][0] <= number:
                self._leave(ranges, width, around)
            self._parents[place] = around[-1][1] if around else _NONE
            ranges.begin(number, place)
            around.append((number + (1 << width - bits), place))
        while around:
            self._leave(ranges, width, around)

    @staticmethod
    def _leave(ranges: _Ranges, width: int, around: list[tuple[int, int]]) -> None:
        """Let the range behind the last of the networks begin."""
        end, _ = around.pop()
        if not end >> width:  # not the end of all addresses
            ranges.begin(end, around[-1][1] if around else _NONE)

    # -- one entry ---------------------------------------------------------------------------------------------------

    def _number(self, place: int) -> int:
        return self._high[place] << 64 | self._low[place]

    def _value(self, place: int) -> Network:
        bits = self._bits[place]
        kind = IPv6Network if _family(bits) else IPv4Network
        return kind((self._number(place), _length(bits)))

    def text(self, place: int) -> str:
        """Return the network at a place, or the address if it is one."""
        return to_ini(self._value(place))

    # -- questions ---------------------------------------------------------------------------------------------------

    def find(self, address: IPAddress) -> int | None:
        """Return the place of the smallest network that holds an address; None: there is none."""
        ranges = self._ip4 if isinstance(address, IPv4Address) else self._ip6
        place = ranges.owner(int(address))
        return place if place >= 0 else None

    def covers(self, address: IPAddress) -> bool:
        """Return whether one of the networks holds an address."""
        ranges = self._ip4 if isinstance(address, IPv4Address) else self._ip6
        return ranges.owner(int(address)) >= 0

    def around(self, inner: Network) -> int | None:
        """Return the place of the smallest network that holds another one, or is equal to it; None: there is none."""
        place = self._around(
            int(inner.network_address), inner.prefixlen, self._ip4 if inner.version == 4 else self._ip6
        )
        return place if place >= 0 else None

    def _around(self, number: int, length: int, ranges: _Ranges) -> int:
        place = ranges.owner(number)
        while place >= 0 and _length(self._bits[place]) > length:
            place = self._parents[place]
        return place

    def among(self, others: NetworkList) -> Iterator[int]:
        """Yield the places of the entries that an entry of another list holds."""
        if others:
            for place, bits in enumerate(self._bits):
                ranges = others._ip6 if _family(bits) else others._ip4
                if others._around(self._number(place), _length(bits), ranges) >= 0:
                    yield place

    def within(self, outer: Network) -> Iterator[int]:
        """Yield the places of the entries that another network holds."""
        family, first = _IPV6 if outer.version == 6 else 0, int(outer.network_address)
        behind = first + outer.num_addresses
        for place, bits in enumerate(self._bits):
            if _family(bits) == family and _length(bits) >= outer.prefixlen and first <= self._number(place) < behind:
                yield place

    def whole(self) -> Iterator[int]:
        """Yield the places of networks of all addresses, ``0.0.0.0/0`` and ``::/0``."""
        return (place for place, bits in enumerate(self._bits) if bits in {0, _IPV6})

    def digest(self) -> str:
        """Return a short text that is the same for lists with the same entries in the same order, on this host."""
        digest = blake2b(digest_size=16)
        for part in (self._bits, self._high, self._low):
            digest.update(part)
        return digest.hexdigest()

    def __contains__(self, item: object) -> bool:
        if not isinstance(item, IPv4Network | IPv6Network):
            return False
        place = self.around(item)
        return place is not None and self._value(place) == item

    def __eq__(self, other: object) -> bool:
        if isinstance(other, NetworkList):
            return (self._bits, self._low, self._high) == (other._bits, other._low, other._high)
        return super().__eq__(other)

    __hash__ = EntryList.__hash__


def _family(bits: int) -> int:
    return _IPV6 if bits >= _IPV6 else 0


def _length(bits: int) -> int:
    return bits - _family(bits)


def _read(text: str) -> tuple[int, int]:
    """Return the first address of a network as a number, and its prefix length.

    Raises:
        ValueError: the text is no network: see ``values.network``.
    """
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        one, two, three, four, prefix = plain.groups()
        octets = int(one), int(two), int(three), int(four)
        number = octets[0] << 24 | octets[1] << 16 | octets[2] << 8 | octets[3]
        bits = int(prefix) if prefix else 32
        if max(octets) < 256 and not number & ((1 << 32 - bits) - 1):
            return number, bits
    plain = _PLAIN_IPV6.fullmatch(text)
    if plain is not None:
        with suppress(ValueError):
            number, bits = int(IPv6Address(plain[1])), int(plain[2]) if plain[2] else 128
            if bits <= 128 and not number & ((1 << 128 - bits) - 1) and number >> 32 != _MAPPED:
                return number, bits + _IPV6
    found = network(text)
    return int(found.network_address), found.prefixlen + (_IPV6 if isinstance(found, IPv6Network) else 0)
