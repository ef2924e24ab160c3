"""Read the author's domain in From fields, if every DMARC filter behind us would read the same domain.

Knows the grammar of a mailbox (RFC 5322 section 3.4), common mistakes in it, and forms that readers read differently.
Knows nothing of DMARC policies.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spfmilter.addresses import dns_domain

_MAX_FIELD = 2048  # characters
_MAX_DEPTH = 8  # of comments within comments: Python's reader goes one call deeper for each
# No line break but a folded one (section 2.2.3), and no control characters: some readers end the field there.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\n(?![ \t])")
_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n]+)"""
    r"""|(?P<quoted>"(?:[^"\\]|\\[^\r\n])*+")"""
    r"""|(?P<bracket>\[[^][()<>@,;:"\\]*+\])"""
    r"""|(?P<word>[^][()<>@,;:"\\ \t\r\n]++)"""
    r"""|(?P<special>[<>@:])"""
)
_KINDS = {"blank": " ", "quoted": "q", "bracket": "b", "word": "w"}
# The shapes of a field, a letter for each token; "c" is a comment, and a special stands for itself. OpenDMARC takes a
# blank behind the "@" for a part of the domain, unless the address is in angle brackets.
_BARE = re.compile("(?P<before>[ c]*)[wq][ c]*@c*w[ c]*")
_NAMED = re.compile("(?P<before>[wqb@: c]*)<[ c]*[wq][ c]*@[ c]*w[ c]*>[ c]*")
_DOMAIN = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+")
_IN_COMMENT = re.compile(r'\\.|[()"]', re.DOTALL)
_LOCAL = re.compile(r'[^"@<>(),;:\\]+|"[^"@<>(),;:\\]+"')


def author_domain(fields: Sequence[str]) -> str:
    """Return the domain of the author in a message's From fields, in lower case; empty if it is not certain.

    There has to be one field with one address. Legal forms are read, and the illegal ones in which all readers see the
    same domain: an address as its own display name, a colon or brackets in the display name. No name beyond ASCII is
    converted: a filter that does not convert it, or not by UTS 46, would accept a message that we leave to it.
    """
    if len(fields) != 1 or len(fields[0]) > _MAX_FIELD or _CONTROLS.search(fields[0].strip(" \t\r\n")):
        return ""
    tokens = _tokens(fields[0].strip(" \t\r\n"))
    if tokens is None:
        return ""
    shape = "".join(kind for kind, _ in tokens)
    found = _BARE.fullmatch(shape) or _NAMED.fullmatch(shape)
    if found is None:
        return ""
    start = len(found["before"])
    *_, (_, local), (_, domain) = (token for token in tokens[start:] if token[0] in "wq")
    if _DOMAIN.fullmatch(domain) is None or _LOCAL.fullmatch(local) is None or not _agrees(tokens[: start + 1], domain):
        return ""
    return dns_domain(domain).lower()


def _tokens(text: str) -> list[tuple[str, str]] | None:
    """Return the tokens with their kinds; None if they cannot be read in one way only."""
    tokens: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        if text[place] == "(":
            place = _after_comment(text, place)
            if place < 0:
                return None
            tokens.append(("c", ""))
            continue
        found = _TOKEN.match(text, place)
        if found is None:
            return None
        token, place = found[0], found.end()
        # OpenDMARC counts parentheses in quoted strings as well, in its search for a comma.
        if found.lastgroup == "quoted" and token.count("(") != token.count(")"):
            return None
        tokens.append((_KINDS.get(found.lastgroup or "", token), token))
    return tokens


def _after_comment(text: str, place: int) -> int:
    """Return the position behind the comment that begins here; -1 if it does not end, or has a quotation mark in it."""
    depth = 0
    for found in _IN_COMMENT.finditer(text, place):
        match found[0]:
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case '"':
                return -1
        if depth == 0:
            return found.end()
        if depth > _MAX_DEPTH:
            return -1
    return -1


def _agrees(name: Sequence[tuple[str, str]], domain: str) -> bool:
    """Return whether no address in a display name, which ends with ``<``, has another domain."""
    kinds = "".join(kind for kind, _ in name)
    if kinds.count(":") > 1 or (":" in kinds and "@" in kinds):
        return False  # a second group name, or an address that could be one of the group
    return all(
        kinds[place - 1 : place + 3] in {"w@w ", "w@wc", "w@w<"} and name[place + 1][1].lower() == domain.lower()
        for place, kind in enumerate(kinds)
        if kind == "@"
    )
