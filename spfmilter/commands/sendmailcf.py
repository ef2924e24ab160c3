"""Sendmail's filters, as its sendmail.cf has them, and whether the running Sendmail has read that file.

Knows the lines that INPUT_MAIL_FILTER becomes. Changes nothing: sendmail.cf is built from sendmail.mc by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spfmilter.commands.postconf import AttachError
from spfmilter.health.handshake import Place

DEFAULT_PATH = Path("/etc/mail/sendmail.cf")
OUR_NAME = "spfmilter"
_FILTER = re.compile(r"^X([^\s,]+)\s*,(.*)$", re.MULTILINE)
_SOCKET = re.compile(r"(?:^|,)\s*S=([^,\s]+)")
_FLAG = re.compile(r"(?:^|,)\s*F=([RT4]?)")
_TIMEOUTS = re.compile(r"(?:^|,)\s*T=([^,]*)")
_ANSWER = re.compile(r"(?:^|;)\s*R:\s*([0-9smhdw]+)")
_ORDER = re.compile(r"^O\s+InputMailFilters\s*=(.*)$", re.MULTILINE)
_TRUSTED = re.compile(r"^O\s+DontBlameSendmail\s*=(.*)$", re.MULTILINE)
_PID_FILE = re.compile(r"^O\s+PidFile\s*=\s*(\S+)", re.MULTILINE)
_DEFAULT_PID_FILE = "/var/run/sendmail.pid"  # cf/README of Sendmail, confPID_FILE
_DEFAULT_ANSWER = "10s"  # libmilter/docs/installation.html of Sendmail: T=R
_EFFECTS = {
    "R": "Sendmail refuses every message",
    "T": "Sendmail defers every message (451)",
    "4": "Sendmail answers 421 to every client",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """One filter."""

    name: str
    socket: str
    effect: str  # on mail, while it does not answer
    asked: bool  # it is in InputMailFilters; Sendmail never asks other filters
    answer: str = _DEFAULT_ANSWER  # R: of its T=, how long Sendmail waits for an answer
    equates: str = ""  # all of it, as it is written

    @property
    def place(self) -> Place | None:
        """Return where it listens; None if the notation is unknown."""
        return place_of(self.socket)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendmailConfig:
    """One sendmail.cf."""

    path: Path
    filters: tuple[Filter, ...]
    unread: bool  # the running Sendmail was started before this file was written
    trusted: frozenset[str]  # the words of DontBlameSendmail in lower case: what else Sendmail takes for safe

    @property
    def ours(self) -> Filter | None:
        """Return our filter; None if it has none."""
        return next((found for found in self.filters if found.name == OUR_NAME), None)


def place_of(socket: str) -> Place | None:
    """Return where this host finds a socket in Sendmail's notation; None if the notation is unknown."""
    family, _, rest = socket.partition(":")
    if family in {"unix", "local"}:
        return Place("unix", path=Path(rest))
    port, _, host = rest.partition("@")
    return Place("inet", host=host.strip("[]"), port=port) if family in {"inet", "inet6"} and host else None


def filters(text: str) -> Iterator[Filter]:
    """Yield the filters of a sendmail.cf, in its order."""
    order = _ORDER.search(text)
    asked = {name.strip() for name in re.split(r"[,;]", order[1])} if order else set()
    for name, equates in _FILTER.findall(text):
        socket, flag = _SOCKET.search(equates), _FLAG.search(equates)
        times = _TIMEOUTS.search(equates)
        answer = _ANSWER.search(times[1]) if times else None
        yield Filter(
            name=name,
            socket=socket[1] if socket else "",
            effect=_EFFECTS.get(flag[1] if flag else "", "Sendmail takes mail without it"),
            asked=name in asked,
            answer=answer[1] if answer else _DEFAULT_ANSWER,
            equates=equates.strip(),
        )


def read(path: Path | None) -> SendmailConfig | None:
    """Return a sendmail.cf; None if there is none at the usual place, or it cannot be read there.

    Args:
        path: where it is; None: at the usual place.

    Raises:
        AttachError: the file that is named cannot be read.
    """
    place = path or DEFAULT_PATH
    try:
        text = place.read_text(encoding="utf-8", errors="replace")
        written = place.stat().st_mtime
    except OSError as error:
        if path is not None:
            raise AttachError(f"--sendmail-config {path}: {error.strerror}") from None
        return None
    words = _TRUSTED.search(text)
    return SendmailConfig(
        path=place,
        filters=tuple(filters(text)),
        unread=0 < _started(text) < written,
        trusted=frozenset(word.strip().lower() for word in re.split(r"[,\s]", words[1])) if words else frozenset(),
    )


def _started(text: str) -> float:
    """Return when the running Sendmail was started, in seconds since the epoch; 0 if none runs, or it is unknown."""
    found = _PID_FILE.search(text)
    place = Path(found[1] if found else _DEFAULT_PID_FILE)
    try:
        pid = int(place.read_text(encoding="ascii").split()[0])
        started = place.stat().st_mtime
    except (OSError, ValueError, IndexError):
        return 0
    return started if Path(f"/proc/{pid}").exists() else 0
