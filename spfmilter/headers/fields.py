"""The header fields that are written, and all edits of an accepted message.

Knows the grammar of Received-SPF (RFC 7208 section 9.1) and Authentication-Results (RFC 8601). Untrusted input passes
``text`` and cannot break a field. ``forged`` knows which incoming fields are forged.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from enum import Enum

from spfmilter.addresses import dns_domain
from spfmilter.edits import Edits, HeaderField, Removal
from spfmilter.headers import subjects
from spfmilter.headers.forged import AUTHENTICATION_RESULTS, RECEIVED_SPF
from spfmilter.model import Action, Check, Client, Disposition, Facts, Identity, Result, SkipReason, Verdict
from spfmilter.reply import problem_text, sentences
from spfmilter.settings import Settings
from spfmilter.settings.schema import FieldKind, Mode
from spfmilter.text import ascii_line, comment, dot_atom_or_quoted, name_value, no_encoded_word, quoted_string

# Fields that are removed from one message: Postfix reads the header from its beginning to find each.
MAX_FORGED = 1000
_LINE = 78  # characters (RFC 5322 section 2.1.1)
_HARD_BLANK = "\0"  # stands for a blank until a field is folded; text.py lets no control character through
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]+")  # RFC 2045; a value that needs no quotes (RFC 8601 section 2.2)

_TAGGED = frozenset({Disposition.TAG, Disposition.QUARANTINE})
# The comments of RFC 7208 section 9.1's examples.
_COMMENTS = {
    Result.PASS: "domain of {who} designates {ip} as permitted sender",
    Result.FAIL: "domain of {who} does not designate {ip} as permitted sender",
    Result.SOFTFAIL: "domain of transitioning {who} does not designate {ip} as permitted sender",
    Result.NEUTRAL: "{ip} is neither permitted nor denied by domain of {who}",
    Result.NONE: "domain of {who} does not designate permitted sender hosts",
    Result.PERMERROR: "error in processing the record of {who}",
    Result.TEMPERROR: "temporary error in processing during lookup of {who}",
}


def authserv_id(facts: Facts, settings: Settings) -> str:
    """Return the authserv-id (RFC 8601 section 2.5): the first configured, or the MTA's own name."""
    return settings.headers.own_id or ascii_line(facts.hostname) or "localhost"


def result_fields(verdicts: Sequence[Verdict], facts: Facts, settings: Settings) -> tuple[HeaderField, ...]:
    """Return the fields that record the verdicts, from the top: Authentication-Results, then Received-SPF.

    Each identity has a field of its own, and MAIL FROM's stands above HELO's: of several results many readers take the
    first, and some the last of a field (docs/decisions/0041). OpenDMARC 1.4 reads the first Received-SPF only.
    """
    if not verdicts:
        return ()
    own = authserv_id(facts, settings)
    # A HELO that names no domain has no meaningful result: it is shown only where there is no other verdict.
    alone = len(verdicts) == 1
    about = [
        (verdict, comment(_comment(verdict, facts.relay)))
        for verdict in reversed(verdicts)
        if alone or verdict.check.domain or verdict.check.identity is Identity.MAILFROM
    ]
    fields = []
    if FieldKind.AUTHENTICATION_RESULTS in settings.headers.write:
        fields += [_authentication_results(verdict, said, own) for verdict, said in about]
    if FieldKind.RECEIVED_SPF in settings.headers.write:
        fields += [_received_spf(verdict, said, facts, own) for verdict, said in about]
    return tuple(fields)


def notice_field(action: Action, facts: Facts, settings: Settings, case: str) -> HeaderField | None:
    """Return the notice for the reader of a message that is tagged, held, or spared by monitor mode; else None."""
    if not action.notice or action.verdict is None:
        return None
    said = f"in monitor mode; would be: {action.would};" if action.would is not None else f"{action.disposition};"
    text = " ".join([said, *sentences(action.verdict, facts, settings, condition=action.condition, case=case)])
    return HeaderField(
        name=settings.headers.tag_header, value=_fold(settings.headers.tag_header, no_encoded_word(text))
    )


class NotRemoved(Enum):
    """Why a message has forged fields that are not removed; the values stand behind the rule that refuses it."""

    TOO_MANY = f"and there are more than {MAX_FORGED} of them"
    HIDDEN = "and one is hidden in another field or in the sender"


def edits(  # noqa: PLR0913 - all that is known of the message
    action: Action,
    verdicts: Sequence[Verdict],
    facts: Facts,
    settings: Settings,
    forged: Iterable[Removal],
    *,
    skip: SkipReason | None,
    subject_fields: Sequence[tuple[int, str]],
    content_type: str,
    case: str,
) -> Edits:
    """Return all changes to an accepted message; subjects and Content-Type as ``subjects.tagged`` takes them.

    Monitor mode only adds fields. A filter that is to be replaced may stand before ours, and what it wrote is needed.
    """
    notice = notice_field(action, facts, settings, case)
    fields = result_fields(verdicts, facts, settings) if skip is None else skipped_fields(skip, facts, settings)
    held = action.verdict if action.disposition is Disposition.QUARANTINE else None
    prefix = settings.headers.tag_subject if action.disposition in _TAGGED else ""
    tagged, untagged = subjects.tagged(subject_fields, prefix, content_type) if prefix else ((), 0)
    enforced = settings.policy.mode is Mode.ENFORCE
    return Edits(
        remove=tuple(sorted(forged, key=lambda removal: -removal.index)) if enforced else (),
        replace=tagged,
        insert=(
            *fields,
            *([notice] if notice is not None else ()),
            *(subjects.missing(prefix) if prefix and not subject_fields else ()),
        ),
        quarantine=_quarantine_reason(held) if held is not None else None,
        untagged=untagged,
    )


def skipped_fields(reason: SkipReason, facts: Facts, settings: Settings) -> tuple[HeaderField, ...]:
    """Return the field that says why nothing was checked; none unless ``[headers] skipped`` asks for it."""
    if not settings.headers.skipped or FieldKind.AUTHENTICATION_RESULTS not in settings.headers.write:
        return ()
    path = facts.reverse_path
    identity = Identity.HELO if path.null else Identity.MAILFROM
    said = (facts.helo or "") if path.null else path.domain or path.local
    own, value = authserv_id(facts, settings), _value(name_value(dns_domain(said) or said))
    text = f"{_value(own)}; spf=none (not checked: {reason}) smtp.{identity}={value.replace(' ', _HARD_BLANK)}"
    return (HeaderField(name=AUTHENTICATION_RESULTS, value=_fold(AUTHENTICATION_RESULTS, text)),)


def _quarantine_reason(verdict: Verdict) -> str:
    """Return the reason that the MTA records for a message that it holds."""
    return ascii_line(
        f"SPF {verdict.result} for {verdict.check.domain or verdict.check.as_sent} from {verdict.check.address}"
    )


def _comment(verdict: Verdict, relay: Client | None) -> str:
    who = verdict.check.domain or verdict.check.as_sent or "an empty name"
    text = _COMMENTS[verdict.result].format(who=ascii_line(who), ip=verdict.check.address)
    if verdict.problem is not None:
        text = f"{text}: {problem_text(verdict.problem)}"
    if verdict.check.record:
        text = f"{text}; by a record of this server, not the published one"
    if relay is not None:
        text = f"{text}; received through {relay.address}"
    return text


def _received_spf(verdict: Verdict, said: str, facts: Facts, receiver: str) -> HeaderField:
    """Return the field of RFC 7208 section 9.1: result, comment, key-value list."""
    check, utf8 = verdict.check, facts.smtputf8
    pairs = [f"client-ip={check.address}" if check.address.version == 4 else f'client-ip="{check.address}"']
    if check.identity is Identity.MAILFROM:
        pairs.append(f"envelope-from={quoted_string(str(facts.reverse_path), utf8=utf8)}")
    pairs.append(f"helo={dot_atom_or_quoted(facts.helo or '', utf8=utf8)}")
    pairs.append(_receiver(receiver))
    pairs.append(f"identity={check.identity}")
    if verdict.problem is not None:
        pairs.append(f"problem={quoted_string(problem_text(verdict.problem), 200)}")
    elif verdict.result is not Result.NONE:
        pairs.append(f"mechanism={dot_atom_or_quoted(verdict.term or 'default', 200)}")
    # No value holds a line break, so that it can stand between them until their own blanks are safe.
    listed = "\n".join(pairs).replace(" ", _HARD_BLANK).replace("\n", "; ")
    text = f"{verdict.result} ({comment(receiver)}: {said}) {listed}"
    return HeaderField(name=RECEIVED_SPF, value=_fold(RECEIVED_SPF, text))


@functools.lru_cache(maxsize=8)
def _receiver(name: str) -> str:
    """Return the pair that is the same for all messages."""
    return f"receiver={dot_atom_or_quoted(name)}"


def _authentication_results(verdict: Verdict, said: str, own: str) -> HeaderField:
    """Return the field of RFC 8601 section 2.2 for one identity.

    ``smtp.mailfrom`` is the domain alone: OpenDMARC matches nothing else, and drops the field over a ``=`` in an
    address.
    """
    value = _value(name_value(verdict.check.domain or _said_domain(verdict.check)))
    text = f"{_value(own)}; spf={verdict.result} ({said}) smtp.{verdict.check.identity}={value}"
    return HeaderField(name=AUTHENTICATION_RESULTS, value=_fold(AUTHENTICATION_RESULTS, text))


def _said_domain(check: Check) -> str:
    """Return what the client sent in the place of a domain, without the local part."""
    return check.as_sent.rpartition("@")[2] if check.identity is Identity.MAILFROM else check.as_sent


def _value(text: str) -> str:
    return text if _TOKEN.fullmatch(text) else quoted_string(text).replace(" ", _HARD_BLANK)


def _fold(name: str, text: str) -> str:
    """Return the text with a line break before the blank where a line would grow past 78 characters.

    Blanks that must not be broken at, those inside a quoted string, are written as ``_HARD_BLANK``.
    """
    lines, room = [], _LINE - len(name) - 2
    while len(text) > room:
        cut = text.rfind(" ", 1, room + 1)
        if cut < 0:
            cut = text.find(" ", room)  # one word is longer than a line
        if cut < 0:
            break
        lines.append(text[:cut])
        text, room = text[cut:].lstrip(" "), _LINE - 1
    return "\n ".join([*lines, text]).replace(_HARD_BLANK, " ")
