"""What was looked up about the client of a refused message, so that the advice can be precise."""

from __future__ import annotations

from dataclasses import dataclass

from spfmilter.spf.flaws import Flaw
from spfmilter.spf.services import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Clues:
    """What is known beyond the verdict. Everything is optional."""

    service: Service | None = None  # whose published record passes the client
    listed: tuple[Service, ...] = ()  # whose include the refused record has already
    client_name: str = ""  # the client's host name, lower case, confirmed by its addresses; empty: none is
    flaws: tuple[Flaw, ...] = ()  # of the refused record
