"""How far the client of a message chooses the names that are looked up for it.

The client chooses its address and address family, its reverse DNS, HELO and the local part. None of them may turn the
fail that a record calls for into a milder result (docs/decisions/0023 and 0024). Asks no DNS.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from spfmilter.spf.macros import Macro, MacroString

_CHOSEN = frozenset("lshpicv")  # macro letters whose values the client chooses; d and o name domains
_REVERSE_ZONES = (".in-addr.arpa", ".ip6.arpa")


class Influence(IntEnum):
    """How much of a name the client chooses; where several meet, the greatest counts."""

    NONE = 0  # the record alone gives the name
    NAME = 1  # the client chooses the name, inside a zone that the record gives
    ZONE = 2  # the client chooses the zone as well, and so the servers that answer, or do not


def influence(spec: MacroString, name: str, domain: str, value_of: Callable[[str], str]) -> Influence:
    """Return how much of an expanded name the client has chosen.

    Args:
        spec: the domain-spec.
        name: what it has been expanded to.
        domain: the checked one. A name below it is in the domain's own zone, even if it came from HELO.
        value_of: the values of the macro letters.
    """
    if "%" not in spec.text or not spec.letters & _CHOSEN:
        return Influence.NONE
    name = name.lower()
    if "i" in spec.letters and name.endswith(_REVERSE_ZONES):
        return Influence.ZONE  # the owner of an address has its reverse zone
    # The first label of the tail may be the end of what the client chose. Two further ones name a zone.
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
