"""The first line of a notice: what happened, to which server, by whose record.

It must make sense alone, since many servers show only this line to their user. It has no full stop. Its last words,
"SPF check: fail", are those by which tools that read bounces tell a failed authentication (tests/reply/bounces.py).
"""

from __future__ import annotations

from spfmilter.model import Disposition, Identity, Result
from spfmilter.reply.advice import Advice, Situation
from spfmilter.reply.catalogue import _

REFUSED = _("Message refused: {sentence}")
NOT_YET = _("Not accepted yet: {sentence}")
# Before the first line of a reply. A message that is accepted was neither.
BEFORE = {Disposition.REJECT: REFUSED, Disposition.DEFER: NOT_YET}

_FAIL, _SOFTFAIL, _NEUTRAL, _NONE = Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.NONE
_MAILFROM, _HELO = Identity.MAILFROM, Identity.HELO

# By result, identity and situation. None: for all other situations.
_FIRST: dict[tuple[Result, Identity, Situation | None], str] = {
    (_FAIL, _MAILFROM, None): _(
        '{address} is not in the trusted sender list of {domain} (SPF check: fail, matched "{term}")'
    ),
    (_FAIL, _MAILFROM, Situation.REDIRECTED): _(
        '{address} is not in the trusted sender list of {domain} (SPF check: fail, matched "{term}" in {record_domain})'
    ),
    (_FAIL, _MAILFROM, Situation.DENIED): _(
        '{domain} says that the server {address} must not send its mail (SPF check: fail, matched "{term}")'
    ),
    (_FAIL, _MAILFROM, Situation.PINNED): _(
        "{address} is not in the trusted sender list that {hostname} keeps for {domain} "
        '(SPF check: fail, matched "{term}")'
    ),
    (_FAIL, _MAILFROM, Situation.NO_MAIL): _(
        "{domain} says in its SPF record that it never sends mail, so mail from the server {address} "
        'is probably forged (SPF check: fail, matched "{term}")'
    ),
    (_FAIL, _HELO, None): _(
        "The server {address} calls itself {domain}, but {domain} does not allow that "
        '(SPF check: fail for HELO, matched "{term}")'
    ),
    (_SOFTFAIL, _MAILFROM, None): _(
        'The server {address} is probably not allowed to send mail for {domain} (SPF check: softfail, matched "{term}")'
    ),
    (_SOFTFAIL, _HELO, None): _(
        "The server {address} calls itself {domain}, which {domain} probably does not allow "
        '(SPF check: softfail for HELO, matched "{term}")'
    ),
    (_NEUTRAL, _MAILFROM, None): _(
        "The SPF record of {domain} does not say whether the server {address} may send its mail (SPF check: neutral)"
    ),
    (_NEUTRAL, _MAILFROM, Situation.DENIED): _(
        "The SPF record of {domain} does not say whether the server {address} may send its mail "
        '(SPF check: neutral, matched "{term}")'
    ),
    (_NEUTRAL, _HELO, None): _(
        "The server {address} calls itself {domain}, whose SPF record does not say whether it may "
        "(SPF check: neutral for HELO)"
    ),
    (_NEUTRAL, _HELO, Situation.DENIED): _(
        "The server {address} calls itself {domain}, whose SPF record does not say whether it may "
        '(SPF check: neutral for HELO, matched "{term}")'
    ),
    (_NONE, _MAILFROM, None): _(
        "{domain} has no SPF record, so the server {address} cannot be checked (SPF check: none)"
    ),
    (_NONE, _MAILFROM, Situation.NO_DOMAIN): _(
        'The sender address "{said}" has no domain, so the server {address} cannot be checked (SPF check: none)'
    ),
    (_NONE, _MAILFROM, Situation.UNREACHABLE): _(
        "{domain} has no SPF record and no mail server (MX), so the server {address} cannot be checked "
        "and replies cannot be delivered (SPF check: none)"
    ),
    (_NONE, _HELO, None): _(
        "The server {address} calls itself {domain}, which has no SPF record, so it cannot be checked "
        "(SPF check: none for HELO)"
    ),
    (_NONE, _HELO, Situation.NO_DOMAIN): _(
        'The server {address} calls itself "{said}", which is not a domain, so it cannot be checked '
        "(SPF check: none for HELO)"
    ),
    (Result.PASS, _MAILFROM, None): _(
        "The server {address} may send for {domain} (SPF check: pass), but {hostname} does not trust mail from {domain}"
    ),
    (Result.PASS, _MAILFROM, Situation.WIDE_OPEN): _(
        "The SPF record of {domain} allows every server to send, including {address}, so {hostname} does not trust it "
        '(SPF check: pass, matched "{term}")'
    ),
    (Result.PASS, _HELO, None): _(
        "The server {address} may call itself {domain} (SPF check: pass for HELO), "
        "but {hostname} does not trust mail from it"
    ),
    (Result.PASS, _HELO, Situation.WIDE_OPEN): _(
        "The SPF record of {domain} allows every server to use this name, including {address}, "
        'so {hostname} does not trust it (SPF check: pass for HELO, matched "{term}")'
    ),
    (Result.PERMERROR, _MAILFROM, None): _(
        "The SPF record of {domain} has a mistake, so the server {address} cannot be checked: {problem} "
        "(SPF check: permerror)"
    ),
    (Result.PERMERROR, _HELO, None): _(
        "The server {address} calls itself {domain}, whose SPF record has a mistake, so it cannot be checked: "
        "{problem} (SPF check: permerror for HELO)"
    ),
    (Result.TEMPERROR, _MAILFROM, None): _(
        "The SPF record of {domain} cannot be looked up at present, so the server {address} cannot be checked: "
        "{problem} (SPF check: temperror)"
    ),
    (Result.TEMPERROR, _HELO, None): _(
        "The server {address} calls itself {domain}, whose SPF record cannot be looked up at present: {problem} "
        "(SPF check: temperror for HELO)"
    ),
}


def first_line(advice: Advice) -> str:
    """Return the first line for an advice, in English."""
    key = advice.result, advice.identity
    return _FIRST.get((*key, advice.situation)) or _FIRST[(*key, None)]
