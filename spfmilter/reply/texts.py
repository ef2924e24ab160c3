"""The notice's texts: which sentence says what, in English; these are the keys of the translations.

Knows the words and their placeholders, and puts them into a language. Knows neither when a text is said (``advice``)
nor what its placeholders stand for in a case (``notice``). ``make messages`` collects them for the translators.

A text is one whole sentence: translations put words in their own order. Line 1 stands alone, without a full stop, and
must make sense alone.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from spfmilter.language import SOURCE, Language
from spfmilter.model import Identity, Problem, ProblemKind, Result
from spfmilter.reply.advice import Advice, Remedy, Situation, is_all
from spfmilter.template import PLACEHOLDERS, Template

# What stands in these texts beside what an administrator's own can name.
_MORE = frozenset({"service", "explanation", "url", "sentence", "clause", "at", "where"})


_texts: list[str] = []  # all that follow, in English


def _(text: str) -> str:
    """A text, marked for ``make messages``."""
    _texts.append(text)
    return text


class _Tone(StrEnum):
    """How a remedy is said."""

    FIRM = "firm"  # the message is against the record
    SOFT = "soft"  # the record is not sure of it
    HELO = "helo"  # follows on the question whether the name is the server's own


_FAIL, _SOFTFAIL, _NEUTRAL, _NONE = Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.NONE
_MAILFROM, _HELO = Identity.MAILFROM, Identity.HELO

# Line 1 by result, identity and situation; without a situation where it is the same for all others.
_FIRST: dict[tuple[Result, Identity, Situation | None], str] = {
    (_FAIL, _MAILFROM, None): _('{address} is not in the trusted sender list of {domain} (SPF fail, matched "{term}")'),
    (_FAIL, _MAILFROM, Situation.REDIRECTED): _(
        '{address} is not in the trusted sender list of {domain} (SPF fail, matched "{term}" in {record_domain})'
    ),
    (_FAIL, _MAILFROM, Situation.DENIED): _(
        '{address} is refused by the SPF record of {domain} (SPF fail, matched "{term}")'
    ),
    (_FAIL, _MAILFROM, Situation.PINNED): _(
        '{address} is not in the list of senders that this server keeps for {domain} (SPF fail, matched "{term}")'
    ),
    (_FAIL, _MAILFROM, Situation.NO_MAIL): _(
        "The SPF record of {domain} says that it sends no mail at all, and so not from {address} "
        '(SPF fail, matched "{term}")'
    ),
    (_FAIL, _HELO, None): _('{address} may not use the host name {domain} (SPF fail for HELO, matched "{term}")'),
    (_SOFTFAIL, _MAILFROM, None): _('{address} is probably not a sender of {domain} (SPF softfail, matched "{term}")'),
    (_SOFTFAIL, _HELO, None): _(
        '{address} should probably not use the host name {domain} (SPF softfail for HELO, matched "{term}")'
    ),
    (_NEUTRAL, _MAILFROM, None): _("The SPF record of {domain} says neither yes nor no for {address} (SPF neutral)"),
    (_NEUTRAL, _MAILFROM, Situation.DENIED): _(
        'The SPF record of {domain} says neither yes nor no for {address} (SPF neutral, matched "{term}")'
    ),
    (_NEUTRAL, _HELO, None): _(
        "The SPF record of the host name {domain} says neither yes nor no for {address} (SPF neutral for HELO)"
    ),
    (_NEUTRAL, _HELO, Situation.DENIED): _(
        "The SPF record of the host name {domain} says neither yes nor no for {address} "
        '(SPF neutral for HELO, matched "{term}")'
    ),
    (_NONE, _MAILFROM, None): _("{domain} publishes no SPF record, so that {address} cannot be checked (SPF none)"),
    (_NONE, _MAILFROM, Situation.NO_DOMAIN): _(
        'The sender address "{said}" names no domain that SPF could check for {address} (SPF none)'
    ),
    (_NONE, _MAILFROM, Situation.UNREACHABLE): _(
        "{domain} has neither an SPF record nor a server that takes mail, so that {address} cannot be checked "
        "and nobody there can be answered (SPF none)"
    ),
    (_NONE, _HELO, None): _(
        "The host name {domain} has no SPF record, so that {address} cannot be checked (SPF none for HELO)"
    ),
    (_NONE, _HELO, Situation.NO_DOMAIN): _(
        'The host name "{said}" in HELO is no domain that SPF could check for {address} (SPF none for HELO)'
    ),
    (Result.PASS, _MAILFROM, None): _(
        "Mail from {domain} is not trusted here, although {address} may send it (SPF pass)"
    ),
    (Result.PASS, _MAILFROM, Situation.WIDE_OPEN): _(
        "Mail from {domain} is not trusted here, because its SPF record lets everybody send, also {address} "
        '(SPF pass, matched "{term}")'
    ),
    (Result.PASS, _HELO, Situation.WIDE_OPEN): _(
        "Mail from the host {domain} is not trusted here, because its SPF record lets everybody use the name, "
        'also {address} (SPF pass for HELO, matched "{term}")'
    ),
    (Result.PASS, _HELO, None): _(
        "Mail from the host {domain} is not trusted here, although {address} may use the name (SPF pass for HELO)"
    ),
    (Result.PERMERROR, _MAILFROM, None): _(
        "The SPF record of {domain} is in error, so that {address} cannot be checked: {problem} (SPF permerror)"
    ),
    (Result.PERMERROR, _HELO, None): _(
        "The SPF record of the host name {domain} is in error, so that {address} cannot be checked: {problem} "
        "(SPF permerror for HELO)"
    ),
    (Result.TEMPERROR, _MAILFROM, None): _(
        "The SPF record of {domain} cannot be looked up at present, so that {address} cannot be checked: {problem}"
    ),
    (Result.TEMPERROR, _HELO, None): _(
        "The SPF record of the host name {domain} cannot be looked up at present, so that {address} cannot be checked: "
        "{problem}"
    ),
}

# The mail's own way to be allowed, and the way around it where there is one: a term of the record, or another server.
_ADD: dict[tuple[Situation, _Tone], str] = {
    (Situation.UNLISTED, _Tone.FIRM): _(
        "To allow it, add {add} to the SPF record of {record_domain}, or send through a server that the record lists."
    ),
    (Situation.UNLISTED, _Tone.SOFT): _(
        "If it may send for {domain}, add {add} to the SPF record of {record_domain}; "
        "if not, send through a server that the record lists."
    ),
    (Situation.UNLISTED, _Tone.HELO): _("If it is, add {add} to the SPF record of {record_domain}."),
    # Where a redirect= decided, the domain's own record, which is read first, is the one to change: the other may be a
    # provider's, and stand for many domains.
    (Situation.REDIRECTED, _Tone.FIRM): _(
        "To allow it, add {add} to the SPF record of {domain}, before its redirect to {record_domain}, "
        "or send through a server that the record lists."
    ),
    (Situation.REDIRECTED, _Tone.SOFT): _(
        "If it may send for {domain}, add {add} to the SPF record of {domain}, before its redirect to {record_domain}; "
        "if not, send through a server that the record lists."
    ),
    (Situation.REDIRECTED, _Tone.HELO): _(
        "If it is, add {add} to the SPF record of {domain}, before its redirect to {record_domain}."
    ),
    # A term behind the one that matched is never reached, so that adding one there would change nothing.
    (Situation.DENIED, _Tone.FIRM): _(
        'To allow it, change "{term}" in the SPF record of {record_domain}, or put {add} before it, '
        "or send through another server."
    ),
    (Situation.DENIED, _Tone.SOFT): _(
        'If it may send for {domain}, change "{term}" in the SPF record of {record_domain}, or put {add} before it; '
        "if not, send through another server."
    ),
    (Situation.DENIED, _Tone.HELO): _(
        'If it is, change "{term}" in the SPF record of {record_domain}, or put {add} before it.'
    ),
}
_OWN_NAME = _("If {domain} is not the host name of {address}, let the server greet (HELO) with its own name.")
_OWN_NAME_NO_DOMAIN = _("To be trusted here, let the server greet (HELO) with its own fully qualified host name.")
_ADD_AFTER_ALL = _("If {domain} is to send mail after all, add {add} to the SPF record of {record_domain}.")
_NARROW = _('To be trusted here, let the SPF record of {record_domain} name its servers in place of "{term}".')
_NARROW_SOMEWHERE = _("To be trusted here, let the SPF record of {domain} name its own servers, and nobody else's.")
_PUBLISH_BOTH = _(
    "To be trusted here, publish where {domain} takes mail (MX), and a TXT record that names all of its senders, "
    'for example "v=spf1 {add} -all".'
)
_ASK = _(
    "This server judges {domain} by a record of its own, so that a change in the DNS changes nothing here: "
    "please ask its administrator, or send through another server."
)
_OTHER_SENDER = _("To be trusted here, send with an address in a domain that has an SPF record.")
_PUBLISH = _(
    "To be trusted here, publish a TXT record of {domain} that names all of its senders, "
    'for example "v=spf1 {add} -all".'
)
_OTHERS = {Remedy.ASK: _ASK, Remedy.OTHER_SENDER: _OTHER_SENDER}
_LATER = {
    Situation.SILENT: _("Please send again later. If this lasts, the name servers of {where} need attention."),
    Situation.OUR_FAULT: _("Please send again later: this server's own name servers do not answer at present."),
}

# What is wrong, as a clause; in English the evaluation says it in more detail.
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
_AT = _('{clause} at "{at}"')
_IN = _("{clause} in the record of {where}")
_LOOKING_UP = _("{clause} while looking up {where}")

# How it is corrected; the general text where the sentence needs a term that is not known, or would add nothing.
_MEND_ANY = _("To have it checked, correct this in the SPF record of {record_domain}.")
_MEND: dict[ProblemKind, str] = {
    ProblemKind.SYNTAX: _('To have it checked, correct "{at}" in the SPF record of {record_domain}.'),
    ProblemKind.UNKNOWN_MECHANISM: _(
        'To have it checked, correct "{at}" in the SPF record of {record_domain}: '
        "SPF knows all, include, a, mx, ptr, ip4, ip6, exists."
    ),
    ProblemKind.BAD_DOMAIN: _('To have it checked, correct the domain in "{at}" in the SPF record of {record_domain}.'),
    ProblemKind.BAD_MACRO: _('To have it checked, correct the macro in "{at}" in the SPF record of {record_domain}.'),
    ProblemKind.BAD_ADDRESS: _(
        'To have it checked, correct the address in "{at}" in the SPF record of {record_domain}.'
    ),
    ProblemKind.BAD_PREFIX: _(
        'To have it checked, correct the prefix length in "{at}" in the SPF record of {record_domain}.'
    ),
    ProblemKind.DUPLICATE_MODIFIER: _(
        "To have it checked, keep at most one redirect= and one exp= in the SPF record of {record_domain}."
    ),
    ProblemKind.TOO_LONG: _("To have it checked, shorten the SPF record of {record_domain}."),
    ProblemKind.SEVERAL_RECORDS: _(
        "To have it checked, merge the SPF records of {record_domain} into one: "
        "only one of its TXT records may begin with v=spf1."
    ),
    ProblemKind.MISSING_RECORD: _(
        'To have it checked, correct or remove "{at}" in the SPF record of {record_domain}: '
        "the domain that it names has no SPF record."
    ),
    ProblemKind.NOT_ASCII: _(
        "To have it checked, write the SPF record of {record_domain} in ASCII, without typographic quotes and blanks."
    ),
    ProblemKind.LOOKUP_LIMIT: _(
        "To have it checked, remove some include, a, mx, ptr, exists from the SPF record of {record_domain}, "
        "or write ip4 and ip6 in their place."
    ),
    ProblemKind.VOID_LOOKUP_LIMIT: _(
        "To have it checked, remove the terms of the SPF record of {record_domain} whose names the DNS does not know."
    ),
    ProblemKind.HOST_LIMIT: _(
        'To have it checked, write ip4 and ip6 in place of "{at}" in the SPF record of {record_domain}.'
    ),
}

# It may also have handed on what somebody has forwarded: then it is no sender of the domain's.
_SERVICE = _(
    "{add} stands for all servers of {service}, of which this is one; it is right only if {domain} sends through them."
)
_THEIR_DNS = _("The record is changed in the DNS of {record_domain}, not at this server. Contact here: {contact}")
_OWN_DNS = _("The record is changed in the DNS of {domain}, not at this server. Contact here: {contact}")
_CONTACT = _("Contact here: {contact}")
_WITHOUT_RECORD = frozenset({
    Situation.NO_DOMAIN, Situation.PINNED, Situation.ALLOWED, Situation.SILENT, Situation.OUR_FAULT,
})  # fmt: skip

EXPLANATION = _('{record_domain} itself says: "{explanation}"')
DETAILS = _("Details: {url}")
SENTENCE = _("{sentence}.")
FORGED = _(
    "The message has far too many header fields that only the receiving server may write, such as Received-SPF; "
    "please take them out and send it again"
)
HIDDEN = _(
    "The message hides a header field that only the receiving server may write, such as Authentication-Results, "
    "in another one; please take it out and send it again"
)
SEPARATE = _(
    "This message cannot be taken for this recipient together with the recipients before it, who have other rules; "
    "please send it to this recipient separately"
)
INTERNAL = _("The sender cannot be checked because of an error of this server; please send again later")


def texts_of(advice: Advice) -> tuple[str, ...]:
    """The lines for an advice, in English: what happened, what can be done, where that is, whom to ask."""
    key = advice.result, advice.identity
    first = _FIRST.get((*key, advice.situation)) or _FIRST[(*key, None)]
    remedies = [text for remedy in advice.remedies if (text := _remedy(remedy, advice))]
    if advice.service is not None and {Remedy.ADD, Remedy.ADD_BEFORE, Remedy.PUBLISH} & set(advice.remedies):
        remedies.append(_SERVICE)
    where = _OWN_DNS if advice.situation is Situation.REDIRECTED else _THEIR_DNS
    return (first, *remedies, _CONTACT if advice.situation in _WITHOUT_RECORD else where)


def _remedy(remedy: Remedy, advice: Advice) -> str:
    """The sentence, or none where that of another remedy says it, too."""
    situation = advice.situation
    match remedy:
        case Remedy.ADD | Remedy.ADD_BEFORE:
            return _ADD_AFTER_ALL if situation is Situation.NO_MAIL else _ADD[situation, _tone(advice)]
        case Remedy.OWN_NAME:
            return _OWN_NAME_NO_DOMAIN if situation is Situation.NO_DOMAIN else _OWN_NAME
        case Remedy.PUBLISH:
            return _PUBLISH_BOTH if situation is Situation.UNREACHABLE else _PUBLISH
        case Remedy.LATER:
            return _LATER[situation]
        case Remedy.NARROW:
            # Another term than all lets this server in: the evaluation of the client has not come across it.
            return _NARROW if advice.term is not None and is_all(advice.term) else _NARROW_SOMEWHERE
        case Remedy.FIX:
            return _mending(advice.problem)
        case _:
            return _OTHERS.get(remedy, "")


def _tone(advice: Advice) -> _Tone:
    if advice.identity is _HELO:
        return _Tone.HELO
    return _Tone.SOFT if advice.result in {_SOFTFAIL, _NEUTRAL} else _Tone.FIRM


def _mending(problem: Problem | None) -> str:
    text = _MEND.get(problem.kind, _MEND_ANY) if problem is not None else _MEND_ANY
    return _MEND_ANY if "{at}" in text and (problem is None or problem.term is None) else text


def clause(problem: Problem, language: Language) -> str:
    """What is wrong in one clause: what, at which term, in whose record; a stranger's text is in it."""
    text = problem.text if language.tag == SOURCE else language(_PROBLEMS[problem.kind])
    if problem.term is not None:
        text = template(_AT, language).fill({"clause": text, "at": problem.term})
    if problem.domain is not None and problem.domain not in text:
        # Of a lookup that failed, it is the name that was looked up, not the record's.
        asking = problem.kind in {ProblemKind.DNS_FAILURE, ProblemKind.OWN_RESOLVER, ProblemKind.TIME_LIMIT}
        text = template(_LOOKING_UP if asking else _IN, language).fill({"clause": text, "where": problem.domain})
    return text


@cache
def template(text: str, language: Language) -> Template:
    """A text in a language, ready to be filled."""
    return Template.parse(language(text), (*PLACEHOLDERS, *_MORE), utf8=True)


@cache
def is_ascii(language: Language) -> bool:
    """Whether all is said in ASCII, so that it can be said to every client."""
    return all(language(text).isascii() for text in all_texts())


def all_texts() -> tuple[str, ...]:
    """Every text, in English."""
    return tuple(_texts)
