"""The sanitizers of untrusted text."""

import re
import shlex
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.text import (
    ascii_line,
    comment,
    dot_atom_or_quoted,
    is_dot_atom,
    log_value,
    name_value,
    no_encoded_word,
    quoted_string,
    unicode_line,
)

ANYTHING = st.text(max_size=400) | st.text(st.characters(codec="ascii"), max_size=400)
BIDI_AND_HIDDEN = "\u202e\u202a\u2066\u2069\u200b\u200d\u00ad\ufeff\U000e0041"
UNPRINTABLE = "\r\n\t\x00\x1b\x7f\x85\u2028\u2029\ud800\udcff" + BIDI_AND_HIDDEN


@pytest.mark.parametrize("c", UNPRINTABLE)
def test_no_sanitizer_lets_a_control_a_surrogate_or_a_hidden_mark_through(c: str) -> None:
    for sanitizer in (ascii_line, unicode_line, log_value, comment, quoted_string):
        assert "a?b" in sanitizer(f"a{c}b"), f"{sanitizer.__name__} let {c!r} through"
    assert "a?b" in quoted_string(f"a{c}b", utf8=True)


@pytest.mark.parametrize(
    ("text", "as_ascii", "as_unicode"),
    [
        ("", "", ""),
        ("plain text", "plain text", "plain text"),
        ("grün", "gr?n", "grün"),
        ("邮件", "??", "邮件"),
        ("e\u0301", "e?", "e\u0301"),  # a combining mark is part of a word
        ("a\xa0b", "a?b", "a?b"),  # a blank that is none
        ("a\u3000b", "a?b", "a?b"),
    ],
)
def test_lines_keep_what_a_person_can_read(text: str, as_ascii: str, as_unicode: str) -> None:
    assert ascii_line(text) == as_ascii
    assert unicode_line(text) == as_unicode


@pytest.mark.parametrize("line", [ascii_line, unicode_line])
def test_a_line_that_is_cut_says_so(line: Callable[[str], str]) -> None:
    assert line("x" * 256) == "x" * 256
    assert line("x" * 257) == "x" * 253 + "..."


@given(ANYTHING, st.integers(3, 300))
def test_a_line_is_one_line_of_at_most_its_limit(text: str, limit: int) -> None:
    assert re.fullmatch("[ -~]*", ascii_line(text, limit))
    assert len(ascii_line(text, limit)) == min(len(text), limit)
    assert unicode_line(text, limit).isprintable()
    assert not {unicodedata.category(c) for c in unicode_line(text, limit)} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


# -- quoted strings, comments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("", '""'), ("a b", '"a b"'), ('a"b', '"a\\"b"'), ("a\\", '"a\\\\"'), ("a(b)", '"a(b)"'), ("é", '"?"')],
)
def test_a_quoted_string_quotes_what_would_end_it(text: str, quoted: str) -> None:
    assert quoted_string(text) == quoted


@given(ANYTHING, st.booleans())
def test_a_quoted_string_reads_back_as_the_cleaned_line(text: str, utf8: bool) -> None:
    quoted = quoted_string(text, utf8=utf8)
    assert re.fullmatch(r'"(?:[^"\\]|\\["\\?])*"', quoted)
    assert "=?" not in quoted
    if utf8 and len(text.encode(errors="replace")) <= 128:
        assert re.sub(r"\\(.)", r"\1", quoted[1:-1]) == unicode_line(text)
    if not utf8:
        assert re.sub(r"\\(.)", r"\1", quoted[1:-1]) == ascii_line(text)


@pytest.mark.parametrize("text", ["邮" * 256, "a" + "邮" * 100, "ab" + "邮" * 100, "\U0001f4e7" * 90, "é" * 128])
def test_the_limit_of_a_utf8_string_is_one_of_octets(text: str) -> None:
    """RFC 6532 section 3.4: a line's 998 are octets; the text is cut between characters."""
    quoted = quoted_string(text, utf8=True)
    assert len(quoted.encode()) <= 256 + 2
    assert quoted[1:-1].removesuffix("...") in text
    assert quoted.endswith('..."') is (len(text.encode()) > 256)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("example.com", True),
        ("a!#$%&'*+-/=?^_`{|}~z", True),
        ("a!#$%&'*+-/^_`{|}~z", True),
        ("?all", True),
        ("", False),
        (".", False),
        ("a..b", False),
        (".a", False),
        ("a.", False),
        ("a b", False),
        ("a@b", False),
        ("2001:db8::1", False),
        ("é.example", False),
        ("a\n", False),
    ],
)
def test_a_dot_atom_is_one_and_all_else_is_quoted(text: str, result: bool) -> None:
    assert is_dot_atom(text) is result
    # What could begin an encoded word is quoted, although it need not be.
    assert dot_atom_or_quoted(text).startswith('"') is not (result and not set("=?") & set(text))


def test_a_dot_atom_past_the_limit_is_quoted_and_cut() -> None:
    assert dot_atom_or_quoted("x" * 300) == f'"{"x" * 253}..."'


@given(ANYTHING)
def test_a_comment_opens_and_closes_nothing_for_any_reader(text: str) -> None:
    """Also for those that know no quoted pairs, decode encoded words, or look for a result anywhere."""
    assert re.fullmatch(r"[^()\\]*", comment(text))
    assert re.search(r"=\?|(?<!redirect)(?<!exp)=", comment(text)) is None
    assert len(comment(text)) == len(ascii_line(text, 1024))


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("domain of example.com", "domain of example.com"),
        ('no "(mechanism)" at "ip4"', 'no "[mechanism]" at "ip4"'),
        ("a\\b", "a?b"),
        ("at redirect=_spf.example.com and exp=x", "at redirect=_spf.example.com and exp=x"),
        ("at redirect==?utf-8?q?=29?=", "at redirect???utf-8?q??29??"),
        ("redirect=\x80", "redirect??"),
        ("spf=pass.example", "spf?pass.example"),
        ("noexp=pass", "noexp?pass"),
    ],
)
def test_a_comment_shows_no_syntax(text: str, content: str) -> None:
    assert comment(text) == content


@given(ANYTHING)
def test_a_name_shows_no_syntax(text: str) -> None:
    assert not set('()\\;"=') & set(name_value(text))
    assert len(name_value(text)) == len(ascii_line(text))


def test_a_host_name_and_an_address_literal_are_shown_as_they_are() -> None:
    for name in ("mail.example.com", "_x.example.com", "[192.0.2.1]", "[IPv6:2001:db8::1]", "a b", "u@example.com"):
        assert name_value(name) == name


@pytest.mark.parametrize("text", ["=?utf-8?q?a?=", "=\x80utf-8\x80q\x80a\x80=", "a=?", "=?=?"])
def test_nothing_that_begins_an_encoded_word_gets_through(text: str) -> None:
    for sanitizer in (quoted_string, dot_atom_or_quoted, comment, name_value, no_encoded_word):
        assert "=?" not in sanitizer(text), sanitizer.__name__
    assert not dot_atom_or_quoted(text.removeprefix("=")).startswith("?")


# -- log values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("<user@example.com>", "<user@example.com>"),
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('a"b', '"a\\"b"'),
        ("a\\b", '"a\\\\b"'),
        ("邮件", "邮件"),
        ("a\nlevel=error", '"a?level=error"'),
    ],
)
def test_a_log_value_is_one_word_or_quoted(text: str, value: str) -> None:
    assert log_value(text) == value


@given(ANYTHING.filter(lambda text: "'" not in text))
def test_a_log_value_is_one_word_to_a_shell(text: str) -> None:
    assert shlex.split(log_value(text)) == [unicode_line(text)]
