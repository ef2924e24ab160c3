"""What is wrong in a record although its owner meant it otherwise, and what to write instead, as the notice says it.

Knows a text for each kind of flaw. Does not know which flaws a record has (``spfmilter.spf.flaws``).
"""

from __future__ import annotations

from spfmilter.reply.catalogue import _
from spfmilter.spf.flaws import Flaw, FlawKind

_FLAWS: dict[FlawKind, str] = {
    FlawKind.VERSION: _(
        'If you run {flaw_domain}: its TXT record begins with "{flaw}", so it is no SPF record. Write "{instead}".'
    ),
    FlawKind.CHARACTERS: _(
        'If you run {flaw_domain}: "{flaw}" in its SPF record has a special character, such as a curly quote or a '
        'no-break space. Type "{instead}".'
    ),
    FlawKind.NEAR_MISS: _('If you run {flaw_domain}: "{flaw}" in its SPF record is a mistake. Write "{instead}".'),
    FlawKind.JOINED: _(
        'If you run {flaw_domain}: a blank is missing in "{flaw}" in its SPF record. Write "{instead}".'
    ),
    FlawKind.INCOMPLETE: _(
        'If you run {flaw_domain}: the address or domain is missing in "{flaw}" in its SPF record. Add it, or remove '
        '"{flaw}".'
    ),
    FlawKind.UNKNOWN_MODIFIER: _(
        'If you run {flaw_domain}: "{flaw}" has no effect in its SPF record. Write "{instead}", with a colon.'
    ),
    FlawKind.ITSELF: _('If you run {flaw_domain}: remove "{flaw}". With it, the SPF record leads to itself.'),
    FlawKind.TWO_RECORDS: _(
        "If you run {flaw_domain}: its TXT record holds two SPF records. Write one, with v=spf1 only at the beginning."
    ),
    FlawKind.PRESENT: _(
        'If you run {flaw_domain}: its SPF record has "{flaw}", but only after "{cause}", which decides first. '
        'Move "{flaw}" before it.'
    ),
    FlawKind.QUALIFIER: _(
        'If you run {flaw_domain}: "{flaw}" in its SPF record does not allow this server. Write "{instead}", but only '
        "if the server is yours."
    ),
    FlawKind.BEHIND_ALL: _(
        'If you run {flaw_domain}: "{flaw}" has no effect in its SPF record, because it is after "{cause}". Move it '
        'before "{cause}".'
    ),
    FlawKind.REDIRECT_BESIDE_ALL: _(
        'If you run {flaw_domain}: "{cause}" has no effect in its SPF record, because the record has "{flaw}" as well. '
        'Remove "{flaw}".'
    ),
    FlawKind.VOID: _(
        'If you run {flaw_domain}: its SPF record names domains that do not exist. Correct or remove "{flaw}".'
    ),
    FlawKind.MACRO_VOID: _(
        'If you run {flaw_domain}: do not remove "{flaw}" from its SPF record. The name that it makes does not exist: '
        "ask the operator of {cause} to set it up for {flaw_domain}."
    ),
}
# A notice never says these, since they keep no message out: for the commands, and so in English only.
_HARMLESS: dict[FlawKind, str] = {
    FlawKind.DMARC: (
        'If you run {flaw_domain}: "{flaw}" has no effect in its SPF record. Move it to the TXT record of '
        "_dmarc.{flaw_domain}."
    ),
    FlawKind.SECOND_ALL: (
        'If you run {flaw_domain}: "{flaw}" has no effect in its SPF record, because it is after "{cause}". Remove it.'
    ),
}
_REMOVE = _('If you run {flaw_domain}: "{flaw}" in its SPF record is a mistake. Remove it.')
_WITH_INSTEAD = frozenset({FlawKind.CHARACTERS, FlawKind.NEAR_MISS, FlawKind.JOINED, FlawKind.UNKNOWN_MODIFIER})


def flaw_text(flaw: Flaw) -> str:
    """Return how to correct a flaw of a record, in English."""
    return _REMOVE if flaw.kind in _WITH_INSTEAD and not flaw.instead else {**_FLAWS, **_HARMLESS}[flaw.kind]
