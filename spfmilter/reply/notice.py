"""The notice of one case: the lines that a refused sender reads, and the sentences of a tagged message's header field.

Knows what the placeholders stand for, and in which language the client can read them. Sanitizes and shortens untrusted
input before it is shown: as ASCII, or as UTF-8 for a client that uses SMTPUTF8 (RFC 6531 section 3.7.4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from spfmilter.folding import is_foldable
from spfmilter.language import SOURCE, Language, available, closest, language
from spfmilter.model import Condition, Facts, Identity, Problem, Verdict
from spfmilter.reply import texts
from spfmilter.reply.advice import NO_CLUES, Advice, advice
from spfmilter.settings import Settings
from spfmilter.settings.names import AUTO
from spfmilter.spf.clues import Clues
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
    condition: Condition | None,
) -> tuple[str, ...]:
    """Return the lines that explain a verdict: identity, domain, address and term, what to change, and whom to ask.

    In a guessed language, the English text stands beside it.
    """
    guessed = extras.languages if AUTO in settings.reply.languages else ()
    chosen = notice_language(facts, settings, guessed)
    # Who has logged in already, and is checked all the same, is not told to log in.
    ours = not facts.authenticated and settings.reply.owns(verdict.check.domain, facts.hostname)
    found = advice(verdict, extras.clues, condition, own=ours)
    lines = _lines(found, verdict, facts, settings, extras, chosen)
    last = []
    if extras.link:
        last.append(texts.template(texts.DETAILS, chosen).fill({"url": extras.link}))
    if extras.case and not any(extras.case in line for line in lines):
        last.append(case_line(extras.case, chosen))
    if guessed and chosen.tag != SOURCE and not settings.reply.lines(verdict.result):
        english = _lines(found, verdict, facts, settings, extras, language(SOURCE))
        return in_both(english, lines, last)
    return (*lines, *last)


def _lines(
    found: Advice, verdict: Verdict, facts: Facts, settings: Settings, extras: Extras, language: Language
) -> list[str]:
    """Return the lines of a notice in one language, without the link and the case id."""
    clean = utf8_line if facts.smtputf8 else ascii_line
    values = _values(found, verdict, facts, settings, language, clean) | {"case": extras.case}
    own = settings.reply.lines(verdict.result)
    templates = own or tuple(texts.template(text, language) for text in texts.texts_of(found))
    filled = (clean(template.fill(values), MAX_LINE) for template in templates)
    lines = [line for line in filled if line.strip()]  # never none: the settings take no text without words
    if values["explanation"]:
        lines.insert(1, clean(texts.template(texts.EXPLANATION, language).fill(values), MAX_LINE))
    return lines


def in_both(english: Sequence[str], guessed: Sequence[str], last: Sequence[str]) -> tuple[str, ...]:
    """Return the notice in two languages.

    The first line is English, since many servers show only this line. The guessed language follows as a whole, and then
    the other English lines, as many as fit.
    """
    first, *others = english
    room = MAX_BOTH - sum(map(_size, (first, *guessed, *last)))
    for place, line in enumerate(others):
        room -= _size(line)
        if room < 0:
            others = others[:place]
            break
    return (first, *guessed, *others, *last)


def _size(line: str) -> int:
    """Return the octets of a line of the reply, with code, status and line feed: ``550-5.7.23``."""
    return len("550-5.7.23 ") + len(line.encode()) + 1


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
