"""The kinds of value that a key can have: INI text to a typed value, and back for ``config show``.

Knows the notation of each kind and its error messages; knows no key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, TypeVar

import idna
from pydantic import BeforeValidator

from spfmilter.template import Template, TemplateError

Network = IPv4Network | IPv6Network

_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d{1,9})([KMGkmg])")
_SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_YES, _NO = frozenset({"yes", "true", "on", "1"}), frozenset({"no", "false", "off", "0"})
_HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]{1,253}")  # RFC 2045 token, what an authserv-id is without quotes
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")  # RFC 5322 field name, without its stranger characters


def split_list(text: str) -> tuple[str, ...]:
    """The items of a list: separated by commas or lines, empty ones dropped."""
    return tuple(item for item in (part.strip() for part in re.split(r"[,\n]", text)) if item)


@dataclass(frozen=True, slots=True)
class Duration:
    """A span of time; written as a whole number with ms, s, m, h or d."""

    seconds: float

    def __str__(self) -> str:
        for unit in ("d", "h", "m", "s"):
            if self.seconds % _UNITS[unit] == 0:
                return f"{int(self.seconds // _UNITS[unit])}{unit}"
        return f"{round(self.seconds * 1000)}ms"


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Where the MTA finds the daemon, in the notation of libmilter and Sendmail."""

    family: str  # inet, inet6, unix, systemd
    port: int = 0
    host: str = ""  # an address: names would be looked up when the daemon starts, before the network is sure
    path: str = ""

    def __str__(self) -> str:
        match self.family:
            case "unix":
                return f"unix:{self.path}"
            case "systemd":
                return "systemd"
            case _:
                return f"{self.family}:{self.port}@{self.host}"


@dataclass(frozen=True, slots=True)
class Nameserver:
    """A DNS server to ask."""

    address: str
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
    """``30s``, ``250ms``, ``5m``, ``1h``, ``30d``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a time: write a whole number with ms, s, m, h or d, such as 30s")
    return Duration(int(found[1]) * _UNITS[found[2]])


def duration_between(shortest: str, longest: str) -> Callable[[str], Duration]:
    """A reader for times within bounds, both included."""
    low, high = duration(shortest), duration(longest)

    def read(text: str) -> Duration:
        value = duration(text)
        if not low.seconds <= value.seconds <= high.seconds:
            raise ValueError(f"{text!r} is out of bounds: write a time from {low} to {high}")
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
    """``512M``, ``1G``."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an amount of memory: write a whole number with K, M or G, such as 512M")
    return Size(int(found[1]) * _SIZES[found[2].upper()])


def size_between(smallest: str, largest: str) -> Callable[[str], Size]:
    """A reader for amounts of memory within bounds, both included."""
    low, high = size(smallest), size(largest)

    def read(text: str) -> Size:
        value = size(text)
        if not low.bytes <= value.bytes <= high.bytes:
            raise ValueError(f"{text!r} is out of bounds: write an amount from {low} to {high}")
        return value

    return read


def yes_no(text: str) -> bool:
    """``yes`` or ``no``."""
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError(f"{text!r} is neither yes nor no")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is not a port: write a number from 1 to 65535")
    return int(text)


def socket_address(text: str) -> SocketAddress:
    """``inet:PORT@ADDRESS``, ``inet6:PORT@ADDRESS``, ``unix:/path`` or ``systemd``."""
    family, _, rest = text.partition(":")
    if text == "systemd":
        return SocketAddress("systemd")
    if family in {"unix", "local"}:
        if not rest.startswith("/"):
            raise ValueError(f"{text!r}: the path of a unix socket begins with /")
        if len(rest.encode()) > 100:
            raise ValueError(f"{text!r}: the path of a unix socket has at most 100 bytes")
        return SocketAddress("unix", path=rest)
    if family not in {"inet", "inet6"}:
        raise ValueError(
            f"{text!r} is not a socket: write inet:8890@127.0.0.1, inet6:8890@::1, "
            "unix:/run/spfmilter/spfmilter.sock or systemd"
        )
    port, at, host = rest.partition("@")
    version = 4 if family == "inet" else 6
    if not at:
        raise ValueError(f"{text!r} names no address: write {family}:PORT@{'127.0.0.1' if version == 4 else '::1'}")
    address = _address(host.strip("[]"))
    if ip_address(address).version != version:
        raise ValueError(f"{text!r}: {address} is no {'IPv4' if version == 4 else 'IPv6'} address")
    return SocketAddress(family, port=_port(port), host=address)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None


def listen_address(text: str) -> str:
    """``ADDRESS:PORT`` of an HTTP listener, kept as written; empty for none."""
    if text:
        nameserver(text, need_port=True)
    return text


def nameserver(text: str, *, need_port: bool = False) -> Nameserver:
    """``ADDRESS``, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``."""
    host, port = text, ""
    if text.startswith("["):
        host, closing, port = text[1:].partition("]")
        if not closing or (port and not port.startswith(":")):
            raise ValueError(f"{text!r} is not an address with a port: write [::1]:53")
        port = port[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if need_port and not port:
        raise ValueError(f"{text!r} names no port: write 127.0.0.1:9890 or [::1]:9890")
    return Nameserver(_address(host), _port(port) if port else 53)


def network(text: str) -> Network:
    """An address or a network; host bits below the prefix are an error, since one of the two is then wrong."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an IP address or network: write 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
        ) from None
    host = text.partition("/")[0]
    raise ValueError(f"{text!r} has bits set below its prefix: write {meant} for the network, or {host} alone")


def file_mode(text: str) -> FileMode:
    """Octal permission bits."""
    if re.fullmatch(r"0?[0-7]{3}", text) is None:
        raise ValueError(f"{text!r} is not a mode: write three octal digits, such as 0660")
    return FileMode(int(text, 8))


def domain_name(text: str) -> str:
    """A domain name as ASCII in lower case; U-labels are converted (IDNA 2008)."""
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError as error:
            raise ValueError(f"{text!r} is not a domain name: {error}") from None
    if _HOSTNAME.fullmatch(name) is None:
        raise ValueError(f"{text!r} is not a domain name")
    return name


def domain_or_subdomains(text: str) -> str:
    """``example.com``, or ``.example.com`` for all names below it."""
    return "." + domain_name(text[1:]) if text.startswith(".") else domain_name(text)


def recipient_pattern(text: str) -> str:
    """``user@example.com``, ``user@`` for every domain, or ``@example.com`` for every user."""
    local, at, domain = text.rpartition("@")
    if not at or not (local or domain) or any(c.isspace() for c in text):
        raise ValueError(f"{text!r} is not a recipient: write user@example.com, user@ or @example.com")
    return f"{local}@{domain_name(domain) if domain else ''}"


def authserv_id(text: str) -> str:
    """An authserv-id (RFC 8601 section 2.5) that needs no quotes; empty for the MTA's own name."""
    if text and _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not an authserv-id: write a name such as mx.example.net")
    return text


def field_name(text: str) -> str:
    """The name of a header field that readers of mail will not take for one of its standard ones."""
    if _FIELD_NAME.fullmatch(text) is None or not text.upper().startswith("X-"):
        raise ValueError(f"{text!r} is not a header field of our own: write a name that begins with X-")
    return text


def plain_line(text: str) -> str:
    """One line of text."""
    if "\n" in text:
        raise ValueError("only one line is possible here")
    return text


def spf_record(text: str) -> str:
    """An SPF record, as it would be published; empty for none."""
    if text and text.partition(" ")[0].lower() != "v=spf1":
        raise ValueError(f"{text!r} is not an SPF record: it begins with v=spf1")
    return " ".join(text.split())


def template_lines(text: str) -> tuple[Template, ...]:
    """The lines of a reply; empty for the built-in text."""
    if not text:
        return ()
    lines = text.split("\n")
    if len(lines) > 8:
        raise ValueError(f"a reply of {len(lines)} lines: at most 8, since many servers show only the first")
    return tuple(_template(line) for line in lines)


def contact_template(text: str) -> Template:
    """One line in which only the receiving server's name is known."""
    return _template(plain_line(text), ("hostname",))


def _template(line: str, *allowed: tuple[str, ...]) -> Template:
    try:
        return Template.parse(line, *allowed)
    except TemplateError as error:
        raise ValueError(str(error)) from None


E_ = TypeVar("E_", bound=StrEnum)


def one_of(choices: type[E_]) -> Callable[[Any], Any]:
    """A reader for the words of an enumeration."""

    def read(text: Any) -> Any:
        if not isinstance(text, str) or isinstance(text, choices):
            return text
        for choice in choices:
            if text.lower() == choice.lower():
                return choice
        raise ValueError(f"{text!r} is not one of {', '.join(choices)}")

    return read


def reader(parse: Callable[[str], Any]) -> BeforeValidator:
    """Let pydantic read a value by ``parse`` where it comes as text; a default comes typed already."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def list_reader(parse: Callable[[str], Any] = str) -> BeforeValidator:
    """The same for lists; every item that is wrong is named."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        items, errors = [], []
        for item in split_list(value):
            try:
                items.append(parse(item))
            except ValueError as error:
                errors.append(str(error))
        if errors:
            raise ValueError("; ".join(errors))
        return tuple(dict.fromkeys(items))

    return BeforeValidator(read)


YesNo = Annotated[bool, reader(yes_no)]
Line = Annotated[str, reader(plain_line)]


def to_ini(value: object) -> str:
    """The value in the file's own notation; lists of texts by lines, other lists by commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ("\n" if any(isinstance(item, Template) for item in value) else ", ").join(map(to_ini, value))
    if isinstance(value, IPv4Network | IPv6Network) and value.num_addresses == 1:
        return str(value.network_address)
    return str(value)
