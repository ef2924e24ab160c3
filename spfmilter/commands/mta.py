"""Find the exact settings that attach an MTA to the daemon, for the configured socket.

Knows Postfix's and Sendmail's notations of a socket, Postfix's chroot, and how long an MTA must wait. Pure:
``postconf`` reads and changes Postfix's settings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from spfmilter.commands import milterlist
from spfmilter.commands.milterlist import OURS, PARAMETER, IndirectError, Milter
from spfmilter.commands.postconf import AttachError, Changes, Postfix
from spfmilter.health.handshake import Place
from spfmilter.settings import Settings
from spfmilter.settings.endpoints import reachable_host
from spfmilter.settings.sockets import SocketAddress

_MARGIN = 10  # seconds that an MTA waits beyond our own time limit
_TIME = re.compile(r"([0-9]+)([smhdw]?)")  # of postconf(5) and of Sendmail's T=; seconds without a unit
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_INET = re.compile(r"inet:(?:\[([^\[\]]+)\]|([^:\[\]]+)):([^:]+)")
# A service of master.cf to which other servers connect: smtp or 25 (with a host), and smtpd behind postscreen(8).
_PUBLIC = re.compile(r"(?:.*:)?(?:smtp|25)/inet|smtpd/pass")

# Stands for a Postfix on another host. Assume Debian's setup (chrooted), so an unreachable path is an error.
NO_POSTFIX = Postfix(smtpd_milters="", queue_directory="/var/spool/postfix", chroot=True)


_UNKNOWN = "the address of [milter] socket = systemd is unknown"  # ``activation`` finds it


def postfix_socket(socket: SocketAddress, postfix: Postfix) -> str:
    """Return the socket in Postfix's notation, as its smtpd sees it.

    Raises:
        AttachError: a chrooted smtpd cannot reach the configured path.
    """
    match socket.family:
        case "inet":
            return f"inet:{reachable_host(socket.host)}:{socket.port}"
        case "inet6":
            return f"inet:[{reachable_host(socket.host)}]:{socket.port}"
        case "unix":
            path, queue = Path(socket.path), Path(postfix.queue_directory)
            if path.is_relative_to(queue):
                return f"unix:{path.relative_to(queue)}"  # right inside a chroot and outside
            if not postfix.chroot:
                return f"unix:{path}"
            inside = queue / "spfmilter" / path.name
            raise AttachError(
                f"Postfix's smtpd is chrooted to {queue} and cannot reach {path}: set [milter] socket = unix:{inside}, "
                "or an inet socket, such as inet:8890@127.0.0.1"
            )
        case _:
            raise AttachError(_UNKNOWN)


def all_milters(postfix: Postfix) -> dict[str, list[Milter]]:
    """Return the members of every list: those of main.cf by the parameter, those of master.cf by the service."""
    lists = {**postfix.lists, **postfix.services}
    return {name: milterlist.members(value, postfix.queue_directory, postfix.expanded) for name, value in lists.items()}


def attached(settings: Settings, postfix: Postfix, former: Collection[str] = ()) -> Changes:
    """Return what to change so that our filter is first in smtpd_milters, and later filters see its fields.

    In other lists, our former addresses are replaced; ours is not added there.

    Args:
        settings: the daemon's.
        postfix: its settings now.
        former: addresses that were ours, beside that in our parameter.

    Raises:
        AttachError: Postfix cannot reach our socket, or a parameter must be changed by hand.
    """
    ours = postfix_socket(settings.milter.socket, postfix)
    old = {*_plain(former, postfix), postfix.socket} - {"", ours}
    main: dict[str, str] = {}
    services: dict[str, str] = {}
    if postfix.socket != ours:
        main[PARAMETER] = ours
    for name, present in all_milters(postfix).items():
        try:
            wanted = milterlist.with_ours(present, ours, old, first=name == "smtpd_milters")
        except IndirectError as error:
            raise AttachError(f"{name}: {error}") from None
        if wanted != [milter.text for milter in present]:
            (services if name in postfix.services else main)[name] = ", ".join(wanted)
    needed = _mta_timeout(settings)
    if needed > _seconds(postfix.command_timeout):
        main["milter_command_timeout"] = f"{needed}s"
    return Changes(main=main, services=services)


def detached(settings: Settings | None, postfix: Postfix, former: Collection[str] = ()) -> Changes:
    """Return what to change so that no list has our filter. The timeout that ``attached`` raised stays.

    A list of main.cf that would be empty is removed, as it was before: empty is Postfix's default. In master.cf, an
    empty list means no milters, and none that of main.cf, so it stays.

    Args:
        settings: the daemon's; None: they cannot be read, so go by our parameter alone.
        postfix: its settings now.
        former: further addresses that were ours.

    Raises:
        AttachError: a parameter must be changed by hand.
    """
    ours = {*_plain(former, postfix), postfix.socket} - {""}
    if settings is not None:
        with suppress(AttachError):  # Postfix cannot reach our socket, so no list has it
            ours.add(postfix_socket(settings.milter.socket, postfix))
    main: dict[str, str] = {}
    services: dict[str, str] = {}
    for name, present in all_milters(postfix).items():
        try:
            wanted = milterlist.without_ours(present, ours)
        except IndirectError as error:
            raise AttachError(f"{name}: {error}") from None
        if len(wanted) != len(present):
            (services if name in postfix.services else main)[name] = ", ".join(wanted)
    emptied = tuple(name for name, value in main.items() if not value)
    return Changes(
        main={name: value for name, value in main.items() if value},
        services=services,
        removed=(*emptied, *((PARAMETER,) if postfix.socket else ())),
    )


def _plain(addresses: Collection[str], postfix: Postfix) -> Iterator[str]:
    """Yield addresses in the spelling in which they are compared."""
    for address in addresses:
        yield milterlist.address_of(address, postfix.queue_directory)


def bypasses(postfix: Postfix, ours: str) -> list[str]:
    """Return the public services whose smtpd_milters in master.cf leaves us out, so their mail is not checked."""
    every = all_milters(postfix)
    return [
        name
        for name in postfix.services
        if _PUBLIC.fullmatch(name)
        and "$smtpd_milters" not in postfix.services[name]
        and not any(milter.refers or {ours, OURS} & set(milter.addresses) for milter in every[name])
    ]


def place_of(address: str, postfix: Postfix) -> Place | None:
    """Return where this host finds an address in Postfix's notation; None if it is neither inet nor unix."""
    root = Path(postfix.queue_directory) if postfix.chroot else Path("/")
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if path.startswith("/"):
            return Place("unix", path=root / path[1:], root=root)
        return Place("unix", path=Path(postfix.queue_directory) / path, root=root)
    found = _INET.fullmatch(address)
    return Place("inet", host=found[1] or found[2], port=found[3]) if found else None


def effect(action: str) -> str:
    """Return what Postfix does with mail while a milter does not answer, from its default_action."""
    match action:
        case "accept":
            return "Postfix takes mail without it"
        case "reject":
            return "Postfix refuses every message"
        case "shutdown":  # the default since Postfix 3.10
            return "Postfix defers every message (421)"
        case "quarantine":
            return "Postfix holds every message"
        case _:
            return "Postfix defers every message (451)"


def _mta_timeout(settings: Settings) -> int:
    """Return the seconds that an MTA must be willing to wait for a verdict."""
    return math.ceil(settings.dns.timeout.seconds) + _MARGIN


def _seconds(time: str) -> int:
    """Return a time of an MTA's settings in seconds; 0 if it is malformed, which counts as too short."""
    found = _TIME.fullmatch(time.strip())
    return int(found[1]) * _UNITS[found[2]] if found is not None else 0


def sendmail_waits(answer: str, settings: Settings) -> bool:
    """Return whether Sendmail waits long enough for an answer: beyond our own time limit.

    Args:
        answer: the time after ``R:`` in ``T=`` of its filter.
        settings: the daemon's.
    """
    return _seconds(answer) > settings.dns.timeout.seconds


def sendmail_socket(settings: Settings) -> str:
    """Return the socket in Sendmail's notation, which is that of the INI file.

    Raises:
        AttachError: systemd holds the socket, and its address has not been found.
    """
    socket = settings.milter.socket
    if socket.family == "systemd":
        raise AttachError(_UNKNOWN)
    return str(replace(socket, host=reachable_host(socket.host)) if socket.host else socket)


def sendmail_equates(settings: Settings) -> str:
    """Return what Sendmail is told about us. F=T: defer mail while the daemon is down, so nothing passes unchecked."""
    return f"S={sendmail_socket(settings)}, F=T, T=C:30s;S:30s;R:{_mta_timeout(settings)}s;E:1m"


def sendmail_line(settings: Settings) -> str:
    """Return the line for sendmail.mc."""
    return f"INPUT_MAIL_FILTER(`spfmilter', `{sendmail_equates(settings)}')dnl"
