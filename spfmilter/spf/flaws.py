"""Find what is wrong in an SPF record although its owner meant it otherwise, and what to write instead.

Knows terms without effect, misspelled terms, TXT strings that are nearly an SPF record, and the place of the term that
would allow a client. Knows no words, and changes no result. The texts are untrusted input and are kept as they came.
Every correction that is returned leaves a valid record valid. Takes time that is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import ip_address

from spfmilter.model import Result
from spfmilter.spf import record, spelling
from spfmilter.spf.record import Directive
from spfmilter.spf.spelling import VERSION, Spelling, Words


class FlawKind(StrEnum):
    """What is wrong. The most important kind comes first: where a record has several flaws, they have this order."""

    VERSION = "version"  # the beginning, so that this is no SPF record at all
    CHARACTERS = "characters"  # typographic quotes, no-break spaces and the like
    NEAR_MISS = "near-miss"  # misspelled in another way
    JOINED = "joined"  # a blank is missing between two terms
    INCOMPLETE = "incomplete"  # the address or domain is missing
    UNKNOWN_MODIFIER = "unknown-modifier"  # ``ip4=`` is an unknown modifier, which has no effect (RFC 7208 section 6)
    ITSELF = "itself"  # the record includes itself
    TWO_RECORDS = "two-records"  # two records in one text
    PRESENT = "present"  # the term that would be added stands behind ``cause``, which decided
    QUALIFIER = "qualifier"  # it stands there, but its qualifier does not allow what it lists
    BEHIND_ALL = "behind-all"  # terms behind all are never read (section 5.1)
    REDIRECT_BESIDE_ALL = "redirect-beside-all"  # redirect= is never read beside all (section 6.1)
    VOID = "void"  # names that the DNS does not know
    MACRO_VOID = "macro-void"  # the same for a name made from a macro, about which its owner has to be asked
    DMARC = "dmarc"  # parts of a DMARC record
    SECOND_ALL = "second-all"


# They keep nothing from being allowed: a record's owner should know, but a refused sender has another problem.
HARMLESS = frozenset({FlawKind.DMARC, FlawKind.SECOND_ALL})

# What ``mended`` leaves in a record, since only its owner can decide about it.
UNMENDED = frozenset({FlawKind.PRESENT, FlawKind.QUALIFIER, FlawKind.VOID, FlawKind.MACRO_VOID})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is wrong in a record.

    Attributes:
        kind: what is wrong.
        term: what is wrong, as published.
        domain: whose record it is.
        instead: what to write in place of ``term``; empty: see ``kind``, or remove it.
        cause: the term because of which ``term`` has no effect; for MACRO_VOID, the domain whose owner is to be asked.
        present: the term that would be added stands here: it allows the client once the flaw is corrected.
    """

    kind: FlawKind
    term: str
    domain: str
    instead: str = ""
    cause: str = ""
    present: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the evaluation of a record has shown.

    Attributes:
        adds: the terms that would allow the client.
        term: the term that decided, or at which a limit was exceeded; empty: none.
        void: the names in lower case that the DNS does not know; empty unless that is why the evaluation ended.
    """

    adds: tuple[str, ...] = ()
    term: str = ""
    void: frozenset[str] = frozenset()


NOTHING_SEEN = Seen()

_KINDS = {
    Spelling.WRONG: FlawKind.NEAR_MISS,
    Spelling.CHARACTERS: FlawKind.CHARACTERS,
    Spelling.JOINED: FlawKind.JOINED,
    Spelling.EQUALS: FlawKind.UNKNOWN_MODIFIER,
    Spelling.INCOMPLETE: FlawKind.INCOMPLETE,
    Spelling.SECOND: FlawKind.TWO_RECORDS,
}
_ORDER = {kind: place for place, kind in enumerate(FlawKind)}
_CUSTOMER = {"ip4": 24, "ip6": 48}  # the smallest network that one customer of a provider usually has
_LARGEST = {"ip4": 8, "ip6": 16}  # prefixes of the largest networks that one organization has
_MAX_LOOKUPS = 10  # RFC 7208 section 4.6.4


def flaws_of(text: str, domain: str, seen: Seen = NOTHING_SEEN) -> tuple[Flaw, ...]:
    """Return the flaws of a text that is meant as the SPF record of a domain, the most important one first.

    Empty: none is known, or the text is not meant to be an SPF record.
    """
    meant = _read(text, domain)
    if meant is None:
        return ()
    found = [*_misspelled(meant), *_without_effect(meant, seen.adds), *_about(meant, seen)]
    marked = [flaw if flaw.present else replace(flaw, present=_allows(flaw, meant, seen.adds)) for flaw in found]
    return tuple(sorted(marked, key=lambda flaw: (flaw.kind in HARMLESS, not flaw.present, _ORDER[flaw.kind])))


def mended(text: str, domain: str) -> str:
    """Return the record as it is meant, with all flaws corrected that can be; empty: nothing is to be corrected."""
    meant = _read(text, domain)
    if meant is None or not _is_typed(meant.mended):
        return ""
    words = [word for word in text.split(" ") if word]
    return "" if words == meant.mended.split(" ") and not text.startswith(" ") else meant.mended


def meant_record(texts: Iterable[bytes]) -> str:
    """Return the TXT string of a domain that is its SPF record, else one that is meant to be; empty: there is none.

    Also empty if there are several records, which is a problem of its own.
    """
    strings = sorted(set(texts))
    records = [text for text in strings if record.VERSION.match(text)]
    if records:
        return decoded(records[0]) if len(records) == 1 else ""
    return next((text for text in map(decoded, strings) if spelling.read(text)), "")


def decoded(text: bytes) -> str:
    """Return a TXT string as text. What is not UTF-8 was typed on a Windows computer, most likely."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


# -- the record that is meant ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Meant:
    """A record as it is meant."""

    domain: str
    parts: tuple[Words, ...]  # the words of the text
    own: frozenset[Words]  # those that lead back to the record itself
    terms: tuple[str, ...]  # in the order in which they stand; without the version
    directives: tuple[Directive, ...]  # the same; empty if some term is wrong in a way that is not known
    mended: str  # the whole record; empty in that case


def _read(text: str, domain: str) -> _Meant | None:
    """Read a text; None: it is no record, or there is no correction that leaves it valid, or closed to strangers."""
    parts = spelling.read(text)
    if not parts:
        return None
    # What is joined to the version is in one word with it: "v=spf1include:example.com".
    first = replace(parts[0], terms=tuple(term for term in parts[0].terms if not _leads_to(term, domain)))
    parts = (first, *parts[1:])
    own = frozenset(part for part in parts[1:] if any(_leads_to(term, domain) for term in part.terms))
    version, *terms = [term for part in parts if part not in own for term in part.terms]
    published = record.VERSION.match(text.encode(errors="replace")) is not None and record.is_valid(text)
    whole = " ".join([version, *_ordered(terms)])
    if not record.is_valid(whole):
        return None if published else _Meant(domain, parts, own, tuple(terms), (), "")
    if published and _lookups(_effective(terms_of(text))) <= _MAX_LOOKUPS < _lookups(_effective(terms_of(whole))):
        return None
    directives = record.directives(terms)
    if any(map(_is_for_all, directives)):
        return None
    return _Meant(domain, parts, own, tuple(terms), directives, whole)


def _is_for_all(one: Directive) -> bool:
    """Return whether a directive allows networks that no organization has: with an effect, it would allow everyone."""
    return one.result is Result.PASS and _is_wider(one, _LARGEST)


def terms_of(text: str) -> list[str]:
    """Return the terms of a record, without its version."""
    return [term for term in text.split(" ")[1:] if term]


def _leads_to(term: str, domain: str) -> bool:
    mechanism = term.lstrip("+-~?").lower().removesuffix(".")
    return mechanism in {f"{name}{target}" for name in ("include:", "redirect=") for target in (domain.lower(), "%{d}")}


def _is_all(term: str) -> bool:
    return term.lstrip("+-~?").lower() == "all"


def _is_redirect(term: str) -> bool:
    return term[:9].lower() == "redirect="


def _effective(terms: Sequence[str]) -> Sequence[str]:
    """Return the terms that can be evaluated."""
    end = next((place for place, term in enumerate(terms) if _is_all(term)), None)
    return terms if end is None else terms[:end]


def _lookups(terms: Iterable[str]) -> int:
    names = (_NAME_END.split(term.lstrip("+-~?"), maxsplit=1)[0].lower() for term in terms)
    return sum(name in record.LOOKUP_MECHANISMS or name == "redirect" for name in names)


@dataclass(frozen=True, slots=True)
class _Order:
    """What stands where, seen from the first all."""

    all: str  # empty: there is none, or it allows every host
    before: list[str]
    behind: list[str]  # directives behind it
    more: list[str]  # further terms all
    modifiers: list[str]  # behind it
    redirect: str  # anywhere


def _order(terms: Sequence[str]) -> _Order:
    place = next((place for place, term in enumerate(terms) if _is_all(term)), len(terms))
    if place == len(terms) or terms[place][0] not in "-~?":
        return _Order("", list(terms), [], [], [], "")
    rest = terms[place + 1 :]
    modifiers = [term for term in rest if _MODIFIER.match(term)]
    return _Order(
        all=terms[place],
        before=list(terms[:place]),
        behind=[term for term in rest if not _is_all(term) and _MODIFIER.match(term) is None],
        more=[term for term in rest if _is_all(term)],
        modifiers=modifiers,
        redirect=next(filter(_is_redirect, terms), ""),
    )


def _ordered(terms: Sequence[str]) -> list[str]:
    """Return the terms in an order in which each has an effect."""
    order = _order(terms)
    ends = [order.all] if order.all and not order.redirect else []
    return [*order.before, *order.behind, *ends, *order.modifiers]


_NAME_END = re.compile(r"[:=/]")
_MODIFIER = re.compile(r"[a-z][a-z0-9_.-]*=", re.IGNORECASE)


def _is_typed(text: str) -> bool:
    return text.isascii() and text.isprintable()


# -- the finders -------------------------------------------------------------------------------------------------------


def _misspelled(meant: _Meant) -> Iterator[Flaw]:
    domain = meant.domain
    dmarc = [part.raw for part in meant.parts if part.spelling is Spelling.DMARC]
    if dmarc:
        yield Flaw(kind=FlawKind.DMARC, term=" ".join(dmarc), domain=domain)
    for place, part in enumerate(meant.parts):
        if part in meant.own:
            yield Flaw(kind=FlawKind.ITSELF, term=part.raw, domain=domain)
        elif part.spelling is Spelling.SECOND and place == 1:
            raw = f"{meant.parts[0].raw} {part.raw}"
            yield Flaw(kind=FlawKind.NEAR_MISS, term=raw, instead=VERSION, domain=domain)
        elif part.spelling is not None and part.spelling is not Spelling.DMARC:
            kind = _KINDS[part.spelling]
            if place == 0:
                kind = FlawKind.VERSION
            yield Flaw(kind=kind, term=part.raw, instead=" ".join(part.terms), domain=domain)


def _without_effect(meant: _Meant, adds: tuple[str, ...]) -> Iterator[Flaw]:
    order = _order(meant.terms)
    if not order.all or not meant.mended:
        return
    if order.behind:
        wanted = [one.text for one in record.directives(order.behind) if _covers(one, adds)][:1]
        behind = " ".join(wanted or order.behind)
        instead = f"{behind} {order.all}"
        yield Flaw(kind=FlawKind.BEHIND_ALL, term=behind, instead=instead, cause=order.all, domain=meant.domain)
    if order.redirect:
        yield Flaw(kind=FlawKind.REDIRECT_BESIDE_ALL, term=order.all, cause=order.redirect, domain=meant.domain)
    elif order.more:
        more = " ".join(order.more)
        yield Flaw(kind=FlawKind.SECOND_ALL, term=more, cause=order.all, domain=meant.domain)


def _about(meant: _Meant, seen: Seen) -> Iterator[Flaw]:
    """Yield the flaws that only an evaluation shows."""
    published = {part.raw for part in meant.parts if part.spelling is None}
    directives = [one for one in meant.directives if one.text in published]
    texts = [one.text for one in directives]
    place = next((place for place, one in enumerate(directives) if _covers(one, seen.adds)), None)
    decided = texts.index(seen.term) if seen.term in texts else None
    if place is not None and decided is not None and not _is_all(seen.term):
        here = directives[place]
        if place == decided and here.result is not Result.PASS and not _is_wider(here, _CUSTOMER):
            plain = here.text.lstrip("+-~?")
            yield Flaw(kind=FlawKind.QUALIFIER, term=here.text, instead=plain, domain=meant.domain, present=True)
        elif place > decided and here.result is Result.PASS:
            yield Flaw(kind=FlawKind.PRESENT, term=here.text, cause=seen.term, domain=meant.domain, present=True)
    yield from _void(meant, seen.void)


def _is_wider(one: Directive, prefixes: Mapping[str, int]) -> bool:
    """Return whether a directive lists a network that is wider than the prefix for its family."""
    return (one.prefix4 if one.mechanism == "ip4" else one.prefix6) < prefixes.get(one.mechanism, 0)


def _void(meant: _Meant, void: frozenset[str]) -> Iterator[Flaw]:
    gone = []
    for one in meant.directives if void else ():
        if one.target is None or one.target.letters - {"d", "o"}:  # a name of the client's choice is never void
            continue
        if one.target.expand_domain(lambda _: meant.domain).lower() in void:
            if one.target.letters:
                owner = str(one.target.parts[-1]).lstrip(".")
                yield Flaw(kind=FlawKind.MACRO_VOID, term=one.text, cause=owner, domain=meant.domain)
            else:
                gone.append(one.text)
    if gone:
        yield Flaw(kind=FlawKind.VOID, term=" ".join(gone), domain=meant.domain)


# -- the term that would be added --------------------------------------------------------------------------------------


def _allows(flaw: Flaw, meant: _Meant, adds: tuple[str, ...]) -> bool:
    """Return whether the correction of a flaw lets the term in that would be added."""
    if not adds:
        return False
    terms = meant.terms if flaw.kind is FlawKind.VERSION else flaw.instead.split(" ")
    return any(one.result is Result.PASS and _covers(one, adds) for one in record.directives(terms))


def _covers(one: Directive, adds: tuple[str, ...]) -> bool:
    """Return whether a directive lists what one of the terms lists: an address, or the servers of an include."""
    for add in adds:
        if add[:4] in {"ip4:", "ip6:"}:
            address = ip_address(add[4:])
            if one.lists(int(address), address.max_prefixlen):
                return True
        elif one.text.lstrip("+-~?").lower() == add.lower():
            return True
    return False
