"""Texts with ``{placeholders}``: parsed and checked when the settings are read, filled for each reply.

Knows the placeholders and how they are filled; the caller has sanitized the values. A template can name a value and
nothing else: no attribute or index access, no format specifications.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Every name that a reply can show, with what it stands for; docs and the shipped INI file list the same.
PLACEHOLDERS: Mapping[str, str] = {
    "address": "the client's IP address",
    "identity": "MAIL FROM or HELO",
    "said": "the identity as the client gave it: the sender's address, or the host name",
    "sender": "the sender's address, as MAIL FROM gave it",
    "domain": "the domain that was checked",
    "helo": "the host name that the client gave in HELO",
    "result": "the SPF result",
    "term": "the term of the record that decided, such as -all",
    "record_domain": "the domain whose record holds that term: usually domain, or where redirect= led",
    "problem": "what is wrong with the record, for permerror and temperror",
    "add": "the term that would allow this client, such as ip4:192.0.2.1",
    "contact": "the contact of [reply]",
    "hostname": "the receiving server's own name",
    "case": "the case id, by which the receiving server's administrator finds this decision",
}
LINE_LIMIT = 400  # bytes of one unfilled line, so that it can still grow within SMTP's 512 (RFC 5321 4.5.3.1.5)

_TOKENS = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")


class TemplateError(ValueError):
    """The text is not a template; the message says why, and what to write."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text: literals and names, alternating as they stand; ``text`` is what was written."""

    text: str
    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str, allowed: Iterable[str] = PLACEHOLDERS, *, utf8: bool = False) -> Template:
        """Read one line.

        Args:
            text: the line.
            allowed: the names that may stand in it.
            utf8: whether it is only for clients that take UTF-8 (RFC 6531 section 3.7.4.2).

        Raises:
            TemplateError: an unknown placeholder, a lone brace, characters that SMTP cannot carry, or too long.
        """
        known = tuple(allowed)
        size, unit = (len(text.encode(errors="replace")), "bytes") if utf8 else (len(text), "characters")
        if size > LINE_LIMIT:
            raise TemplateError(f"a line has {size} {unit}: write at most {LINE_LIMIT}")
        bad = next((c for c in text if not (c.isprintable() and (utf8 or c.isascii()))), None)
        if bad is not None:
            possible = "printable text" if utf8 else "printable ASCII"
            raise TemplateError(f"{bad!r} cannot be sent in an SMTP reply: only {possible} can")
        parts, literal = [], ""
        for token in _TOKENS.findall(text):
            if token in {"{{", "}}"}:
                literal += token[0]
            elif token in {"{", "}"}:
                raise TemplateError(f"a {token} stands alone: write {token * 2} for the character itself")
            elif token[0] == "{":
                parts.append((literal, _name(token[1:-1], known)))
                literal = ""
            else:
                literal += token
        return cls(text, (*parts, (literal, None)))

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with its placeholders replaced; ``values`` holds every allowed name."""
        return "".join(literal if name is None else literal + values[name] for literal, name in self.parts)

    @property
    def names(self) -> frozenset[str]:
        """Return the placeholders of the text."""
        return frozenset(name for _, name in self.parts if name is not None)

    @property
    def has_words(self) -> bool:
        """Return whether there are words besides the placeholders."""
        return any(literal.strip() for literal, _ in self.parts)

    def __str__(self) -> str:
        return self.text


def _name(name: str, known: tuple[str, ...]) -> str:
    """Return the name of a placeholder, or raise a TemplateError that suggests one."""
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {{{close[0]}}}?" if close else "."
    shown = name if len(name) <= 40 else name[:37] + "..."
    raise TemplateError(f"{{{shown}}} is not a placeholder{hint} Possible: " + ", ".join(f"{{{n}}}" for n in known))
