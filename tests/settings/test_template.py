"""Texts with placeholders: a name is replaced, and nothing else is possible."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.template import LINE_LIMIT, PLACEHOLDERS, Template, TemplateError

VALUES = {name: f"<{name}>" for name in PLACEHOLDERS}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{address}", "<address>"),
        ("{address}{domain}", "<address><domain>"),
        ("{address} is not in the list of {domain}.", "<address> is not in the list of <domain>."),
        ("{{address}}", "{address}"),
        ("{{{address}}}", "{<address>}"),
        ("{{}}", "{}"),
        ("100 % {result} %s %(x)s ; #", "100 % <result> %s %(x)s ; #"),
        ("\\{domain}\\n", "\\<domain>\\n"),
    ],
)
def test_filling(text, filled) -> None:
    template = Template.parse(text)
    assert template.fill(VALUES) == filled
    assert str(template) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{adress}", "{adress} is not a placeholder; did you mean {address}? Possible: {address}, {identity}, "),
        ("{}", "{} is not a placeholder. Possible: {address}, "),
        ("{0}", "{0} is not a placeholder. "),
        ("{ address }", "{ address } is not a placeholder; did you mean {address}?"),
        ("{ADDRESS}", "{ADDRESS} is not a placeholder"),
        ("{address.packed}", "{address.packed} is not a placeholder"),
        ("{address[0]}", "{address[0]} is not a placeholder"),
        ("{address!r}", "{address!r} is not a placeholder"),
        ("{address:}", "{address:} is not a placeholder"),
        ("{address:>99}", "{address:>99} is not a placeholder"),
        ("{" + "x" * 100 + "}", "{" + "x" * 37 + "...} is not a placeholder"),
        ("{address", "a { stands alone: write {{ for the character itself"),
        ("address}", "a } stands alone: write }} for the character itself"),
        ("{address:{domain}}", "a { stands alone"),
        ("}{", "a } stands alone"),
        ("tab\there", "'\\t' cannot be sent in an SMTP reply: only printable ASCII can"),
        ("two\nlines", "'\\n' cannot be sent"),
        ("escape \x1b[31m", "'\\x1b' cannot be sent"),
        ("grüße", "'ü' cannot be sent"),
        ("x" * (LINE_LIMIT + 1), "a line has 401 characters: write at most 400"),
    ],
)
def test_what_is_wrong_is_reported(text, message) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("不" * 134, "a line has 402 bytes: write at most 400"),
        ("a\u202eb", "'\\u202e' cannot be sent in an SMTP reply: only printable text can"),
        ("a\u3000b", "'\\u3000' cannot be sent"),
        ("\udcff", "'\\udcff' cannot be sent"),
        ("两行\n", "'\\n' cannot be sent"),
    ],
)
def test_what_is_wrong_with_a_text_for_clients_that_take_utf8_is_reported(text, message) -> None:
    with pytest.raises(TemplateError) as caught:
        Template.parse(text, utf8=True)
    assert str(caught.value).startswith(message)


def test_for_clients_that_take_utf8_it_can_be_in_any_language() -> None:
    template = Template.parse("{address} 不在 {domain} 之列。", utf8=True)
    assert template.fill(VALUES) == "<address> 不在 <domain> 之列。"
    assert template.names == {"address", "domain"}


def test_only_what_is_allowed_is_known() -> None:
    assert Template.parse("postmaster@{hostname}", ["hostname"]).fill({"hostname": "mx"}) == "postmaster@mx"
    with pytest.raises(TemplateError, match=r"Possible: \{hostname\}$"):
        Template.parse("{domain}", ["hostname"])


@pytest.mark.parametrize(("text", "words"), [("{problem}", False), (" {problem} {said} ", False), ("{problem}.", True)])
def test_whether_something_is_left_where_every_value_is_empty(text, words) -> None:
    assert Template.parse(text).has_words is words


@given(st.fixed_dictionaries(dict.fromkeys(PLACEHOLDERS, st.text())))
def test_any_values_fill_it(values) -> None:
    template = Template.parse("".join(f"{{{name}}}" for name in PLACEHOLDERS) + "{{%")
    assert template.fill(values) == "".join(values[name] for name in PLACEHOLDERS) + "{%"


@given(st.text(st.sampled_from("{}a!:.[]0 %") | st.characters()))
def test_any_text_is_a_template_or_a_template_error(text) -> None:
    try:
        template = Template.parse(text)
    except TemplateError:
        return
    template.fill(VALUES)


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=LINE_LIMIT // 2))
def test_doubled_braces_are_plain_characters(text) -> None:
    assert Template.parse(text.replace("{", "{{").replace("}", "}}")).fill({}) == text
