"""Find the address of ``[milter] socket = systemd``: what spfmilter.socket says, as installed (systemd.socket(5))."""

from __future__ import annotations

from dataclasses import replace

from spfmilter import units
from spfmilter.commands.postconf import AttachError
from spfmilter.settings import Settings
from spfmilter.settings.ini import quoted
from spfmilter.settings.sockets import SocketAddress, socket_address
from spfmilter.settings.values import nameserver

_EDIT = f"systemctl edit {units.SOCKET}"
_MISSING = (
    f"[milter] socket = systemd, but {units.SOCKET} is not installed: install -m 644 systemd/{units.SOCKET} "
    f"/etc/systemd/system/ (docs/operation.md), then systemctl daemon-reload && systemctl enable --now {units.SOCKET}"
)


def is_activated(settings: Settings) -> bool:
    """Return whether systemd holds the socket."""
    return settings.milter.socket.family == "systemd"


def resolved(settings: Settings) -> Settings:
    """Return the settings with the address at which systemd listens for the daemon; others unchanged.

    Raises:
        AttachError: the unit is not installed, or has no address that an MTA can use.
    """
    if not is_activated(settings):
        return settings
    unit = units.settings(units.SOCKET, "Socket")
    if unit is None:
        raise AttachError(_MISSING)
    streams = unit.get("ListenStream", [])
    if len(streams) != 1:
        found = f"has ListenStream= {len(streams)} times" if streams else "has no ListenStream="
        raise AttachError(f"{units.SOCKET} {found}: leave exactly one ({_EDIT}; an empty one removes those before it)")
    only_ipv6 = unit.get("BindIPv6Only", [""])[-1] == "ipv6-only"
    address = _address(streams[0], only_ipv6=only_ipv6)
    return replace(settings, milter=settings.milter.model_copy(update={"socket": address}))


def _address(stream: str, *, only_ipv6: bool) -> SocketAddress:
    """Return the address of a ListenStream=: a port, an address with a port, or a path.

    Raises:
        AttachError: no MTA can use it.
    """
    try:
        if stream.isdigit():  # on all addresses, of both families
            return socket_address(f"inet6:{stream}@::" if only_ipv6 else f"inet:{stream}@0.0.0.0")
        if stream.startswith(("/", "%t/")):
            return socket_address("unix:" + stream.replace("%t/", "/run/", 1))
        endpoint = nameserver(stream, needed="127.0.0.1:8890, [::1]:8890 or a path")
        family = "inet6" if ":" in endpoint.address else "inet"
        return socket_address(f"{family}:{endpoint.port}@{endpoint.address}")
    except ValueError as error:
        what = f"ListenStream={quoted(stream)}"
        raise AttachError(f"{units.SOCKET}: no MTA can be told {what} ({error}): change it ({_EDIT})") from None
