"""The notice in every language: the same cases, the same placeholders, and a language more is a file more."""

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from spfmilter.language import LOCALE, SOURCE, available, language
from spfmilter.model import Condition, Disposition, Result
from spfmilter.reply import notice, notice_language, sentences
from spfmilter.reply.texts import CASE, FORGED, HELP, HIDDEN, INTERNAL, SEPARATE, all_texts, is_ascii, template
from tests.catalogues import write_catalogue
from tests.reply.notices.cases import cases
from tests.reply.notices.rendering import FOLDER, rendered
from tests.values import NO_EXTRAS, facts, settings, verdict

REJECT = Disposition.REJECT
TRANSLATED = [tag for tag in available() if tag != SOURCE]
IN_NO_NOTICE = {
    "{sentence}.",  # of the header field
    "it names no domain that can be looked up",  # stands in the first line
    "internal error of the receiving server",  # has a reply of its own, which follows
    FORGED,  # a reply of its own, as the next three
    HIDDEN,
    SEPARATE,
    INTERNAL,
}
CATALOGUES = sorted(LOCALE.glob("*/LC_MESSAGES/spfmilter.po"))


def said(tags: str, *, smtputf8: bool) -> str:
    """The first line of a fail."""
    chosen = settings(f"[reply]\nlanguages = {tags}\n")
    return notice(
        verdict(Result.FAIL), facts(smtputf8=smtputf8), chosen, NO_EXTRAS, disposition=REJECT, condition=None
    )[0]


@pytest.mark.parametrize("tag", available())
def test_the_notices_are_those_that_were_reviewed(tag: str) -> None:
    """After a text has changed: `python -m tests.reply.notices`, and read the difference."""
    assert rendered(tag) == (FOLDER / f"{tag}.txt").read_text()


def test_each_condition_stands_in_a_notice_that_was_reviewed() -> None:
    assert set(Condition) <= {case.condition for case in cases()}


@pytest.mark.parametrize("text", [text for text in all_texts() if text not in IN_NO_NOTICE])
def test_every_text_stands_in_a_notice_that_was_reviewed(text: str) -> None:
    """In Chinese: in English the evaluation itself says what is wrong."""
    literals = re.split(r"\{\w+\}", language("zh-Hans")(text))
    assert re.search(".+".join(map(re.escape, literals)), (FOLDER / "zh-Hans.txt").read_text())


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_catalogue_has_every_text_and_no_other(path: Path) -> None:
    with path.open("rb") as file:
        found = {message.id: message for message in read_po(file) if message.id}
    assert set(found) == set(all_texts()), "make messages"
    # A translation may be the same as the English text; an empty one is missing.
    assert [text for text, message in found.items() if not message.string or message.fuzzy] == []


@pytest.mark.parametrize("tag", TRANSLATED)
@pytest.mark.parametrize("text", all_texts())
def test_a_translation_is_a_template_with_the_same_placeholders(tag: str, text: str) -> None:
    assert template(text, language(tag)).names == template(text, language(SOURCE)).names


def test_simplified_and_traditional_chinese_each_have_their_own_words() -> None:
    hans, hant = (FOLDER / "zh-Hans.txt").read_text(), (FOLDER / "zh-Hant.txt").read_text()
    for ours, theirs in (
        ("记录", "記錄"),
        ("服务器", "伺服器"),
        ("主机", "主機"),
        ("邮件", "郵件"),
        ("发件人", "寄件者"),
    ):
        assert (ours in hans, theirs in hans, ours in hant, theirs in hant) == (True, False, False, True)


# -- which language ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "smtputf8", "tag"),
    [
        ("en, zh-Hans, zh-Hant", True, "en"),
        ("zh-Hans, en", True, "zh-Hans"),
        ("zh-Hant, zh-Hans, en", True, "zh-Hant"),
        ("zh-Hans, en", False, "en"),
        ("zh-Hans", False, "en"),
        ("en", True, "en"),
        ("ZH-hans", True, "zh-Hans"),
    ],
)
def test_the_language_is_the_first_that_can_be_shown(tags: str, tag: str, *, smtputf8: bool) -> None:
    assert notice_language(facts(smtputf8=smtputf8), settings(f"[reply]\nlanguages = {tags}\n")).tag == tag


def test_an_administrators_own_text_is_used_in_every_language_with_our_words_around_it() -> None:
    lines = notice(
        verdict(Result.FAIL, explanation="No."),
        facts(smtputf8=True),
        settings("[reply]\nlanguages = zh-Hans\nfail = {address} is not one of us.\n"),
        NO_EXTRAS,
        disposition=REJECT,
        condition=None,
    )
    assert lines == ("203.0.113.7 is not one of us.", "example.com 的管理者说明：“No.”")


def test_who_takes_utf8_sees_their_own_address_as_they_wrote_it() -> None:
    text = "[reply]\nnone = {sender} is refused.\n"
    for smtputf8, expected in ((True, "用户@例子.example"), (False, "??@??.example")):
        about = facts("<用户@例子.example>", smtputf8=smtputf8)
        lines = notice(verdict(Result.NONE), about, settings(text), NO_EXTRAS, disposition=REJECT, condition=None)
        assert lines == (f"{expected} is refused.",)


def test_sentences_end_as_the_language_has_it() -> None:
    chinese = settings("[reply]\nlanguages = zh-Hant\n")
    found = sentences(verdict(Result.FAIL), facts(smtputf8=True), chinese, condition=None, case="H1FC-402Z-GPWG")
    assert all(sentence.endswith("。") for sentence in found)


# -- one more ----------------------------------------------------------------------------------------------------------


def catalogue(folder: Path, locale: str, **texts: str) -> None:
    """A compiled catalogue, with the texts that begin with these words."""
    write_catalogue(folder, locale, all_texts(), lambda text: texts.get(text.split()[0].strip(":"), ""))


def test_a_language_more_is_a_file_more(tmp_path: Path) -> None:
    catalogue(tmp_path, "de", Case="Vorgang ß: {case}")
    catalogue(tmp_path, "id", Case="Perkara: {case}")
    assert available(folder=tmp_path) == ("en", "de", "id")
    german, indonesian = language("de", folder=tmp_path), language("id", folder=tmp_path)
    assert template(CASE, german).fill({"case": "H1FC-402Z-GPWG"}) == "Vorgang ß: H1FC-402Z-GPWG"
    assert german(HELP) == HELP, "a text without translation is in English"
    assert (is_ascii(german), is_ascii(indonesian)) == (False, True), "the latter can be sent to every client"


def test_a_folder_that_is_no_language_is_none(tmp_path: Path) -> None:
    for name in ("en", "..de", "x" * 40, "zh_Hans_and_more"):
        catalogue(tmp_path, name) if name == "en" else (tmp_path / name / "LC_MESSAGES").mkdir(parents=True)
        (tmp_path / name / "LC_MESSAGES" / "spfmilter.mo").touch()
    assert available(folder=tmp_path) == ("en",)


def test_without_its_catalogue_a_language_is_english() -> None:
    assert language("xx")(HELP) == HELP
