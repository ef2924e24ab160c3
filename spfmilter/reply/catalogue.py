"""The register of the notice's texts, which are written in English, and their translations.

Knows how a text is marked, translated and parsed. ``make messages`` collects the texts for the translators. A text
holds whole sentences, since translations put words in another order.
"""

from __future__ import annotations

from functools import cache

from spfmilter.language import Language
from spfmilter.template import PLACEHOLDERS, Template

# Placeholders of these texts that an administrator's own texts do not have.
_MORE = frozenset({
    "at", "clause", "client_name", "explanation", "flaw", "flaw_domain", "instead", "languages", "organization", "port",
    "sentence", "server", "service", "services", "url", "where",
})  # fmt: skip
_texts: list[str] = []  # all texts of the notice, in English


def _(text: str) -> str:
    """Mark a text for ``make messages``, and return it."""
    _texts.append(text)
    return text


@cache
def template(text: str, language: Language) -> Template:
    """Return a text in a language, as a template."""
    return Template.parse(language(text), (*PLACEHOLDERS, *_MORE), utf8=True)


@cache
def is_ascii(language: Language) -> bool:
    """Return whether all texts of a language are ASCII, so every client can be sent them."""
    return all(language(text).isascii() for text in all_texts())


def all_texts() -> tuple[str, ...]:
    """Return all texts, in English."""
    return tuple(_texts)
