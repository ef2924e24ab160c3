"""The Subject field of a tagged message, with a prefix that people and their filters see.

Knows encoded words (RFC 2047) as far as is needed to put words before them and to see whether they are there already.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from email.errors import MessageError
from email.header import Header, decode_header

from spfmilter.edits import HeaderField, Replacement

SUBJECT = "Subject"
_LINE = 78  # characters (RFC 5322 section 2.1.1)
_DECODED_LIMIT = 2048  # characters of a subject that are decoded: mail programs show fewer
# What people see before a prefix that they still see: "Re:", "Fwd:" and their like in other languages.
_ANSWERED = re.compile(r"\s{0,3}(?:[^\s:\uff1a]{1,12}[:\uff1a]\s{0,3}){0,5}")
_LOOSE_BREAK = re.compile(r"\n(?![ \t])")  # of a line that no blank continues: the field would end there
_BAD = re.compile("[\udc80-\udcff]")  # bytes that are no UTF-8, as Python reads them
_CHARSET = re.compile(
    r"(?:us-)?ascii|utf-?8|iso-?8859-\d+|(?:windows-|cp)\d+|gb2312|gbk|gb18030|big5(?:-hkscs)?|iso-2022-(?:jp|kr)|"
    r"euc-(?:jp|kr)|shift_jis|ks_c_5601-1987|koi8-[ru]|tis-620",
    re.IGNORECASE,
)
_RAW = re.compile(r"[^\x00-\x7f]")
_PARAMETER = re.compile(r""";\s*charset\s*=\s*"?([\w.:-]{1,40})""", re.ASCII | re.IGNORECASE)
# What mail programs understand by a name: Windows writes the wider character set under the narrower one's name.
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "windows-1252"}
_UNREADABLE = "\ufffd"
_WORD_BYTES = 39  # in an encoded word of base64, with a name of 16 letters: 75 characters (RFC 2047 section 2)


def tagged(subjects: Sequence[tuple[int, str]], prefix: str, content_type: str) -> tuple[tuple[Replacement, ...], int]:
    """Put the prefix before the subjects, folded and encoded or not, that do not show it already.

    Args:
        subjects: those of a message with their places among them (from 1): of several, some programs show the first,
            some the last.
        prefix: the words.
        content_type: the message's Content-Type, which names the character set of a subject with raw bytes.

    Returns:
        The replacements, and how many subjects are left alone because no reader could read what can be written.
    """
    changes, untagged = [], 0
    for place, subject in subjects:
        if _shows(_decoded(subject), prefix):
            continue
        written = _writable(subject, content_type)
        if written is None:
            untagged += 1
        else:
            changes.append(Replacement(name=SUBJECT, value=_prefixed(written, prefix), index=place))
    return tuple(changes), untagged


def missing(prefix: str) -> tuple[HeaderField, ...]:
    """Return the field for a message without a subject."""
    return (HeaderField(name=SUBJECT, value=_encoded(prefix)),)


def _shows(subject: str, prefix: str) -> bool:
    """Return whether people see the prefix: far behind the beginning of the subject, a sender could hide it."""
    before, found, _ = subject.partition(prefix)
    return bool(found) and _ANSWERED.fullmatch(before) is not None


def _prefixed(subject: str, prefix: str) -> str:
    # White space between two encoded words is not shown, so that it has to be in one of them.
    words = _encoded(f"{prefix} " if subject.lstrip().startswith("=?") and not prefix.isascii() else prefix)
    fits = len(SUBJECT) + len(words) + len(subject.partition("\n")[0]) + 3 <= _LINE
    # A line of its own where the line would grow too long: those that come stay as they are.
    return f"{words} {subject}".rstrip() if fits else f"{words}\n {subject.lstrip()}"


def _encoded(words: str) -> str:
    """Return the words, as an encoded word where they are not ASCII."""
    return words if words.isascii() else Header(words, "utf-8", maxlinelen=_LINE).encode()


def _writable(subject: str, content_type: str) -> str | None:
    """Return the subject as pymilter can write it, which is in UTF-8; None: its character set is not known.

    Raw bytes in another character set are kept in encoded words, with all that stands between them.
    """
    subject = _LOOSE_BREAK.sub("\n ", subject)
    if _BAD.search(subject) is None:
        return subject
    raw = [found.start() for found in _RAW.finditer(subject)]
    begin = max(subject.rfind(blank, 0, raw[0]) for blank in " \t\n") + 1
    end = min(place for blank in " \t\n" if (place := (subject + blank).find(blank, raw[-1])) >= 0)
    words = _words(subject[begin:end].encode("utf-8", "surrogateescape"), _charset(content_type))
    if not words:
        return None
    # Each on a line of its own: white space between them is not shown.
    lines = [subject[:begin].strip(" \t\n"), *words, subject[end:].strip(" \t\n")]
    return "\n ".join(line for line in lines if line)


def _charset(content_type: str) -> str:
    """Return the character set that a Content-Type names, as wide as mail programs take it; empty: none that is known.

    Programs that write raw bytes into a subject (RFC 5322 forbids it) write the body's character set.
    """
    found = _PARAMETER.search(content_type)
    name = found[1].lower() if found is not None else ""
    return _WIDER.get(name, name if _CHARSET.fullmatch(name) is not None else "")


def _words(raw: bytes, charset: str) -> list[str]:
    """Return encoded words (RFC 2047) with just these bytes; empty where they are not of the character set."""
    try:
        text = raw.decode(charset)
        if text.encode(charset) != raw:
            return []
    except (LookupError, UnicodeError):
        return []
    # No character may be divided (RFC 2047 section 5). None has more than four bytes.
    step = _WORD_BYTES if len(text) == len(raw) else _WORD_BYTES // 4
    words = [text[place : place + step].encode(charset) for place in range(0, len(text), step)]
    return [f"=?{charset}?b?{b64encode(word).decode()}?=" for word in words]


def _decoded(subject: str) -> str:
    """Return the subject as people read it, or as it stands where it cannot be decoded."""
    try:
        parts = decode_header(subject[:_DECODED_LIMIT])
    except (MessageError, ValueError):  # bad base64, somewhere: what we have put first can be read all the same
        first, blank, rest = subject.partition(" ")
        return f"{_decoded(first)}{blank}{rest}" if blank else subject
    return "".join(part if isinstance(part, str) else _text(part, charset) for part, charset in parts)


def _text(part: bytes, charset: str | None) -> str:
    """Return the text as a mail program shows it; a character set that no mail program knows shows nothing."""
    if charset is not None and _CHARSET.fullmatch(charset) is None:
        return _UNREADABLE
    try:
        return part.decode(charset or "ascii", "replace")
    except LookupError:
        return _UNREADABLE
