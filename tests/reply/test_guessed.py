"""The notice in ASCII for languages that have other letters, and in the language that the sender probably reads.

Its catalogues begin each text with a word of the language, so the tests hold for any wording.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spfmilter import language as languages
from spfmilter.model import Disposition, Result
from spfmilter.reply import Extras, notice, notice_language, sentences
from spfmilter.reply.notice import MAX_BOTH, MAX_LINE, in_both
from spfmilter.reply.texts import all_texts
from tests.catalogues import write_catalogue
from tests.reply.notices.cases import cases
from tests.values import CASE, action, facts, reply_for, settings, verdict

WORDS = {"de": "Größe", "es": "¿Señor?", "pt_BR": "Não", "ar": "عربي", "zh_Hans": "中文"}
AUTO = "[reply]\nlanguages = auto\n"
LINK = "https://mx.example.net/spf/x"


@pytest.fixture(autouse=True)
def catalogues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The languages of WORDS, and no others."""
    for locale, word in WORDS.items():
        write_catalogue(tmp_path, locale, all_texts(), lambda text, word=word: f"{word} {text}")
    monkeypatch.setattr(languages, "LOCALE", tmp_path)
    for cached in (languages.available, languages.language, settings):
        cached.cache_clear()
    yield
    for cached in (languages.available, languages.language, settings):
        cached.cache_clear()


def told(*guessed: str, ini: str = AUTO, smtputf8: bool = False, link: str = "") -> tuple[str, ...]:
    """The notice of a fail."""
    extras = Extras(languages=guessed, link=link, case=CASE)
    about = facts(smtputf8=smtputf8)
    return notice(verdict(Result.FAIL), about, settings(ini), extras, disposition=Disposition.REJECT, condition=None)


def alone(tag: str, *, smtputf8: bool = False) -> tuple[str, ...]:
    """The notice in one language, as a fixed list has it."""
    return told(ini=f"[reply]\nlanguages = {tag}\n", smtputf8=smtputf8)


# -- in ASCII ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tag", "word"), [("de", "Groesse"), ("es", "Senor?"), ("pt-BR", "Nao")])
def test_a_client_of_ascii_reads_its_language_without_accents(tag: str, word: str) -> None:
    lines = alone(tag)
    assert all(line.isascii() and line.startswith(word) for line in lines)


@pytest.mark.parametrize(("tag", "word"), [("de", "Größe"), ("ar", "عربي"), ("zh-Hans", "中文")])
def test_a_client_of_utf8_reads_it_as_it_is_written(tag: str, word: str) -> None:
    assert all(line.startswith(word) for line in alone(tag, smtputf8=True))


@pytest.mark.parametrize(
    ("tags", "smtputf8", "tag"),
    [
        ("ar, de, en", False, "de"),
        ("ar, de, en", True, "ar"),
        ("zh-Hans, ar", False, "en"),
        ("zh-Hans, es", False, "es"),
        ("en, de", False, "en"),
    ],
)
def test_the_first_that_can_be_shown_also_without_accents(tags: str, tag: str, *, smtputf8: bool) -> None:
    chosen = notice_language(facts(smtputf8=smtputf8), settings(f"[reply]\nlanguages = {tags}\n"))
    assert (chosen.tag, chosen.folded) == (tag, not smtputf8 and tag != "en")


def test_every_notice_can_be_sent_in_every_language() -> None:
    """`Reply` takes no line that is too long, or not ASCII for such a client."""
    for case in cases():
        for tag in ("de", "ar", "pt-BR"):
            for smtputf8 in (False, True):
                extras = replace(case.extras, languages=(tag,), case=CASE)
                decided = replace(action(Disposition.REJECT, case.verdict), condition=case.condition)
                sent = reply_for(decided, facts(smtputf8=smtputf8), settings(AUTO), extras)
                assert sent is not None
                assert len(sent.lines) <= 32
                assert str(sent).count("Größe") == 0 or smtputf8


def test_what_the_client_says_of_itself_is_not_spelled_anew() -> None:
    about = facts("<jörg@example.com>", smtputf8=False)
    own = settings("[reply]\nlanguages = de\nfail = {sender} darf nicht.\n")
    lines = notice(verdict(Result.FAIL), about, own, Extras(), disposition=Disposition.REJECT, condition=None)
    assert lines == ("j?rg@example.com darf nicht.",)


# -- guessed -----------------------------------------------------------------------------------------------------------


def test_a_guessed_language_has_english_beside_it() -> None:
    english, german = alone("en"), alone("de")
    first, link, *others, last = told("de", link=LINK)
    assert first == english[0], "many servers show their user only the first line"
    assert link.startswith("Groesse")
    assert link.endswith(LINK)
    assert others == [*german[:-1], *english[1:-1]]
    assert last == german[-1]
    assert CASE in last


@pytest.mark.parametrize(
    ("guessed", "smtputf8", "word"),
    [
        (("pt-PT",), False, "Nao"),
        (("ar",), True, "عربي"),
        (("ar", "es"), False, "Senor?"),
        (("zh-Hant", "de"), False, "Groesse"),
        (("zh-CN",), True, "中文"),
    ],
)
def test_the_first_guess_that_can_be_shown(guessed: tuple[str, ...], word: str, *, smtputf8: bool) -> None:
    assert word in told(*guessed, smtputf8=smtputf8)[1]


@pytest.mark.parametrize(
    ("guessed", "smtputf8"), [((), True), (("en",), True), (("ja",), True), (("ar",), False), (("en", "de"), True)]
)
def test_english_alone_where_no_other_language_can_be_shown(guessed: tuple[str, ...], *, smtputf8: bool) -> None:
    assert told(*guessed, smtputf8=smtputf8) == alone("en")


def test_the_languages_after_auto_are_for_senders_of_whom_nothing_is_known() -> None:
    ini = "[reply]\nlanguages = auto, ar, es\n"
    assert told(ini=ini) == alone("es"), "alone: it was not guessed"
    assert told(ini=ini, smtputf8=True) == alone("ar", smtputf8=True)
    assert told("ja", ini=ini, smtputf8=True) == alone("en"), "who reads Japanese is not told in Arabic"
    assert told("de", ini=ini)[1].startswith("Groesse")


def test_a_fixed_list_takes_no_guess() -> None:
    assert told("de", ini="[reply]\nlanguages = es\n") == alone("es")


def test_an_administrators_own_text_stands_alone() -> None:
    assert told("de", ini=f"{AUTO}fail = No.\n")[0] == "No."
    assert len(told("de", ini=f"{AUTO}fail = No.\n")) == 2, "and the case id"


@pytest.mark.parametrize(("length", "kept"), [(100, 4), (200, 4), (300, 2), (MAX_LINE, 0)])
def test_two_languages_fit_into_what_a_bounce_keeps_and_english_gives_way(length: int, kept: int) -> None:
    english = [f"{place}: {'x' * (length - 3)}" for place in range(5)]
    lines = in_both(english, ["y" * length] * 3, [], ["z" * 30])
    assert lines == (english[0], *["y" * length] * 3, *english[1 : 1 + kept], "z" * 30)
    assert sum(len(f"550-5.7.23 {line}\n") for line in lines) <= MAX_BOTH or kept == 0


def test_the_header_field_of_a_tagged_message_is_for_the_recipient_and_guesses_nothing() -> None:
    found = sentences(verdict(Result.FAIL), facts("<u@kunde.de>"), settings(AUTO), condition=None, case=CASE)
    assert not any("Groesse" in sentence for sentence in found)
