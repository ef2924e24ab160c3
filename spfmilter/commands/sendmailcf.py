"""Sendmail's filters, as its sendmail.cf has them.

Knows the lines that INPUT_MAIL_FILTER becomes. Changes nothing: sendmail.cf is built from sendmail.mc by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spfmilter.health.handshake import Place

DEFAULT_PATH = Path("/etc/mail/sendmail.cf")
OUR_NAME = "spfmilter"
_FILTER = re.compile(r"^X([^\s,]+)\s*,(.*)$", re.MULTILINE)
_SOCKET = re.compile(r"(?:^|,)\s*S=([^,\s]+)")
_FLAG = re.compile(r"(?:^|,)\s*F=([RT4]?)")
_ORDER = re.compile(r"^O\s+InputMailFilters\s*=(.*)$", re.MULTILINE)
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

    @property
    def place(self) -> Place | None:
        """Return where it listens; None if the notation is unknown."""
        family, _, rest = self.socket.partition(":")
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
        effect = _EFFECTS.get(flag[1] if flag else "", "Sendmail takes mail without it")
        yield Filter(name=name, socket=socket[1] if socket else "", effect=effect, asked=name in asked)


def read(path: Path | None) -> list[Filter] | None:
    """Return the filters of a file; None if there is no such file or it cannot be read."""
    try:
        return list(filters((path or DEFAULT_PATH).read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return None
