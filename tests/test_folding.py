"""Texts of a language in ASCII: what its readers would write themselves, and never anything else."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spfmilter.folding import fold, is_foldable
from spfmilter.languagetable import TABLE

FOLDABLE = [row.tag for row in TABLE if row.letters is not None]


@pytest.mark.parametrize(
    ("tag", "text", "expected"),
    [
        ("de", "Für Größe, Öl und „Straße“ – so …", 'Fuer Groesse, Oel und "Strasse" - so ...'),
        ("de", "Ändern Sie {add}, sonst: {contact}", "Aendern Sie {add}, sonst: {contact}"),
        ("de", "u\N{COMBINING DIAERESIS}ber", "ueber"),
        ("es", "¿Está «aquí» el señor? ¡Añádalo!", 'Esta "aqui" el senor? Anadalo!'),
        ("es", "pingüino", "pinguino"),
        ("fr", "L’adresse n’est pas là\N{NO-BREAK SPACE}: cœur, Ça, œuf", "L'adresse n'est pas la : coeur, Ca, oeuf"),
        ("fr", "«\N{NO-BREAK SPACE}-all\N{NO-BREAK SPACE}»", '"-all"'),
        ("pt-BR", "não há permissão — só ‘isto’", "nao ha permissao - so 'isto'"),
        ("pt-PT", "À direcção", "A direccao"),
        ("it", "perché è così", "perche e cosi"),
        ("nl", "geïnstalleerd, één", "geinstalleerd, een"),
        ("en", "naïve — “quoted”", 'naive - "quoted"'),
        ("fr", "½ de 10 € et 中", "1/2 de 10 ? et ?"),
    ],
)  # fmt: skip
def test_each_language_in_the_ascii_of_its_readers(tag: str, text: str, expected: str) -> None:
    assert fold(text, tag) == expected


@given(st.text(), st.sampled_from(FOLDABLE))
@example("¿", "es")
@example("\N{COMBINING ACUTE ACCENT}", "fr")
@example("«", "fr")
@example("¼½⅓", "de")
def test_any_text_becomes_ascii_is_never_lost_and_stays_so(text: str, tag: str) -> None:
    folded = fold(text, tag)
    assert folded.isascii()
    assert bool(folded) == bool(text)
    assert fold(folded, tag) == folded


@given(st.text(st.characters(max_codepoint=127)), st.sampled_from(FOLDABLE))
def test_ascii_is_left_alone(text: str, tag: str) -> None:
    assert fold(text, tag) == text


def test_only_languages_that_can_be_read_in_ascii_are_written_so() -> None:
    assert {"de", "es", "fr", "it", "nl", "pt", "pt-BR", "pt-PT"} <= set(FOLDABLE)
    for tag in ("zh-Hans", "zh-Hant", "yue", "ja", "ko", "ru", "ar", "he", "fa", "ur", "xx"):
        assert not is_foldable(tag)
