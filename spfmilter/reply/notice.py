"""The notice of one case: the lines that a refused sender reads, and the sentences of a tagged message's header field.

Knows what the placeholders stand for, and in which language the client can read them. Sanitizes and shortens untrusted
input before it is shown: as ASCII, or as UTF-8 for a client that uses SMTPUTF8 (RFC 6531 section 3.7.4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spfmilter.folding import is_foldable
from spfmilter.language import PAGE_DOMAIN, SOURCE, Language, available, closest, language
from spfmilter.languagetable import MAX_NAMES, language_names
from spfmilter.model import Condition, Disposition, Facts, Identity, Problem, Verdict
from spfmilter.reply import flawtexts, texts
from spfmilter.reply.advice import NO_CLUES, Advice, advice
from spfmilter.settings import Settings
from spfmilter.settings.names import AUTO
from spfmilter.spf.clues import Clues
from spfmilter.spf.flaws import Flaw
from spfmilter.template import Template
from spfmilter.text import ascii_line, utf8_line

MAX_LINE = 480  # bytes: with code, status and CRLF inside the 512 of RFC 5321 section 4.5.3.1.5
# Octets of a notice in two languages. Postfix's client keeps 2048 of a reply for the bounce (line_length_limit), and
# drops the lines behind.
MAX_BOTH = 2000
_LONG_NAME = 120  # of what a client says of itself, where more would push aside what matters
_PROBLEM = 300

_Clean = Callable[[str, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """The content of a notice besides the verdict; looked up only where a message is refused, since it takes time."""

    clues: Clues = NO_CLUES  # to the client
    link: str = ""  # to the help page, for this very case
    case: str = ""  # the case id
    languages: tuple[str, ...] = ()  # that the sender probably reads, the likeliest first; for ``languages = auto``


def notice_language(facts: Facts, settings: Settings, guessed: Sequence[str] = ()) -> Language:
    """Return the first of the configured languages that can be shown to the client, or English.

    A client that takes only ASCII is shown a language in which ASCII can be read, without its accents.

    Args:
        facts: the client.
        settings: the configured languages.
        guessed: the languages that the sender probably reads, the likeliest first. If there are any, no others count.
    """
    for tag in _wanted(settings.reply.languages, guessed):
        found = language(tag)
        if facts.smtputf8 or texts.is_ascii(found):
            return found
        if is_foldable(tag):
            return found.in_ascii()
    return language(SOURCE)


def _wanted(configured: Sequence[str], guessed: Sequence[str]) -> Iterator[str]:
    """Yield the tags of the languages that may be shown, best first."""
    if guessed:
        yield from filter(None, (closest(tag, available()) for tag in guessed))
    else:
        yield from (tag for tag in configured if tag != AUTO)


def notice(
    verdict: Verdict,
    facts: Facts,
    settings: Settings,
    extras: Extras,
    *,
    disposition: Disposition,
    condition: Condition | None,
) -> tuple[str, ...]:
    """Return the lines that explain a verdict: what happened, the link, who can do what about it, and the case id.

    In a guessed language, the English text stands beside it. An administrator's own lines are followed by the domain's
    explanation, the link and the case id.

    Args:
        verdict: the one that decided.
        facts: the client, who is shown ASCII unless it uses SMTPUTF8.
        settings: the language, the administrator's own lines, the contact.
        extras: what was looked up, the link, the case id.
        disposition: what becomes of the message; one that is refused begins with that.
        condition: the condition whose policy entry applied; None: that of the plain result.
    """
    guessed = extras.languages if AUTO in settings.reply.languages else ()
    chosen = notice_language(facts, settings, guessed)
    # Who has logged in already, and is checked all the same, is not told to log in.
    ours = not facts.authenticated and settings.reply.owns(verdict.check.domain, facts.hostname)
    found = advice(verdict, extras.clues, condition, own=ours)

    own, clean = settings.reply.lines(verdict.result), utf8_line if facts.smtputf8 else ascii_line
    before = None if own else texts.BEFORE.get(disposition)

    def lines_in(language: Language) -> list[str]:
        values = _values(found, verdict, facts, settings, language, clean) | {"case": extras.case}
        templates = own or tuple(texts.template(text, language) for text in texts.texts_of(found, disposition))
        return _lines(templates, values, before, language, clean)

    lines = lines_in(chosen)
    link = [_help(extras.link, chosen)] if extras.link else []
    case = [case_line(extras.case, chosen)] if extras.case and not any(extras.case in line for line in lines) else []
    if own:
        return (*lines, *link, *case)
    if guessed and chosen.tag != SOURCE:
        return in_both(lines_in(language(SOURCE)), lines, link, case)
    return (lines[0], *link, *lines[1:], *case)


def _lines(
    templates: Sequence[Template], values: Mapping[str, str], before: str | None, language: Language, clean: _Clean
) -> list[str]:
    """Return the lines of a notice in one language, without the link and the line of the case id.

    ``before`` is the text that says what becomes of the message; the first line stands in it.
    """
    filled = (clean(template.fill(values), MAX_LINE) for template in templates)
    first, *others = (line for line in filled if line.strip())  # the settings take no text without words
    if before is not None:
        first = clean(texts.template(before, language).fill({"sentence": first}), MAX_LINE)
    if values["explanation"]:
        others.insert(0, clean(texts.template(texts.EXPLANATION, language).fill(values), MAX_LINE))
    return [first, *others]


def in_both(
    english: Sequence[str], guessed: Sequence[str], link: Sequence[str], last: Sequence[str]
) -> tuple[str, ...]:
    """Return the notice in two languages.

    The first line is English, since many servers show only this line. The link and the whole notice in the guessed
    language follow, and then the other English lines, as many as fit.
    """
    first, *others = english
    room = MAX_BOTH - sum(map(_size, (first, *link, *guessed, *last)))
    for place, line in enumerate(others):
        room -= _size(line)
        if room < 0:
            others = others[:place]
            break
    return (first, *link, *guessed, *others, *last)


def _size(line: str) -> int:
    """Return the octets of a line of the reply, with code, status and line feed: ``550-5.7.23``."""
    return len("550-5.7.23 ") + len(line.encode()) + 1


def _help(url: str, language: Language) -> str:
    line = texts.template(texts.HELP, language)
    room = MAX_LINE - len(line.fill({"url": url, "languages": ""}).encode())
    return line.fill({"url": url, "languages": language_names(available(PAGE_DOMAIN), min(room, MAX_NAMES))})


def case_line(case: str, language: Language) -> str:
    """Return the line that names the case id."""
    return texts.template(texts.CASE, language).fill({"case": case})


def sentences(
    verdict: Verdict, facts: Facts, settings: Settings, *, condition: Condition | None, case: str
) -> tuple[str, ...]:
    """Return the notice of an accepted message as whole sentences, which can follow each other in a line."""
    stop = texts.template(texts.SENTENCE, notice_language(facts, settings))
    lines = notice(verdict, facts, settings, Extras(case=case), disposition=Disposition.TAG, condition=condition)
    return tuple(line if line.endswith((".", "!", "?", "。")) else stop.fill({"sentence": line}) for line in lines)


def problem_text(problem: Problem) -> str:
    """Return a problem as one English clause of ASCII: what, at which term, in whose record."""
    return ascii_line(texts.clause(problem, language(SOURCE)), _PROBLEM)


def flaw_text(flaw: Flaw) -> str:
    """Return in English, as one line of ASCII, how to correct a flaw of a record."""
    filled = texts.template(flawtexts.flaw_text(flaw), language(SOURCE)).fill(_values_of_flaw(flaw, ascii_line))
    return ascii_line(filled, MAX_LINE)


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
        "problem": clean(texts.clause(problem, language, known=found.domain), _PROBLEM) if problem is not None else "",
        "add": found.add,
        "contact": settings.reply.contact.fill({"hostname": hostname}),
        "hostname": hostname,
        "service": found.service.name if found.service is not None else "",
        "explanation": _quotable(verdict.explanation or ""),
        "at": ascii_line(problem.term or "", _LONG_NAME) if problem is not None else "",
        "where": ascii_line((problem.domain if problem is not None else None) or found.domain),
        **_values_of_names(found, clean),
    }


def _values_of_names(found: Advice, clean: _Clean) -> dict[str, str]:
    """Return the placeholders' values for what names and flaws show about the client and the domain."""
    provider = found.provider
    return {
        "server": provider.server if provider is not None else "",
        "port": str(provider.port) if provider is not None else "",
        "services": ", ".join(service.name for service in found.listed),
        "client_name": ascii_line(found.client_name, _LONG_NAME),
        "organization": ascii_line(found.other_organization, _LONG_NAME),
        **_values_of_flaw(found.flaws[0] if found.flaws else None, clean),
    }


def _values_of_flaw(flaw: Flaw | None, clean: _Clean) -> dict[str, str]:
    return {
        "flaw": clean(flaw.term, _LONG_NAME) if flaw is not None else "",
        "flaw_domain": ascii_line(flaw.domain) if flaw is not None else "",
        "instead": clean(flaw.instead, _LONG_NAME) if flaw is not None else "",
        "cause": clean(flaw.cause, _LONG_NAME) if flaw is not None else "",
    }


def _quotable(explanation: str) -> str:
    """Return a domain's own words for use between quotation marks: one line, without such marks of its own."""
    return ascii_line(" ".join(explanation.split()).replace('"', "'"), 200)
