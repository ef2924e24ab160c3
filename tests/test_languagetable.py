"""The table of languages: every catalogue has a row, and the names fit into a line of the notice."""

from pathlib import Path

from spfmilter.language import LOCALE, available
from spfmilter.languagetable import TABLE, language_names


def test_each_language_that_has_a_catalogue_stands_in_the_table() -> None:
    tags = [row.tag for row in TABLE]
    assert len(tags) == len(set(tags))
    assert {path.parts[-3].replace("_", "-") for path in Path(LOCALE).glob("*/LC_MESSAGES/*.po")} <= set(tags)
    assert set(available()) <= set(tags)


def test_names_are_one_ascii_line_in_the_order_of_the_table_each_once() -> None:
    assert language_names(["zh-Hant", "en", "zh-Hans"]) == "English, Zhongwen"
    assert language_names(["pt-PT", "de", "pt", "es"]) == "Espanol, Deutsch, Portugues"
    assert language_names([]) == ""
    assert language_names(["xx"]) == ""
    assert all(row.ascii_name.isascii() and row.ascii_name.isalpha() for row in TABLE)


def test_names_that_do_not_fit_are_left_out_as_a_whole() -> None:
    names = language_names(row.tag for row in TABLE)
    assert len(names) <= 100
    assert {name.strip() for name in names.split(",")} <= {row.ascii_name for row in TABLE}
    assert names.startswith("English, Zhongwen, Jyutjyu, Espanol, Francais, Deutsch, Portugues")
