"""What a POST to a case's page is read as: a sentence and an address, complaints, or no form of ours at all."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.web.requestform import FIELDS, MAX_BODY, UnreadableError, read

TYPE = "application/x-www-form-urlencoded"
ADDRESS = "bob@example.com"


def sent(sentence: str = "Hello.", answer_to: str = ADDRESS) -> bytes:
    return urlencode({"sentence": sentence, "answer_to": answer_to}).encode()


@pytest.mark.parametrize(
    ("sentence", "answer_to", "values", "wrong"),
    [
        ("Hello.", ADDRESS, ("Hello.", ADDRESS), set()),
        (" two\r\nlines ", " Bob <bob@example.com> ", ("two lines", ADDRESS), set()),
        ("我是您的牙医。", "bob@bücher.example", ("我是您的牙医。", "bob@xn--bcher-kva.example"), set()),
        ("x" * 500, ADDRESS, ("x" * 500, ADDRESS), set()),
        ("x" * 501, ADDRESS, ("x" * 501, ADDRESS), {"sentence"}),
        ("", "", ("", ""), {"sentence", "answer_to"}),
        (" \n ", "bob", ("", "bob"), {"sentence", "answer_to"}),
        ("a\x1b[31m\u202eb\x00", ADDRESS, ("a?[31m?b?", ADDRESS), set()),
        ("<script>", '"><script>', ("<script>", '"><script>'), {"answer_to"}),
    ],
)
def test_each_field_is_read_or_has_a_complaint(sentence, answer_to, values, wrong) -> None:
    found = read(TYPE, sent(sentence, answer_to))
    assert tuple(found.values[name] for name in FIELDS) == values
    assert set(found.complaints) == wrong


def test_the_longest_sentence_fits_into_a_body() -> None:
    body = urlencode({"sentence": "\U0001f4e7" * 500, "answer_to": "b" * 242 + "@example.com"}).encode()
    assert len(body) <= MAX_BODY
    assert not read(TYPE + "; charset=utf-8", body).complaints


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", sent()),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain", sent()),
        ("application/json", b"{}"),
        (TYPE, b"\x00\xff\xfe"),
        (TYPE, b"sentence=%ff"),
        (TYPE, b"a=1&" * 9),
    ],
)
def test_what_no_browser_sends_is_no_form(content_type, body) -> None:
    with pytest.raises(UnreadableError):
        read(content_type, body)


@pytest.mark.parametrize("body", [b"", b"sentence=x", b"answer_to=x", b"sentence=a&sentence=b", b"%73entence=x&&&="])
def test_fields_that_are_missing_or_doubled_are_no_error(body) -> None:
    assert read(TYPE, body).complaints


@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: f"sentence={quote(text)}".encode()))
def test_any_body_gives_printable_values_or_is_no_form(body) -> None:
    try:
        found = read(TYPE, body)
    except UnreadableError:
        return
    assert all(value.isprintable() for value in found.values.values())
