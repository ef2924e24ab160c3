"""The flaws of a record as the page shows them: what is wrong, what to write instead, and the record as it is meant.

Knows the texts, in which ``%(term)s``, ``%(instead)s``, ``%(cause)s`` and ``%(domain)s`` stand for values. All
untrusted input passes the sanitizer here. Knows no HTML.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spfmilter.spf.flaws import Flaw, FlawKind
from spfmilter.text import unicode_line
from spfmilter.web.wording import N_

_SHOWN = 5  # flaws of one record
_SHOWN_TERM = 200  # characters

_TEXTS: dict[FlawKind, str] = {
    FlawKind.VERSION: N_(
        "The TXT record begins with %(term)s, so it is not recognized as an SPF record. Write %(instead)s."
    ),
    FlawKind.CHARACTERS: N_(
        "%(term)s has a special character, such as a curly quote or a no-break space. Type %(instead)s in its place."
    ),
    FlawKind.NEAR_MISS: N_("%(term)s is a mistake. Write %(instead)s in its place."),
    FlawKind.JOINED: N_("A blank is missing in %(term)s. Write %(instead)s in its place."),
    FlawKind.INCOMPLETE: N_("The address or domain is missing in %(term)s. Add it, or remove this part."),
    FlawKind.UNKNOWN_MODIFIER: N_("%(term)s has no effect. Write %(instead)s in its place, with a colon."),
    FlawKind.ITSELF: N_("Remove %(term)s. With it, the record leads to itself."),
    FlawKind.TWO_RECORDS: N_("The TXT record holds two SPF records. Write one, with v=spf1 only at the beginning."),
    FlawKind.PRESENT: N_(
        "The record has %(term)s already, but only after %(cause)s, which decides first. Move it before that part."
    ),
    FlawKind.QUALIFIER: N_(
        "%(term)s does not allow this server. Write %(instead)s in its place, but only if the server is yours."
    ),
    FlawKind.BEHIND_ALL: N_("%(term)s has no effect, because it is after %(cause)s. Move it before that part."),
    FlawKind.REDIRECT_BESIDE_ALL: N_(
        "%(cause)s has no effect, because the record has %(term)s as well. Remove %(term)s."
    ),
    FlawKind.VOID: N_("%(term)s names domains that do not exist. Correct or remove this part."),
    FlawKind.MACRO_VOID: N_(
        "Do not remove %(term)s. The name that it makes does not exist: "
        "ask the operator of %(cause)s to set it up for %(domain)s."
    ),
    FlawKind.DMARC: N_("%(term)s has no effect here. It belongs in the TXT record of %(dmarc)s."),
    FlawKind.SECOND_ALL: N_("%(term)s has no effect, because it is after %(cause)s. Remove it."),
}
_REMOVE = N_("%(term)s is a mistake. Remove it.")
_WITH_INSTEAD = frozenset({FlawKind.CHARACTERS, FlawKind.NEAR_MISS, FlawKind.JOINED, FlawKind.UNKNOWN_MODIFIER})


@dataclass(frozen=True, slots=True, kw_only=True)
class FlawView:
    """One flaw of a record: a text of the catalogue, and its values."""

    text: str
    term: str
    instead: str
    cause: str
    domain: str


def flaw_views(flaws: Iterable[Flaw]) -> tuple[FlawView, ...]:
    """Return the views of a record's flaws, the most important one first."""
    return tuple(
        FlawView(
            text=_REMOVE if flaw.kind in _WITH_INSTEAD and not flaw.instead else _TEXTS[flaw.kind],
            term=unicode_line(flaw.term, _SHOWN_TERM),
            instead=unicode_line(flaw.instead, _SHOWN_TERM),
            cause=unicode_line(flaw.cause, _SHOWN_TERM),
            domain=unicode_line(flaw.domain),
        )
        for flaw in tuple(flaws)[:_SHOWN]
    )
