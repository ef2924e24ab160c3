"""Choose the page's language for a reader, and load its texts. The only owner of Babel.

Knows language tags. Does not know what the texts say. To add a language, add a line to ``LANGUAGES`` and a catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from gettext import NullTranslations

from babel import Locale, UnknownLocaleError
from babel.dates import format_datetime

from spfmilter import language as catalogues

_DOMAIN = "web"
_MAX_LENGTH = 256  # characters that are read of an Accept-Language field
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,3})(?:;q=([01](?:\.[0-9]{0,3})?))?")


@dataclass(frozen=True, slots=True)
class PageLanguage:
    """One of the page's languages."""

    tag: str  # BCP 47, as in lang=
    name: str  # of the language, in the language itself
    clock: str  # how to write a time of day: a pattern of Babel
    gap: str = " "  # between two sentences

    @property
    def locale(self) -> Locale:
        """Return Babel's locale for the language."""
        return Locale.parse(self.tag, sep="-")


_CHINESE_CLOCK = "y年M月d日 HH:mm 'UTC'"
LANGUAGES = (
    PageLanguage("en", "English", "d MMMM y, HH:mm 'UTC'"),
    PageLanguage("zh-Hans", "简体中文", _CHINESE_CLOCK, gap=""),
    PageLanguage("zh-Hant", "繁體中文", _CHINESE_CLOCK, gap=""),
)
_BY_TAG = {language.tag: language for language in LANGUAGES}
# Chinese without a named script. Babel derives the script from the region (CN, SG; TW, HK, MO).
_BY_LANGUAGE = {"en": _BY_TAG["en"], "zh": _BY_TAG["zh-Hans"]}


def choose(wanted: str | None, accepted: str | None) -> PageLanguage:
    """Return the reader's language: by the address, else by Accept-Language (RFC 9110 section 12.5.4), else English.

    Args:
        wanted: the language in the address; an unknown one is ignored.
        accepted: the header field, as the browser sent it.
    """
    if wanted in _BY_TAG:
        return _BY_TAG[wanted]
    ranges = sorted(_ranges(accepted or ""), key=lambda item: -item[1])
    found = (_language(tag) for tag, quality in ranges if quality > 0)
    return next((language for language in found if language is not None), LANGUAGES[0])


def _ranges(accepted: str) -> Iterator[tuple[str, float]]:
    """Return the tags with their qualities. Malformed entries are ignored."""
    for item in accepted[:_MAX_LENGTH].split(","):
        found = _RANGE.fullmatch(item.replace(" ", ""))
        if found is not None:
            yield found[1], float(found[2] or 1)


def _language(tag: str) -> PageLanguage | None:
    for language in LANGUAGES:
        if f"{tag}-".lower().startswith(f"{language.tag}-".lower()):  # with its script: Babel goes by the region
            return language
    try:
        locale = Locale.parse(tag, sep="-")
    except (ValueError, UnknownLocaleError):
        return None
    return _BY_TAG.get(f"{locale.language}-{locale.script}") or _BY_LANGUAGE.get(locale.language)


def translations(language: PageLanguage) -> NullTranslations:
    """Return the texts of a language. The English ones are in the program itself."""
    return catalogues.language(language.tag, _DOMAIN).catalogue


# Languages whose readers share a zone: the zone, and the pattern that names it. China and Taiwan have no summer time.
_EAST_8 = timezone(timedelta(hours=8))
_OF_ONE_ZONE = {
    "zh-Hans": (_EAST_8, "y年M月d日 HH:mm（北京时间）"),
    "zh-Hant": (_EAST_8, "y年M月d日 HH:mm（台北時間）"),
}
_ZONE = "'UTC'xxx"  # UTC+01:00
_LOCAL_CLOCK = "HH:mm " + _ZONE


def moment(seconds: int, language: PageLanguage, local: tzinfo = UTC) -> str:
    """Return a time, formatted for the language: in the zone of its readers, else in UTC and in the server's own zone.

    Args:
        seconds: since 1970.
        language: that of the page.
        local: the server's zone at that time.
    """
    when = datetime.fromtimestamp(seconds, UTC)
    if language.tag in _OF_ONE_ZONE:
        zone, pattern = _OF_ONE_ZONE[language.tag]
        return format_datetime(when, pattern, tzinfo=zone, locale=language.locale)
    shown = format_datetime(when, language.clock, locale=language.locale)
    here = when.astimezone(local)
    if not here.utcoffset():
        return shown
    pattern = _LOCAL_CLOCK if here.date() == when.date() else language.clock.replace("'UTC'", _ZONE)
    return f"{shown} ({format_datetime(here, pattern, tzinfo=local, locale=language.locale)})"
