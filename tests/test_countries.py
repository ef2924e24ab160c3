"""Which languages a domain's name tells, and that the table agrees with Unicode CLDR."""

import pytest
from babel.languages import get_official_languages
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.countries import _WHERE, first_known, languages_of

COUNTRIES = [(end, languages.split()) for languages, ends in _WHERE.items() for end in ends.split()]


@pytest.mark.parametrize(
    ("name", "languages"),
    [
        ("kunde.de", ("de",)),
        ("Mail.Kunde.DE.", ("de",)),
        ("example.com.br", ("pt-BR",)),
        ("example.pt", ("pt-PT",)),
        ("uni.ac.uk", ("en",)),
        ("example.ch", ("de", "fr", "it")),
        ("example.be", ("nl", "fr", "de")),
        ("example.com.tw", ("zh-Hant",)),
        ("xn--fsqu00a.xn--fiqs8s", ("zh-Hans",)),
        ("163.com", ("zh-Hans",)),
        ("mxbiz1.qq.com", ("zh-Hans",)),
        ("notqq.com", ()),
        ("example.com", ()),
        ("example.com.co", ("es",)),
        ("startup.co", ()),
        ("example.io", ()),
        ("example.tk", ()),
        ("de", ("de",)),
        ("203.0.113.7", ()),
        ("unknown", ()),
        ("", ()),
    ],
)
def test_what_a_name_tells(name: str, languages: tuple[str, ...]) -> None:
    assert languages_of(name) == languages


def test_the_first_name_that_tells_something_decides() -> None:
    assert first_known(("example.com", "mx.example.net", "mail.example.fr", "mail.example.de")) == ("fr",)
    assert first_known(("example.com", "unknown", "")) == ()


@given(st.text())
def test_any_name_is_one(name: str) -> None:
    languages_of(name)


def test_each_end_stands_once() -> None:
    ends = [end for end, _ in COUNTRIES]
    assert len(ends) == len(set(ends))


@pytest.mark.parametrize(("end", "languages"), COUNTRIES, ids=[end for end, _ in COUNTRIES])
def test_the_languages_of_a_country_are_official_there(end: str, languages: list[str]) -> None:
    """As CLDR has it; for domains in another script, the country is not in the name."""
    country = {"uk": "GB", "su": "RU"}.get(end, end.rpartition(".")[2].upper())
    if len(country) == 2:
        official = {tag.partition("_")[0] for tag in get_official_languages(country, regional=True, de_facto=True)}
        assert {tag.partition("-")[0] for tag in languages} <= official
