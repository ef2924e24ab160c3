"""What is wrong with a record or its lookup, in a clause, and how to correct the record."""

from __future__ import annotations

from spfmilter.language import SOURCE, Language
from spfmilter.model import Problem, ProblemKind
from spfmilter.reply.catalogue import _, template
from spfmilter.spf.flaws import Flaw, FlawKind
from spfmilter.spf.record import meant_mechanism

# Used for translations only: the evaluation's own English text has more detail.
_PROBLEMS: dict[ProblemKind, str] = {
    ProblemKind.NO_DOMAIN: _("it names no domain that can be looked up"),
    ProblemKind.SYNTAX: _("a term that SPF does not know"),
    ProblemKind.UNKNOWN_MECHANISM: _("an unknown mechanism"),
    ProblemKind.BAD_DOMAIN: _("a domain that is not valid"),
    ProblemKind.BAD_MACRO: _("a macro that is not valid"),
    ProblemKind.BAD_ADDRESS: _("an address that is not valid"),
    ProblemKind.BAD_PREFIX: _("a prefix length that is not valid"),
    ProblemKind.DUPLICATE_MODIFIER: _("a modifier that appears more than once"),
    ProblemKind.TOO_LONG: _("it is too long"),
    ProblemKind.SEVERAL_RECORDS: _("more than one SPF record"),
    ProblemKind.MISSING_RECORD: _("a domain without an SPF record"),
    ProblemKind.NOT_ASCII: _("characters that are not ASCII"),
    ProblemKind.LOOKUP_LIMIT: _("too many DNS lookups"),
    ProblemKind.VOID_LOOKUP_LIMIT: _("too many DNS lookups that find nothing"),
    ProblemKind.HOST_LIMIT: _("too many MX hosts"),
    ProblemKind.DNS_FAILURE: _("a DNS lookup failed"),
    ProblemKind.OWN_RESOLVER: _("the receiving server's name servers do not answer"),
    ProblemKind.TIME_LIMIT: _("the DNS lookups took too long"),
    ProblemKind.INTERNAL: _("internal error of the receiving server"),
}
_MEANT = _("an unknown mechanism (did you mean {instead}?)")
_AT = _('{clause} at "{at}"')
_IN = _("{clause} in the record of {where}")
_LOOKING_UP = _("{clause} while looking up {where}")
# Here the problem's domain is the name that was looked up, not the record's.
_OF_LOOKUPS = frozenset({ProblemKind.DNS_FAILURE, ProblemKind.OWN_RESOLVER, ProblemKind.TIME_LIMIT})

# How to correct the record. The general text is used if the specific one needs an unknown term, or if there is none.
_MEND_ANY = _("If you run {record_domain}: correct this in its SPF record.")
_MEND: dict[ProblemKind, str] = {
    ProblemKind.SYNTAX: _('If you run {record_domain}: correct "{at}" in its SPF record.'),
    ProblemKind.UNKNOWN_MECHANISM: _(
        'If you run {record_domain}: correct "{at}" in its SPF record. '
        "SPF knows all, include, a, mx, ptr, ip4, ip6, exists."
    ),
    ProblemKind.BAD_DOMAIN: _('If you run {record_domain}: correct the domain in "{at}" in its SPF record.'),
    ProblemKind.BAD_MACRO: _('If you run {record_domain}: correct the macro in "{at}" in its SPF record.'),
    ProblemKind.BAD_ADDRESS: _('If you run {record_domain}: correct the address in "{at}" in its SPF record.'),
    ProblemKind.BAD_PREFIX: _('If you run {record_domain}: correct the prefix length in "{at}" in its SPF record.'),
    ProblemKind.DUPLICATE_MODIFIER: _(
        "If you run {record_domain}: keep at most one redirect= and one exp= in its SPF record."
    ),
    ProblemKind.TOO_LONG: _("If you run {record_domain}: shorten its SPF record."),
    ProblemKind.SEVERAL_RECORDS: _(
        "If you run {record_domain}: merge its SPF records into one. Only one of its TXT records may begin with v=spf1."
    ),
    ProblemKind.MISSING_RECORD: _(
        'If you run {record_domain}: correct or remove "{at}" in its SPF record. '
        "The domain that it names has no SPF record."
    ),
    ProblemKind.NOT_ASCII: _(
        "If you run {record_domain}: use plain characters only in its SPF record, no curly quotes and no special "
        "blanks."
    ),
    ProblemKind.LOOKUP_LIMIT: _(
        "If you run {record_domain}: use fewer include, a, mx, ptr and exists terms in its SPF record "
        "(10 lookups at most, those inside includes counted), or replace them with ip4 and ip6."
    ),
    ProblemKind.VOID_LOOKUP_LIMIT: _(
        "If you run {record_domain}: correct or remove the terms of its SPF record that name domains which do not "
        "exist."
    ),
    ProblemKind.HOST_LIMIT: _('If you run {record_domain}: replace "{at}" in its SPF record with ip4 and ip6.'),
}
# A name made from a macro is another one for each message. To remove the term may remove a provider.
_VOID_BY_MACRO = _(
    'If you run {record_domain}: "{at}" in its SPF record makes a name for each message, and these names do not exist. '
    "Ask the provider that gave you this term."
)

# What is wrong in a record that is valid, or is none because of it.
_FLAWS: dict[FlawKind, str] = {
    FlawKind.BEHIND_ALL: _(
        'If you run {flaw_domain}: "{flaw}" stands behind all in its SPF record, where it has no effect. '
        "Move it before all."
    ),
    FlawKind.REDIRECT_BESIDE_ALL: _(
        'If you run {flaw_domain}: "{flaw}" has no effect in its SPF record, because the record has all as well. '
        "Remove one of the two."
    ),
    FlawKind.UNKNOWN_MODIFIER: _(
        'If you run {flaw_domain}: "{flaw}" has no effect in its SPF record. Write "{instead}".'
    ),
    FlawKind.NEAR_MISS: _('If you run {flaw_domain}: "{flaw}" in its SPF record is a mistake. Write "{instead}".'),
    FlawKind.PRESENT: _(
        'If you run {flaw_domain}: "{flaw}" is in its SPF record already, but where it has no effect. '
        "Move it to the front."
    ),
}
_FLAW_ANY = _('If you run {flaw_domain}: correct "{flaw}" in its SPF record.')


def clause(problem: Problem, language: Language, *, known: str = "") -> str:
    """Return what is wrong in one clause: the error, the term, the record. It contains untrusted input.

    Args:
        problem: what is wrong.
        language: that of the reader.
        known: the domain that the words around the clause name, so that the clause need not.
    """
    text = problem.text if language.tag == SOURCE else _translated(problem, language)
    if problem.term is not None:
        text = template(_AT, language).fill({"clause": text, "at": problem.term})
    if problem.domain is not None and problem.domain != known and problem.domain not in text:
        text = template(_LOOKING_UP if problem.kind in _OF_LOOKUPS else _IN, language).fill(
            {
                "clause": text,
                "where": problem.domain,
            }
        )
    return text


def _translated(problem: Problem, language: Language) -> str:
    meant = meant_mechanism(problem.term or "") if problem.kind is ProblemKind.UNKNOWN_MECHANISM else None
    return template(_MEANT, language).fill({"instead": meant}) if meant else language(_PROBLEMS[problem.kind])


def mending(problem: Problem | None) -> str:
    """Return how to correct a record's error, in English."""
    if problem is None:
        return _MEND_ANY
    text = _MEND.get(problem.kind, _MEND_ANY)
    if problem.kind is ProblemKind.VOID_LOOKUP_LIMIT and problem.term is not None and "%{" in problem.term:
        text = _VOID_BY_MACRO
    return _MEND_ANY if "{at}" in text and problem.term is None else text


def flaw_text(flaw: Flaw) -> str:
    """Return how to correct a flaw of a record, in English."""
    text = _FLAWS[flaw.kind]
    return _FLAW_ANY if "{instead}" in text and not flaw.instead else text
