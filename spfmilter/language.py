"""The languages in which texts for people are written: which there are, and their gettext catalogues.

Knows where the catalogues lie and what a language is called: ``zh-Hans`` for people and in settings (BCP 47),
``zh_Hans`` for gettext. Knows no text. A language is one more ``locale/<language>/LC_MESSAGES/<domain>.po``, compiled.

Catalogues are a part of the program, as its modules are: each is read once, when it is first asked for.
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
    """A language, and how texts are said in it."""

    tag: str
    catalogue: NullTranslations = field(default_factory=NullTranslations, repr=False)

    def __call__(self, text: str) -> str:
        """The text in this language; in that of the program where there is no translation."""
        return self.catalogue.gettext(text)


@cache
def available(domain: str = DOMAIN, folder: Path = LOCALE) -> tuple[str, ...]:
    """The tags of the languages that have a catalogue, the program's own first."""
    found = (path.parts[-3].replace("_", "-") for path in folder.glob(f"*/LC_MESSAGES/{domain}.mo"))
    return (SOURCE, *sorted(tag for tag in found if tag != SOURCE and _TAG.fullmatch(tag)))


@cache
def language(tag: str, domain: str = DOMAIN, folder: Path = LOCALE) -> Language:
    """The language of that tag; one without a catalogue says everything in the program's own."""
    if tag == SOURCE:
        return Language(SOURCE)
    return Language(tag, translation(domain, folder, [tag.replace("-", "_")], fallback=True))


def first(tags: Iterable[str], fits: Callable[[Language], bool]) -> Language:
    """The first of the languages that fits, or the program's own."""
    return next((found for found in map(language, tags) if fits(found)), language(SOURCE))
