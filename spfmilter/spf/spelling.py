"""Read a TXT string that is meant to be an SPF record as its author meant it, word by word.

Knows the mistakes that people make when they type or paste a record: wrong separators, quotes, blanks and look-alikes
of ASCII characters. Does not know whether a term has an effect (``flaws``). Each correction is a valid term. All
functions take time that is linear in the length of the text, and none of them raises.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, ip_network

from spfmilter.addresses import a_labels, dns_domain
from spfmilter.spf import record

VERSION = "v=spf1"
_ANY = r"include|exists|redirect|ip4|ip6|ptr|exp|a|mx"


class Spelling(StrEnum):
    """How the text of a term differs from what is meant."""

    WRONG = "wrong"  # in another way than these
    CHARACTERS = "characters"  # it has characters that are not visible ASCII
    JOINED = "joined"  # a blank is missing between two terms
    EQUALS = "equals"  # a mechanism with = is an unknown modifier, which has no effect
    INCOMPLETE = "incomplete"  # the address or domain is missing
    DMARC = "dmarc"  # it belongs into the DMARC record
    SECOND = "second"  # another v=spf1


@dataclass(frozen=True, slots=True)
class Words:
    """Some words of a text, and the terms that are meant."""

    raw: str  # as published
    terms: tuple[str, ...]
    spelling: Spelling | None = None  # None: it is right


def read(text: str) -> tuple[Words, ...]:
    """Return the parts of a text; the first one is its version. Empty: it is not meant to be an SPF record.

    A text is not read if it is longer than a record may be, or has more mistakes than a person makes.
    """
    if len(text) > record.MAX_RECORD:
        return ()
    head = _version(text)
    if head is None:
        return ()
    version, rest = head
    words = [word for word in rest.split(" ") if word]
    parts = (version, *_parts(words[: record.MAX_TERMS + 1]))
    if len(words) > record.MAX_TERMS or parts[-1] is _GIVEN_UP:
        return ()
    meant = VERSION in _straight(version.raw).lower() or any(
        _TYPICAL.match(term) for part in parts for term in part.terms
    )
    return parts if meant else ()


# -- characters --------------------------------------------------------------------------------------------------------

_LOOK_ALIKES = {
    **dict.fromkeys("“”„‟«»‹›″〝〞＂「」『』", '"'),
    **dict.fromkeys("‘’‚‛′＇´", "'"),
    **dict.fromkeys("‐‑‒–—―−－", "-"),
    **dict.fromkeys("～〜˜∼", "~"),
    **dict.fromkeys("、，；", ","),
    "。": ".",
}


@functools.lru_cache(maxsize=512)
def _plain(character: str) -> str:
    """Return the visible ASCII that a character stands for, a blank, or nothing; else the character itself."""
    if "!" <= character <= "~":
        return character
    if "\x80" <= character <= "\x9f":  # of Windows, read as Latin-1
        character = character.encode("latin-1").decode("cp1252", "replace")
    category = unicodedata.category(character)
    if category == "Cf":  # zero-width characters, byte order marks, soft hyphens
        return ""
    if category in {"Zs", "Zl", "Zp", "Cc"}:
        return " "
    found = _LOOK_ALIKES.get(character) or unicodedata.normalize("NFKC", character)
    return found if found.isascii() and found.isprintable() and " " not in found else character


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _straight(text: str) -> str:
    """Return a text in ASCII as far as its characters have a plain form. Quotation marks become blanks."""
    if not _is_plain(text):
        text = "".join(map(_plain, text))
    return _QUOTES.sub(" ", text)


_QUOTES = re.compile(r'\\*["`]|\\+(?=[;, ]|\Z)')

# -- the version -------------------------------------------------------------------------------------------------------

# What stands before it is a line of a zone file, or nothing that counts.
_HEAD = re.compile(
    r"(?:(?:[^ ]{1,254} ){0,4}?TXT )?[^0-9A-Za-z]{0,4}"
    r"(?:v ?[=:-]{0,2} ?(?:spf|sfp|psf|sp) ?(?:[-=]?v?(?:[0-9]{1,2}|[lI])(?:\.[0-9])?)?|spf[-=]?v?1)"
    r"(?:[\"';:,.= ]{0,4}(?: |\Z)|[\"';:,= ]{0,4})",
    re.IGNORECASE,
)
_EXACT = re.compile(r"v=spf1(?: |\Z)", re.IGNORECASE)
_WINDOW = 400  # characters in which the version ends


def _version(text: str) -> tuple[Words, str] | None:
    """Return the version of a text as a part, and the rest of the text; None: it has none."""
    if _EXACT.match(text):
        return Words(text[:6], (text[:6],)), text[7:]
    window = text[:_WINDOW]
    straight = [(place, found) for place, character in enumerate(window) for found in _plain(character)]
    found = _HEAD.match("".join(character for _, character in straight))
    if found is None or not found[0].strip() or "spf2.0" in found[0].lower():  # spf2.0 is Sender ID (RFC 4406)
        return None
    end = straight[found.end()][0] if found.end() < len(straight) else len(window)
    if end == len(window) < len(text):
        return None
    raw, rest = text[:end], text[end:]
    if raw.strip(" ").lower() == VERSION:
        raw = raw.rstrip(" ") if raw.startswith(" ") else raw.strip(" ")
    if raw.lower() != VERSION:
        spelling = Spelling.WRONG if _is_plain(raw) else Spelling.CHARACTERS
        return Words(raw.rstrip(" ") or raw, (VERSION,), spelling), rest
    word, _, rest = rest.partition(" ")  # the next term is joined to the version
    terms = tuple(_term(piece)[0] for piece in _pieces(word))
    if not terms or not all(map(_is_term, terms)):
        return None
    return Words(raw + word, (VERSION, *terms), Spelling.JOINED), rest


# Terms that only SPF records have.
_TYPICAL = re.compile(
    r"[-+~?]all\Z|all\Z|[-+~?]?(?:include|exists|ip4|ip6|a|mx|ptr)[:/]|[-+~?]?mx\Z|redirect=", re.IGNORECASE
)

# -- words -------------------------------------------------------------------------------------------------------------

_STARTS_TERM = re.compile(rf"[-+~?]?(?:all\Z|(?:{_ANY}|ip|ipv4|ipv6|v|all)[:=/]|(?:a|mx|ptr)\Z)", re.IGNORECASE)
_OPEN = re.compile(rf"[-+~?]?(?:{_ANY}|ip|ipv4|ipv6)[:=]", re.IGNORECASE)
_NAME = re.compile(rf"[-+~?]?(?:{_ANY}|ip|ipv4|ipv6)", re.IGNORECASE)
_NAME_WITH_VALUE = re.compile(r"[-+~?]?(?:include|exists|ip4|ip6|ip|ipv4|ipv6|redirect)", re.IGNORECASE)
_NETWORK = re.compile(r"[-+~?]?(?:ip4|ip6|a|mx)(?::[^/]*)?", re.IGNORECASE)
_PREFIX = re.compile(r"/[0-9]{1,3}")
_MOST_WORDS = 4  # of one part
_MOST_PIECES = 100  # that need a closer look
_GIVEN_UP = Words("", ())


def _parts(words: list[str]) -> Iterator[Words]:
    place = examined = 0
    while place < len(words):
        raw = words[place]
        place += 1
        if _KNOWN.fullmatch(raw) and _is_term(raw) and not _continues(words[place : place + 1]):
            yield Words(raw, (raw,))
            continue
        pieces = _pieces(raw)
        examined += max(1, len(pieces))
        if examined > _MOST_PIECES:
            yield _GIVEN_UP
            return
        for _ in range(_MOST_WORDS - 1):
            following = _pieces(words[place]) if pieces and place < len(words) else []
            between = _between(pieces[-1], following[0]) if following else None
            if between is None:
                break
            raw = f"{raw} {words[place]}"
            pieces[-1] += between + following[0]
            pieces += following[1:]
            place += 1
        yield _part(raw, pieces)


def _continues(following: list[str]) -> bool:
    """Return whether the next word may be the rest of a term that is valid without it, as in ``ip4:192.0.2.0 /24``."""
    return any(word[0] in ":=/" or not word.isascii() for word in following)


def _between(last: str, first: str) -> str | None:
    """Return what belongs between two words of one term, for the most part nothing; None: they are two terms."""
    if last in {"-", "+", "~", "?"}:
        return "" if first[:1].isalpha() else None
    if first[0] in ":=" and _NAME.fullmatch(last):
        return ""
    if (_PREFIX.fullmatch(first) and _NETWORK.fullmatch(last)) or (last[-1] == "/" and first.isdigit()):
        return ""
    if _STARTS_TERM.match(first):
        return None
    if _OPEN.fullmatch(last):
        return ""
    if _NAME_WITH_VALUE.fullmatch(last) and ("." in first or first.count(":") > 1):
        return "=" if last.lower() == "redirect" else ":"
    return None


# Two terms without a blank between them, as where the strings of one TXT record are joined.
_JOINT = re.compile(
    r"(?<=[A-Za-z0-9./}])(?=[-+~?]?(?:include:|ip4:|ip6:|exists:)|redirect=|v=spf1|v=dmarc1|[-~?+]all(?:\Z|v=))",
    re.IGNORECASE,
)
_AFTER_IP4 = re.compile(r"([-+~?]?ip4:[0-9./]+[0-9])([-+~?]?(?:a|mx|ptr|all)(?:[:/].*)?)", re.IGNORECASE | re.DOTALL)
_TWICE = re.compile(r"([-+~?]?)(include:|exists:|ip4:|ip6:|redirect=)(?:\2)+", re.IGNORECASE)


def _pieces(word: str) -> list[str]:
    """Return the terms that are written as one word, separators between them gone."""
    return [piece for text in _straight(word).split(" ", _MOST_PIECES) if text for piece in _split(text)]


def _split(text: str) -> Iterator[str]:
    for word in [text.strip(",;")] if "%{" in text else re.split("[,;]+", text, maxsplit=_MOST_PIECES):
        once = _TWICE.sub(r"\1\2", word.strip("'<>()[]"))
        for piece in _JOINT.split(once, _MOST_PIECES):
            two = _AFTER_IP4.fullmatch(piece)
            yield from filter(None, two.groups() if two else (piece,))


def _part(raw: str, pieces: list[str]) -> Words:
    """Return words as a part. What cannot be corrected with certainty stays as it is."""
    found = [_term(piece) for piece in pieces]
    terms = tuple(term for term, _ in found if term)
    if terms == (raw,) or not all(map(_is_term, terms)):
        return Words(raw, (raw,))
    special = next((spelling for _, spelling in found if spelling is not None), None)
    if special is not None:
        return Words(raw, terms, special)
    if not _is_plain(raw):
        return Words(raw, terms, Spelling.CHARACTERS)
    return Words(raw, terms, Spelling.JOINED if len(terms) > 1 else Spelling.WRONG)


def _is_term(term: str) -> bool:
    return record.is_valid(f"{VERSION} {term}")


# -- one term ----------------------------------------------------------------------------------------------------------

# A term that is clearly what it is meant to be, if it is valid.
_KNOWN = re.compile(
    r"[-+~?]?(?:all|(?:include|exists|ptr):[^:=/]+(?<![-+~?]all)|(?:a|mx)(?::[^:=/]+(?<![-+~?]all))?(?:/.*)?|ptr|ip[46]:[^=]+)|(?:redirect|exp)=.+",
    re.IGNORECASE | re.DOTALL,
)
_TERM = re.compile(r"([-+~?]*)([A-Za-z][A-Za-z0-9_-]*)(\.?)([:=]?)(.*)", re.DOTALL)
_DMARC = re.compile(r"v=dmarc1|(?:p|sp)=(?:none|quarantine|reject)|(?:rua|ruf)=.*|(?:adkim|aspf)=[rs]", re.IGNORECASE)
_SCHEME = re.compile(r"(?:https?|mailto):/{0,2}", re.IGNORECASE)
_SPF_HOST = re.compile(r"_?spf[0-9a-z_-]*\.[0-9a-z._-]+", re.IGNORECASE)
# Names that people write, and what they mean.
_MEANT = {
    **record.MISTAKEN_NAMES,
    "ipv": "ip4", "ip-4": "ip4", "ip_4": "ip4", "ip5": "ip4", "ip4v": "ip4", "i4": "ip4", "pi4": "ip4",
    "ip-6": "ip6", "ip_6": "ip6", "ip6v": "ip6", "pi6": "ip6",
    "al": "all", "alll": "all", "aall": "all", "ll": "all", "lal": "all",
    "inlcude": "include", "incldue": "include", "inclde": "include", "incude": "include", "inclue": "include",
    "inculde": "include", "includ": "include", "includes": "include", "included": "include", "includde": "include",
    "nclude": "include", "icnlude": "include", "iclude": "include", "inclube": "include", "include_": "include",
    "exist": "exists", "exits": "exists",
    "redirct": "redirect", "rediret": "redirect", "redirec": "redirect", "redirects": "redirect",
    "redirection": "redirect", "redierct": "redirect",
}  # fmt: skip


def _term(piece: str) -> tuple[str, Spelling | None]:
    """Return the term that is meant, empty if it is to be removed, and what is special about the mistake."""
    if piece.lower() == VERSION or _DMARC.fullmatch(piece):
        return "", Spelling.SECOND if piece.lower() == VERSION else Spelling.DMARC
    if family := _family(piece):
        return f"{family}:{_network(piece)}", None
    if _SPF_HOST.fullmatch(piece):
        return f"include:{piece}", None
    found = _TERM.fullmatch(piece)
    return _named(piece, *found.groups()) if found is not None else (piece, None)


def _named(piece: str, signs: str, written: str, dot: str, separator: str, value: str) -> tuple[str, Spelling | None]:
    name = _MEANT.get(written.lower(), written.lower())
    qualifier = signs[:1] if signs.strip(signs[:1]) == "" else ""
    if signs and not qualifier:  # "-+all" must not become "all", which allows every host
        return piece, None
    if name == "all":
        sure = not value.strip(".:=/") and (qualifier or written.lower() == "all")
        return (f"{qualifier}all", None) if sure else (piece, None)
    if name in {"redirect", "exp"} and not signs:
        if dot or not separator:
            return piece, None
        return (f"{name}={_domain(value)}", None) if value else ("", Spelling.INCOMPLETE)
    if name not in record.MECHANISMS or dot:
        return piece, None
    return _mechanism(qualifier, name, separator, value)


def _mechanism(qualifier: str, name: str, separator: str, value: str) -> tuple[str, Spelling | None]:
    spelling = Spelling.EQUALS if separator == "=" else None
    family = _family(value)
    if name in {"ip4", "ip6"} or family:
        if not value or (value[0] == "/" and not family):
            return "", Spelling.INCOMPLETE
        if family:
            return f"{qualifier}{family}:{_network(value)}", spelling
        host = dns_domain(_domain(value))  # a name in place of an address
        return (f"{qualifier}a:{host}" if host else f"{qualifier}{name}:{value}"), spelling
    if not value:
        if name in {"include", "exists"}:
            return "", Spelling.INCOMPLETE
        return f"{qualifier}{name}", spelling
    if not separator:
        return f"{qualifier}{name}{value}", None
    return f"{qualifier}{name}:{_domain(value)}", spelling


def _domain(value: str) -> str:
    """Return the domain that a value means: without the parts of a URL or a mail address, in A-labels."""
    if "%{" in value:
        return value
    scheme = _SCHEME.match(value)
    value = value[scheme.end() if scheme else 0 :].rpartition("@")[2].lstrip("*.") or value
    if not value.isascii():
        value = a_labels(value) or value
    return value.rstrip(",;")


_MASK = re.compile(r"([0-9.]+)/([0-9.]+\.[0-9]+)")
_ZEROS = re.compile(r"(?<![0-9a-f:.])0+(?=[0-9])|(?<=[./])0+(?=[0-9])")


def _network(value: str) -> str:
    """Return an address or network as a record has it."""
    text = value.lstrip("+=").rstrip("./")
    text = text[1:] if text[:1] == ":" != text[1:2] else text
    text = _ZEROS.sub("", text) if ":" not in text else text
    if masked := _MASK.fullmatch(text):
        bits = IPv4Network(text, strict=False).prefixlen
        return f"{masked[1]}/{bits}" if bits else value  # a mask that allows every host is not meant
    return text


def _family(value: str) -> str:
    """Return which mechanism lists an address or network: ip4 or ip6; empty: it is neither."""
    if len(value) > 80 or not value or value[0] not in "0123456789abcdefABCDEF+:=":
        return ""
    try:
        return f"ip{ip_network(_network(value), strict=False).version}"
    except ValueError:
        return ""
