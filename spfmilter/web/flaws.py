"""The flaws of a record as the page shows them: what is wrong, and what to write instead.

Knows the texts, in which ``%(term)s`` and ``%(instead)s`` stand for values. All untrusted input passes the sanitizer
here. Knows no HTML.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spfmilter.spf.flaws import Flaw, FlawKind
from spfmilter.text import unicode_line
from spfmilter.web.wording import N_

_SHOWN = 5  # flaws of one record
_SHOWN_TERM = 200  # characters

TEXTS: dict[FlawKind, str] = {
    FlawKind.BEHIND_ALL: N_("%(term)s stands behind all, where it has no effect. Move it before all."),
    FlawKind.REDIRECT_BESIDE_ALL: N_("%(term)s has no effect in a record that has all."),
    FlawKind.UNKNOWN_MODIFIER: N_("%(term)s has no effect as it is written."),
    FlawKind.NEAR_MISS: N_("%(term)s is not written as SPF needs it."),
    FlawKind.PRESENT: N_("%(term)s is in the record already."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlawView:
    """One flaw of a record: a text of the catalogue, and its values."""

    text: str
    term: str
    instead: str  # what to write; empty: nothing, or its place is wrong
    domain: str


def flaw_views(flaws: Iterable[Flaw]) -> tuple[FlawView, ...]:
    """Return the views of a record's flaws, in their order."""
    return tuple(
        FlawView(
            text=TEXTS[flaw.kind],
            term=unicode_line(flaw.term, _SHOWN_TERM),
            instead=unicode_line(flaw.instead, _SHOWN_TERM),
            domain=unicode_line(flaw.domain),
        )
        for flaw in tuple(flaws)[:_SHOWN]
    )
