"""The case id: unique, short, and safe to read over the telephone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter import caseid

BITS = st.integers(min_value=0, max_value=(1 << caseid.BITS) - 1)


def test_an_id_has_three_groups_of_four() -> None:
    """What is printed in a notice does not change."""
    assert caseid.of_bits(0) == "0000-0000-0000"
    assert caseid.of_bits(0x4CF205E52D4A70) == "K7J0-QJJT-JKG9"


@given(BITS)
def test_an_id_reads_back(bits: int) -> None:
    """Also in small letters, without its hyphens, with blanks, and with the letters that look like digits."""
    case = caseid.of_bits(bits)
    assert re.fullmatch(caseid.FORM, case)
    assert caseid.bits_of(case) == bits
    misread = case.replace("0", "o").replace("1", "l")
    for typed in (case, case.lower(), case.replace("-", ""), f" {case.replace('-', ' ')} ", misread):
        assert caseid.read(typed) == case


@given(BITS, st.integers(0, 11), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_wrong_character_is_noticed(bits: int, place: int, character: str) -> None:
    """Wherever it stands."""
    plain = caseid.of_bits(bits).replace("-", "")
    wrong = plain[:place] + character + plain[place + 1 :]
    if wrong != plain:
        with pytest.raises(ValueError, match="is wrong"):
            caseid.read(wrong)


@given(BITS, st.integers(0, 11), st.integers(0, 11))
def test_two_characters_that_have_changed_places_are_noticed(bits: int, one: int, other: int) -> None:
    """Also when they do not stand side by side."""
    characters = list(caseid.of_bits(bits).replace("-", ""))
    characters[one], characters[other] = characters[other], characters[one]
    if "".join(characters) != caseid.of_bits(bits).replace("-", ""):
        with pytest.raises(ValueError, match="changed places"):
            caseid.read("".join(characters))


@pytest.mark.parametrize(
    ("typed", "why"),
    [("", "12 letters and digits"), ("H1FC-402Z-GPW", "12 letters"), ("H1FC-402Z-GPW!", "no '!'"), ("ü" * 12, "no '")],
)
def test_what_is_no_id_is_an_error_that_says_why(typed: str, why: str) -> None:
    """The text may be anything."""
    with pytest.raises(ValueError, match=why):
        caseid.read(typed)
