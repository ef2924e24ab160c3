"""Encoded words (RFC 2047) as the most liberal of their readers decode them.

Knows where readers differ: padding of base64, several words for one character, names of character sets. Knows only
character sets in which the name of a field could be written; a person would read garbage.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterator

BEGIN = "=?"
_WORD = re.compile(r"=\?([^?]*)\?([BbQq])\?([^?]*)\?=")
_BETWEEN = re.compile(r"[ \t\r\n\f\v]+")  # not shown between two words (RFC 2047 section 6.2)
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=]+")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
# Character sets in which a field's name is not in ASCII, as Perl names them. Of UTF-16 and UTF-32 nothing has to be
# known: without its zero octets, a name is in ASCII.
_UTF_7 = re.compile(r"utf[-_]?7", re.IGNORECASE)
_EBCDIC = re.compile(r"\b(?:cp|ibm|ms|windows)[-_ ]?(?:37|424|500|875|1026|1047)$|posix-bc", re.IGNORECASE)
_NESTED = re.compile(r"mime", re.IGNORECASE)
_ODD = re.compile("|".join(each.pattern for each in (_UTF_7, _EBCDIC, _NESTED)), re.IGNORECASE)
_HZ = re.compile(r"\bhz", re.IGNORECASE)
_HZ_SHIFTS = re.compile(rb"~[{}\n]")
# Octets that say how the next ones are to be read (ISO 2022) and show nothing; and zeros.
_UNSHOWN = re.compile(rb"\x1b[$(-/]*[@-~]|[\x0e\x0f\x00]")


def may_break(value: str) -> bool:
    """Return whether a reader may see a line break in a word: in most there is none, and nothing more to look at."""
    return any(_may_break(*word) for word in _WORD.findall(value))


def _may_break(charset: str, encoding: str, text: str) -> bool:
    if _ODD.search(charset.partition("*")[0]) is not None:
        return True
    if encoding in "qQ":
        return "=0" in text
    if "=" in text.rstrip("="):
        return True
    try:
        raw = a2b_base64(text)
    except ValueError:  # not ASCII, or not all of it is there
        return True
    return b"\n" in raw or b"\r" in raw


def nests(value: str) -> bool:
    """Return whether a word is of a character set whose text is words again (Perl's Encode::MIME::Header)."""
    return any(_NESTED.search(charset) is not None for charset, _, _ in _WORD.findall(value))


def readings(value: str) -> Iterator[str]:
    """Yield the value as readers may see it whose words are decoded.

    Where base64 has padding between its characters, one reader takes it for a zero, another for a slash. One that does
    not know a character set reads it as ASCII.

    Args:
        value: of a field.
    """
    for filler, knowing in (("A", True), ("/", True), ("A", False)):
        yield "".join(
            _decoded(charset if knowing or charset is None else "", raw) for charset, raw in _sections(value, filler)
        )


def _sections(value: str, filler: str) -> Iterator[tuple[str | None, bytes]]:
    """Yield character set and octets of each stretch of words, and of the text (None) between them.

    Words of one character set are read together: some writers divide a character between them.
    """
    charset: str | None = None
    held, place = b"", 0
    for word in _WORD.finditer(value):
        between = value[place : word.start()]
        if between and not (place and _BETWEEN.fullmatch(between)):
            yield charset, held
            charset, held = None, between.encode("utf-8", "surrogateescape")
        name = word[1].partition("*")[0].lower()  # RFC 2231 section 5: a language follows
        if name != charset:
            yield charset, held
            charset, held = name, b""
        held += _octets(word[2], word[3], filler)
        place = word.end()
    yield charset, held
    yield None, value[place:].encode("utf-8", "surrogateescape")


def _octets(encoding: str, text: str, filler: str) -> bytes:
    if encoding in "qQ":
        return _HEX.sub(
            lambda found: bytes([int(found[1], 16)]), text.replace("_", " ").encode("utf-8", "surrogateescape")
        )
    letters = _NOT_BASE64.sub("", text).rstrip("=").replace("=", filler)
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    return a2b_base64(letters + "=" * (-len(letters) % 4))


def _decoded(charset: str | None, raw: bytes) -> str:
    if charset is None:
        return raw.decode("utf-8", "surrogateescape")
    if _UTF_7.search(charset):
        return raw.decode("utf-7", "replace")
    if _EBCDIC.search(charset):
        return raw.decode("cp037").replace("\x85", "\n")  # some have the two kinds of line breaks the other way round
    if _HZ.search(charset):
        raw = _HZ_SHIFTS.sub(b"", raw)
    return _UNSHOWN.sub(b"", raw).decode("latin-1")
