"""Determine how far the client of a message chooses the names that are looked up for it.

The client chooses its address and address family, its reverse DNS, HELO and the local part. It must not be able to turn
a record's fail into a milder result with any of them (docs/decisions/0023 and 0024). Asks no DNS.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from spfmilter.spf.macros import Macro, MacroString

_CHOSEN = frozenset("lshpicv")  # macro letters whose values the client chooses; d and o name domains
_REVERSE_ZONES = (".in-addr.arpa", ".ip6.arpa")


class Influence(IntEnum):
    """How much of a name the client chooses. If several values meet, the greatest counts."""

    NONE = 0  # the record alone gives the name
    NAME = 1  # the client chooses the name, inside a zone that the record gives
    ZONE = 2  # the client chooses the zone as well, and with it the servers, which may not answer


def influence(spec: MacroString, name: str, domain: str, value_of: Callable[[str], str]) -> Influence:
    """Return how much of an expanded name the client has chosen.

    Args:
        spec: the domain-spec.
        name: its expansion.
        domain: the checked domain. A name below it is in the domain's own zone, even if it came from HELO.
        value_of: returns the value of a macro letter.
    """
    if "%" not in spec.text or not spec.letters & _CHOSEN:
        return Influence.NONE
    name = name.lower()
    if "i" in spec.letters and name.endswith(_REVERSE_ZONES):
        return Influence.ZONE  # the owner of an address controls its reverse zone
    # The first label of the tail may still belong to the client's part. Two further labels name a zone of the record.
    if _tail(spec, value_of).count(".") >= 2 or f".{name}".endswith(f".{domain.lower()}"):
        return Influence.NAME
    return Influence.ZONE


def _tail(spec: MacroString, value_of: Callable[[str], str]) -> str:
    """Return the end of the name, after the last macro that the client chooses."""
    tail = ""
    for part in reversed(spec.parts):
        if isinstance(part, Macro) and part.letter in _CHOSEN:
            break
        tail = (part if isinstance(part, str) else part.apply(value_of(part.letter))) + tail
    return tail.removesuffix(".")
