"""The notice: what the refused sender reads in the SMTP reply, and in the header field of a tagged message.

Knows which text goes with which verdict, the reply codes (RFC 7208 section 8, RFC 7372), and that line 1 must make
sense alone, because many servers show only that. The advice is always about the *sender domain's own* record. The
English texts are the keys of the translations to come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spfmilter.model import Action, Disposition, Facts, Identity, Problem, ProblemKind, Result, Verdict
from spfmilter.settings import Settings
from spfmilter.template import Template
from spfmilter.text import ascii_line

_MAX_LINE = 480  # bytes: with code, status and CRLF inside the 512 of RFC 5321 section 4.5.3.1.5
_MAX_LINES = 32  # what libmilter takes
_STATUS = re.compile(r"[45]\.[0-9]{1,3}\.[0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A refusal as it goes over the wire; a wrong one cannot be built.

    Raises:
        ValueError: code and status are not of one class, or a line cannot be sent.
    """

    code: int  # 4xx or 5xx
    status: str  # enhanced status code (RFC 3463)
    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.code // 100 not in {4, 5} or _STATUS.fullmatch(self.status) is None:
            raise ValueError(f"{self.code} {self.status} is no refusal")
        if str(self.code)[0] != self.status[0]:
            raise ValueError(f"{self.code} and {self.status} contradict each other")
        if not 0 < len(self.lines) <= _MAX_LINES:
            raise ValueError(f"a reply of {len(self.lines)} lines")
        for line in self.lines:
            if not (line and line.isascii() and line.isprintable()) or len(line) > _MAX_LINE:
                raise ValueError(f"{line!r} is not a line of a reply")

    def __str__(self) -> str:
        last = len(self.lines) - 1
        return "\n".join(
            f"{self.code}{' ' if n == last else '-'}{self.status} {line}" for n, line in enumerate(self.lines)
        )


def _texts(*lines: str) -> tuple[Template, ...]:
    return tuple(Template.parse(line) for line in lines)


_OWN_DNS = "The record is changed in the DNS of {record_domain}, not at this server. Contact here: {contact}"
_LISTED = "To allow it, add {add} to the SPF record of {record_domain}, or send through a server that the record lists."
_GREET = "To allow it, add {add} to the SPF record of {record_domain}, or let the server greet with its own host name."
# A term behind the one that matched is never reached, so that adding one would change nothing.
_BEFORE = (
    'To allow it, change "{term}" in the SPF record of {record_domain}, or put {add} before it, '
    "or send through another server."
)
_GREET_BEFORE = (
    'To allow it, change "{term}" in the SPF record of {record_domain}, or put {add} before it, '
    "or let the server greet with its own host name."
)

# (result, identity, variant) -> the lines. "term": a term other than all matched the address by itself. "redirect": the
# record that decided is not the domain's own. "no-domain": the identity names no domain.
_TEXTS: dict[tuple[Result, Identity, str], tuple[Template, ...]] = {
    (Result.FAIL, Identity.MAILFROM, ""): _texts(
        '{address} is not in the trusted sender list of {domain} (SPF fail, matched "{term}")', _LISTED, _OWN_DNS
    ),
    (Result.FAIL, Identity.MAILFROM, "redirect"): _texts(
        '{address} is not in the trusted sender list of {domain} (SPF fail, matched "{term}" in {record_domain})',
        "To allow it, add {add} to the SPF record of {record_domain}, to which {domain} redirects, "
        "or send through a server that the record lists.",
        _OWN_DNS,
    ),
    (Result.FAIL, Identity.MAILFROM, "term"): _texts(
        '{address} is refused by the SPF record of {domain} (SPF fail, matched "{term}")', _BEFORE, _OWN_DNS
    ),
    (Result.FAIL, Identity.HELO, ""): _texts(
        '{address} may not use the host name {domain} (SPF fail for HELO, matched "{term}")', _GREET, _OWN_DNS
    ),
    (Result.FAIL, Identity.HELO, "term"): _texts(
        '{address} may not use the host name {domain} (SPF fail for HELO, matched "{term}")', _GREET_BEFORE, _OWN_DNS
    ),
    (Result.SOFTFAIL, Identity.MAILFROM, ""): _texts(
        '{address} is probably not a sender of {domain} (SPF softfail, matched "{term}")', _LISTED, _OWN_DNS
    ),
    (Result.SOFTFAIL, Identity.MAILFROM, "term"): _texts(
        '{address} is probably not a sender of {domain} (SPF softfail, matched "{term}")', _BEFORE, _OWN_DNS
    ),
    (Result.SOFTFAIL, Identity.HELO, ""): _texts(
        '{address} should probably not use the host name {domain} (SPF softfail for HELO, matched "{term}")',
        _GREET,
        _OWN_DNS,
    ),
    (Result.SOFTFAIL, Identity.HELO, "term"): _texts(
        '{address} should probably not use the host name {domain} (SPF softfail for HELO, matched "{term}")',
        _GREET_BEFORE,
        _OWN_DNS,
    ),
    (Result.NEUTRAL, Identity.MAILFROM, ""): _texts(
        "The SPF record of {domain} says neither yes nor no for {address} (SPF neutral)", _LISTED, _OWN_DNS
    ),
    (Result.NEUTRAL, Identity.MAILFROM, "term"): _texts(
        'The SPF record of {domain} says neither yes nor no for {address} (SPF neutral, matched "{term}")',
        _BEFORE,
        _OWN_DNS,
    ),
    (Result.NEUTRAL, Identity.HELO, ""): _texts(
        "The SPF record of the host name {domain} says neither yes nor no for {address} (SPF neutral for HELO)",
        _GREET,
        _OWN_DNS,
    ),
    (Result.NEUTRAL, Identity.HELO, "term"): _texts(
        "The SPF record of the host name {domain} says neither yes nor no for {address} "
        '(SPF neutral for HELO, matched "{term}")',
        _GREET_BEFORE,
        _OWN_DNS,
    ),
    (Result.NONE, Identity.MAILFROM, ""): _texts(
        "{domain} publishes no SPF record, so that {address} cannot be checked (SPF none)",
        'To be accepted here, publish one as a TXT record of {domain}, for example "v=spf1 {add} -all".',
        _OWN_DNS,
    ),
    (Result.NONE, Identity.HELO, ""): _texts(
        "The host name {domain} has no SPF record, so that {address} cannot be checked (SPF none for HELO)",
        'To be accepted here, publish one as a TXT record of {domain}, for example "v=spf1 {add} -all".',
        _OWN_DNS,
    ),
    (Result.NONE, Identity.MAILFROM, "no-domain"): _texts(
        'The sender address "{said}" names no domain that SPF could check for {address} (SPF none)',
        "To be accepted here, send with an address in a domain that has an SPF record. Contact here: {contact}",
    ),
    (Result.NONE, Identity.HELO, "no-domain"): _texts(
        'The host name "{said}" in HELO is no domain that SPF could check for {address} (SPF none for HELO)',
        "To be accepted here, let the server greet with its own fully qualified host name. Contact here: {contact}",
    ),
    (Result.PASS, Identity.MAILFROM, ""): _texts(
        "Mail from {domain} is not accepted here, although {address} may send it (SPF pass)", "Contact here: {contact}"
    ),
    (Result.PASS, Identity.HELO, ""): _texts(
        "Mail from the host {domain} is not accepted here, although {address} may use the name (SPF pass for HELO)",
        "Contact here: {contact}",
    ),
    (Result.PERMERROR, Identity.MAILFROM, ""): _texts(
        "The SPF record of {domain} is in error, so that {address} cannot be checked: {problem} (SPF permerror)",
        "To have it checked, correct this in the SPF record of {record_domain}.",
        _OWN_DNS,
    ),
    (Result.PERMERROR, Identity.HELO, ""): _texts(
        "The SPF record of the host name {domain} is in error, so that {address} cannot be checked: {problem} "
        "(SPF permerror for HELO)",
        "To have it checked, correct this in the SPF record of {record_domain}.",
        _OWN_DNS,
    ),
    (Result.TEMPERROR, Identity.MAILFROM, ""): _texts(
        "The SPF record of {domain} cannot be looked up at present, so that {address} cannot be checked: {problem}",
        "Please send again later. If this lasts, the name servers of {domain} need attention. Contact here: {contact}",
    ),
    (Result.TEMPERROR, Identity.HELO, ""): _texts(
        "The SPF record of the host name {domain} cannot be looked up at present, so that {address} cannot be checked: "
        "{problem}",
        "Please send again later. If this lasts, the name servers of {domain} need attention. Contact here: {contact}",
    ),
}
_INTERNAL = Reply(
    code=451,
    status="4.3.0",
    lines=("The sender cannot be checked because of an error of this server; please send again later",),
)


def reply_for(action: Action, facts: Facts, settings: Settings) -> Reply | None:
    """What the client is told, or None where the message is taken."""
    if not action.disposition.refuses:
        return None
    if action.verdict is None or action.verdict.fault is not None:
        return _INTERNAL
    code, status = _codes(action.disposition, action.verdict.result)
    return Reply(code=code, status=status, lines=notice(action.verdict, facts, settings))


def internal_error() -> Reply:
    """What the client is told where spfmilter itself fails and ``on_error`` is tempfail."""
    return _INTERNAL


def _codes(disposition: Disposition, result: Result) -> tuple[int, str]:
    """Reply code and enhanced status (RFC 7372 section 3.2): 7.23 for what SPF says, 7.24 for what it cannot."""
    code = 550 if disposition is Disposition.REJECT else 451
    match result:
        case Result.PERMERROR | Result.TEMPERROR:
            detail = "7.24"
        case Result.PASS:
            detail = "7.1"
        case _:
            detail = "7.23"
    return code, f"{code // 100}.{detail}"


def notice(verdict: Verdict, facts: Facts, settings: Settings) -> tuple[str, ...]:
    """The lines that explain a verdict: which identity, domain, address and term, what to change, whom to ask."""
    values = _values(verdict, facts, settings)
    templates = settings.reply.lines(verdict.result) or _built_in(verdict)
    filled = (ascii_line(template.fill(values), _MAX_LINE) for template in templates)
    lines = [line for line in filled if line.strip()]  # never none: the settings take no text without words
    explanation = _quotable(verdict.explanation or "")
    if explanation:
        lines.insert(1, ascii_line(f'{values["record_domain"]} itself says: "{explanation}"', _MAX_LINE))
    return tuple(lines)


def _quotable(explanation: str) -> str:
    """A domain's own words as they can stand between quotation marks: one line without such marks of its own."""
    return ascii_line(" ".join(explanation.split()).replace('"', "'"), 200)


def _built_in(verdict: Verdict) -> tuple[Template, ...]:
    variant = ""
    if verdict.problem is not None and verdict.problem.kind is ProblemKind.NO_DOMAIN:
        variant = "no-domain"
    elif verdict.term is not None and verdict.term.lstrip("+-~?").lower() != "all":
        variant = "term"
    elif verdict.term_domain not in {None, verdict.check.domain}:
        variant = "redirect"
    key = verdict.result, verdict.check.identity
    return _TEXTS.get((*key, variant)) or _TEXTS[(*key, "")]


def _values(verdict: Verdict, facts: Facts, settings: Settings) -> dict[str, str]:
    check, problem = verdict.check, verdict.problem
    where = problem.domain if problem is not None and verdict.result is Result.PERMERROR else verdict.term_domain
    hostname = ascii_line(facts.hostname)
    return {
        "address": str(check.address),
        "identity": "HELO" if check.identity is Identity.HELO else "MAIL FROM",
        "said": ascii_line(check.said, 120),
        "sender": ascii_line(str(facts.reverse_path), 120),
        "domain": ascii_line(check.domain),
        "helo": ascii_line(facts.helo or "", 120),
        "result": verdict.result,
        "term": ascii_line(verdict.term or "default", 120),
        "record_domain": ascii_line(where or check.domain),
        "problem": problem_text(problem) if problem is not None else "",
        "add": f"ip{check.address.version}:{check.address}",
        "contact": settings.reply.contact.fill({"hostname": hostname}),
        "hostname": hostname,
    }


def problem_text(problem: Problem) -> str:
    """A problem in one clause: what, at which term, in whose record."""
    text = problem.text
    if problem.term is not None:
        text += f' at "{problem.term}"'
    if problem.domain is not None and problem.domain not in text:
        # Of a lookup that failed, it is the name that was looked up, not the record's.
        asking = problem.kind in {ProblemKind.DNS_FAILURE, ProblemKind.TIME_LIMIT}
        text += f" while looking up {problem.domain}" if asking else f" in the record of {problem.domain}"
    return ascii_line(text, 300)
