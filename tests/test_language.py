"""The closest language to a wanted one: script, then region, then a language that the same people read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.language import closest

CHINESE = "en zh-Hans zh-Hant"


@pytest.mark.parametrize(
    ("wanted", "there", "found"),
    [
        ("de", "en de", "de"),
        ("DE-ch-1996", "en de", "de"),
        ("de", CHINESE, None),
        ("es-419", "en es", "es"),
        ("zh", CHINESE, "zh-Hans"),
        ("zh-CN", CHINESE, "zh-Hans"),
        ("zh-SG", CHINESE, "zh-Hans"),
        ("zh-MY", CHINESE, "zh-Hans"),
        ("cmn", CHINESE, "zh-Hans"),
        ("zh-TW", CHINESE, "zh-Hant"),
        ("zh-HK", CHINESE, "zh-Hant"),
        ("zh-MO", CHINESE, "zh-Hant"),
        ("zh-Hant-CN", CHINESE, "zh-Hant"),
        ("zh-Hans-HK", CHINESE, "zh-Hans"),
        ("zh-TW", "en zh-Hans", None),
        ("yue", CHINESE, "zh-Hant"),
        ("yue-HK", CHINESE, "zh-Hant"),
        ("yue-CN", CHINESE, "zh-Hans"),
        ("zh-yue", CHINESE, "zh-Hant"),
        ("yue", f"{CHINESE} yue", "yue"),
        ("zh-HK", f"{CHINESE} zh-Hant-HK", "zh-Hant-HK"),
        ("zh-TW", f"{CHINESE} zh-Hant-HK", "zh-Hant"),
        ("pt", "en pt-BR pt-PT", "pt-BR"),
        ("pt", "en pt pt-PT", "pt"),
        ("pt-BR", "en pt pt-PT", "pt"),
        ("pt-PT", "en pt pt-BR", "pt"),
        ("pt-PT", "en pt-BR", "pt-BR"),
        ("pt-PT", "en pt-BR pt-PT", "pt-PT"),
        ("pt-AO", "en pt-BR pt-PT", "pt-PT"),
        ("nn-NO", "en nb", "nb"),
        ("iw", "en he", "he"),
        ("sr-Latn", "en sr", None),
        ("x-klingon", "en", None),
        ("e", "en", None),
        ("", "en", None),
        ("-", "en", None),
    ],
)
def test_the_closest_language(wanted: str, there: str, found: str | None) -> None:
    assert closest(wanted, there.split()) == found


@given(st.text() | st.lists(st.sampled_from(["zh", "-", "TW", "Hant", "pt", "1", "é"])).map("".join))
def test_any_text_finds_a_language_that_is_there_or_none(wanted: str) -> None:
    assert closest(wanted, CHINESE.split()) in {None, *CHINESE.split()}
