"""Find the exact settings that attach an MTA to the daemon, for the configured socket.

Knows Postfix's and Sendmail's notations, and Postfix's chroot. ``postfix_settings`` and ``sendmail_line`` are pure.
``read_postfix`` asks postconf(1), and ``apply`` changes main.cf with it.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from spfmilter.settings import Settings
from spfmilter.settings.values import SocketAddress

_MARGIN = 10  # seconds that an MTA waits beyond our own time limit
_PATH = os.pathsep.join(
    (os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin")
)  # not every user has the sbin folders in PATH
_TIME = re.compile(r"([0-9]+)([smhdw]?)")  # of postconf(5); seconds without a unit
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class AttachError(Exception):
    """The MTA cannot be attached as configured. The message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postfix:
    """What postconf says of the installed Postfix."""

    smtpd_milters: str
    queue_directory: str
    chroot: bool  # of the smtpd that takes mail from outside
    command_timeout: str = "30s"


# Stands for a Postfix on another host. Assume Debian's setup (chrooted), so an unreachable path is an error.
NO_POSTFIX = Postfix(smtpd_milters="", queue_directory="/var/spool/postfix", chroot=True)


def read_postfix(config_directory: str | None = None) -> Postfix | None:
    """Return the settings of the installed Postfix; None if there is none.

    Raises:
        AttachError: postconf is installed, but fails.
    """
    if shutil.which("postconf", path=_PATH) is None:
        return None
    return Postfix(
        smtpd_milters=_postconf(config_directory, "-h", "smtpd_milters"),
        queue_directory=_postconf(config_directory, "-hx", "queue_directory"),
        chroot=chrooted(
            _postconf(config_directory, "-M"), _postconf(config_directory, "-hx", "compatibility_level") or "0"
        ),
        command_timeout=_postconf(config_directory, "-hx", "milter_command_timeout"),
    )


def chrooted(master: str, compatibility_level: str) -> bool:
    """Return whether an smtpd is chrooted, from the output of ``postconf -M``.

    Before Postfix 3.0, ``-`` in master(5) meant yes.
    """
    yes = {"y", "-"} if compatibility_level.partition(".")[0] == "0" else {"y"}
    services = [line.split() for line in master.splitlines()]
    # Behind postscreen(8) smtpd is of the type "pass".
    smtpd = [
        fields for fields in services if len(fields) > 7 and fields[1] in {"inet", "pass"} and fields[7] == "smtpd"
    ]
    return any(fields[4] in yes for fields in smtpd)


def _postconf(config_directory: str | None, *arguments: str) -> str:
    place = ["-c", config_directory] if config_directory else []
    done = _run("postconf", *place, *arguments)
    return done.strip()


def _run(*command: str) -> str:
    try:
        program = shutil.which(command[0], path=_PATH) or command[0]
        done = subprocess.run([program, *command[1:]], check=True, capture_output=True, text=True, timeout=60)  # noqa: S603 - no shell, own arguments
    except subprocess.CalledProcessError as error:
        raise AttachError(f"{' '.join(command)} failed: {error.stderr.strip()}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AttachError(f"{command[0]} cannot be run: {error}") from None
    return done.stdout


def postfix_socket(socket: SocketAddress, postfix: Postfix) -> str:
    """Return the socket in Postfix's notation, as its smtpd sees it.

    Raises:
        AttachError: a chrooted smtpd cannot reach the configured path.
    """
    match socket.family:
        case "inet":
            return f"inet:{_reachable(socket.host)}:{socket.port}"
        case "inet6":
            return f"inet:[{_reachable(socket.host)}]:{socket.port}"
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
            raise AttachError("with socket = systemd the address stands in spfmilter.socket: set it in smtpd_milters")


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound to


def postfix_settings(settings: Settings, postfix: Postfix) -> dict[str, str]:
    """Return the main.cf parameters to set. Our filter goes first, so later filters (OpenDMARC) see its fields."""
    ours = postfix_socket(settings.milter.socket, postfix)
    present = list(milters(postfix.smtpd_milters))
    # An existing entry for us keeps its spelling, and its own timeouts if it has some in braces.
    mine = [milter for milter in present if _is(milter, ours, postfix)]
    others = [milter for milter in present if milter not in mine]
    wanted = {"smtpd_milters": ", ".join([*(mine[:1] or [ours]), *others])}
    needed = _mta_timeout(settings)
    if needed > _seconds(postfix.command_timeout):
        wanted["milter_command_timeout"] = f"{needed}s"
    return wanted


def milters(value: str) -> Iterator[str]:
    """Yield the members of smtpd_milters. Commas and blanks separate them, but not inside braces."""
    member, depth = "", 0
    for c in value:
        depth += (c == "{") - (c == "}")
        if depth <= 0 and (c == "," or c.isspace()):
            if member:
                yield member
            member = ""
        else:
            member += c
    if member:
        yield member


def _is(milter: str, ours: str, postfix: Postfix) -> bool:
    """Return whether a member of smtpd_milters is our socket, in any spelling."""
    words = milter.strip("{}").replace(",", " ").split()
    address = words[0] if words else ""
    for said, meant in (
        (f"unix:{postfix.queue_directory}/", "unix:"),
        ("local:", "unix:"),
        ("inet:localhost:", "inet:127.0.0.1:"),
    ):
        if address.startswith(said):
            address = meant + address.removeprefix(said)
    return address == ours


def _mta_timeout(settings: Settings) -> int:
    """Return the seconds that an MTA must be willing to wait for a verdict."""
    return math.ceil(settings.dns.timeout.seconds) + _MARGIN


def _seconds(time: str) -> int:
    """Return a time of postconf(5) in seconds; 0 if it is malformed, which counts as too short."""
    found = _TIME.fullmatch(time.strip())
    return int(found[1]) * _UNITS[found[2]] if found is not None else 0


def postfix_commands(wanted: dict[str, str], config_directory: str | None = None) -> list[list[str]]:
    """Return the commands that apply the parameters and reload Postfix."""
    place = ["-c", config_directory] if config_directory else []
    commands = [["postconf", *place, "-e", f"{name} = {value}"] for name, value in wanted.items()]
    return [*commands, ["postfix", *place, "reload"]]


def apply(commands: list[list[str]]) -> list[list[str]]:
    """Run the commands. Return those that were run: if Postfix is not running, it needs no reload.

    Raises:
        AttachError: there are no commands, or one failed; those after it were not run.
    """
    if not commands:
        raise AttachError("there is no Postfix here to apply it to (postconf is not in the PATH)")
    *changes, reload = commands
    for command in changes:
        _run(*command)
    try:
        _run(*reload[:-1], "status")
    except AttachError:
        return changes
    _run(*reload)
    return commands


def sendmail_line(settings: Settings) -> str:
    """Return the line for sendmail.mc. F=T: defer mail while the daemon is down, so nothing passes unchecked."""
    socket = settings.milter.socket
    if socket.host:
        socket = replace(socket, host=_reachable(socket.host))
    return f"INPUT_MAIL_FILTER(`spfmilter', `S={socket}, F=T, T=C:30s;S:30s;R:{_mta_timeout(settings)}s;E:1m')dnl"
