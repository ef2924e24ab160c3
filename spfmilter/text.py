"""The sanitizer of untrusted input: all text from a client or a domain passes here before people or programs read it.

Knows how to make text harmless for an SMTP reply, a header field's comment and quoted string, and a log value. Does not
know what the text means.
"""

from __future__ import annotations

import re
import unicodedata

REPLACEMENT = "?"
# Characters of a name from outside in our output, at most. A DNS name has 253, an address 254 (RFC 5321 section
# 4.5.3.1.3); a longer text is no valid name, so its end is of no use to a reader.
NAME_LIMIT = 256


def ascii_line(text: str, limit: int = NAME_LIMIT) -> str:
    """Return one line of printable ASCII, with ``?`` for all else; a text longer than ``limit`` ends in ``...``."""
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else REPLACEMENT for c in text)


def unicode_line(text: str, limit: int = NAME_LIMIT) -> str:
    """Return one line of printable Unicode for UTF-8 output, with ``?`` for controls, surrogates and format characters.

    Format characters (category Cf) can reorder or hide other text.
    """
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c == " " or (c.isprintable() and unicodedata.category(c) != "Cf") else REPLACEMENT for c in text
    )


def utf8_line(text: str, limit: int = NAME_LIMIT) -> str:
    """Return the same as ``unicode_line``, with a limit in octets, as for a line on the wire."""
    line = unicode_line(text, limit)
    if len(line) * 4 > limit and len(line.encode()) > limit:
        line = line.encode()[: limit - 3].decode(errors="ignore") + "..."
    return line


def quoted_string(text: str, limit: int = NAME_LIMIT, *, utf8: bool = False) -> str:
    """Return an RFC 5322 quoted-string (section 3.2.4) of one line; non-ASCII only with ``utf8`` (RFC 6532).

    With ``utf8`` the limit is in octets, as for a line (RFC 6532 section 3.4).
    """
    line = utf8_line(text, limit) if utf8 else ascii_line(text, limit)
    return '"' + no_encoded_word(line.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def no_encoded_word(line: str) -> str:
    """Return the line with a backslash in what begins an encoded word (RFC 2047).

    Readers decode such words also where the RFC allows none, and see a line break or a quotation mark that we do not.
    """
    return line.replace("=?", "=\\?")


_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")  # printable ASCII but blank, quote, = and backslash
_QUOTED_IN_LOG = re.compile(r'[ "=\\]')
_ATEXT = r"[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~]+"
_DOT_ATOM = re.compile(rf"{_ATEXT}(?:\.{_ATEXT})*")
_WORD_MARKS = re.compile(r"[=?]")
_NOT_IN_COMMENTS = str.maketrans("()\\", f"[]{REPLACEMENT}")
_EQUALS = re.compile(r"=(?:(?<!\bredirect=)(?<!\bexp=)|(?=[=?]))")
_SYNTAX = re.compile(r'[()\\;"=]')


def is_dot_atom(text: str) -> bool:
    """Return whether the text needs no quotes (RFC 5322 section 3.2.3, dot-atom-text)."""
    return _DOT_ATOM.fullmatch(text) is not None


def dot_atom_or_quoted(text: str, limit: int = NAME_LIMIT, *, utf8: bool = False) -> str:
    """Return the text as it is where the grammar allows it, else quoted (RFC 7208 section 9.1, key-value-pair).

    A ``=`` and a ``?`` are quoted as well: with the ``=`` before the value, they could begin an encoded word.
    """
    plain = len(text) <= limit and is_dot_atom(text) and _WORD_MARKS.search(text) is None
    return text if plain else quoted_string(text, limit, utf8=utf8)


def comment(text: str, limit: int = 4 * NAME_LIMIT) -> str:
    """Return the content of an RFC 5322 comment (section 3.2.2), without its outer parentheses.

    Not all readers of comments know quoted pairs, and some look for ``spf=pass`` anywhere. So parentheses become
    brackets, a backslash becomes ``?``, and so does each ``=`` that is not of a record's modifier.
    """
    line = ascii_line(text, limit)
    if _SYNTAX.search(line) is None:
        return line
    return _EQUALS.sub(REPLACEMENT, line.translate(_NOT_IN_COMMENTS))


def name_value(text: str) -> str:
    """Return a name that is untrusted input, without characters of the header field's own syntax."""
    return _SYNTAX.sub(REPLACEMENT, ascii_line(text))


def log_value(text: str, limit: int = NAME_LIMIT) -> str:
    """Return a value for the ``key=value`` log: plain where it is one harmless word, else quoted and escaped."""
    if len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    line = unicode_line(text, limit)
    if line and _QUOTED_IN_LOG.search(line) is None:
        return line
    return '"' + line.replace("\\", "\\\\").replace('"', '\\"') + '"'
