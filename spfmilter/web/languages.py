"""Choose the page's language for a reader, and load its texts. The only owner of Babel.

Knows the languages that have a catalogue of the page, and how they write a time. Does not know what the texts say. A
new language needs a catalogue and a row in ``languagetable``, and nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from gettext import NullTranslations

from babel import Locale
from babel.dates import format_datetime

from spfmilter import language as catalogues
from spfmilter.language import PAGE_DOMAIN, closest
from spfmilter.languagetable import TABLE

_MAX_LENGTH = 256  # characters that are read of an Accept-Language field
_RANGE = re.compile(r"([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8}){0,3})(?:;q=([01](?:\.[0-9]{0,3})?))?")
_WITHOUT_BLANKS = frozenset({"ja", "yue", "zh"})  # languages that put no blank between two sentences
# How to write a time of day: a pattern of Babel. For other languages it is made from Babel's own long date.
_CLOCKS = {"en": "d MMMM y, HH:mm 'UTC'", "yue": "y年M月d日 HH:mm 'UTC'"}


@dataclass(frozen=True, slots=True)
class PageLanguage:
    """One of the page's languages."""

    tag: str  # BCP 47, as in lang=
    name: str  # of the language, in the language itself

    @property
    def locale(self) -> Locale:
        """Return Babel's locale for the language."""
        return Locale.parse(self.tag, sep="-")

    @property
    def rtl(self) -> bool:
        """Whether it is written from right to left, as Arabic and Hebrew are."""
        return self.locale.text_direction == "rtl"

    @property
    def gap(self) -> str:
        """Return what stands between two sentences."""
        return "" if self.locale.language in _WITHOUT_BLANKS else " "

    @property
    def clock(self) -> str:
        """Return how to write a time of day in UTC: a pattern of Babel."""
        locale = self.locale
        if locale.language in _CLOCKS:
            return _CLOCKS[locale.language]
        joined: str = locale.datetime_formats["medium"]
        return joined.replace("{1}", locale.date_formats["long"].pattern).replace("{0}", "HH:mm 'UTC'")


def languages_with(tags: Iterable[str]) -> tuple[PageLanguage, ...]:
    """Return the page's languages of these tags, in the order of the table; a tag without a row is left out."""
    wanted = set(tags)
    return tuple(PageLanguage(row.tag, row.name) for row in TABLE if row.tag in wanted)


LANGUAGES = languages_with(catalogues.available(PAGE_DOMAIN))


def choose(wanted: str | None, accepted: str | None, languages: tuple[PageLanguage, ...] = LANGUAGES) -> PageLanguage:
    """Return the reader's language: by the address, else by Accept-Language (RFC 9110 section 12.5.4), else English.

    Args:
        wanted: the language in the address; an unknown one is ignored.
        accepted: the header field, as the browser sent it.
        languages: those that there are, English first.
    """
    by_tag = {language.tag: language for language in languages}
    if wanted in by_tag:
        return by_tag[wanted]
    ranges = sorted(_ranges(accepted or ""), key=lambda item: -item[1])
    found = (closest(tag, by_tag) for tag, quality in ranges if quality > 0)
    return next((by_tag[tag] for tag in found if tag is not None), languages[0])


def _ranges(accepted: str) -> Iterator[tuple[str, float]]:
    """Return the tags with their qualities. Malformed entries are ignored."""
    for item in accepted[:_MAX_LENGTH].split(","):
        found = _RANGE.fullmatch(item.replace(" ", ""))
        if found is not None:
            yield found[1], float(found[2] or 1)


def translations(language: PageLanguage) -> NullTranslations:
    """Return the texts of a language. The English ones are in the program itself."""
    return catalogues.language(language.tag, PAGE_DOMAIN).catalogue


# Languages whose readers share a zone: the zone, and the pattern that names it. None of them has summer time.
_EAST_8, _EAST_9 = timezone(timedelta(hours=8)), timezone(timedelta(hours=9))
_OF_ONE_ZONE = {
    "zh-Hans": (_EAST_8, "y年M月d日 HH:mm（北京时间）"),
    "zh-Hant": (_EAST_8, "y年M月d日 HH:mm（台北時間）"),
    "ja": (_EAST_9, "y年M月d日 HH:mm（日本時間）"),
    "ko": (_EAST_9, "y년 M월 d일 HH:mm '(한국 시간)'"),
}


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
    # Not by the pattern of Babel, whose version 2.17 writes an offset of -9.5 hours as -10:30.
    offset = here.strftime("%z")
    named = f"'UTC{offset[:3]}:{offset[3:5]}'"
    pattern = f"HH:mm {named}" if here.date() == when.date() else language.clock.replace("'UTC'", named)
    return f"{shown} ({format_datetime(here, pattern, tzinfo=local, locale=language.locale)})"
