"""The notation of the daemon's socket, which is that of libmilter and Sendmail: text to a typed value, and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from spfmilter.settings.endpoints import is_address, meant_endpoint, usable_address
from spfmilter.settings.ini import quoted

_PATH = re.compile(r"/[A-Za-z0-9/._@%+:=~-]+")  # what Postfix and Sendmail can be told without quoting
_TOP_FOLDERS = frozenset({"run", "srv", "tmp", "var"})
# Bytes: of the 108 of sockaddr_un, less what the listener adds to the name while it sets the rights.
_PATH_LIMIT = 98


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """The daemon's socket, in the notation of libmilter and Sendmail."""

    family: str  # inet, inet6, unix, systemd
    port: int = 0
    host: str = ""  # an address: a name would need a lookup at start, when the network may not be up
    path: str = ""

    def __str__(self) -> str:
        match self.family:
            case "unix":
                return f"unix:{self.path}"
            case "systemd":
                return "systemd"
            case _:
                return f"{self.family}:{self.port}@{self.host}"


def port_number(text: str) -> int:
    """Read the number of a port.

    Raises:
        ValueError: it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError(f"{quoted(text)} is not a port: write a number from 1 to 65535")
    return int(text)


def socket_address(text: str) -> SocketAddress:
    """Read a socket: ``inet:PORT@ADDRESS``, ``inet6:PORT@ADDRESS``, ``unix:/path``, ``local:/path`` or ``systemd``."""
    family, _, rest = text.partition(":")
    if text == "systemd":
        return SocketAddress("systemd")
    if family in {"unix", "local"}:
        return SocketAddress("unix", path=_socket_path(text, rest))
    if family in {"inet", "inet6"}:
        return _inet_socket(text, family, rest)
    if family == "systemd":
        examples = "systemd"
    elif _PATH.fullmatch(text) and len(text) <= _PATH_LIMIT:
        examples = f"unix:{text}"
    elif any(c.isdigit() for c in text):
        examples = _example(text)
    else:
        examples = "inet:8890@127.0.0.1, inet6:8890@::1, unix:/run/spfmilter/spfmilter.sock or systemd"
    raise ValueError(f"{quoted(text)} is not a socket: write {examples}")


def _example(text: str, *, ipv6: bool = False) -> str:
    """Return the inet socket that a text most likely means."""
    host, port = meant_endpoint(text, 8890, ipv6=ipv6)
    return f"{'inet6' if ':' in host else 'inet'}:{port}@{host}"


def _socket_path(text: str, path: str) -> str:
    if not path.startswith("/"):
        whole = "/run/spfmilter/spfmilter.sock"
        if _PATH.fullmatch(f"/{path}") and len(path) <= _PATH_LIMIT // 2:
            whole = f"/{path}" if path.partition("/")[0] in _TOP_FOLDERS else f"/var/spool/postfix/{path}"
        raise ValueError(f"{quoted(text)}: the path of a unix socket begins with /, such as unix:{whole}")
    if len(path.encode()) > _PATH_LIMIT:
        raise ValueError(f"{quoted(text)}: the path of a unix socket has at most {_PATH_LIMIT} bytes")
    if path.endswith("/"):
        raise ValueError(f"{quoted(text)} names a directory: write the path of the socket itself")
    if _PATH.fullmatch(path) is None or {".", ".."} & set(path.split("/")):
        raise ValueError(
            f"{quoted(text)}: write the path of a unix socket with letters, digits and any of ._@%+:=~-, and without "
            ". and .. as directories"
        )
    return path


def _inet_socket(text: str, family: str, rest: str) -> SocketAddress:
    port, at, host = rest.partition("@")
    example = _example(text, ipv6=family == "inet6")
    if not at:
        raise ValueError(f"{quoted(text)} is not a port, @ and an address: write {example}")
    bare = host.strip("[]")
    if not is_address(bare):
        raise ValueError(f"{quoted(text)}: {quoted(host)} is not an IP address: write {example}")
    address = ip_address(bare)
    address = getattr(address, "ipv4_mapped", None) or address  # no socket of IPv6 alone can be bound to it
    if address.version != (4 if family == "inet" else 6):
        fitting = "inet" if address.version == 4 else "inet6"
        raise ValueError(f"{quoted(text)} names an IPv{address.version} address: write {fitting}:{port}@{address}")
    if isinstance(address, IPv6Address) and address.is_link_local:
        loopback = f"{family}:{port}@::1"
        raise ValueError(f"{quoted(text)}: no MTA can be told the interface of a link-local address: write {loopback}")
    return SocketAddress(family, port=port_number(port), host=usable_address(text, str(address)))
