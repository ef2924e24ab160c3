"""A request as a value: what is read of a store and of a person, and when there are too many. Tables, no store."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.model import Identity
from spfmilter.requests.request import (
    MOST,
    MOST_OF_DOMAIN,
    MOST_OF_NETWORK,
    State,
    exemption_for,
    is_crowded,
    json_of,
    one_line,
    read_address,
    request_of,
    row_of,
    valid,
)
from tests.requests.samples import NOW, asked, granted

WHOLE = [
    asked(),
    granted(asked(2, "2001:db8::7", identity=Identity.HELO, domain="mx.example.com", mailed=NOW, language="zh-Hans")),
    replace(asked(3), state=State.DECLINED, answered=NOW, answered_by="bob", answer="ünï \"\\ ' ;--"),
]


@pytest.mark.parametrize("one", WHOLE, ids=lambda one: str(one.state))
def test_a_row_reads_back_as_the_request(one) -> None:
    assert request_of(row_of(one)) == one


def test_programs_get_times_that_people_can_read() -> None:
    shown = json_of(WHOLE[1])
    assert (shown["asked"], shown["until"]) == ("2026-05-28T20:26:40Z", "2026-06-04T20:26:40Z")
    assert shown["state"] == "granted"
    assert json_of(WHOLE[0])["answered"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"case_id": "H1FC-402Z-GPWH"},
        {"case_id": None},
        {"case_id": 7},
        {"asked": None},
        {"asked": True},
        {"ends": -1},
        {"ends": 1e9},
        {"ends": 10**15},
        {"address": "203.0.113.0/24"},
        {"address": "localhost"},
        {"address": None},
        {"identity": "from"},
        {"result": "passed"},
        {"state": "asked"},
        {"state": None},
        {"domain": ""},
        {"domain": "a b"},
        {"sentence": "x" * 501},
        {"sentence": ["x"]},
        {"answer": "x" * 501},
        {"answer_to": "-oQ/tmp"},
        {"answer_to": None},
        {"answer_to": "a@b.example, c@d.example"},
        {"exemption": "x" * 17},
    ],
)
def test_a_row_that_is_no_request_is_an_error(change) -> None:
    with pytest.raises(ValueError, match=r"."):
        request_of({**row_of(WHOLE[0]), **change})


def test_texts_of_a_row_are_sanitized() -> None:
    hostile = {"sentence": "a\x1b[31m\u202eb\nc", "answer": "\x07", "answered_by": "eve\x1b[2J"}
    found = request_of({**row_of(WHOLE[0]), **hostile})
    assert (found.sentence, found.answer, found.answered_by) == ("a?[31m?b c", "?", "eve?[2J")


@given(st.lists(st.one_of(st.none(), st.integers(), st.text(), st.dictionaries(st.text(), st.text() | st.integers()))))
def test_rows_of_strangers_are_refused_and_named(rows) -> None:
    refused: list[str] = []
    assert list(valid(rows, lambda _row, why: refused.append(why))) == []
    assert len(refused) == len(rows)
    assert all(why.isprintable() for why in refused)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("bob@example.com", "bob@example.com"),
        (" bob@EXAMPLE.com ", "bob@EXAMPLE.com"),
        ("<bob+x@example.com>", "bob+x@example.com"),
        ("bob@bücher.example", "bob@xn--bcher-kva.example"),
        ("bob", None),
        ("bob@", None),
        ("@example.com", None),
        ("bob@example", None),
        ("b ob@example.com", None),
        ('"bob"@example.com', None),
        ("bob@example.com\nBcc: eve@evil.example", None),
        ("bob@[203.0.113.7]", None),
        ("bøb@example.com", None),
        (f"{'b' * 250}@example.com", None),
        ("", None),
    ],
)
def test_an_address_can_be_answered_or_is_an_error(text, read) -> None:
    if read is not None:
        assert read_address(text) == read
        return
    with pytest.raises(ValueError, match="no email address"):
        read_address(text)


@given(st.text())
def test_an_address_never_begins_an_option_or_another_field(text) -> None:
    try:
        found = read_address(text)
    except ValueError:
        return
    assert found.isascii()
    assert found.isprintable()
    assert " " not in found
    assert "," not in found


@given(st.text(max_size=600))
def test_what_a_person_writes_becomes_one_printable_line(text) -> None:
    assert one_line(text).isprintable() or not one_line(text)


def many(number: int, **fields) -> list:
    return [
        asked(each, f"10.{each // 250}.{each % 250}.1", domain=f"d{each}.example", **fields) for each in range(number)
    ]


@pytest.mark.parametrize(
    ("present", "crowded"),
    [
        ([], False),
        (many(MOST - 1), False),
        (many(MOST), True),
        ([replace(one, state=State.DECLINED) for one in many(MOST)], False),
        ([asked(each, f"10.0.{each}.1") for each in range(MOST_OF_DOMAIN - 1)], False),
        ([asked(each, f"10.0.{each}.1") for each in range(MOST_OF_DOMAIN)], True),
        ([asked(each, f"203.0.113.{each}", domain=f"d{each}.example") for each in range(MOST_OF_NETWORK - 1)], False),
        ([asked(each, f"203.0.113.{each}", domain=f"d{each}.example") for each in range(MOST_OF_NETWORK)], True),
        ([asked(each, f"2001:db8::{each}", domain=f"d{each}.example") for each in range(MOST_OF_NETWORK)], False),
    ],
)
def test_there_are_too_many_in_all_of_one_domain_or_of_one_network(present, crowded) -> None:
    assert is_crowded(present, ip_address("203.0.113.7"), "example.com") is crowded


def test_the_exemption_is_for_this_domain_from_this_address() -> None:
    values: dict[str, Any] = {"identity": "ABC123", "now": NOW, "until": NOW + 5, "by": "alice", "because": "why"}
    found = exemption_for(asked(), **values)
    assert (found.network, found.domain) == (ip_network("203.0.113.7/32"), "example.com")
    assert (found.until, found.added_by, found.because) == (NOW + 5, "alice", "why")
    assert str(exemption_for(asked(1, "2001:db8::7"), **values).subject) == "example.com from 2001:db8::7"


@pytest.mark.parametrize("fields", [{"identity": Identity.HELO}, {"domain": "a+b.example.com"}])
def test_without_a_sender_domain_it_is_for_the_address_alone(fields) -> None:
    found = exemption_for(asked(**fields), identity="ABC123", now=NOW, until=NOW + 5, by="a", because="b")
    assert (found.network, found.domain) == (ip_network("203.0.113.7/32"), "")
