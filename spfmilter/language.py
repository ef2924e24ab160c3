"""The languages in which texts for people are written: which there are, and their gettext catalogues.

Knows where the catalogues are, how a language is named (``zh-Hans`` for people and in settings, BCP 47; ``zh_Hans`` for
gettext), and which of several languages is the closest to a wanted one. Knows no text. To add a language, add
``locale/<language>/LC_MESSAGES/<domain>.po``, and a row in ``languagetable``.

Catalogues are part of the program, as its modules are: each is read once, when it is first needed.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path

from spfmilter.folding import fold

SOURCE = "en"  # the language in which texts stand in the program; it needs no catalogue
DOMAIN = "spfmilter"  # of the notice; the help page has a catalogue of its own beside it
PAGE_DOMAIN = "web"
LOCALE = Path(__file__).with_name("locale")

_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?")  # BCP 47: language, script, region
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_SCRIPT, _REGION = re.compile(r"[a-z]{4}"), re.compile(r"[a-z]{2}|[0-9]{3}")
# Tags that mean the same (IANA's Language Subtag Registry: deprecated ones, and members of a macrolanguage).
_SAME = {"cmn": "zh", "iw": "he", "in": "id", "ji": "yi", "no": "nb", "nn": "nb", "pes": "fa", "arb": "ar", "tl": "fil"}
# Read by those whose own language is not there: Cantonese is spoken, and written Chinese is common to all.
_INSTEAD = {"yue": "zh", "hak": "zh", "nan": "zh", "wuu": "zh"}
_TRADITIONAL = frozenset({"tw", "hk", "mo"})  # where Chinese is written in traditional characters


@dataclass(frozen=True, slots=True)
class Language:
    """A language with its translations; call it to translate a text."""

    tag: str
    catalogue: NullTranslations = field(default_factory=NullTranslations, repr=False)
    folded: bool = False  # whether its texts are written in ASCII

    def __call__(self, text: str) -> str:
        """Return the text in this language; untranslated where the catalogue does not have it."""
        found = self.catalogue.gettext(text)
        return fold(found, self.tag) if self.folded else found

    def in_ascii(self) -> Language:
        """Return the same language with its texts written in ASCII."""
        return replace(self, folded=True)


@cache
def available(domain: str = DOMAIN, folder: Path | None = None) -> tuple[str, ...]:
    """Return the tags of the languages that have a catalogue, English first."""
    folder = folder or LOCALE
    found = (path.parts[-3].replace("_", "-") for path in folder.glob(f"*/LC_MESSAGES/{domain}.mo"))
    return (SOURCE, *sorted(tag for tag in found if tag != SOURCE and _TAG.fullmatch(tag)))


@cache
def language(tag: str, domain: str = DOMAIN, folder: Path | None = None) -> Language:
    """Return the language of a tag; without a catalogue it translates nothing."""
    if tag == SOURCE:
        return Language(SOURCE)
    return Language(tag, translation(domain, folder or LOCALE, [tag.replace("-", "_")], fallback=True))


def closest(wanted: str, tags: Collection[str]) -> str | None:
    """Return the tag whose readers read the wanted language best; None if there is none.

    The script decides first: zh-TW reads zh-Hant, zh-CN and zh-SG read zh-Hans. Then the region: pt-PT reads pt-PT, or
    pt, or pt-BR. Cantonese (yue) reads written Chinese.

    Args:
        wanted: a language tag (BCP 47), untrusted input in any case; a malformed one is close to none.
        tags: the languages that there are, the preferred ones first.
    """
    language, script, region = _parts(wanted)
    if language is None:
        return None
    for spoken in dict.fromkeys((language, _INSTEAD.get(language, language))):
        found = [(tag, parts[2]) for tag in tags if (parts := _parts(tag))[:2] == (spoken, script)]
        for fits in (region, None):
            for tag, its_region in found:
                if its_region == fits:
                    return tag
        if found:
            return found[0][0]
    return None


def _parts(tag: str) -> tuple[str | None, str | None, str | None]:
    """Return language, script and region of a tag, in lower case; no language if it is malformed."""
    first, *others = tag.lower().split("-")
    if others and first == "zh" and len(others[0]) == 3 and others[0].isalpha():  # zh-yue, RFC 5646 section 2.2.2
        first, *others = others
    language = _SAME.get(first, first)
    script = others.pop(0) if others and _SCRIPT.fullmatch(others[0]) else None
    region = others.pop(0) if others and _REGION.fullmatch(others[0]) else None
    if script is None and language in {"zh", "wuu"}:
        script = "hant" if region in _TRADITIONAL else "hans"
    elif script is None and language in _INSTEAD:
        script = "hans" if region == "cn" else "hant"
    if language == "pt" and region not in {None, "br"}:
        region = "pt"  # as CLDR: the Portuguese of Africa and Asia is that of Portugal
    return language if _LANGUAGE.fullmatch(language) else None, script, region
