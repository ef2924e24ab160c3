"""The kinds of value that a key can have: INI text to a typed value, and back for ``config show``.

Knows the notation of each kind and its error messages. Knows no keys. Names and texts are in ``names``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from spfmilter.settings.endpoints import is_address, is_network, meant_endpoint, usable_address
from spfmilter.settings.ini import quoted
from spfmilter.settings.lists import EntryList
from spfmilter.settings.names import domain_name, plain_line
from spfmilter.settings.sockets import port_number
from spfmilter.template import Template

Network = IPv4Network | IPv6Network

_SIZE = re.compile(r"([0-9]{1,9})([KMGkmg])")
_SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_ENDPOINT = re.compile(r"(?:\[(?P<bracketed>[^\[\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[^:]*))?")
_MAPPED = IPv6Network("::ffff:0:0/96")
_YES, _NO = frozenset({"yes", "true", "on", "1"}), frozenset({"no", "false", "off", "0"})


def split_list(text: str) -> tuple[str, ...]:
    """Return the items of a list, which commas or line breaks separate; empty items are dropped."""
    return tuple(item for item in (part.strip() for part in re.split(r"[,\n]", text)) if item)


@dataclass(frozen=True, slots=True)
class Duration:
    """A span of time; written as a whole number with ms, s, m, h or d."""

    seconds: float

    def __str__(self) -> str:
        if not self.seconds:
            return "0s"
        for unit in ("d", "h", "m", "s"):
            if self.seconds % _UNITS[unit] == 0:
                return f"{int(self.seconds // _UNITS[unit])}{unit}"
        return f"{round(self.seconds * 1000)}ms"


@dataclass(frozen=True, slots=True)
class Nameserver:
    """A DNS server to ask."""

    address: str  # a link-local one with its interface: fe80::1%eth0
    port: int = 53

    def __str__(self) -> str:
        if self.port == 53:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class FileMode:
    """Permission bits of a file."""

    bits: int

    def __str__(self) -> str:
        return f"{self.bits:04o}"


def duration(text: str) -> Duration:
    """Read a span of time: ``30s``, ``250ms``, ``5m``, ``1h``, ``30d``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{quoted(text)} is not a time: write a whole number with ms, s, m, h or d, such as 30s")
    return Duration(int(found[1]) * _UNITS[found[2]])


def duration_between(shortest: str, longest: str) -> Callable[[str], Duration]:
    """Return a reader for times within bounds, both included."""
    low, high = duration(shortest), duration(longest)

    def read(text: str) -> Duration:
        value = duration(text)
        if not low.seconds <= value.seconds <= high.seconds:
            raise ValueError(f"{quoted(text)} is out of bounds: write a time from {low} to {high}")
        return value

    return read


@dataclass(frozen=True, slots=True)
class Size:
    """An amount of memory; written as a whole number with K, M or G."""

    bytes: int

    def __str__(self) -> str:
        for unit, factor in reversed(_SIZES.items()):
            if self.bytes % factor == 0:
                return f"{self.bytes // factor}{unit}"
        return f"{self.bytes // 1024}K"


def size(text: str) -> Size:
    """Read an amount of memory: ``512M``, ``1G``."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an amount of memory: write a whole number with K, M or G, such as 512M")
    return Size(int(found[1]) * _SIZES[found[2].upper()])


def size_between(smallest: str, largest: str) -> Callable[[str], Size]:
    """Return a reader for amounts of memory within bounds, both included."""
    low, high = size(smallest), size(largest)

    def read(text: str) -> Size:
        value = size(text)
        if not low.bytes <= value.bytes <= high.bytes:
            raise ValueError(f"{text!r} is out of bounds: write an amount from {low} to {high}")
        return value

    return read


def yes_no(text: str) -> bool:
    """Read ``yes`` or ``no``."""
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError(f"{quoted(text)} is neither yes nor no: write one of them")


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return a reader for whole numbers within bounds, both included."""

    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,12}", text) is None or not low <= int(text) <= high:
            raise ValueError(f"{quoted(text)} is not a whole number from {low} to {high}")
        return int(text)

    return read


def endpoint(usual: int, *, optional: bool = False) -> Callable[[str], str]:
    """Return a reader for ``ADDRESS:PORT`` of an HTTP listener, kept as written; ``usual`` is the examples' port."""

    def read(text: str) -> str:
        if text or not optional:
            host, port = meant_endpoint(text, usual)
            shown = f"[{host}]" if ":" in host else host
            either = f" or [::1]:{port}" if host == "127.0.0.1" and host not in text else ""
            nameserver(text, needed=f"{shown}:{port}{either}")
        return text

    return read


def nameserver(text: str, *, needed: str = "") -> Nameserver:
    """Read ``ADDRESS``, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``; with examples (``needed``), only with a port."""
    found = _ENDPOINT.fullmatch(text)
    host, port = (text, None) if found is None else (found["bracketed"] or found["host"] or "", found["port"])
    if not is_address(host):
        what = (
            f"address and port: write {needed}" if needed else "address: write 192.0.2.53, 127.0.0.1:5353 or [::1]:5353"
        )
        raise ValueError(f"{quoted(text)} is not an IP {what}")
    if needed and port is None:
        raise ValueError(f"{quoted(text)} names no port: write {needed}")
    return Nameserver(usable_address(text, host), port_number(port) if port is not None else 53)


def network(text: str) -> Network:
    """Read an address or a network; host bits below the prefix are an error, since address or prefix is then wrong."""
    host, slash, prefix = text.partition("/")
    meant = _network(text, strict=True)
    exact = meant is not None  # no bits are set below the prefix
    meant = meant or _network(text, strict=False)
    if meant is None or "%" in text:
        raise ValueError(
            f"{quoted(text)} is not an IP address or network: write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
        )
    if slash and not prefix.isdigit():
        raise ValueError(f"{quoted(text)}: write the prefix length in place of the netmask: {meant}")
    if isinstance(meant, IPv6Network) and meant.subnet_of(_MAPPED):
        ip4 = IPv4Network((int(meant.network_address) & 0xFFFFFFFF, meant.prefixlen - 96))
        raise ValueError(f"{quoted(text)}: clients at mapped addresses count as IPv4 here: write {to_ini(ip4)}")
    if not exact:
        raise ValueError(
            f"{quoted(text)} has bits set below its prefix: write {meant} for the network, or {host} for the address"
        )
    return meant


def _network(text: str, *, strict: bool) -> Network | None:
    try:
        return ip_network(text, strict=strict)
    except ValueError:
        return None


def private_zone(text: str) -> str | Network:
    """Read a domain, for all names in and below it, or a network, for its reverse DNS."""
    if is_network(text):
        return network(text)
    if text.startswith("."):
        raise ValueError(f"{quoted(text)}: write {text[1:]}, which stands for all names below it as well")
    return domain_name(text)


def address(text: str) -> IPv4Address | IPv6Address:
    """Read one IP address."""
    if not is_address(text):
        raise ValueError(f"{quoted(text)} is not an IP address: write 192.0.2.1 or 2001:db8::1")
    return network(text).network_address


def file_mode(text: str) -> FileMode:
    """Read octal permission bits."""
    if re.fullmatch(r"0?[0-7]{3}", text) is None:
        raise ValueError(f"{quoted(text)} is not a mode: write octal digits, such as 0660")
    if not int(text, 8) & 0o222:
        raise ValueError(f"{quoted(text)} has no write bit, so no MTA can connect: write 0660, for example")
    return FileMode(int(text, 8))


def workers(text: str) -> str:
    """Read ``auto``, or a number of processes."""
    if re.fullmatch(r"auto|[1-9][0-9]?", text.lower()) is None:
        raise ValueError(f"{quoted(text)} is not a number of processes: write auto, or a number from 1 to 99")
    return text.lower()


E_ = TypeVar("E_", bound=StrEnum)


def one_of(choices: type[E_]) -> Callable[[Any], Any]:
    """Return a reader for the words of an enumeration."""

    def read(text: Any) -> Any:
        if not isinstance(text, str) or isinstance(text, choices):
            return text
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ValueError(f"{quoted(text)} is not one of {', '.join(choices)}")

    return read


def or_empty(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a reader for keys that may be empty, which is None."""

    def read(text: str) -> Any:
        return parse(text) if text else None

    return read


def reader(parse: Callable[[str], Any]) -> BeforeValidator:
    """Let pydantic read a value by ``parse`` where it is text; a default is typed already."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def list_reader(parse: Callable[[str], Any] = str, *, needed: str = "") -> BeforeValidator:
    """Do the same for lists, and name every wrong item. With ``needed``, an empty list is an error that says so."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        items, errors = [], []
        for item in split_list(value):
            try:
                items.append(parse(item))
            except ValueError as error:
                hint = " (items are separated by commas)" if " " in item else ""
                errors.append(f"{error}{hint}")
        if needed and not items and not errors:
            raise ValueError(f"an empty list: write {needed}")
        if errors:
            raise ValueError("; ".join(errors))
        return tuple(dict.fromkeys(items))

    return BeforeValidator(read)


YesNo = Annotated[bool, reader(yes_no)]
Line = Annotated[str, reader(plain_line)]


def to_ini(value: object) -> str:
    """Return the value in the notation of the file: lists of texts by lines, other lists by commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, EntryList):
        return value.written()
    if isinstance(value, tuple):
        return ("\n" if any(isinstance(item, Template) for item in value) else ", ").join(map(to_ini, value))
    if isinstance(value, IPv4Network | IPv6Network) and value.num_addresses == 1:
        return str(value.network_address)
    return str(value)
