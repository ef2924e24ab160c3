"""Read and expand the macros of domain-specs and explanations (RFC 7208 section 7).

Knows the grammar and the expansion. The values of the letters come from the evaluation. All functions take time that is
linear in the length of the text. (pyspf's own check is quadratic: 32 KB cost it 17 s. It also lets %{d0}, %{d-foo} and
%{drr} pass.)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

# RFC 7208 section 7.1: macro-letter, transformers (digits, then r), delimiters. ABNF strings have no case.
_EXPAND = re.compile(r"\{([slodiphcrtv])(\d*)(r?)([-.+,/_=]*)\}", re.IGNORECASE | re.ASCII)
_CONSTANTS = {"%": "%", "_": " ", "-": "%20"}
# The ABNF's toplabel, said so that no label takes quadratic time: not all digits, no hyphen at either end.
_TOPLABEL = re.compile(r"(?![0-9]+\Z)[0-9a-z](?:[0-9a-z-]*[0-9a-z])?", re.IGNORECASE | re.ASCII)
_MAX_NAME = 253  # RFC 7208 section 7.3
MAX_LOCAL = 256  # characters of a local part; RFC 5321 section 4.5.3.1.3 allows that for the whole path


class MacroError(ValueError):
    """The text breaks the grammar; ``at`` is the piece at fault."""

    def __init__(self, message: str, at: str) -> None:
        super().__init__(message)
        self.at = at


@dataclass(frozen=True, slots=True)
class Macro:
    """One ``%{...}``: the letter's value, cut, turned and escaped as it says."""

    letter: str  # lower case
    keep: int  # right-hand parts to keep; 0 = all
    reverse: bool
    delimiters: str
    escape: bool  # upper-case letter: URL-escaped

    def apply(self, value: str) -> str:
        """Return the transformed value; its parts are rejoined with dots (section 7.3)."""
        if self.keep or self.reverse or self.delimiters:
            delimiters = self.delimiters or "."
            for other in delimiters[1:]:
                value = value.replace(other, delimiters[0])
            parts = value.split(delimiters[0])
            if self.reverse:
                parts.reverse()
            value = ".".join(parts[-self.keep :] if self.keep else parts)
        # A local part that was not UTF-8 holds surrogates, which no encoding takes.
        return quote(value, safe="~", errors="replace") if self.escape else value


@dataclass(frozen=True, slots=True)
class MacroString:
    """A text with its macros found; literals and macros in order."""

    text: str
    parts: tuple[str | Macro, ...]
    ends_in_macro: bool = False  # %%, %_ and %- count (ABNF: macro-expand)

    @property
    def letters(self) -> frozenset[str]:
        """Return the macro letters used."""
        return frozenset(part.letter for part in self.parts if isinstance(part, Macro))

    def expand(self, value_of: Callable[[str], str], limit: int) -> str:
        """Replace each macro by what ``value_of`` returns for its letter; return at most ``limit`` characters."""
        text = ""
        for part in self.parts:
            text += part if isinstance(part, str) else part.apply(value_of(part.letter))
            if len(text) > limit:
                break
        return text[:limit]

    def expand_domain(self, value_of: Callable[[str], str]) -> str:
        """Return the expansion as a domain name: without a final dot, cut from the left to 253 characters.

        It is expanded from the right, and no further than the cut.
        """
        name = ""
        for part in reversed(self.parts):
            name = (part if isinstance(part, str) else part.apply(value_of(part.letter))) + name
            if len(name) > _MAX_NAME + 1:  # with the dot that goes
                break
        name = name.removesuffix(".")
        if len(name) > _MAX_NAME:
            cut = name.find(".", len(name) - _MAX_NAME - 1)
            name = name[cut + 1 :] if cut >= 0 else name
        return name


def parse(text: str, *, explanation: bool = False) -> MacroString:
    """Find the macros of a text; c, r and t are letters only in an explanation (section 7.2).

    Raises:
        MacroError: a ``%`` that begins no macro, or a macro that breaks the grammar.
    """
    if "%" not in text:
        return MacroString(text, (text,) if text else ())
    parts: list[str | Macro] = []
    end = 0  # of the last macro found
    while (start := text.find("%", end)) >= 0:
        if start > end:
            parts.append(text[end:start])
        next_character = text[start + 1 : start + 2]
        if next_character in _CONSTANTS:
            parts.append(_CONSTANTS[next_character])
            end = start + 2
        else:
            found = _EXPAND.match(text, start + 1)
            if found is None:
                raise MacroError("invalid macro", text[start : start + 20])
            parts.append(_macro(*found.groups(), explanation))
            end = found.end()
    if end < len(text):
        parts.append(text[end:])
    return MacroString(text, tuple(parts), ends_in_macro=end == len(text))


@lru_cache(maxsize=512)  # few are in use, and a hostile record may hold 8000
def _macro(letter: str, digits: str, reverse: str, delimiters: str, explanation: bool) -> Macro:  # noqa: FBT001 - a key
    at = f"%{{{letter}{digits}{reverse}{delimiters}}}"
    if letter.lower() in "crt" and not explanation:
        raise MacroError("macro is allowed in exp= texts only", at)
    # A value has at most 128 parts; more digits than three say "all" as well, and are not worth a long conversion.
    significant = digits.lstrip("0")
    if digits and not significant:
        raise MacroError("macro keeps 0 parts", at)
    keep = 0 if not digits or len(significant) > 3 else int(significant)
    return Macro(letter.lower(), keep, bool(reverse), delimiters, letter.isupper())


def parse_domain_spec(text: str) -> MacroString:
    """Parse a domain-spec (section 7.1): a macro-string that ends in a macro, or in a dot and a top label.

    Raises:
        MacroError: as ``parse``, or the text cannot end a domain name.
    """
    if any(not "!" <= c <= "~" for c in text):
        raise MacroError("a character that is not visible ASCII", text)
    spec = parse(text)
    if not spec.parts:
        raise MacroError("empty domain", text)
    if not spec.ends_in_macro:
        last = spec.parts[-1]
        _, dot, label = str(last).removesuffix(".").rpartition(".")
        if not dot or _TOPLABEL.fullmatch(label) is None:
            raise MacroError("not a fully qualified domain name", text)
    return spec
