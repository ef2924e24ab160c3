"""One temporary exemption, as a value: whom it lets in, until when, and who has added it, when and why.

Knows its fields and their limits, and reads a row of a store as untrusted input. Knows no store and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from spfmilter.exemptions.when import utc
from spfmilter.settings.names import domain_name, domain_or_subdomains
from spfmilter.settings.values import network, to_ini
from spfmilter.stores.rows import NAME_LIMIT, Row, read, text_of, time_of
from spfmilter.stores.rows import valid as valid_rows
from spfmilter.text import unicode_line

Network = IPv4Network | IPv6Network

MOST = 10_000  # exemptions in force: more are a list, which belongs into a file
MOST_BY_SPF = 50  # of them by a forwarder's SPF: a message that would be refused costs an evaluation for each
TEXT_LIMIT = 500  # characters of a reason
ID_LENGTH = 6
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32, as that of a case id
_LOOKALIKES = str.maketrans("ILO", "110")
_ID = re.compile(rf"[{_ALPHABET}]{{{ID_LENGTH}}}")
ID_BITS = 5 * ID_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """Whom to let in, and until when. One of the first four is set, or a network and a domain together."""

    id: str
    network: Network | None = None  # of the client
    domain: str = ""  # of MAIL FROM, ASCII and lower case; with a leading dot: all names below it
    forwarder: str = ""  # a host, by its confirmed name; with a leading dot: all hosts below it
    forwarder_spf: str = ""  # a domain whose SPF record lets the client send
    added: int  # Unix seconds
    until: int | None  # Unix seconds; None: for ever
    added_by: str = ""
    because: str = ""
    removed: int | None = None  # Unix seconds; None: it has not been removed
    removed_by: str = ""

    @property
    def subject(self) -> Subject:
        """Return whom it lets in."""
        written = to_ini(self.network) if self.network is not None else ""
        return Subject(written, self.domain, self.forwarder, self.forwarder_spf)

    def is_in_force(self, now: float) -> bool:
        """Return whether it has neither ended nor been removed."""
        return self.removed is None and (self.until is None or self.until > now)


COLUMNS = tuple(Exemption.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an exemption lets in, as texts; empty: any, or not this kind."""

    network: str = ""
    domain: str = ""
    forwarder: str = ""
    forwarder_spf: str = ""

    def __str__(self) -> str:
        if self.forwarder:
            return f"forwarder {self.forwarder}"
        if self.forwarder_spf:
            return f"forwarder by the SPF record of {self.forwarder_spf}"
        if self.domain and self.network:
            return f"{self.domain} from {self.network}"
        return self.domain or self.network

    def values(self) -> Mapping[str, str]:
        """Return what is set, by the names of its columns."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}


def new_id(bits: int) -> str:
    """Return the id for a number of ``ID_BITS`` random bits."""
    return "".join(_ALPHABET[bits >> 5 * place & 31] for place in reversed(range(ID_LENGTH)))


def read_id(text: str) -> str:
    """Return the id that a person has typed, as we write it: any case, O for 0, I or L for 1.

    Raises:
        ValueError: it is no id.
    """
    found = text.strip().upper().translate(_LOOKALIKES)
    if _ID.fullmatch(found) is None:
        raise ValueError(f"{text!a} is not the id of an exemption, which has {ID_LENGTH} letters and digits")
    return found


def read_subject(
    *, network_text: str = "", domain: str = "", forwarder: str = "", forwarder_spf: str = ""
) -> tuple[Network | None, Subject]:
    """Return whom an exemption lets in, of texts from outside.

    Raises:
        ValueError: a text is wrong, or they do not go together.
    """
    place = network(network_text) if network_text else None
    subject = Subject(
        to_ini(place) if place is not None else "",
        domain_or_subdomains(domain) if domain else "",
        domain_or_subdomains(forwarder) if forwarder else "",
        domain_name(forwarder_spf) if forwarder_spf else "",
    )
    if len(subject.values()) != 1 and set(subject.values()) != {"network", "domain"}:
        raise ValueError("an exemption is for a network, a domain, both together, a forwarder, or a forwarder's SPF")
    for name in ("domain", "forwarder", "forwarder_spf"):
        if (value := getattr(subject, name)) and "." not in value.removeprefix(".") and not value.startswith("."):
            raise ValueError(f"{value!a} has one label only, and no mail comes from such a name")
    return place, subject


def exemption_of(row: Row) -> Exemption:
    """Return the exemption of a store's row.

    Raises:
        ValueError: the row is none; the message says why, on one line of printable characters.
    """
    return read(row, _exemption_of)


def valid(rows: Iterable[object], refused: Callable[[Row, str], None]) -> Iterator[Exemption]:
    """Yield the exemptions of a store's rows. ``refused`` is told of each row that is none, and why."""
    return valid_rows(rows, exemption_of, refused)


def _exemption_of(row: Row) -> Exemption:
    place, subject = read_subject(
        network_text=text_of(row, "network", 64),
        domain=text_of(row, "domain"),
        forwarder=text_of(row, "forwarder"),
        forwarder_spf=text_of(row, "forwarder_spf"),
    )
    identity, added = text_of(row, "id"), time_of(row, "added")
    if _ID.fullmatch(identity) is None:
        raise ValueError(f"its id is {identity!a}")
    if added is None:
        raise ValueError("it has no time at which it was added")
    return Exemption(
        id=identity,
        network=place,
        domain=subject.domain,
        forwarder=subject.forwarder,
        forwarder_spf=subject.forwarder_spf,
        added=added,
        until=time_of(row, "until"),
        added_by=unicode_line(text_of(row, "added_by"), NAME_LIMIT),
        because=unicode_line(text_of(row, "because", TEXT_LIMIT), TEXT_LIMIT),
        removed=time_of(row, "removed"),
        removed_by=unicode_line(text_of(row, "removed_by"), NAME_LIMIT),
    )


def row_of(exemption: Exemption) -> dict[str, str | int | None]:
    """Return an exemption as a store keeps it: texts, whole numbers, and None for what is not set."""
    row = {name: getattr(exemption, name) for name in COLUMNS}
    row["network"] = exemption.subject.network
    return {name: None if value == "" else value for name, value in row.items()}


def json_of(exemption: Exemption, now: float) -> dict[str, object]:
    """Return an exemption for programs."""
    row: dict[str, object] = dict(row_of(exemption))
    for name in ("added", "until", "removed"):
        value = getattr(exemption, name)
        row[name] = utc(value) if value is not None else None
    return {**row, "in_force": exemption.is_in_force(now)}
