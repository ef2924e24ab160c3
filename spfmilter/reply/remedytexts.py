"""What the reader can do, in the order of the notice: who uses the address, who runs the domain, who forwards.

The reader of a bounce is one of them, and knows which. Each line begins with whom it is for, if that is not the reader
of the bounce itself. "The server" is the one that sent; the receiving one is called by its name.
"""

from __future__ import annotations

from collections.abc import Iterator

from spfmilter.model import Disposition
from spfmilter.reply.advice import Advice, Remedy, Situation, is_all
from spfmilter.reply.catalogue import _
from spfmilter.reply.problemtexts import flaw_text, mending
from spfmilter.spf.providers import Credential

# -- who only uses the address

_SUBMIT = _(
    "If you only use this address: send through the webmail or the mail server (SMTP) of {domain}. "
    "Your mailbox is fine."
)
_SUBMIT_LISTED = _(
    "If you only use this address: send through {services}, which the SPF record of {domain} lists. "
    "Your mailbox is fine."
)
# A freemail user, by the secret that their mail program needs.
_USE_PROVIDER: dict[Credential, str] = {
    Credential.LOGIN: _(
        "Send through {domain} itself: by its webmail or app, or in your mail program by the outgoing server {server}, "
        "port {port}, with login. Your mailbox is fine."
    ),
    Credential.APP_PASSWORD: _(
        "Send through {domain} itself: by its webmail or app, or in your mail program by the outgoing server {server}, "
        "port {port}, with an app password. Your mailbox is fine."
    ),
    Credential.AUTHORIZATION_CODE: _(
        "Send through {domain} itself: by its webmail or app, or in your mail program by the outgoing server {server}, "
        "port {port}, with the authorization code (shouquanma). Your mailbox is fine."
    ),
}
_USE_WEBMAIL = _("Send through {domain} itself, by its webmail or app. Your mailbox is fine.")
_PROVIDER_FAULT = _(
    "This is a mistake of {domain}: the server {client_name} is its own, but its SPF record does not list it. "
    "You cannot correct it. Forward this message to the support of {domain}."
)
_PROVIDER_RECORD = _(
    "Only {domain} can correct its SPF record. Forward this message to its support, or use another address."
)
_LOG_IN = _(
    "If you have a mailbox at {domain}, log in to its mail server to send: turn on SMTP authentication in your mail "
    "program (port 465 or 587), or use webmail."
)
_OTHER_SENDER = _("Send from an address whose domain has an SPF record.")
_SENDS_NO_MAIL = _("Send from an address of another domain.")
_ASK = _(
    "{hostname} uses its own SPF record for {domain}, so a change in the DNS does not help. "
    "Ask {contact}, or send through another server."
)
_LATER: dict[tuple[Situation, Disposition], str] = {
    (Situation.SILENT, Disposition.DEFER): _(
        "Your mail server will try again by itself; you need not send again. "
        "If this goes on, tell the administrator of the DNS of {where}."
    ),
    (Situation.SILENT, Disposition.REJECT): _(
        "Please send again later. If this goes on, tell the administrator of the DNS of {where}."
    ),
    (Situation.OUR_FAULT, Disposition.DEFER): _(
        "Your mail server will try again by itself; you need not send again. "
        "The name servers that {hostname} uses do not answer at present, which is not your fault."
    ),
    (Situation.OUR_FAULT, Disposition.REJECT): _(
        "Please send again later. The name servers that {hostname} uses do not answer at present, which is not your "
        "fault."
    ),
}

# -- who runs the server or the domain

_OWN_NAME = _(
    "If you run the server {address}: if {domain} is not its name, set its HELO/EHLO name to its own host name."
)
_OWN_NAME_NO_DOMAIN = _(
    "If you run the server {address}: set its HELO/EHLO name to its full host name, such as mail.example.com."
)
_ADD: dict[Situation, str] = {
    Situation.UNLISTED: _(
        "If you run {domain}: add {add} to its SPF record, but only if this server is yours "
        "and no one else sends from its address."
    ),
    # If a redirect= decided, change the domain's own record, which is read first. The other record may belong to a
    # provider and serve many domains.
    Situation.REDIRECTED: _(
        "If you run {domain}: add {add} to its SPF record, before redirect={record_domain}, but only if this server is "
        "yours and no one else sends from its address."
    ),
    # The evaluation stops at the term that matched, so a term added behind it would have no effect.
    Situation.DENIED: _(
        'If you run {domain}: put {add} before "{term}" in its SPF record, or change that, but only if this server is '
        "yours and no one else sends from its address."
    ),
}
_ADD_SERVICE: dict[Situation, str] = {
    Situation.UNLISTED: _(
        "If you run {domain}: add {add} to its SPF record, but only if you send through {service}. It allows all of "
        "its servers, and this is one of them."
    ),
    Situation.REDIRECTED: _(
        "If you run {domain}: add {add} to its SPF record, before redirect={record_domain}, but only if you send "
        "through {service}. It allows all of its servers, and this is one of them."
    ),
    Situation.DENIED: _(
        'If you run {domain}: put {add} before "{term}" in its SPF record, but only if you send through {service}. '
        "It allows all of its servers, and this is one of them."
    ),
}
_ADD_OWN_HOST = _(
    "If you run {domain}: the server {client_name} is one of {domain} itself, but its SPF record does not list it. "
    "Add {add} there."
)
_ADD_INCLUDE: dict[Situation, str] = {
    Situation.UNLISTED: _(
        "If you run {domain}: this server is {client_name} of {organization}. If you send through them, add to "
        "its SPF record the include: that their documentation gives, not this address. "
        "Only if the server is yours alone, add {add}."
    ),
    Situation.REDIRECTED: _(
        "If you run {domain}: this server is {client_name} of {organization}. If you send through them, add to "
        "its SPF record, before redirect={record_domain}, the include: that their documentation gives, not this "
        "address. "
        "Only if the server is yours alone, add {add}."
    ),
    Situation.DENIED: _(
        "If you run {domain}: this server is {client_name} of {organization}. If you send through them, put the "
        'include: that their documentation gives, not this address, before "{term}" in its SPF record. '
        "Only if the server is yours alone, put {add} there."
    ),
}
_ADD_NAME: dict[Situation, str] = {
    Situation.UNLISTED: _("If it is its name, add {add} to the SPF record of {domain}."),
    Situation.REDIRECTED: _(
        "If it is its name, add {add} to the SPF record of {domain}, before redirect={record_domain}."
    ),
    Situation.DENIED: _('If it is its name, put {add} before "{term}" in the SPF record of {domain}, or change that.'),
}
_LIST_SERVERS = _(
    "If you run {domain} and it does send mail: list its own servers in its SPF record, which now says that it has "
    "none."
)
_NARROW = _('If you run {record_domain}: replace "{term}" in its SPF record with the servers that send its mail.')
_NARROW_SOMEWHERE = _("If you run {domain}: list only its own sending servers in its SPF record.")
_PUBLISH = _(
    "If you run {domain}: publish a TXT record for it that lists every server that sends its mail, for example "
    '"v=spf1 {add} -all".'
)
_PUBLISH_BOTH = _(
    "If you run {domain}: publish an MX record for it, and a TXT record that lists every server that sends its mail, "
    'for example "v=spf1 {add} -all".'
)

# -- whose message another server sent

_FORWARDED = _(
    "If {organization} forwarded the message: ask the recipient for their final address; the forwarder needs SRS. "
    "If a web form or a device sent it: it has to use a sender address of its own domain."
)

# -- all others

_FORWARD_THIS = _(
    "Otherwise forward this message to the administrator of {domain}: only they can change its SPF record, "
    "{hostname} cannot. Questions to {hostname}: {contact}"
)
_FORWARD_THIS_SERVER = _(
    "Otherwise forward this message to the administrator of the server {address}: only they can change this, "
    "{hostname} cannot. Questions to {hostname}: {contact}"
)
_CONTACT = _("Questions to {hostname}: {contact}")

_BY_SENDERS = frozenset({Remedy.LOG_IN, Remedy.USE_PROVIDER, Remedy.TELL_PROVIDER, Remedy.ASK, Remedy.LATER})
_SENDER_REMEDIES = frozenset({Remedy.SUBMIT, Remedy.OTHER_SENDER}) | _BY_SENDERS


def remedy_lines(advice: Advice, disposition: Disposition) -> tuple[str, ...]:
    """Return the lines of an advice, in English: for users, for administrators, and for all others."""
    users = (remedy for remedy in advice.remedies if remedy in _SENDER_REMEDIES)
    others = (remedy for remedy in advice.remedies if remedy not in _SENDER_REMEDIES)
    found = (_for_user(remedy, advice, disposition) for remedy in users)
    return (*filter(None, found), *_for_administrators(tuple(others), advice), _last(advice))


def _for_user(remedy: Remedy, advice: Advice, disposition: Disposition) -> str:
    """Return the text for who uses the address; empty if the text of another remedy says it."""
    match remedy:
        case Remedy.SUBMIT:
            if advice.situation is Situation.PINNED or advice.provider_fault:
                return ""  # the former says so with ASK; with the latter it was sent so
            return _SUBMIT_LISTED if advice.listed else _SUBMIT
        case Remedy.USE_PROVIDER:
            provider = advice.provider
            return _USE_PROVIDER[provider.credential] if provider is not None and provider.server else _USE_WEBMAIL
        case Remedy.TELL_PROVIDER:
            return _PROVIDER_FAULT if advice.provider_fault else _PROVIDER_RECORD
        case Remedy.OTHER_SENDER:
            return _SENDS_NO_MAIL if advice.situation is Situation.NO_MAIL else _OTHER_SENDER
        case Remedy.LATER:
            return _LATER.get((advice.situation, disposition), "")  # who reads it in an accepted message, has it
        case Remedy.LOG_IN:
            return _LOG_IN
        case _:
            return _ASK


def _for_administrators(remedies: tuple[Remedy, ...], advice: Advice) -> Iterator[str]:
    """Yield the texts for who can change the server or the record, and for whose message was forwarded."""
    if Remedy.OWN_NAME in remedies:
        yield _OWN_NAME_NO_DOMAIN if advice.situation is Situation.NO_DOMAIN else _OWN_NAME
    if Remedy.MEND_FLAW in remedies:
        yield flaw_text(advice.flaws[0])
    elif Remedy.FIX in remedies:
        yield mending(advice.problem)
    if Remedy.ADD_INCLUDE in remedies:
        yield _ADD_INCLUDE[advice.situation]
    elif {Remedy.ADD, Remedy.ADD_BEFORE} & set(remedies):
        yield _adding(advice)
    if Remedy.LIST_SERVERS in remedies:
        yield _LIST_SERVERS
    if Remedy.PUBLISH in remedies:
        yield _PUBLISH_BOTH if advice.situation is Situation.UNREACHABLE else _PUBLISH
    if Remedy.NARROW in remedies:
        # If another term than all allows our server, the client's evaluation did not reach it: it is not known.
        yield _NARROW if advice.term is not None and is_all(advice.term) else _NARROW_SOMEWHERE
    if Remedy.FORWARDED in remedies and advice.other_organization:
        yield _FORWARDED


def _adding(advice: Advice) -> str:
    if advice.names_host:
        return _ADD_NAME[advice.situation]
    if advice.service is not None:
        return _ADD_SERVICE[advice.situation]
    if advice.provider_fault and advice.situation is Situation.UNLISTED:
        return _ADD_OWN_HOST
    return _ADD[advice.situation]


def _last(advice: Advice) -> str:
    """Return the line for a reader who is none of these: to whom the message can be forwarded, and the contact."""
    if not advice.remedies or _BY_SENDERS & set(advice.remedies) or advice.remedies == (Remedy.OTHER_SENDER,):
        return _CONTACT
    return _FORWARD_THIS_SERVER if advice.names_host else _FORWARD_THIS
