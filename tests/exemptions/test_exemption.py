"""A row of a store is untrusted input: what is one, what is not, and what is made of its texts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.exemptions.exemption import (
    COLUMNS,
    ID_BITS,
    TEXT_LIMIT,
    Exemption,
    exemption_of,
    json_of,
    new_id,
    read_id,
    read_subject,
    row_of,
)
from tests.exemptions.samples import DAY, NOW, exempt

ROW = row_of(exempt("203.0.113.0/24", domain="example.com"))


def test_a_row_comes_back_as_it_was() -> None:
    for one in (
        exempt("203.0.113.7"),
        exempt("2001:db8::/32", domain=".example.com", until=None),
        exempt("", forwarder="mx.example.net", removed=NOW, removed_by="bob"),
        exempt("", forwarder_spf="example.net"),
    ):
        assert exemption_of(row_of(one)) == one
        assert set(row_of(one)) == set(COLUMNS)


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": ""},
        {"id": "ABC"},
        {"id": "ABCDEU"},
        {"id": "abcdef"},
        {"id": 7},
        {"id": "ABCDEF\n"},
        {"network": "203.0.113.7/24"},
        {"network": "203.0.113.0/33"},
        {"network": "::ffff:203.0.113.0/120"},
        {"network": "fe80::1%eth0"},
        {"network": "x" * 65},
        {"network": 3405803776},
        {"domain": "exa mple.com"},
        {"domain": "example"},
        {"domain": "*.example.com"},
        {"domain": "a" * 64 + ".example"},
        {"domain": "example.com\0"},
        {"domain": "x." * 200},
        {"forwarder": "mx.example.net"},  # beside a network
        {"network": None, "domain": None},
        {"added": None},
        {"added": "1780000000"},
        {"added": True},
        {"added": -1},
        {"until": 1.5},
        {"until": 10**18},
        {"because": "x" * (TEXT_LIMIT + 1)},
        {"because": b"bytes"},
        {"added_by": "x" * 300},
        {"removed": "now"},
    ],
)
def test_a_wrong_row_is_no_exemption(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as wrong:  # noqa: PT011 - the message differs
        exemption_of({**ROW, **change})
    assert str(wrong.value).isprintable()


def test_texts_become_one_harmless_line() -> None:
    one = exemption_of({**ROW, "because": "a\nb\x1b[31m\u202e", "added_by": "eve\r"})
    assert (one.because, one.added_by) == ("a?b?[31m?", "eve?")


VALUES = st.none() | st.text(max_size=80) | st.integers() | st.binary(max_size=9) | st.booleans() | st.floats()


@given(st.dictionaries(st.sampled_from(COLUMNS), VALUES))
def test_no_row_raises_anything_else(row: dict[str, Any]) -> None:
    for whole in (row, {**ROW, **row}):
        try:
            assert isinstance(exemption_of(whole), Exemption)
        except ValueError as error:
            assert str(error).isprintable()  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("given_", "shown"),
    [
        ({"network_text": "203.0.113.7"}, "203.0.113.7"),
        ({"network_text": "203.0.113.7/32"}, "203.0.113.7"),
        ({"network_text": "203.0.113.0/24", "domain": "Example.COM."}, "example.com from 203.0.113.0/24"),
        ({"domain": "bücher.example"}, "xn--bcher-kva.example"),
        ({"forwarder": ".example.net"}, "forwarder .example.net"),
        ({"forwarder_spf": "example.net"}, "forwarder by the SPF record of example.net"),
    ],
)
def test_whom_it_lets_in(given_: dict[str, str], shown: str) -> None:
    assert str(read_subject(**given_)[1]) == shown


@pytest.mark.parametrize(
    "given_",
    [
        {},
        {"network_text": "203.0.113.7", "forwarder": "mx.example.net"},
        {"domain": "example.com", "forwarder": "mx.example.net"},
        {"forwarder": "mx.example.net", "forwarder_spf": "example.net"},
    ],
)
def test_what_does_not_go_together(given_: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="an exemption is for"):
        read_subject(**given_)


def test_an_id_is_read_as_people_write_it() -> None:
    assert new_id(0) == "000000"
    assert new_id((1 << ID_BITS) - 1) == "ZZZZZZ"
    assert read_id(" oil7zz ") == "0117ZZ"
    for wrong in ("", "12345", "1234567", "12345U", "12345é", "1234 5"):
        with pytest.raises(ValueError, match="is not the id of an exemption"):
            read_id(wrong)


def test_for_programs() -> None:
    shown = json_of(exempt("203.0.113.7"), NOW + 8 * DAY)
    assert (shown["added"], shown["until"], shown["in_force"]) == (
        "2026-05-28T20:26:40Z",
        "2026-06-04T20:26:40Z",
        False,
    )
