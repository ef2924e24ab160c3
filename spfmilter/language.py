"""The languages in which texts for people are written: which there are, and their gettext catalogues.

Knows where the catalogues are and how a language is named: ``zh-Hans`` for people and in settings (BCP 47),
``zh_Hans`` for gettext. Knows no text. To add a language, add ``locale/<language>/LC_MESSAGES/<domain>.po``.

Catalogues are part of the program, as its modules are: each is read once, when it is first needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path

SOURCE = "en"  # the language in which texts stand in the program; it needs no catalogue
DOMAIN = "spfmilter"  # of the notice; the help page has a catalogue of its own beside it
LOCALE = Path(__file__).with_name("locale")

_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?")  # BCP 47: language, script, region


@dataclass(frozen=True, slots=True)
class Language:
    """A language with its translations; call it to translate a text."""

    tag: str
    catalogue: NullTranslations = field(default_factory=NullTranslations, repr=False)

    def __call__(self, text: str) -> str:
        """Return the text in this language; untranslated where the catalogue does not have it."""
        return self.catalogue.gettext(text)


@cache
def available(domain: str = DOMAIN, folder: Path = LOCALE) -> tuple[str, ...]:
    """Return the tags of the languages that have a catalogue, English first."""
    found = (path.parts[-3].replace("_", "-") for path in folder.glob(f"*/LC_MESSAGES/{domain}.mo"))
    return (SOURCE, *sorted(tag for tag in found if tag != SOURCE and _TAG.fullmatch(tag)))


@cache
def language(tag: str, domain: str = DOMAIN, folder: Path = LOCALE) -> Language:
    """Return the language of a tag; without a catalogue it translates nothing."""
    if tag == SOURCE:
        return Language(SOURCE)
    return Language(tag, translation(domain, folder, [tag.replace("-", "_")], fallback=True))


def first(tags: Iterable[str], fits: Callable[[Language], bool]) -> Language:
    """Return the first of the languages that fits, or English."""
    return next((found for found in map(language, tags) if fits(found)), language(SOURCE))
