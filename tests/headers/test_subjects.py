"""The prefix before the subject of a tagged message."""

from email import message_from_string
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.subjects import missing, tagged

NI_HAO = "=?utf-8?b?5L2g5aW9?="


def shown(value: str) -> str:
    """The subject as a mail program shows it."""
    return str(message_from_string(f"Subject: {value}\n\nbody", policy=default)["subject"])


@pytest.mark.parametrize(
    ("subject", "prefix", "seen"),
    [
        ("hello", "[SPF]", "[SPF] hello"),
        ("", "[SPF]", "[SPF]"),
        (NI_HAO, "[SPF]", "[SPF] 你好"),
        (NI_HAO, "[垃圾]", "[垃圾] 你好"),
        ("hello", "[垃圾]", "[垃圾] hello"),
        (f"Re: {NI_HAO}", "[SPF]", "[SPF] Re: 你好"),
        ("hello =?x-unknown?b?5L2g?=", "[SPF]", None),  # whatever a program makes of it
        ("=?utf-8?b?!?=", "[SPF]", None),
        ("grüß", "[SPF]", "[SPF] grüß"),  # SMTPUTF8
    ],
)
def test_the_prefix_is_seen_before_the_subject(subject: str, prefix: str, seen: str | None) -> None:
    (change,) = tagged(subject, prefix)
    assert change.value.endswith(subject)
    assert seen is None or shown(change.value) == seen


@pytest.mark.parametrize(
    ("subject", "prefix"),
    [
        ("[SPF] hello", "[SPF]"),
        ("Re: [SPF] hello", "[SPF]"),
        ("=?utf-8?q?=5BSPF=5D_hello?=", "[SPF]"),
        ("=?utf-8?b?W+WegyDlnL5d?= =?utf-8?b?5L2g5aW9?=", "[垃 圾]"),
        ("bytes \udcff", "[SPF]"),  # cannot be written back
    ],
)
def test_what_has_it_or_cannot_be_written_is_left_alone(subject: str, prefix: str) -> None:
    assert tagged(subject, prefix) == ()


def test_a_subject_that_has_been_tagged_is_not_tagged_again() -> None:
    for prefix in ("[SPF]", "[垃圾]"):
        (change,) = tagged(NI_HAO, prefix)
        assert tagged(change.value, prefix) == ()


def test_no_line_grows_beyond_78_characters() -> None:
    (short,) = tagged("x" * 63, "[SPF]")
    (long,) = tagged("x" * 64, "[SPF]")
    assert short.value == f"[SPF] {'x' * 63}"
    assert long.value == f"[SPF]\n {'x' * 64}"
    (folded,) = tagged(f"{'x' * 70}\n yz", "[SPF]")
    assert folded.value == f"[SPF]\n {'x' * 70}\n yz"


def test_a_message_without_subject_gets_one() -> None:
    assert [(field.name, shown(field.value).strip()) for field in missing("[垃圾]")] == [("Subject", "[垃圾]")]


@given(st.text(), st.text(min_size=1, max_size=10))
def test_nothing_that_a_stranger_writes_breaks_it(subject: str, prefix: str) -> None:
    for change in tagged(subject, prefix):
        assert change.value.endswith(subject.strip()) or change.value.endswith(subject.lstrip())
