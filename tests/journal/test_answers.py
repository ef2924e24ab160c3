"""The DNS answers of a decision: packed and unpacked unchanged, small, and never an error that is not ours."""

import json
import zlib
from dataclasses import fields
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spfmilter.dns.answer import Answer, Asked, Status, Type
from spfmilter.journal.answers import MAX_PACKED, AnswersError, packed, unpack
from spfmilter.model import Disposition, Identity, Plan, Result, Transaction, Verdict
from tests.values import action, check, facts, verdict

names = st.text(st.characters(exclude_categories=[]), max_size=40)
words = st.text(max_size=20)
HEARD = st.lists(st.tuples(words, words), max_size=3).map(tuple)
RECORDS: dict[Type, st.SearchStrategy[Any]] = {
    Type.A: st.binary(min_size=4, max_size=4),
    Type.AAAA: st.binary(min_size=16, max_size=16),
    Type.PTR: names,
    Type.NS: names,
    Type.MX: st.tuples(st.integers(0, 65535), names),
    Type.TXT: st.binary(max_size=60).map(lambda text: b"v=" + text),
}


@st.composite
def lookups(draw: st.DrawFn) -> Asked:
    rdtype = draw(st.sampled_from(Type))
    records = tuple(draw(st.lists(RECORDS[rdtype], max_size=4)))
    ttl, took = draw(st.integers(0, (1 << 31) - 1)), draw(st.integers(0, 300_000)) / 10_000
    flags = draw(st.booleans()), draw(st.booleans())
    answer = Answer(draw(st.sampled_from(Status)), records, ttl, draw(words), *flags, draw(HEARD), took)
    return draw(names), rdtype, answer


def ended(*verdicts: Verdict, disposition: Disposition = Disposition.REJECT) -> Transaction:
    done = action(disposition, verdicts[-1] if verdicts else None)
    return Transaction(facts=facts(), plan=Plan(), verdicts=verdicts, action=done)


def fail(*asked: Asked, **other: Any) -> Verdict:
    return verdict(Result.FAIL, asked=asked, **other)


def everything(answer: Answer) -> tuple[object, ...]:
    """All fields of an answer: two equal answers may differ in some."""
    return (*(getattr(answer, name) for name in (one.name for one in fields(answer))),)


@given(st.lists(lookups(), max_size=8))
def test_what_is_unpacked_is_what_was_packed(asked: list[Asked]) -> None:
    data = packed(ended(fail(*asked)))
    assert data is not None
    (found,) = unpack(data)
    assert (found.identity, found.domain, found.record) == (Identity.MAILFROM, "example.com", "")
    assert [(name, rdtype) for name, rdtype, _ in found.asked] == [(name, rdtype) for name, rdtype, _ in asked]
    assert [everything(answer) for *_, answer in found.asked] == [everything(answer) for *_, answer in asked]


def test_each_evaluation_is_kept_with_what_it_was_about() -> None:
    helo = verdict(Result.NONE, Identity.HELO, check=check(Identity.HELO, null_sender=True))
    pinned = fail(check=check(record="v=spf1 -all"))
    data = packed(ended(helo, pinned))
    first, second = unpack(data)
    assert (first.identity, first.domain, first.null_sender) == (Identity.HELO, "mail.example.com", True)
    assert (second.identity, second.record) == (Identity.MAILFROM, "v=spf1 -all")
    address = ip_address("203.0.113.7")
    assert first.check(address, "user", "mail.example.com") == helo.check
    assert second.check(address, "user", "mail.example.com") == pinned.check
    assert second.check(address, None, "").local == "postmaster"
    assert second.check(address, None, "").as_sent == "example.com"


@pytest.mark.parametrize(
    "taken", [ended(verdict(Result.PASS), disposition=Disposition.ACCEPT), ended(disposition=Disposition.REJECT)]
)
def test_a_plain_accept_and_a_message_without_checks_have_none(taken: Transaction) -> None:
    assert packed(taken) is None


def test_records_that_no_evaluation_reads_are_counted_only() -> None:
    texts = (b"google-site-verification=1", b"V=SPF1 -all", b"v=DMARC1; p=none", b"hello")
    (found,) = unpack(packed(ended(fail(("example.com", Type.TXT, Answer(Status.DATA, texts))))))
    assert found.asked[0][2].records == (b"V=SPF1 -all", b"v=DMARC1; p=none", b"", b"")
    (found,) = unpack(packed(ended(fail(("why.example.com", Type.TXT, Answer(Status.DATA, (b"hello",)))))))
    assert found.asked[0][2].records == (b"hello",)


LONG = tuple(("example.com", Type.PTR, Answer(Status.DATA, (f"{n * 0x9E3779B1:x}.example",))) for n in range(4000))


@pytest.mark.parametrize("large", [fail(*LONG), verdict(Result.FAIL, asked=None)])
def test_too_many_answers_are_not_kept_and_the_row_says_so(large: Verdict) -> None:
    data = packed(ended(large))
    assert data is not None
    assert len(data) <= MAX_PACKED
    with pytest.raises(AnswersError, match="too many"):
        unpack(data)


@pytest.mark.parametrize(
    ("local", "name", "letters", "kept"),
    [
        ("alice", "alice.l.example.com", "l", False),
        ("alice", "ALICE.l.example.com", "l", False),
        ("alice-list", "list.l.example.com", "s", False),
        ("alice", "example.com", "l", True),  # only the explanation used it
        ("alice", "bob.example.com", "ls", True),
        ("alice", "alice.example.com", "i", True),  # a name in the record, the same for every sender
        ("!!", "!!.l.example.com", "l", False),
        ("postmaster", "postmaster.l.example.com", "l", True),
    ],
)
def test_a_local_part_is_kept_only_if_the_settings_want_it(local: str, name: str, letters: str, kept: bool) -> None:
    asked = ("example.com", Type.TXT, Answer(Status.DATA, (b"v=spf1 ?",))), (name, Type.A, Answer(Status.NO_NAME))
    told = ended(fail(*asked, check=check(local=local), letters=frozenset(letters)))
    assert len(unpack(packed(told, local_parts=True))) == 1
    if kept:
        assert len(unpack(packed(told))) == 1
    else:
        with pytest.raises(AnswersError, match="local_parts"):
            unpack(packed(told))


# -- hostile octets ----------------------------------------------------------------------------------------------------


def read(data: bytes) -> str:
    """Read the octets. Return the error; empty: there is none."""
    try:
        unpack(data)
    except AnswersError as error:
        return str(error)
    return ""


def json_of(found: object) -> bytes:
    return b"\1" + zlib.compress(json.dumps(found).encode())


LOOKUP = [16, "example.com", "data", 300, 12, "", 0, 0, [["192.0.2.53", "answered"]], ["v=spf1 -all"], 0]


def changed(place: int, value: object) -> list[object]:
    return [*LOOKUP[:place], value, *LOOKUP[place + 1 :]]


def test_the_lookup_that_the_next_tests_spoil_can_be_read() -> None:
    (found,) = unpack(json_of([["helo", "example.com", 0, "", [LOOKUP]]]))
    assert found.asked[0][2].heard == (("192.0.2.53", "answered"),)


@pytest.mark.parametrize(
    "lookup",
    [
        [],
        LOOKUP[:-1],
        None,
        changed(0, 17),
        changed(0, "16"),
        changed(1, 5),
        changed(2, "gone"),
        changed(3, -1),
        changed(3, 1 << 40),
        changed(3, 1.5),
        changed(4, 1e400),
        changed(6, 2),
        changed(8, [["a"]]),
        changed(8, {}),
        changed(9, [5]),
        changed(9, ["\u20ac"]),
        changed(10, 1 << 17),
        [1, "a", "data", 0, 0, "", 0, 0, [], ["c0000201ff"], 0],
        [1, "a", "data", 0, 0, "", 0, 0, [], ["zz"], 0],
        [1, "a", "data", 0, 0, "", 0, 0, [], [], 5],
        [15, "a", "data", 0, 0, "", 0, 0, [], [[1, 2, 3]], 0],
    ],
)
def test_a_spoilt_lookup_is_refused(lookup: object) -> None:
    with pytest.raises(AnswersError, match="damaged"):
        unpack(json_of([["helo", "example.com", 0, "", [lookup]]]))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "none were kept"),
        (b"", "none were kept"),
        (b"\0", "reason that this version does not know"),
        (b"\0\xff", "reason that this version does not know"),
        (b"\2later", "format 2"),
        (b"\1", "damaged"),
        (b"\1x", "damaged"),
        (json_of([])[:-1], "damaged"),
        (json_of([]) + b"x", "damaged"),
        (json_of({}), "damaged"),
        (json_of([["from", "a", 0, "", []]]), "damaged"),
        (json_of([["helo", "a", 0, ""]]), "damaged"),
        (b"\1" + zlib.compress(b"[" * 100_000), "damaged"),
        (b"\1" + zlib.compress(b"[]" + b" " * (8 << 20)), "damaged"),  # a bomb
        (b"\1" + zlib.compress(b"9" * 10_000), "damaged"),
        (b"\1" + b"x" * MAX_PACKED, "more than"),
    ],
)
def test_what_cannot_be_read_is_a_clear_error(data: bytes | None, why: str) -> None:
    with pytest.raises(AnswersError, match=why):
        unpack(data)


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_else(data: bytes) -> None:
    for each in (data, b"\1" + data, b"\1" + zlib.compress(data)):
        assert read(each).isprintable()


SCRAPS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([*LOOKUP, LOOKUP]),
    lambda inner: st.lists(inner, max_size=11),
    max_leaves=30,
)


@given(SCRAPS)
def test_no_json_raises_anything_else(scraps: object) -> None:
    for found in (scraps, [scraps], [["helo", "a", 0, "", scraps]], [["helo", "a", 0, "", [scraps]]]):
        assert read(json_of(found)).isprintable()
