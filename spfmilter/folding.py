"""Write a text of a language in ASCII, for SMTP clients that take nothing else (RFC 6531 section 3.7.4.2).

Knows how: special letters by the language's row in ``languagetable``, then quotation marks and dashes, then all other
letters without their accents. Does not know when it is needed.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from spfmilter.languagetable import BY_TAG

_UNKNOWN = "?"
_OPENING, _CLOSING = re.compile(r"[«‹]\s*"), re.compile(r"\s*[»›]")  # French puts a blank inside, ASCII does not
# What Unicode does not decompose, in every language. Of a pair, the second is for all characters of the first.
_COMMON = {
    character: plain
    for characters, plain in (
        ("“”„‟″", '"'),
        ("‘’‚‛′", "'"),
        ("‐‑‒–—―−", "-"),
        ("•·", "*"),
        ("⁄", "/"),  # as NFKD has it in a fraction
        ("\u00ad\u200b\u200c\u200d\u2060\ufeff", ""),  # invisible
        ("ß", "ss"), ("ẞ", "SS"), ("æ", "ae"), ("Æ", "AE"), ("œ", "oe"), ("Œ", "OE"), ("ø", "o"), ("Ø", "O"),
        ("ł", "l"), ("Ł", "L"), ("đð", "d"), ("ĐÐ", "D"), ("þ", "th"), ("Þ", "Th"), ("ı", "i"),
    )
    for character in characters
}  # fmt: skip


def is_foldable(tag: str) -> bool:
    """Return whether the readers of a language can read it in ASCII."""
    return tag in BY_TAG and BY_TAG[tag].letters is not None


def fold(text: str, tag: str) -> str:
    """Return a text of a foldable language in ASCII. What has no ASCII form becomes ``?``.

    ASCII text is returned as it is. The result is empty only if the text is.
    """
    if text.isascii():
        return text
    text = unicodedata.normalize("NFC", text)
    text = _OPENING.sub('"', _CLOSING.sub('"', text)).translate(_letters(tag))
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    plain = plain.translate(_letters(tag))  # again, as what has been decomposed can hold such characters
    return "".join(c if c.isascii() else _UNKNOWN for c in plain) or _UNKNOWN


@cache
def _letters(tag: str) -> dict[int, str]:
    """Return the table for ``str.translate``."""
    own = BY_TAG[tag].letters or {} if tag in BY_TAG else {}
    upper = {letter.upper(): plain.capitalize() for letter, plain in own.items() if letter.upper() != letter}
    return str.maketrans({**_COMMON, **own, **upper})
