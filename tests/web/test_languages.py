import re
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.web import languages
from spfmilter.web.languages import LANGUAGES, choose

PACKAGE = Path(languages.__file__).parent
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
OPTIONS = {"**/templates/**.html": {"newstyle_gettext": "true", "trimmed": "true"}}


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        (None, "en"),
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh-TW,zh;q=0.9,en-US;q=0.8", "zh-Hant"),
        ("zh-HK", "zh-Hant"),
        ("zh-SG", "zh-Hans"),
        ("zh", "zh-Hans"),
        ("zh-Hant-CN", "zh-Hant"),
        ("eo, ia;q=0.9, zh-Hant;q=0.1", "zh-Hant"),
        ("en;q=0.1, zh-TW;q=0.2", "zh-Hant"),
        ("zh;q=0, en", "en"),
        ("en-GB, zh", "en"),
        ("eo-001, *", "en"),
        ("zh-TW;q=2, zh-CN;q=x, ;;, ,", "en"),
        ("tlh, x-klingon, zh-Hans", "zh-Hans"),
        ("zh-TW," * 1000, "zh-Hant"),
    ],
)
def test_the_browsers_languages_decide(accepted, tag) -> None:
    assert choose(None, accepted).tag == tag


def test_the_switch_has_the_last_word_unless_it_is_nonsense() -> None:
    assert choose("zh-Hant", "en").tag == "zh-Hant"
    assert choose("tlh", "zh-CN").tag == "zh-Hans"


@given(st.text() | st.lists(st.sampled_from(["zh", "-", "TW", ";q=", "1", ",", " ", "é"])).map("".join))
def test_any_accept_language_gives_a_language(accepted) -> None:
    assert choose(accepted, accepted) in LANGUAGES


def texts() -> set[str | tuple[str, ...]]:
    keywords = {**DEFAULT_KEYWORDS, "N_": None}
    found = extract_from_dir(PACKAGE, METHODS, OPTIONS, keywords=keywords)
    return {message for _, _, message, _, _ in found}


@pytest.mark.parametrize("language", LANGUAGES[1:], ids=lambda language: language.tag)
def test_every_text_is_translated_and_no_other(language) -> None:
    """`make messages` brings what is missing into the catalogues."""
    path = PACKAGE.parent / "locale" / str(language.locale) / "LC_MESSAGES" / "web.po"
    with path.open("rb") as file:
        catalogue = read_po(file)
    translated = {message.id: message.string for message in catalogue if message.id}
    assert set(translated) == texts()
    for source, target in translated.items():
        first = source if isinstance(source, str) else source[-1]
        assert target
        said = target if isinstance(target, str) else target[0]
        assert said, source
        assert set(re.findall(r"%\(\w+\)s", said)) == set(re.findall(r"%\(\w+\)s", first)), source


def test_the_page_offers_each_language_that_has_a_catalogue() -> None:
    """For the notice or for the page: a language has both, and a line in ``LANGUAGES``."""
    for domain in ("spfmilter", "web"):
        catalogues = (PACKAGE.parent / "locale").glob(f"*/LC_MESSAGES/{domain}.po")
        assert sorted(path.parts[-3] for path in catalogues) == sorted(str(one.locale) for one in LANGUAGES[1:])


def test_the_catalogues_are_compiled_and_found() -> None:
    simplified, traditional = (languages.translations(choose(tag, None)) for tag in ("zh-Hans", "zh-Hant"))
    assert (simplified.gettext("Check"), traditional.gettext("Check")) == ("查询", "查詢")


def test_a_time_is_written_as_the_language_does() -> None:
    assert [languages.moment(1_800_000_000, choose(tag, None)) for tag in ("en", "zh-Hans", "zh-Hant")] == [
        "15 January 2027, 08:00 UTC",
        "2027年1月15日 16:00（北京时间）",
        "2027年1月15日 16:00（台北時間）",
    ]


@pytest.mark.parametrize(
    ("hours", "shown"),
    [
        (0, "15 January 2027, 08:00 UTC"),
        (1, "15 January 2027, 08:00 UTC (09:00 UTC+01:00)"),
        (-9.5, "15 January 2027, 08:00 UTC (14 January 2027, 22:30 UTC-09:30)"),
    ],
)
def test_readers_in_many_zones_see_utc_and_the_time_of_the_server(hours: float, shown: str) -> None:
    here = timezone(timedelta(hours=hours))
    assert languages.moment(1_800_000_000, choose("en", None), here) == shown
    assert "UTC" not in languages.moment(1_800_000_000, choose("zh-Hans", None), here)
