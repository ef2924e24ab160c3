import re
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from spfmilter import language as catalogues
from spfmilter.web import languages
from spfmilter.web.languages import LANGUAGES, choose, languages_with
from spfmilter.web.render import _environment
from tests.catalogues import write_compiled

PACKAGE = Path(languages.__file__).parent
MORE = languages_with(["en", "zh-Hans", "zh-Hant", "yue", "es", "pt-BR", "pt-PT", "ja", "ko", "ru", "ar"])
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


@pytest.mark.parametrize(
    ("accepted", "tag"),
    [
        ("es-MX,es;q=0.9,en;q=0.8", "es"),
        ("pt", "pt-BR"),
        ("pt-AO, en;q=0.5", "pt-PT"),
        ("yue-HK, zh-HK;q=0.9", "yue"),
        ("zh-HK, yue;q=0.9", "zh-Hant"),
        ("ar-EG, ar", "ar"),
        ("fr, de;q=0.9, ja;q=0.8", "ja"),
        ("fr", "en"),
    ],
)
def test_regions_fall_to_the_language_that_is_there(accepted: str, tag: str) -> None:
    assert choose(None, accepted, MORE).tag == tag


def test_the_languages_are_those_that_have_a_catalogue_english_first() -> None:
    tags = [one.tag for one in LANGUAGES]
    assert tags == ["en", "zh-Hans", "zh-Hant", "es", "fr", "de", "pt-BR", "ja", "ko", "ru", "ar"]
    assert [one.tag for one in languages_with(["xx", "ar", "en"])] == ["en", "ar"]


def test_the_switch_has_the_last_word_unless_it_is_nonsense() -> None:
    assert choose("zh-Hant", "en").tag == "zh-Hant"
    assert choose("tlh", "zh-CN").tag == "zh-Hans"


@given(st.text() | st.lists(st.sampled_from(["zh", "-", "TW", ";q=", "1", ",", " ", "é"])).map("".join))
def test_any_accept_language_gives_a_language(accepted) -> None:
    assert choose(accepted, accepted) in LANGUAGES


def texts() -> set[tuple[str | None, str | tuple[str, ...]]]:
    """The texts of the page, each with its context."""
    keywords = {**DEFAULT_KEYWORDS, "N_": None}
    folders = PACKAGE, PACKAGE.parent / "requests"  # the answers to requests are mailed in the language of the page
    found = (text for folder in folders for text in extract_from_dir(folder, METHODS, OPTIONS, keywords=keywords))
    return {(context, message) for _, _, message, _, context in found}


@pytest.mark.parametrize("language", LANGUAGES[1:], ids=lambda language: language.tag)
def test_every_text_is_translated_and_no_other(language) -> None:
    """`make messages` brings what is missing into the catalogues. A translation may be the same as the English text."""
    path = PACKAGE.parent / "locale" / str(language.locale) / "LC_MESSAGES" / "web.po"
    with path.open("rb") as file:
        catalogue = read_po(file)
    translated = {(message.context, message.id): message.string for message in catalogue if message.id}
    assert set(translated) == texts()
    for (_, source), target in translated.items():
        plural = source if isinstance(source, str) else source[-1]
        forms = [target] if isinstance(target, str) else list(target or [])
        assert all(forms), source
        assert len(forms) == (1 if isinstance(source, str) else catalogue.num_plurals)
        for form in forms:
            left_out = {"%(num)s"} if len(forms) > 1 else set()  # a form for one thing may say "one"
            named = set(re.findall(r"%\(\w+\)s", form))
            assert named | left_out == set(re.findall(r"%\(\w+\)s", plural)) | left_out, source


def test_the_page_offers_each_language_that_has_a_catalogue() -> None:
    """A language of the notice has the page as well."""
    offered = sorted(str(one.locale) for one in LANGUAGES[1:])
    assert sorted(path.parts[-3] for path in catalogues.LOCALE.glob("*/LC_MESSAGES/web.po")) == offered
    assert {path.parts[-3] for path in catalogues.LOCALE.glob("*/LC_MESSAGES/spfmilter.po")} <= set(offered)


def test_the_catalogues_are_compiled_and_found() -> None:
    simplified, traditional = (languages.translations(choose(tag, None)) for tag in ("zh-Hans", "zh-Hant"))
    assert (simplified.pgettext("button", "Check"), traditional.pgettext("button", "Check")) == ("查询", "查詢")


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


@pytest.mark.parametrize(
    ("tag", "written"),
    [
        ("es", "15 de enero de 2027, 08:00 UTC"),
        ("pt-BR", "15 de janeiro de 2027 08:00 UTC"),
        ("ja", "2027年1月15日 17:00（日本時間）"),
        ("ko", "2027년 1월 15일 17:00 (한국 시간)"),
        ("ar", "15 يناير 2027، 08:00 UTC"),
        ("yue", "2027年1月15日 08:00 UTC"),
    ],
)
def test_a_language_that_is_only_in_the_table_writes_a_time_in_its_own_way(tag: str, written: str) -> None:
    assert languages.moment(1_800_000_000, choose(tag, None, MORE)) == written


def test_sentences_follow_each_other_without_a_blank_where_the_language_has_none() -> None:
    assert [one.tag for one in MORE if not one.gap] == ["zh-Hans", "zh-Hant", "yue", "ja"]


# -- the templates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "element"),
    [("ar", '<html lang="ar" dir="rtl">'), ("es", '<html lang="es">'), ("pt-PT", '<html lang="pt-PT">')],
)
def test_a_language_that_is_written_from_right_to_left_is_laid_out_so(tag: str, element: str) -> None:
    source = (PACKAGE / "templates" / "base.html").read_text().splitlines()
    line = next(line for line in source if line.startswith("<html"))
    assert _environment(choose(tag, None, MORE)).from_string(line).render() == element


def test_a_short_word_is_translated_by_its_context_and_a_number_by_its_plural(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Russian has other words for the noun and the verb "check", and three forms of a plural."""
    russian = Catalog(locale="ru")
    russian.add("Check", "Проверка")
    russian.add("Check", "Проверить", context="button")
    russian.add(("%(num)s term", "%(num)s terms"), ("%(num)s термин", "%(num)s термина", "%(num)s терминов"))
    write_compiled(tmp_path, "ru", russian, catalogues.PAGE_DOMAIN)
    monkeypatch.setattr(catalogues, "LOCALE", tmp_path)
    for cached in (catalogues.language, _environment):
        cached.cache_clear()
    try:
        page = _environment(choose("ru", None, MORE)).from_string(
            '{{ _("Check") }}, {{ pgettext("button", "Check") }}'
            '{% for n in (1, 3, 5) %}, {{ ngettext("%(num)s term", "%(num)s terms", n) }}{% endfor %}'
        )
        assert page.render() == "Проверка, Проверить, 1 термин, 3 термина, 5 терминов"
    finally:
        for cached in (catalogues.language, _environment):
            cached.cache_clear()


def test_the_texts_of_templates_are_collected_with_their_context_and_plural(tmp_path: Path) -> None:
    """As `make messages` does: the keywords of gettext are Babel's usual ones."""
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "x.html").write_text(
        '{{ pgettext("button", "Check") }} {{ ngettext("%(num)s term", "%(num)s terms", n) }}'
    )
    found = {(context, message) for _, _, message, _, context in extract_from_dir(tmp_path, METHODS, OPTIONS)}
    assert found == {("button", "Check"), (None, ("%(num)s term", "%(num)s terms"))}
