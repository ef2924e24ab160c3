"""What is wrong in an SPF record although it may be valid: what its publisher surely did not mean."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FlawKind(StrEnum):
    """What is wrong."""

    BEHIND_ALL = "behind-all"  # a term behind all has no effect
    REDIRECT_BESIDE_ALL = "redirect-beside-all"  # redirect= has no effect in a record with all
    UNKNOWN_MODIFIER = "unknown-modifier"  # ip4=, include= ...: an unknown modifier, which is passed over
    NEAR_MISS = "near-miss"  # a slip of the pen: "ip4: 1.2.3.4", typographic quotes, "~all;"
    PRESENT = "present"  # the term that would be added stands in the record already


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is wrong in a record."""

    kind: FlawKind
    term: str  # as published; untrusted input
    domain: str  # whose record
    instead: str = ""  # what to write in its place; empty: nothing, or its place is wrong
