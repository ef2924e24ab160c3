"""The socket, and the supervisor behind it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from spfmilter import ownership, units
from spfmilter.daemon.life import Life
from spfmilter.daemon.snapshot import Snapshot
from spfmilter.health.handshake import Handshake, Place, SilentError, shake
from spfmilter.health.known import Known
from spfmilter.health.parts import Gauge, Level, Part, ago, span
from spfmilter.settings.endpoints import reachable_host
from spfmilter.settings.sockets import SocketAddress, socket_address

_TIMEOUT = 4.0  # seconds for a handshake
_HUNG = 30.0  # seconds without a status file after which the supervisor counts as hung, as for systemd's watchdog
_AS_DAEMON = "run this as root, or as the daemon's user: {}"
_START = "systemctl start spfmilter; if it does not start: journalctl -u spfmilter -p err"


def service(known: Known) -> Iterator[Part]:
    """Yield the parts ``socket`` and ``daemon``."""
    address = _address(known)
    shaken: Handshake | SilentError
    try:
        shaken = shake(_place(address), known.time_left(_TIMEOUT))
    except SilentError as error:
        shaken = error
    yield socket_part(known, address, shaken)
    yield daemon_part(known, answers=isinstance(shaken, Handshake), full=_why_not_written(known))


def _address(known: Known) -> SocketAddress | None:
    """Return where the daemon listens; if no daemon runs, where the INI file says. None: unknown."""
    if known.snapshot is not None:
        try:
            return socket_address(known.snapshot.socket)
        except ValueError:
            pass  # an abstract name, from systemd
    return known.settings.milter.socket if known.settings is not None else None


def _place(address: SocketAddress | None) -> Place:
    """Return where a socket is.

    Raises:
        SilentError: it is unknown.
    """
    if address is None:
        raise SilentError("neither the INI file nor the daemon tells the socket")
    match address.family:
        case "systemd":
            raise SilentError("systemd has the socket, and only the daemon's status file tells its address")
        case "unix":
            return Place("unix", path=Path(address.path))
        case _:
            return Place("inet", host=reachable_host(address.host), port=str(address.port))


# -- the socket --------------------------------------------------------------------------------------------------------


def socket_part(known: Known, address: SocketAddress | None, shaken: Handshake | SilentError) -> Part:
    """Return how the socket stands."""
    data = {"address": str(address) if address is not None else None, "seconds": None, "protocol": None}
    if isinstance(shaken, Handshake):
        return _answering(known, str(address), shaken, {**data, "seconds": shaken.seconds, "protocol": shaken.version})
    level, text, fix = Level.CRITICAL, f"{address}: {shaken}", _START
    if address is None or address.family == "systemd":
        level, text = Level.UNKNOWN, str(shaken)
        fix = "systemctl status spfmilter.socket spfmilter" if address is not None else ""
    elif shaken.number in {errno.EACCES, errno.EPERM}:
        level, text = Level.UNKNOWN, f"{text}: user {ownership.user()} may not connect"
        fix = _AS_DAEMON.format(ownership.as_user(units.daemon_user(), "spfmilter status"))
    elif shaken.number == errno.ECONNREFUSED:
        text = f"{text}: no process listens there"
    elif shaken.number is None and known.snapshot is not None:
        fix = "journalctl -u spfmilter -p err; if its workers hang: systemctl restart spfmilter"
    elif shaken.number is None:
        fix = "stop what listens there (ss -ltnp names it), then start spfmilter"
    return Part(name="socket", level=level, text=text, fix=fix, data=data)


def _answering(known: Known, address: str, shaken: Handshake, data: dict[str, object]) -> Part:
    text = f"{address} answers in {span(shaken.seconds)} (milter protocol {shaken.version})"
    snapshot = known.snapshot
    level, fix = Level.OK, ""
    # With socket activation, the socket is systemd's. A pid of another namespace is shown as 0.
    ours = snapshot is None or snapshot.activated or known.life is Life.UNKNOWN or shaken.pid in {0, snapshot.pid}
    if not ours:
        level, fix = Level.CRITICAL, f"stop process {shaken.pid}, then systemctl restart spfmilter"
        text = f"{address} is not the daemon's any more: process {shaken.pid} listens there"
    gauge = Gauge(label="handshake", value=shaken.seconds, unit="s")
    short = f"socket answers in {span(shaken.seconds)}"
    return Part(name="socket", level=level, text=text, fix=fix, short=short, data=data, gauges=(gauge,))


# -- the supervisor ----------------------------------------------------------------------------------------------------


def daemon_part(known: Known, *, answers: bool, full: str) -> Part:
    """Return how the supervisor stands.

    Args:
        known: with its status file.
        answers: whether a milter answers at its socket.
        full: why its status file could not be written now; empty if nothing is known against that.
    """
    snapshot = known.found.snapshot
    if snapshot is None:
        return _without_file(known, answers=answers)
    level, text, fix = _judged(known, snapshot, full)
    data = {
        "pid": snapshot.pid,
        "phase": snapshot.phase,
        "life": known.life.value,
        "seconds": snapshot.age + known.age,
        "mode": snapshot.mode,
        "status_file": str(known.found.path),
        "status_age": known.age,
    }
    return Part(name="daemon", level=level, text=text, fix=fix, data=data)


def _judged(known: Known, snapshot: Snapshot, full: str) -> tuple[Level, str, str]:
    """Return level, text and fix."""
    process = f"process {snapshot.pid}"
    where = f"its status file {known.found.path} was written {ago(known.age)}"
    if known.life is Life.GONE:
        return (
            Level.CRITICAL,
            f"{process} ended without removing its status file, which was written {ago(known.age)}",
            _START,
        )
    if known.life is Life.STOPPED:
        return Level.CRITICAL, f"{process} is stopped (SIGSTOP)", f"kill -CONT {snapshot.pid}"
    if known.is_old and full:
        return Level.WARNING, f"{process} cannot write how it stands: {full}; {where}", "make space there"
    if known.is_old:
        level = Level.CRITICAL if known.age > _HUNG else Level.WARNING
        return level, f"{process} hangs or is very busy: {where}", "systemctl restart spfmilter"
    if snapshot.phase == "stopping":
        return Level.CRITICAL, f"{process} is stopping", ""
    if snapshot.phase == "starting":
        return Level.CRITICAL, f"{process} has been starting for {span(round(snapshot.age + known.age))}", ""
    text = f"{process} has run for {span(round(snapshot.age + known.age))}, mode {snapshot.mode}"
    if snapshot.trouble:
        fix = "make space there, or let the daemon write there"
        return Level.WARNING, f"{text}; its status file cannot be replaced: {snapshot.trouble}", fix
    return Level.OK, text, ""


def _without_file(known: Known, *, answers: bool) -> Part:
    found = known.found
    if found.denied:
        level, fix = Level.UNKNOWN, _AS_DAEMON.format(ownership.as_user(units.daemon_user(), "spfmilter status"))
    elif answers:
        level = Level.WARNING
        fix = "name the INI file with which the daemon was started (-c), or let it write in one of these folders"
    else:
        level, fix = Level.CRITICAL, _START
    text = found.trouble if answers or found.denied else f"does not run: {found.trouble}"
    return Part(name="daemon", level=level, text=text, fix=fix, data={"pid": None, "status_file": None})


def _why_not_written(known: Known) -> str:
    """Return why no file can be written in the folder of the status file; empty if nothing is known against it."""
    if known.found.path is None:
        return ""
    try:
        status = os.statvfs(known.found.path.parent)
    except OSError as error:
        return error.strerror or str(error)
    if status.f_flag & os.ST_RDONLY:
        return os.strerror(errno.EROFS)
    full = status.f_blocks and not status.f_bavail
    return os.strerror(errno.ENOSPC) if full else ""
