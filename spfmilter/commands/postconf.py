"""Postfix's settings, read and changed with postconf(1).

Knows the programs postconf and postfix. Does not know which settings we want: ``mta`` does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spfmilter.commands.milterlist import OURS, PARAMETER, split
from spfmilter.commands.settingchange import SettingChange

_PATH = os.pathsep.join(
    (os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin")
)  # not every user has the sbin folders in PATH
_NAME_TIME = 1.0  # seconds for a name that we can do without
LISTS = ("smtpd_milters", "non_smtpd_milters")


class AttachError(Exception):
    """The MTA cannot be attached or detached as asked. The message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postfix:
    """What postconf says of the installed Postfix."""

    smtpd_milters: str
    queue_directory: str
    chroot: bool  # of the smtpd that takes mail from outside
    config_directory: str = "/etc/postfix"  # absolute: postfix(1) takes no other path
    non_smtpd_milters: str = ""
    services: Mapping[str, str] = field(default_factory=dict)  # service/type -> its smtpd_milters in master.cf
    expanded: Mapping[str, str] = field(default_factory=dict)  # member of a list that refers to a parameter -> its text
    socket: str = ""  # the value of our own parameter
    command_timeout: str = "30s"
    default_action: str = "tempfail"
    mail_owner: str = "postfix"

    @property
    def lists(self) -> dict[str, str]:
        """Return the lists of milters in main.cf."""
        return {"smtpd_milters": self.smtpd_milters, "non_smtpd_milters": self.non_smtpd_milters}

    @property
    def changeable(self) -> dict[str, str]:
        """Return the parameters of main.cf that we may change."""
        return {**self.lists, PARAMETER: self.socket, "milter_command_timeout": self.command_timeout}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to change in Postfix's settings."""

    main: Mapping[str, str] = field(default_factory=dict)  # parameters of main.cf
    services: Mapping[str, str] = field(default_factory=dict)  # service/type -> its smtpd_milters in master.cf
    removed: tuple[str, ...] = ()  # parameters of main.cf to remove

    def commands(self, config_directory: str) -> list[list[str]]:
        """Return the commands that make the changes and reload Postfix; none if there are no changes.

        Args:
            config_directory: Postfix's, also if it is the default. Without it, postfix(1) would reload every instance
                of postmulti(1), and fail if one of them is stopped.
        """
        place = ["-c", config_directory]
        changes = [
            *(["postconf", *place, "-e", f"{name} = {value}".rstrip()] for name, value in self.main.items()),
            *(["postconf", *place, "-P", f"{_of(name)}={value}"] for name, value in self.services.items()),
            *(["postconf", *place, "-X", name] for name in self.removed),
        ]
        return [*changes, ["postfix", *place, "reload"]] if changes else []

    def each(self, postfix: Postfix) -> list[SettingChange]:
        """Return the changes one by one, in the order of the commands.

        Args:
            postfix: its settings before the changes.
        """
        before = {**postfix.changeable, **{_of(name): value for name, value in postfix.services.items()}}
        wanted: list[tuple[str, str, str | None]] = [
            *(("main.cf", name, value) for name, value in self.main.items()),
            *(("master.cf", _of(name), value) for name, value in self.services.items()),
            *(("main.cf", name, None) for name in self.removed),
        ]
        return [
            SettingChange(file=file, setting=setting, before=before[setting], after=value)
            for file, setting, value in wanted
        ]


def _of(service: str) -> str:
    """Return the name of a service's own list, as postconf writes it."""
    return f"{service}/smtpd_milters"


def own_name() -> str:
    """Return Postfix's myhostname; empty if there is no Postfix, or if it does not tell within a second."""
    if shutil.which("postconf", path=_PATH) is None:
        return ""
    try:
        return _run("postconf", "-hx", "myhostname", timeout=_NAME_TIME).strip()
    except AttachError:
        return ""


def read(config_directory: str | None = None) -> Postfix | None:
    """Return the settings of the installed Postfix; None if there is none.

    Raises:
        AttachError: postconf is installed, but fails.
    """
    if shutil.which("postconf", path=_PATH) is None:
        return None

    def value(name: str) -> str:
        return _postconf(config_directory, "-hx", name)

    lists = [_postconf(config_directory, "-h", name) for name in LISTS]
    services = dict(_services(_postconf(config_directory, "-P")))
    return Postfix(
        smtpd_milters=lists[0],
        non_smtpd_milters=lists[1],
        services=services,
        expanded={
            member: _expanded(config_directory, member)
            for text in (*lists, *services.values())
            for member in split(text)
            if "$" in member
        },
        socket=_own_parameter(_postconf(config_directory, "-n")),
        queue_directory=value("queue_directory"),
        config_directory=str(Path(config_directory or value("config_directory")).absolute()),
        chroot=chrooted(_postconf(config_directory, "-M"), value("compatibility_level") or "0"),
        command_timeout=value("milter_command_timeout"),
        default_action=value("milter_default_action"),
        mail_owner=value("mail_owner"),
    )


def _expanded(config_directory: str | None, member: str) -> str:
    """Return a member of a list with the values of the parameters in it.

    Parameters that are lists themselves are left out, since their members are read separately. OURS replaces the value
    of our parameter.
    """
    without = [f"{name}=" for name in LISTS]
    carrier = "milter_connect_macros"  # any other parameter: only this call of postconf sees the value
    values = [*without, f"{PARAMETER}={OURS}", f"{carrier}={member}"]
    overrides = [word for value in values for word in ("-o", value)]
    return _postconf(config_directory, *overrides, "-hx", carrier)


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


def _services(overrides: str) -> Iterator[tuple[str, str]]:
    """Yield each service that has an smtpd_milters of its own, from the output of ``postconf -P``."""
    for line in overrides.splitlines():
        name, _, value = line.partition("=")
        service, slash, parameter = name.strip().rpartition("/")
        if slash and parameter == "smtpd_milters":
            yield service, value.strip()


def _own_parameter(settings: str) -> str:
    """Return the value of our own parameter, from the output of ``postconf -n``; empty if there is none."""
    for line in settings.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == PARAMETER:
            return value.strip()
    return ""


def is_running(config_directory: str) -> bool:
    """Return whether Postfix is running.

    Args:
        config_directory: Postfix's, also if it is the default. Without it, postfix(1) would ask every instance of
            postmulti(1), and fail if one of them is stopped.
    """
    try:
        _run("postfix", "-c", config_directory, "status")
    except AttachError:
        return False
    return True


def apply(commands: list[list[str]], *, running: bool) -> list[list[str]]:
    """Run the commands. Return those that were run: if Postfix is not running, it needs no reload.

    Raises:
        AttachError: a command failed; those after it were not run.
    """
    wanted = commands if running else [command for command in commands if command[-1] != "reload"]
    for number, command in enumerate(wanted):
        try:
            _run(*command)
        except AttachError as error:
            if not number:
                raise
            done = "; ".join(map(shlex.join, wanted[:number]))
            fix = f"run this again, and then {shlex.join(commands[-1])}" if running else "run this again"
            raise AttachError(f"{error}\nDone before: {done}. Correct the cause, {fix}") from None
    return wanted


def _postconf(config_directory: str | None, *arguments: str) -> str:
    place = ["-c", config_directory] if config_directory else []
    return _run("postconf", *place, *arguments).strip()


def _run(*command: str, timeout: float = 60) -> str:
    try:
        program = shutil.which(command[0], path=_PATH) or command[0]
        done = subprocess.run([program, *command[1:]], check=True, capture_output=True, text=True, timeout=timeout)  # noqa: S603 - no shell, own arguments
    except subprocess.CalledProcessError as error:
        raise AttachError(f"{' '.join(command)} failed: {error.stderr.strip()}{_rights_needed()}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AttachError(f"{command[0]} cannot be run: {error}") from None
    return done.stdout


def _rights_needed() -> str:
    return "" if os.geteuid() == 0 else " (run this as root)"
