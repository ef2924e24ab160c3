"""The addresses of this host's network interfaces, as Linux lists them in /proc. Asks no other host."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

_PROC = Path("/proc/self/net")


def addresses(proc: Path = _PROC) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return the addresses; those that the system does not show are missing.

    Args:
        proc: the folder in which the kernel shows them for this process's network namespace.
    """
    return (*_ip4(_read(proc / "fib_trie")), *_ip6(_read(proc / "if_inet6")))


def has_public_address(proc: Path = _PROC) -> bool:
    """Return whether one of them is an address of the public Internet."""
    return any(address.is_global for address in addresses(proc))


def _read(path: Path) -> list[str]:
    try:
        return path.read_text("ascii", "replace").splitlines()
    except OSError:  # no IPv6, or no /proc
        return []


def _ip4(lines: list[str]) -> Iterator[IPv4Address]:
    """Yield each address of the table "Local": a line ``|-- ADDRESS`` and below it ``/32 host LOCAL``."""
    found: dict[IPv4Address, None] = {}  # the kernel shows them once for each table
    last = ""
    for line in lines:
        words = line.split()
        if words[:1] == ["|--"] and len(words) > 1:
            last = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            found[IPv4Address(last)] = None
    yield from found


def _ip6(lines: list[str]) -> Iterator[IPv6Address]:
    """Yield each address: 32 hexadecimal digits, the first word of its line."""
    for line in lines:
        words = line.split()
        if words and len(words[0]) == 32:
            yield IPv6Address(int(words[0], 16))
