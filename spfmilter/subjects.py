"""The Subject field of a tagged message, with a prefix that people and their filters see.

Knows encoded words (RFC 2047) as far as is needed to put words before them and to see whether they are there already.
"""

from __future__ import annotations

from email.errors import MessageError
from email.header import Header, decode_header

from spfmilter.model import HeaderField, Replacement

SUBJECT = "Subject"
_LINE = 78  # characters (RFC 5322 section 2.1.1)
_DECODED_LIMIT = 2048  # characters of a subject that are decoded: nobody reads more of it


def tagged(subject: str, prefix: str) -> tuple[Replacement, ...]:
    """The subject with the prefix before it, however it is folded and encoded; nothing where it is there already.

    Nothing either where the subject holds bytes that are no UTF-8: libmilter's Python side cannot write them back.
    """
    if prefix in _decoded(subject) or not _is_text(subject):
        return ()
    # White space between two encoded words is not shown, so that it has to be in one of them.
    words = _encoded(f"{prefix} " if subject.lstrip().startswith("=?") and not prefix.isascii() else prefix)
    first = subject.partition("\n")[0]
    fits = len(SUBJECT) + len(words) + len(first) + 3 <= _LINE
    # A line of its own where the line would grow too long: those that come stay as they are.
    return (
        Replacement(name=SUBJECT, value=f"{words} {subject}".rstrip() if fits else f"{words}\n {subject.lstrip()}"),
    )


def missing(prefix: str) -> tuple[HeaderField, ...]:
    """The field for a message that has none."""
    return (HeaderField(name=SUBJECT, value=_encoded(prefix)),)


def _encoded(words: str) -> str:
    """The words as they stand in the field."""
    return words if words.isascii() else Header(words, "utf-8", maxlinelen=_LINE).encode()


def _is_text(subject: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in subject)


def _decoded(subject: str) -> str:
    """The subject as people read it, or as it stands where it cannot be decoded."""
    try:
        parts = decode_header(subject[:_DECODED_LIMIT])
        return "".join(part if isinstance(part, str) else part.decode(charset or "ascii") for part, charset in parts)
    except (MessageError, LookupError, ValueError):  # bad base64, an unknown character set, bytes that are not of it
        return subject
