"""The table of languages: how each is called, and how its letters are written in ASCII.

Knows names and letters. Does not know which languages have translations (``language``). A row without a catalogue has
no effect, so the table may be ahead of the translations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_NAMES = 100  # characters of a list of names: it stands in a line of the notice beside a link


@dataclass(frozen=True, slots=True)
class LanguageRow:
    """One language."""

    tag: str  # BCP 47
    name: str  # in the language itself
    ascii_name: str  # the same in ASCII, as its speakers write it where they have no other letters
    # Letters that ASCII text spells otherwise than by leaving out the accent; in lower case. None: its readers cannot
    # read it in ASCII, so a client that takes only ASCII gets another language.
    letters: Mapping[str, str] | None = None


_PLAIN: Mapping[str, str] = {}  # only accents to leave out
_SPANISH = {"¿": "", "¡": ""}
_GERMAN = {"ä": "ae", "ö": "oe", "ü": "ue"}

# In the order in which they are offered. A new language is one line here.
TABLE = (
    LanguageRow("en", "English", "English", _PLAIN),
    LanguageRow("zh-Hans", "简体中文", "Zhongwen"),
    LanguageRow("zh-Hant", "繁體中文", "Zhongwen"),
    LanguageRow("yue", "粵語", "Jyutjyu"),
    LanguageRow("es", "Español", "Espanol", _SPANISH),
    LanguageRow("fr", "Français", "Francais", _PLAIN),
    LanguageRow("de", "Deutsch", "Deutsch", _GERMAN),
    LanguageRow("pt", "Português", "Portugues", _PLAIN),
    LanguageRow("pt-BR", "Português (Brasil)", "Portugues", _PLAIN),
    LanguageRow("pt-PT", "Português (Portugal)", "Portugues", _PLAIN),
    LanguageRow("it", "Italiano", "Italiano", _PLAIN),
    LanguageRow("nl", "Nederlands", "Nederlands", _PLAIN),
    LanguageRow("ja", "日本語", "Nihongo"),
    LanguageRow("ko", "한국어", "Hangugeo"),
    LanguageRow("ru", "Русский", "Russkij"),
    LanguageRow("ar", "العربية", "Arabiya"),
    LanguageRow("he", "עברית", "Ivrit"),
    LanguageRow("fa", "فارسی", "Farsi"),
    LanguageRow("ur", "اردو", "Urdu"),
)
BY_TAG: Mapping[str, LanguageRow] = {row.tag: row for row in TABLE}


def language_names(tags: Iterable[str], limit: int = MAX_NAMES) -> str:
    """Return the ASCII names of languages for one line, in the order of the table: ``English, Zhongwen``.

    Each name stands once. Names that do not fit into ``limit`` characters are left out, the last ones first.
    """
    wanted = set(tags)
    names = dict.fromkeys(row.ascii_name for row in TABLE if row.tag in wanted)
    line = ""
    for name in names:
        longer = f"{line}, {name}" if line else name
        if len(longer) > limit:
            return line
        line = longer
    return line
