"""Try the steps of the daemon's start, without serving: sockets, group, secrets, nameservers, log, memory.

Knows the order of the start, and undoes its effects. Each step has one finding. After a failed step, the others are
still tried. The trial has the rights of the user who runs it, so run it as the daemon's user.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from spfmilter import ownership, units
from spfmilter.daemon import folders, hints, page, sockethints
from spfmilter.daemon.listener import ListenError, open_listener, remove_socket
from spfmilter.daemon.start import ask_nameservers
from spfmilter.dns import selftest
from spfmilter.dns.answer import Status
from spfmilter.helplink import secrethints
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import open_signer
from spfmilter.journal import place
from spfmilter.observe import scrape
from spfmilter.observe.sink import Datagrams
from spfmilter.packages import how_to_install
from spfmilter.settings import Settings
from spfmilter.settings.endpoints import reachable_host
from spfmilter.settings.schema import LogTarget
from spfmilter.settings.sockets import SocketAddress
from spfmilter.settings.values import nameserver
from spfmilter.state import why_silent

_CONNECT_TIME = 2.0  # seconds
_SYSLOG, _JOURNAL = "/dev/log", "/run/systemd/journal/socket"


class StepOutcome(StrEnum):
    """The outcome of a step."""

    OK = "ok"
    WARNING = "warning"  # the daemon still starts
    PROBLEM = "problem"  # the daemon does not start


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one step."""

    outcome: StepOutcome
    what: str  # the setting
    detail: str  # the state, and what to do


def attempt(settings: Settings) -> Iterator[Finding]:
    """Yield the finding of each step of a start with these settings."""
    steps: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _files,
        _log_target,
        _secrets,
        _socket,
        _metrics,
        _page,
        _nameservers,
        _state,
        _journal,
    )
    for step in steps:
        yield from step(settings)


def _ok(what: str, detail: str) -> Finding:
    return Finding(outcome=StepOutcome.OK, what=what, detail=detail)


def _warning(what: str, detail: str) -> Finding:
    return Finding(outcome=StepOutcome.WARNING, what=what, detail=detail)


def _problem(what: str, detail: str) -> Finding:
    return Finding(outcome=StepOutcome.PROBLEM, what=what, detail=detail)


def _files(settings: Settings) -> Iterator[Finding]:
    """Name the files beside the INI file, which have been read."""
    for path in settings.further:
        yield _ok(path, "can be read")
    for section, key, entries in settings.lists():
        for path, number in entries.files:
            yield _ok(f"[{section}] {key}", f"{path} can be read: {number} {'entry' if number == 1 else 'entries'}")


def _log_target(settings: Settings) -> Iterator[Finding]:
    what, to = "[log] to", settings.log.to
    # auto uses the journal only if standard error leads there.
    if to in {LogTarget.AUTO, LogTarget.STDERR, LogTarget.STDOUT}:
        return
    path = _SYSLOG if to is LogTarget.SYSLOG else _JOURNAL
    try:
        Datagrams(path).close()
    except OSError as error:
        yield _warning(what, f"{path}: {error.strerror or error}; the log would go to standard error")
    else:
        yield _ok(what, f"{to} takes lines at {path}")


def _secrets(settings: Settings) -> Iterator[Finding]:
    """Read the secrets of the help page's links. If the file is missing, test whether it can be created."""
    what, path = "[web] secret_file", Path(settings.web.secret_file)
    if settings.reply.help_url is None:
        return
    if _is_missing(path):
        if units.keeps_read_only(path):
            fix = f"make the file as root: {secrethints.by_hand(path)}"
            # A read-only folder leaves the daemon without links; one that is not for its user ends it.
            finding = _warning if ownership.may_write(path.parent, units.daemon_user()) else _problem
            yield finding(what, f"the unit makes {path.parent} read-only for the daemon: {fix}")
            return
        if os.access(path.parent, os.W_OK | os.X_OK):
            yield _made_by_the_daemon(what, path)
            return
    try:
        open_signer(settings)
    except SecretError as error:
        yield (_warning if error.passing else _problem)(what, str(error))
    except ModuleNotFoundError as error:
        yield _problem(
            what, f"the package {error.name} is missing: {how_to_install('web', error.name or 'itsdangerous')}"
        )
    else:
        yield _ok(what, f"{path} can be read")


def _is_missing(path: Path) -> bool:
    """Return whether a file is not there, in a folder that is; False if it cannot be looked for: reading says why."""
    try:
        return path.parent.is_dir() and not path.exists()
    except OSError:
        return False


def _made_by_the_daemon(what: str, path: Path) -> Finding:
    """Return whether the daemon may make a file in a folder in which we may. Root may in any."""
    daemon = units.daemon_user(ownership.user())
    if os.geteuid() != 0 or ownership.may_write(path.parent, daemon):
        return _ok(what, f"{path} will be made at the start")
    denied = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return _problem(what, f"{path} cannot be made{secrethints.to_make(denied, path, daemon)}")


def _socket(settings: Settings) -> Iterator[Finding]:
    what, milter = "[milter] socket", settings.milter
    address, group = milter.socket, milter.socket_group
    if address.family == "systemd":
        yield _ok(what, "systemd passes it at the start, so it cannot be tried here")
        return
    if address.family == "unix" and ownership.has_group(group) and sockethints.unit_hides(group):
        yield _problem(*_setting_of(sockethints.hidden_group(group, Path(address.path)), what))
        return
    failure = _connect(address)
    if failure == 0:
        yield _ok(what, f"a process serves {address} now. If it is not spfmilter, stop it first")
        return
    if failure == errno.EACCES and (rights := _rights(Path(address.path))):
        yield _problem(
            what, f"user {ownership.user()} may not use the socket that is there ({rights}): try it as its user"
        )
        return
    given = bool(group) and sockethints.unit_gives(group)  # to the service, and not to who tries it
    try:
        listener = open_listener(milter.model_copy(update={"socket_group": ""}) if given else milter)
    except ListenError as error:
        yield _problem(*_setting_of(str(error), what))
        return
    remove_socket(address, listener)
    if address.family == "unix" and (denied := sockethints.unit_denies(Path(address.path))):
        yield _problem(what, denied)
        return
    yield _ok(what, f"{address} can be opened{f' for group {group}' if group else ''}")


def _setting_of(text: str, usual: str) -> tuple[str, str]:
    """Return the setting that an error names at its beginning, or the usual one, and the rest of the error."""
    name, colon, rest = text.partition(": ")
    return (name, rest) if colon and name.startswith("[milter] ") and " = " not in name else (usual, text)


def _rights(path: Path) -> str:
    """Return whose a file is; empty if it cannot be looked at."""
    try:
        return ownership.rights(path)
    except OSError:
        return ""


def _connect(address: SocketAddress) -> int:
    """Return the number of the error when connecting to a socket; 0 if a process serves it."""
    if address.family == "unix":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_CONNECT_TIME)
            return sock.connect_ex(address.path)
    return 0 if _answers(address.host, address.port) else errno.ECONNREFUSED


def _answers(host: str, port: int) -> bool:
    """Return whether a process listens at an address."""
    try:
        socket.create_connection((reachable_host(host), port), _CONNECT_TIME).close()
    except OSError:
        return False
    return True


def _metrics(settings: Settings) -> Iterator[Finding]:
    if not settings.metrics.listen:
        return
    yield _endpoint("[metrics] listen", settings.metrics.listen, scrape.listen)
    try:
        shutil.rmtree(folders.make("spfmilter-metrics-"), ignore_errors=True)
    except OSError as error:
        yield _warning("[metrics] listen", f"no folder for the counters: {error.strerror or error}; make space")


def _page(settings: Settings) -> Iterator[Finding]:
    """Try the help page's address, if links lead to the page."""
    if settings.reply.help_url is not None:
        yield _endpoint("[web] listen", settings.web.listen, page.listen)


def _endpoint(what: str, listen: str, opened: Callable[[str, int], socket.socket]) -> Finding:
    """Try an address that mail does not need, with the function that opens it at the start."""
    place = nameserver(listen)
    if _answers(place.address, place.port):
        return _ok(what, f"a process serves {listen} now. If it is not spfmilter, choose another port")
    try:
        opened(place.address, place.port).close()
    except OSError as error:
        return _warning(what, f"cannot listen on {listen}: {hints.explained(error, place.address, place.port)}")
    return _ok(what, f"{listen} can be opened")


def _nameservers(settings: Settings) -> Iterator[Finding]:
    what, answered = "[dns] nameservers", 0
    for server, answer in ask_nameservers(settings):
        if answer.status is Status.FAILED:
            yield _warning(what, f"{server} does not answer: {answer.failure}")
        else:
            answered += 1
            yield _ok(what, f"{server} answers")
    if not answered:
        yield _warning(what, f"no nameserver answers, so every check will be a temperror: {selftest.FIX}")


def _state(settings: Settings) -> Iterator[Finding]:
    url = settings.state.url
    if url is None:
        return
    trouble = why_silent(url)
    if trouble:
        yield _warning("[state] url", f"{url} does not answer: {trouble}; this host's own memory would stand in")
    else:
        yield _ok("[state] url", f"{url} answers")


def _journal(settings: Settings) -> Iterator[Finding]:
    """Try the journal's database, without making it or changing its tables. Mail does not depend on it."""
    what, url = "[journal] url", settings.journal.url
    if url is None:
        return
    if (known := place.trouble(url)) is not None:
        yield _warning(what, f"{url}: {known[0]}; {known[1]}")
        return
    from spfmilter.journal.database import JournalError, attempt  # noqa: PLC0415 - it takes time to load

    try:
        yield _ok(what, f"{url} {attempt(url)}")
    except JournalError as error:
        yield _warning(what, f"{url}: {error}; {place.fix_for(url)}")
