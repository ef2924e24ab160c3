"""Write a link that opens a message in the visitor's mail program (RFC 6068). Pure."""

from __future__ import annotations

import html
from collections.abc import Sequence
from urllib.parse import quote

MAX_LENGTH = 1900  # characters: longer links do not reach the mail programs of Windows


def mailto(subject: str, lines: Sequence[str]) -> str:
    """Return a link without an addressee, percent-encoded. Lines that do not fit are left out, the first ones first.

    Args:
        subject: of the message. It has to fit.
        lines: of its text, the most important ones last. Texts that a template has escaped are unescaped here.
    """
    link = "mailto:?subject=" + _quoted(subject) + "&body="
    body = ""
    for line in reversed(lines):
        longer = _quoted(line) + "%0D%0A" + body
        if len(link) + len(longer) > MAX_LENGTH:
            break
        body = longer
    return link + body


def _quoted(text: str) -> str:
    return quote(html.unescape(text) if hasattr(text, "__html__") else text, safe="")
