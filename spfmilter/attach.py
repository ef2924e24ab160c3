"""How to attach the daemon to an MTA: the exact settings for the configured socket.

Knows Postfix's and Sendmail's notations, and Postfix's chroot. ``postfix_settings`` and ``sendmail_line`` are pure;
``read_postfix`` asks postconf(1), ``apply`` changes it.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from spfmilter.settings import Settings
from spfmilter.settings.types import SocketAddress

_POSTFIX_PATIENCE = 30  # seconds: milter_command_timeout's default
_MARGIN = 10  # seconds that an MTA waits beyond our own time limit


class AttachError(Exception):
    """The MTA cannot be attached as configured; the message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postfix:
    """What postconf says of the installed Postfix."""

    smtpd_milters: str
    queue_directory: str
    chroot: bool  # of the smtpd that takes mail from outside
    command_timeout: str = "30s"


# What is known of a Postfix on another host: assumed as Debian sets it up, so that a path it cannot reach is an error.
NO_POSTFIX = Postfix(smtpd_milters="", queue_directory="/var/spool/postfix", chroot=True)


def read_postfix(config_directory: str | None = None) -> Postfix | None:
    """The installed Postfix, or None where there is none.

    Raises:
        AttachError: postconf is there, but fails.
    """
    if shutil.which("postconf") is None:
        return None
    services = [line.split() for line in _postconf(config_directory, "-M").splitlines()]
    smtpd = [fields for fields in services if len(fields) > 7 and fields[1] == "inet" and fields[7] == "smtpd"]
    return Postfix(
        smtpd_milters=_postconf(config_directory, "-h", "smtpd_milters"),
        queue_directory=_postconf(config_directory, "-hx", "queue_directory"),
        chroot=any(fields[4] == "y" for fields in smtpd),
        command_timeout=_postconf(config_directory, "-h", "milter_command_timeout"),
    )


def _postconf(config_directory: str | None, *arguments: str) -> str:
    place = ["-c", config_directory] if config_directory else []
    done = _run("postconf", *place, *arguments)
    return done.strip()


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)  # noqa: S603 - no shell, own arguments
    except subprocess.CalledProcessError as error:
        raise AttachError(f"{' '.join(command)} failed: {error.stderr.strip()}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AttachError(f"{command[0]} cannot be run: {error}") from None
    return done.stdout


def postfix_socket(socket: SocketAddress, postfix: Postfix) -> str:
    """The socket in Postfix's notation, as its smtpd sees it.

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
                f"Postfix's smtpd is chrooted to {queue} and cannot reach {path}: set [milter] socket = unix:{inside} "
                "or an inet socket"
            )
        case _:
            raise AttachError("with socket = systemd the address stands in spfmilter.socket: set it in smtpd_milters")


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound to


def postfix_settings(settings: Settings, postfix: Postfix) -> dict[str, str]:
    """The main.cf parameters to set. The filter goes first, so that filters behind it (OpenDMARC) see its fields."""
    ours = postfix_socket(settings.milter.socket, postfix)
    others = [m for m in postfix.smtpd_milters.replace(",", " ").split() if m != ours]
    wanted = {"smtpd_milters": ", ".join([ours, *others])}
    needed = int(settings.dns.timeout.seconds) + _MARGIN
    if needed > _POSTFIX_PATIENCE:
        wanted["milter_command_timeout"] = f"{needed}s"
    return wanted


def postfix_commands(wanted: dict[str, str], config_directory: str | None = None) -> list[list[str]]:
    """The commands that make it so."""
    place = ["-c", config_directory] if config_directory else []
    commands = [["postconf", *place, "-e", f"{name} = {value}"] for name, value in wanted.items()]
    return [*commands, ["postfix", *place, "reload"]]


def apply(commands: list[list[str]]) -> None:
    """Run the commands.

    Raises:
        AttachError: there are none, or one of them failed; those after it were not run.
    """
    if not commands:
        raise AttachError("there is no Postfix here to apply it to (postconf is not in the PATH)")
    for command in commands:
        _run(*command)


def sendmail_line(settings: Settings) -> str:
    """The line for sendmail.mc. F=T: temporary failure while the daemon is away, so that nothing passes unchecked."""
    patience = int(settings.dns.timeout.seconds) + _MARGIN
    return f"INPUT_MAIL_FILTER(`spfmilter', `S={settings.milter.socket}, F=T, T=C:30s;S:30s;R:{patience}s;E:1m')dnl"
