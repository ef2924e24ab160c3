"""Lists of names: domains, recipients, sender domains with conditions, private zones.

A list holds its entries' texts one behind the other, and a hash table of their places: no object for an entry, so that
all workers share it and it stays small. To find a name takes a microsecond, however many there are.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import Self, TypeVar

from spfmilter.addresses import patterns_of
from spfmilter.model import IPAddress
from spfmilter.settings.endpoints import is_network
from spfmilter.settings.entries import ExemptSender, exempt_sender
from spfmilter.settings.lists import EntryList, filled
from spfmilter.settings.values import Network, private_zone, to_ini
from spfmilter.zones import Zones, reverse_zones

T_co = TypeVar("T_co", covariant=True)
_SMALLEST = 8  # cells of a hash table
_MOST_REVERSE = 100_000  # zones of the reverse DNS


class TextList(EntryList[T_co]):
    """A list of entries that are kept as texts, each found by its key, which is its first word."""

    __slots__ = ("_cells", "_ends", "_parse", "_texts")

    def __init__(self, parse: Callable[[str], T_co]) -> None:
        """Args: parse: reads an entry; raises ValueError for a wrong one."""
        super().__init__()
        self._parse = parse
        self._texts, self._ends = bytearray(), array("I")  # all texts in UTF-8, and where each ends
        self._cells = array("I", bytes(4 * _SMALLEST))  # open addressing: a place and 1, or 0 for a free cell

    def _take(self, text: str) -> bool:
        value = self._parse(text)
        text = to_ini(value)
        key = _key(text)
        if any(self.text(place) == text for place in self.places(key)):
            return False
        if 2 * len(self._ends) >= len(self._cells):
            self._grow()
        self._texts += text.encode()
        self._ends.append(len(self._texts))
        self._put(key, len(self._ends))
        self._note(value)
        return True

    def _note(self, value: T_co) -> None:  # type: ignore[misc]  # it is an argument of no method that a caller knows
        """Note what is to be known of all entries together, when one has been added."""

    def _put(self, key: str, number: int) -> None:
        last = len(self._cells) - 1  # its size is a power of two
        cell = hash(key) & last
        while self._cells[cell]:
            cell = (cell + 1) & last
        self._cells[cell] = number

    def _grow(self) -> None:
        self._cells = array("I", bytes(4 * 2 * len(self._cells)))
        for place in range(len(self._ends)):
            self._put(_key(self.text(place)), place + 1)

    def places(self, key: str) -> Iterator[int]:
        """Yield the places of the entries with this key, in their order."""
        last = len(self._cells) - 1
        cell = hash(key) & last
        while number := self._cells[cell]:
            if _key(self.text(number - 1)) == key:
                yield number - 1
            cell = (cell + 1) & last

    def find(self, key: str) -> int | None:
        """Return the place of the first entry with this key; None: there is none."""
        return next(self.places(key), None) if self._ends else None

    def text(self, place: int) -> str:
        """Return the entry at a place."""
        start = self._ends[place - 1] if place else 0
        return self._texts[start : self._ends[place]].decode()

    def _value(self, place: int) -> T_co:
        return self._parse(self.text(place))

    def keys(self) -> Iterator[str]:
        """Yield the key of each entry."""
        return (_key(self.text(place)) for place in range(len(self)))

    def __contains__(self, item: object) -> bool:
        if isinstance(item, str):
            return self.find(item) is not None and any(self.text(place) == item for place in self.places(item))
        return any(self._value(place) == item for place in self.places(_key(to_ini(item))))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TextList):
            return self._ends == other._ends and self._texts == other._texts
        return super().__eq__(other)

    __hash__ = EntryList.__hash__


class NameList(TextList[str]):
    """A list of domains or recipients."""

    __slots__ = ()

    def _value(self, place: int) -> str:
        return self.text(place)

    def __contains__(self, item: object) -> bool:
        return isinstance(item, str) and self.find(item) is not None

    def match(self, domain: str) -> int | None:
        """Return the place of the most specific entry for a domain: ``example.com``, or ``.example.com`` above it."""
        if not self._ends:
            return None
        places = (self.find(pattern) for pattern in patterns_of(domain))
        return next((place for place in places if place is not None), None)


class SenderList(TextList[ExemptSender]):
    """The list of ``[exempt] senders``."""

    __slots__ = ("any_if_pass", "everywhere")

    def __init__(self) -> None:
        super().__init__(exempt_sender)
        self.any_if_pass = False  # whether an entry needs a pass
        self.everywhere: list[int] = []  # the places of entries whose condition is a network of all addresses

    def _note(self, value: ExemptSender) -> None:
        self.any_if_pass = self.any_if_pass or value.if_pass
        if any(network.prefixlen == 0 for network in value.networks):
            self.everywhere.append(len(self._ends) - 1)

    def _value(self, place: int) -> ExemptSender:
        text = self.text(place)
        return exempt_sender(text) if " " in text else ExemptSender(text)

    def covering(self, domain: str, address: IPAddress | None, *, if_pass: bool) -> int | None:
        """Return the place of the first entry for a domain and the address of a client; None: there is none.

        Args:
            domain: in MAIL FROM, as in the DNS.
            address: None: unknown.
            if_pass: search the entries that need a pass, instead of those that need no check.
        """
        if not self._ends:
            return None
        places = sorted(place for pattern in patterns_of(domain) for place in self.places(pattern))
        for place in places:
            sender = self._value(place)
            if sender.if_pass is if_pass and sender.covers(address):
                return place
        return None


class ZoneList(TextList[str | Network]):
    """The list of ``[dns] private_zones``. The zones are made with it, so that all workers share them."""

    __slots__ = ("_reverse", "zones")

    def _value(self, place: int) -> str | Network:
        text = self.text(place)
        return self._parse(text) if is_network(text) else text

    def __init__(self) -> None:
        super().__init__(private_zone)
        self._reverse: set[str] = set()  # the zones of networks, while it is read
        self.zones = Zones()

    def _note(self, value: str | Network) -> None:
        if not isinstance(value, str):
            self._reverse.update(reverse_zones(value))
            if len(self._reverse) > _MOST_REVERSE:
                raise ValueError(
                    f"with {value}, the networks stand for more than {_MOST_REVERSE} zones of the reverse DNS: write "
                    "larger networks, with a prefix length of 8, 16 or 24"
                )

    def close(self) -> Self:
        """Make the zones."""
        self.zones = Zones(self._reverse, names=self)
        self._reverse = set()
        return self


def _key(text: str) -> str:
    return text.partition(" ")[0]


# RFC 6761, 6762 (appendix G), 7686, 8375, 9476; the reverse zones are those of RFC 6303 and 7793. Not test and example
# (RFC 2606), which laboratories use, and our tests.
PRIVATE_ZONES = filled(
    ZoneList(),
    (
        *("localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa"),
        *("onion", "alt", "invalid", "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7", "fe80::/10"),
    ),
)
