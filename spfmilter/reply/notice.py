"""The notice of one case: the lines that a refused sender reads, and the sentences of a tagged message's header field.

Knows what the placeholders stand for, and in which language the client can read them. Sanitizes and shortens untrusted
input before it is shown: as ASCII, or as UTF-8 for a client that uses SMTPUTF8 (RFC 6531 section 3.7.4.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spfmilter.language import SOURCE, Language, first, language
from spfmilter.model import Condition, Facts, Identity, Problem, Verdict
from spfmilter.reply import texts
from spfmilter.reply.advice import NO_CLUES, Advice, advice
from spfmilter.settings import Settings
from spfmilter.spf.clues import Clues
from spfmilter.text import ascii_line, utf8_line

MAX_LINE = 480  # bytes: with code, status and CRLF inside the 512 of RFC 5321 section 4.5.3.1.5
_LONG_NAME = 120  # of what a client says of itself, where more would push aside what matters
_PROBLEM = 300

_Clean = Callable[[str, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """The content of a notice besides the verdict; looked up only where a message is refused, since it takes time."""

    clues: Clues = NO_CLUES  # to the client
    link: str = ""  # to the help page, for this very case
    case: str = ""  # the case id


def notice_language(facts: Facts, settings: Settings) -> Language:
    """Return the first of the configured languages that can be shown to the client, or English."""
    return first(settings.reply.languages, lambda found: facts.smtputf8 or texts.is_ascii(found))


def notice(
    verdict: Verdict,
    facts: Facts,
    settings: Settings,
    extras: Extras,
    *,
    condition: Condition | None,
) -> tuple[str, ...]:
    """Return the lines that explain a verdict: identity, domain, address and term, what to change, and whom to ask."""
    language, clean = notice_language(facts, settings), utf8_line if facts.smtputf8 else ascii_line
    # Who has logged in already, and is checked all the same, is not told to log in.
    ours = not facts.authenticated and settings.reply.owns(verdict.check.domain, facts.hostname)
    found = advice(verdict, extras.clues, condition, own=ours)
    values = _values(found, verdict, facts, settings, language, clean) | {"case": extras.case}
    own = settings.reply.lines(verdict.result)
    templates = own or tuple(texts.template(text, language) for text in texts.texts_of(found))
    filled = (clean(template.fill(values), MAX_LINE) for template in templates)
    lines = [line for line in filled if line.strip()]  # never none: the settings take no text without words
    if values["explanation"]:
        lines.insert(1, clean(texts.template(texts.EXPLANATION, language).fill(values), MAX_LINE))
    if extras.link:
        lines.append(texts.template(texts.DETAILS, language).fill({"url": extras.link}))
    if extras.case and not any(extras.case in line for line in lines):
        lines.append(case_line(extras.case, language))
    return tuple(lines)


def case_line(case: str, language: Language) -> str:
    """Return the line that names the case id."""
    return texts.template(texts.CASE, language).fill({"case": case})


def sentences(
    verdict: Verdict, facts: Facts, settings: Settings, *, condition: Condition | None, case: str
) -> tuple[str, ...]:
    """Return the same as whole sentences, which can follow each other in a line."""
    stop = texts.template(texts.SENTENCE, notice_language(facts, settings))
    lines = notice(verdict, facts, settings, Extras(case=case), condition=condition)
    return tuple(line if line.endswith((".", "!", "?", "。")) else stop.fill({"sentence": line}) for line in lines)


def problem_text(problem: Problem) -> str:
    """Return a problem as one English clause of ASCII: what, at which term, in whose record."""
    return ascii_line(texts.clause(problem, language(SOURCE)), _PROBLEM)


def _values(
    found: Advice, verdict: Verdict, facts: Facts, settings: Settings, language: Language, clean: _Clean
) -> dict[str, str]:
    check, problem, hostname = verdict.check, verdict.problem, ascii_line(facts.hostname)
    return {
        "address": str(found.address),
        "identity": "HELO" if found.identity is Identity.HELO else "MAIL FROM",
        "said": clean(check.as_sent, _LONG_NAME),
        "sender": clean(str(facts.reverse_path), _LONG_NAME),
        "domain": ascii_line(found.domain),
        "helo": clean(facts.helo or "", _LONG_NAME),
        "result": found.result,
        "term": ascii_line(found.term or "default", _LONG_NAME),
        "record_domain": ascii_line(found.record_domain),
        "problem": clean(texts.clause(problem, language), _PROBLEM) if problem is not None else "",
        "add": found.add,
        "contact": settings.reply.contact.fill({"hostname": hostname}),
        "hostname": hostname,
        "service": found.service.name if found.service is not None else "",
        "explanation": _quotable(verdict.explanation or ""),
        "at": ascii_line(problem.term or "", _LONG_NAME) if problem is not None else "",
        "where": ascii_line((problem.domain if problem is not None else None) or found.domain),
    }


def _quotable(explanation: str) -> str:
    """Return a domain's own words for use between quotation marks: one line, without such marks of its own."""
    return ascii_line(" ".join(explanation.split()).replace('"', "'"), 200)
