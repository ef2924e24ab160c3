from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from spfmilter.web.mailto import MAX_LENGTH, mailto


class Escaped(str):
    """A text as a template has it."""

    __slots__ = ()

    def __html__(self) -> str:
        """What marks it as such."""
        return self


def test_subject_and_text_are_what_a_mail_program_reads() -> None:
    link = mailto("Mail of e.example & co", ["one: 50 %", Escaped("two: &lt;b&gt;"), "三"])
    assert link.startswith("mailto:?subject=Mail%20of%20e.example%20%26%20co&body=")
    assert parse_qs(urlsplit(link).query) == {
        "subject": ["Mail of e.example & co"], "body": ["one: 50 %\r\ntwo: <b>\r\n三\r\n"],
    }  # fmt: skip


def test_a_link_that_would_be_too_long_keeps_the_last_lines() -> None:
    link = mailto("subject", ["x" * MAX_LENGTH, "case"])
    assert link.endswith("&body=case%0D%0A")


@given(st.text(max_size=100), st.lists(st.text(max_size=400), max_size=5))
def test_any_text_makes_a_plain_link(subject: str, lines: list[str]) -> None:
    """No other field of RFC 6068, such as bcc, can be added."""
    subject, lines = (
        subject.encode("utf-8", "replace").decode(), [line.encode("utf-8", "replace").decode() for line in lines]
    )  # fmt: skip
    link = mailto(subject, lines)
    assert link.isascii()
    assert set(parse_qs(urlsplit(link).query, keep_blank_values=True)) == {"subject", "body"}
    assert not set(' "<>') & set(link)
