"""The page is one file that needs nothing else, and proof against its rows."""

import re

import pytest

from tests.report.pages import JOURNALS, made


def test_nothing_of_a_row_is_markup(tmp_path) -> None:
    text = made(tmp_path, "hostile")
    assert "&lt;script&gt;" in text
    assert "{{ 7 * 7 }}" in text, "a row is no template"
    for forbidden in ("<script", "<img", 'onerror="', "\x1b", "\u202e"):
        assert forbidden not in text


@pytest.mark.parametrize("name", JOURNALS)
def test_the_page_needs_nothing_else(tmp_path, name) -> None:
    """No script, no request, no handler; and the browser is told so."""
    text = made(tmp_path, name)
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert not re.search(
        r"<script|<link (?!rel=\"icon\" href=\"data:,\")|<\w[^>]*\ssrc=|<style[^<]*(url\(|@import)", text
    )
    assert set(re.findall(r'href="([^"]*)"', text)) <= {"#main", "#findings", "data:,"}
