"""The INI syntax: sections, entries, continuations, comments, and their lines."""

import string

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from spfmilter.settings import SettingsError, ini, parse
from spfmilter.settings.schema import NAMED_SECTIONS, SECTIONS, key_of


@pytest.mark.parametrize(
    ("text", "value", "line"),
    [
        ("[s]\nkey = value", "value", 2),
        ("[s]\nkey=value", "value", 2),
        ("[s]\nkey   =   value   ", "value", 2),
        ("[ s ]\n\n\nkey = value", "value", 4),
        ("# comment\n[s]\n; comment\nkey = value\n# comment\n", "value", 4),
        ("[s]\nkey =", "", 2),
        ("[s]\nkey =\n  value", "value", 2),
        ("[s]\nkey = one\n  two\n\tthree", "one\ntwo\nthree", 2),
        ("[s]\nkey = one\n\n  two", "one\ntwo", 2),
        ("[s]\nkey = one\n  # comment\n  two", "one\ntwo", 2),
        ("[s]\r\nkey = value\r\n", "value", 2),
        ("[s]\nkey = a = b", "a = b", 2),
        ("[s]\nkey = a;b #c %d %(e)s ${f}", "a;b #c %d %(e)s ${f}", 2),
        ("[s]\nkey = ; all of it", "; all of it", 2),
        ("[s]\nkey = [x]", "[x]", 2),
        ("[s]\nkey = a\tb", "a\tb", 2),
        ("[s]\nkey = 'quotes' stay \"quotes\"", "'quotes' stay \"quotes\"", 2),
        ("[s]\nkey = grüße", "grüße", 2),
        ("[s]\na-key_1.x = value", "value", 2),
    ],
)
def test_an_entry(text, value, line) -> None:
    document = ini.parse(text)
    assert document.problems == []
    [entry] = document.sections["s"].entries.values()
    assert (entry.value, entry.line) == (value, line)


def test_sections_stand_in_the_files_order_with_their_lines() -> None:
    document = ini.parse("[b]\nx = 1\n[a]\n[domain:example.com]\nx = 2")
    assert [(s.name, s.line, list(s.entries)) for s in document.sections.values()] == [
        ("b", 1, ["x"]),
        ("a", 3, []),
        ("domain:example.com", 4, ["x"]),
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("key = value\n  more\n", [1]),  # what continues something wrong is not reported as well
        ("[s]\nstray\n  more\n  more\n", [2]),
        ("[s]\nkey = a\nkey = b\n  more\n", [3]),
        ("[s]\nbad \x07 = a\n  more\n", [2]),
        ("[s]\nkey = a\n  \x07\n  more\n", [3]),
        ("[s\x07]\nkey = a\n  more\n[t]\nkey = a", [1]),
        ("[]\nkey = a\n  more\n", [1]),
        ("[s]\nkey = a\n[s]\nkey = a\nkey = b", [3, 5]),
    ],
)
def test_problems_know_their_lines(text, lines) -> None:
    assert [problem.line for problem in ini.parse(text).problems] == lines


# A first call loads tables (of idna, of Unicode) and a busy machine is slow: neither is what these tests look for.
UNHURRIED = hypothesis_settings(deadline=None)


def problems_of(text: str) -> tuple[ini.SettingProblem, ...]:
    try:
        parse(text)
    except SettingsError as error:
        return error.problems
    return ()


@UNHURRIED
@given(st.text())
@example("[milter]\nsocket = \ud800")
@example("[exempt]\nsenders = \u0660\u2488.xn--a")
def test_any_text_parses_or_raises_settings_error(text) -> None:
    problems_of(text)


MODELS = {section: model for section, (_, model) in SECTIONS.items()}
MODELS |= {f"{kind}:a@b.example": model for kind, (model, _, _) in NAMED_SECTIONS.items()}
KEYS = st.sampled_from(sorted({key_of(model, name) for model in MODELS.values() for name in model.model_fields}))
CHARACTERS = st.one_of(st.sampled_from(string.printable + "{}[]:@/.,%é\u200f\u0660"), st.characters())
VALUES = st.text(CHARACTERS, max_size=40)
LINES = st.one_of(
    st.sampled_from(sorted(MODELS)).map("[{}]".format),
    st.tuples(KEYS, VALUES).map("{0[0]} = {0[1]}".format),
    VALUES,
    VALUES.map(" {}".format),
)


@UNHURRIED
@given(st.lists(LINES, max_size=8).map("\n".join))
def test_so_does_text_that_looks_like_settings(text) -> None:
    problems = problems_of(text)
    lines = [problem.line or 0 for problem in problems]
    assert lines == sorted(lines)
    assert all(str(problem).isprintable() for problem in problems)


@UNHURRIED
@given(st.binary())
def test_any_bytes_are_text_or_a_problem(data) -> None:
    text, problems = ini.decode(data)
    assert bool(problems) != (text.encode() == data.removeprefix(b"\xef\xbb\xbf"))


@pytest.mark.parametrize("character", [";", "#", "%"])
def test_these_are_plain_characters_inside_a_value(character) -> None:
    text = f"50{character} {character}of it {character * 2}"
    settings = parse(f"[reply]\nfail = {text}\n  second {text}\ncontact = {text}\n")
    assert [str(line) for line in settings.reply.fail] == [text, f"second {text}"]
    assert settings.reply.contact.fill({"hostname": ""}) == text


def test_equal_settings_from_other_lines_are_equal() -> None:
    assert parse("[policy]\nmode = monitor") == parse("\n\n# later\n[policy]\n\nmode = Monitor")
    assert parse("[policy]\nmode = monitor") != parse("")
