"""The notice's texts in English, which are the keys of the translations.

Knows the texts and their placeholders, and translates them. Does not know when a text is used (``advice``), nor the
values of its placeholders in a case (``notice``). ``make messages`` collects the texts for the translators.

A text holds whole sentences, since translations put words in another order. Line 1 has no full stop. It must make sense
alone, since many servers show only this line to their user.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache

from spfmilter.language import SOURCE, Language
from spfmilter.model import Identity, Problem, ProblemKind, Result
from spfmilter.reply.advice import Advice, Remedy, Situation, is_all
from spfmilter.template import PLACEHOLDERS, Template

# Placeholders of these texts that an administrator's own texts do not have.
_MORE = frozenset({"service", "explanation", "url", "sentence", "clause", "at", "where"})


_texts: list[str] = []  # all texts below, in English


def _(text: str) -> str:
    """Mark a text for ``make messages``, and return it."""
    _texts.append(text)
    return text


class _Tone(StrEnum):
    """How a remedy is worded."""

    FIRM = "firm"  # the message is against the record
    SOFT = "soft"  # the record is not sure about it
    HELO = "helo"  # follows the question whether the name is the server's own


_FAIL, _SOFTFAIL, _NEUTRAL, _NONE = Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.NONE
_MAILFROM, _HELO = Identity.MAILFROM, Identity.HELO

# Line 1 by result, identity and situation. None: for all other situations.
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
        "The SPF record of {domain} says that it sends no mail at all, so {address} may not send for it "
        '(SPF fail, matched "{term}")'
    ),
    (_FAIL, _HELO, None): _('{address} may not use the host name {domain} (SPF fail for HELO, matched "{term}")'),
    (_SOFTFAIL, _MAILFROM, None): _('{address} is probably not a sender of {domain} (SPF softfail, matched "{term}")'),
    (_SOFTFAIL, _HELO, None): _(
        '{address} should probably not use the host name {domain} (SPF softfail for HELO, matched "{term}")'
    ),
    (_NEUTRAL, _MAILFROM, None): _(
        "The SPF record of {domain} does not say whether {address} may send for it (SPF neutral)"
    ),
    (_NEUTRAL, _MAILFROM, Situation.DENIED): _(
        'The SPF record of {domain} does not say whether {address} may send for it (SPF neutral, matched "{term}")'
    ),
    (_NEUTRAL, _HELO, None): _(
        "The SPF record of the host name {domain} does not say whether {address} may use it (SPF neutral for HELO)"
    ),
    (_NEUTRAL, _HELO, Situation.DENIED): _(
        "The SPF record of the host name {domain} does not say whether {address} may use it "
        '(SPF neutral for HELO, matched "{term}")'
    ),
    (_NONE, _MAILFROM, None): _("{domain} publishes no SPF record, so {address} cannot be checked (SPF none)"),
    (_NONE, _MAILFROM, Situation.NO_DOMAIN): _(
        'The sender address "{said}" has no domain that SPF can check for {address} (SPF none)'
    ),
    (_NONE, _MAILFROM, Situation.UNREACHABLE): _(
        "{domain} has no SPF record and no server that receives mail, so {address} cannot be checked "
        "and replies cannot be delivered (SPF none)"
    ),
    (_NONE, _HELO, None): _(
        "The host name {domain} has no SPF record, so {address} cannot be checked (SPF none for HELO)"
    ),
    (_NONE, _HELO, Situation.NO_DOMAIN): _(
        'The host name "{said}" in HELO is not a domain that SPF can check for {address} (SPF none for HELO)'
    ),
    (Result.PASS, _MAILFROM, None): _(
        "Mail from {domain} is not trusted here, although {address} may send it (SPF pass)"
    ),
    (Result.PASS, _MAILFROM, Situation.WIDE_OPEN): _(
        "Mail from {domain} is not trusted here, because its SPF record allows every server to send, "
        'including {address} (SPF pass, matched "{term}")'
    ),
    (Result.PASS, _HELO, Situation.WIDE_OPEN): _(
        "Mail from the host {domain} is not trusted here, because its SPF record allows every server to use the name, "
        'including {address} (SPF pass for HELO, matched "{term}")'
    ),
    (Result.PASS, _HELO, None): _(
        "Mail from the host {domain} is not trusted here, although {address} may use the name (SPF pass for HELO)"
    ),
    (Result.PERMERROR, _MAILFROM, None): _(
        "The SPF record of {domain} is in error, so {address} cannot be checked: {problem} (SPF permerror)"
    ),
    (Result.PERMERROR, _HELO, None): _(
        "The SPF record of the host name {domain} is in error, so {address} cannot be checked: {problem} "
        "(SPF permerror for HELO)"
    ),
    (Result.TEMPERROR, _MAILFROM, None): _(
        "The SPF record of {domain} cannot be looked up at present, so {address} cannot be checked: {problem}"
    ),
    (Result.TEMPERROR, _HELO, None): _(
        "The SPF record of the host name {domain} cannot be looked up at present, so {address} cannot be checked: "
        "{problem}"
    ),
}

# How to get the mail allowed: add a term to the record, or send through another server.
_ADD: dict[tuple[Situation, _Tone], str] = {
    (Situation.UNLISTED, _Tone.FIRM): _(
        "To allow it, add {add} to the SPF record of {record_domain}, or send through a server that the record lists."
    ),
    (Situation.UNLISTED, _Tone.SOFT): _(
        "If it may send for {domain}, add {add} to the SPF record of {record_domain}. "
        "If not, send through a server that the record lists."
    ),
    (Situation.UNLISTED, _Tone.HELO): _("If it is, add {add} to the SPF record of {record_domain}."),
    # If a redirect= decided, change the domain's own record, which is read first. The other record may belong to a
    # provider and serve many domains.
    (Situation.REDIRECTED, _Tone.FIRM): _(
        "To allow it, add {add} to the SPF record of {domain}, before its redirect to {record_domain}, "
        "or send through a server that the record lists."
    ),
    (Situation.REDIRECTED, _Tone.SOFT): _(
        "If it may send for {domain}, add {add} to the SPF record of {domain}, before its redirect to {record_domain}. "
        "If not, send through a server that the record lists."
    ),
    (Situation.REDIRECTED, _Tone.HELO): _(
        "If it is, add {add} to the SPF record of {domain}, before its redirect to {record_domain}."
    ),
    # The evaluation stops at the term that matched, so a term added behind it would have no effect.
    (Situation.DENIED, _Tone.FIRM): _(
        'To allow it, change "{term}" in the SPF record of {record_domain}, or put {add} before it, '
        "or send through another server."
    ),
    (Situation.DENIED, _Tone.SOFT): _(
        'If it may send for {domain}, change "{term}" in the SPF record of {record_domain}, or put {add} before it. '
        "If not, send through another server."
    ),
    (Situation.DENIED, _Tone.HELO): _(
        'If it is, change "{term}" in the SPF record of {record_domain}, or put {add} before it.'
    ),
}
_OWN_NAME = _("If {domain} is not the host name of {address}, configure the server to use its own name in HELO.")
_OWN_NAME_NO_DOMAIN = _("To be trusted here, configure the server to use its own fully qualified host name in HELO.")
_ADD_AFTER_ALL = _("If {domain} does send mail, add {add} to the SPF record of {record_domain}.")
_NARROW = _(
    'To be trusted here, replace "{term}" in the SPF record of {record_domain} '
    "with a list of the domain's own servers."
)
_NARROW_SOMEWHERE = _("To be trusted here, list only the domain's own servers in the SPF record of {domain}.")
_PUBLISH_BOTH = _(
    "To be trusted here, publish an MX record of {domain}, and a TXT record that names all of its senders, "
    'for example "v=spf1 {add} -all".'
)
_ASK = _(
    "This server checks {domain} with a record of its own, so a change in the DNS has no effect here. "
    "Please ask its administrator, or send through another server."
)
_OTHER_SENDER = _("To be trusted here, send with an address in a domain that has an SPF record.")
_PUBLISH = _(
    "To be trusted here, publish a TXT record of {domain} that names all of its senders, "
    'for example "v=spf1 {add} -all".'
)
_LOG_IN = _(
    "If you have a mailbox at {domain}, log in to its mail server to send: turn on SMTP authentication in your mail "
    "program (port 465 or 587), or use webmail."
)
_OTHERS = {Remedy.ASK: _ASK, Remedy.OTHER_SENDER: _OTHER_SENDER, Remedy.LOG_IN: _LOG_IN}
_LATER = {
    Situation.SILENT: _("Please send again later. If this error persists, check the name servers of {where}."),
    Situation.OUR_FAULT: _("Please send again later. This server's own name servers do not answer at present."),
}

# What is wrong, as a clause. Used for translations only: the evaluation's own English text has more detail.
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

# How to correct the record. The general text is used if the specific one needs an unknown term, or if there is none.
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
        "To have it checked, remove some include, a, mx, ptr or exists terms from the SPF record of {record_domain}, "
        "or replace them with ip4 and ip6."
    ),
    ProblemKind.VOID_LOOKUP_LIMIT: _(
        "To have it checked, remove the terms whose DNS lookups find nothing from the SPF record of {record_domain}."
    ),
    ProblemKind.HOST_LIMIT: _(
        'To have it checked, replace "{at}" in the SPF record of {record_domain} with ip4 and ip6.'
    ),
}

# The service may also have relayed a forwarded message. Then it does not send for the domain: hence the condition.
_SERVICE = _(
    "{add} stands for all servers of {service}, and this is one of them. Add it only if {domain} sends through them."
)
_THEIR_DNS = _("The record is changed in the DNS of {record_domain}, not at this server. Contact here: {contact}")
_OWN_DNS = _("The record is changed in the DNS of {domain}, not at this server. Contact here: {contact}")
_CONTACT = _("Contact here: {contact}")
_WITHOUT_RECORD = frozenset({
    Situation.NO_DOMAIN, Situation.PINNED, Situation.ALLOWED, Situation.SILENT, Situation.OUR_FAULT,
})  # fmt: skip

EXPLANATION = _('{record_domain} itself says: "{explanation}"')
DETAILS = _("Details: {url}")
CASE = _("Case: {case}")
SENTENCE = _("{sentence}.")
FORGED = _(
    "The message has far too many header fields that only the receiving server may write, such as Received-SPF; "
    "please remove them and send the message again"
)
HIDDEN = _(
    "One header field of the message hides another one that only the receiving server may write, such as "
    "Authentication-Results; please remove it and send the message again"
)
SEPARATE = _(
    "This message cannot be taken for this recipient together with the recipients before it, who have other rules; "
    "please send it to this recipient separately"
)
INTERNAL = _("The sender cannot be checked because of an error of this server; please send again later")


def texts_of(advice: Advice) -> tuple[str, ...]:
    """Return the lines for an advice, in English: what happened, what to do, where, and the contact."""
    key = advice.result, advice.identity
    first = _FIRST.get((*key, advice.situation)) or _FIRST[(*key, None)]
    remedies = [text for remedy in advice.remedies if (text := _remedy(remedy, advice))]
    if advice.service is not None and {Remedy.ADD, Remedy.ADD_BEFORE, Remedy.PUBLISH} & set(advice.remedies):
        remedies.append(_SERVICE)
    where = _OWN_DNS if advice.situation is Situation.REDIRECTED else _THEIR_DNS
    without = advice.situation in _WITHOUT_RECORD or Remedy.LOG_IN in advice.remedies
    return (first, *remedies, _CONTACT if without else where)


def _remedy(remedy: Remedy, advice: Advice) -> str:
    """Return the text of a remedy; empty if the text of another remedy covers it."""
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
            # If another term than all allows our server, the client's evaluation did not reach it: it is not known.
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
    """Return what is wrong in one clause: the error, the term, the record. It contains untrusted input."""
    text = problem.text if language.tag == SOURCE else language(_PROBLEMS[problem.kind])
    if problem.term is not None:
        text = template(_AT, language).fill({"clause": text, "at": problem.term})
    if problem.domain is not None and problem.domain not in text:
        # For a failed lookup, the domain is the name that was looked up, not the record's.
        asking = problem.kind in {ProblemKind.DNS_FAILURE, ProblemKind.OWN_RESOLVER, ProblemKind.TIME_LIMIT}
        text = template(_LOOKING_UP if asking else _IN, language).fill({"clause": text, "where": problem.domain})
    return text


@cache
def template(text: str, language: Language) -> Template:
    """Return a text in a language, as a template."""
    return Template.parse(language(text), (*PLACEHOLDERS, *_MORE), utf8=True)


@cache
def is_ascii(language: Language) -> bool:
    """Return whether all texts of a language are ASCII, so every client can be sent them."""
    return all(language(text).isascii() for text in all_texts())


def all_texts() -> tuple[str, ...]:
    """Return all texts, in English."""
    return tuple(_texts)
