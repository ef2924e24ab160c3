"""The page's languages: which of them a reader gets, and its texts. The only owner of Babel.

Knows language tags; does not know what the texts say. A language more is a line in ``LANGUAGES`` and a catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from gettext import NullTranslations

from babel import Locale, UnknownLocaleError
from babel.dates import format_datetime

from spfmilter import language as catalogues

_DOMAIN = "web"
_LONGEST = 256  # characters of an Accept-Language field that are looked at
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,3})(?:;q=([01](?:\.[0-9]{0,3})?))?")


@dataclass(frozen=True, slots=True)
class PageLanguage:
    """One of the page's languages."""

    tag: str  # BCP 47, as in lang=
    name: str  # in itself
    clock: str  # how a time of day is written: a pattern of Babel's
    gap: str = " "  # between two sentences

    @property
    def locale(self) -> Locale:
        """Babel's idea of it."""
        return Locale.parse(self.tag, sep="-")


_CHINESE_CLOCK = "y年M月d日 HH:mm 'UTC'"
LANGUAGES = (
    PageLanguage("en", "English", "d MMMM y, HH:mm 'UTC'"),
    PageLanguage("zh-Hans", "简体中文", _CHINESE_CLOCK, gap=""),
    PageLanguage("zh-Hant", "繁體中文", _CHINESE_CLOCK, gap=""),
)
_BY_TAG = {language.tag: language for language in LANGUAGES}
# Chinese without a word on its script; a region tells it (CN, SG; TW, HK, MO), and Babel knows which.
_BY_LANGUAGE = {"en": _BY_TAG["en"], "zh": _BY_TAG["zh-Hans"]}


def choose(wanted: str | None, accepted: str | None) -> PageLanguage:
    """A reader's language: of the switch, else by Accept-Language (RFC 9110 section 12.5.4), else English.

    Args:
        wanted: what the address asks for; one that there is not is passed over.
        accepted: the header field, as the browser sent it.
    """
    if wanted in _BY_TAG:
        return _BY_TAG[wanted]
    ranges = sorted(_ranges(accepted or ""), key=lambda item: -item[1])
    found = (_language(tag) for tag, quality in ranges if quality > 0)
    return next((language for language in found if language is not None), LANGUAGES[0])


def _ranges(accepted: str) -> Iterator[tuple[str, float]]:
    """The tags with their qualities; what is not written by the rules is passed over."""
    for item in accepted[:_LONGEST].split(","):
        found = _RANGE.fullmatch(item.replace(" ", ""))
        if found is not None:
            yield found[1], float(found[2] or 1)


def _language(tag: str) -> PageLanguage | None:
    for language in LANGUAGES:
        if f"{tag}-".lower().startswith(f"{language.tag}-".lower()):  # the script is named: Babel goes by the region
            return language
    try:
        locale = Locale.parse(tag, sep="-")
    except (ValueError, UnknownLocaleError):
        return None
    return _BY_TAG.get(f"{locale.language}-{locale.script}") or _BY_LANGUAGE.get(locale.language)


def translations(language: PageLanguage) -> NullTranslations:
    """The texts of a language; English is in the program itself."""
    return catalogues.language(language.tag, _DOMAIN).catalogue


def moment(seconds: int, language: PageLanguage) -> str:
    """A time of day in UTC, as the language writes it."""
    when = datetime.fromtimestamp(seconds, UTC)
    return format_datetime(when, language.clock, locale=language.locale)
