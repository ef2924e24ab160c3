"""DNS packets, byte by byte: what is asked, and what is read from what comes."""

import struct

import pytest

from spfmilter.dns import wire
from spfmilter.dns.answer import Answer, RecordData, Status, Type
from spfmilter.dns.wire import Dangling, MalformedError, Question, TruncatedError

POINTER = b"\xc0\x0c"  # to the question's name
CNAME, SOA, OTHER = 5, 6, 46


def asked(name: str = "e.example", rdtype: Type = Type.A) -> Question:
    found = wire.question(name, rdtype)
    assert found is not None
    return found


def name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def rr(rdtype: int, data: bytes, *, owner: bytes = POINTER, ttl: int = 300, rdclass: int = 1) -> bytes:
    return owner + struct.pack("!HHLH", rdtype, rdclass, ttl, len(data)) + data


def packet(
    question: Question,
    answers: tuple[bytes, ...] = (),
    authority: tuple[bytes, ...] = (),
    additional: tuple[bytes, ...] = (),
    *,
    flags: int = 0x8180,
) -> bytes:
    head = struct.pack("!HHHHHH", 7, flags, 1, len(answers), len(authority), len(additional))
    return head + question.wire + b"".join([*answers, *authority, *additional])


def soa(ttl: int, minimum: int) -> bytes:
    return rr(SOA, name("ns.example") + name("admin.example") + struct.pack("!IIIII", 1, 2, 3, 4, minimum), ttl=ttl)


# -- questions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("E.Example", (b"e", b"example")),
        ("e.example.", (b"e", b"example")),
        ("tld", (b"tld",)),
        (r"a\.b.example", (b"a\\", b"b", b"example")),
        ("a@b.example", (b"a@b", b"example")),
        ("a b.%41.example", (b"a b", b"%41", b"example")),
        ("x" * 63 + ".example", (b"x" * 63, b"example")),
        (".".join(["x" * 63] * 3 + ["y" * 61]), (b"x" * 63, b"x" * 63, b"x" * 63, b"y" * 61)),
    ],
)
def test_labels_are_taken_literally(text: str, labels: tuple[bytes, ...]) -> None:
    """No escapes, no IDNA, no search list: what stands between two dots is a label."""
    found = asked(text)
    assert found.name == labels
    assert found.wire == b"".join(bytes([len(label)]) + label for label in labels) + b"\0\0\1\0\1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..example",
        ".example",
        "e.example..",
        "x" * 64 + ".example",
        ".".join(["x" * 63] * 3 + ["y" * 62]),
        "ü.example",
        "e\u3002example",
    ],
)
def test_what_no_packet_can_hold_is_not_asked(text: str) -> None:
    assert wire.question(text, Type.TXT) is None


def test_a_packet_asks_for_recursion_with_edns() -> None:
    """RFC 6891: an OPT record of our size; none for a server that does not know it."""
    question = asked("e.example", Type.TXT)
    with_edns, without = wire.packet(question, 0xABCD), wire.packet(question, 0xABCD, edns=False)
    assert without == b"\xab\xcd\1\0\0\1\0\0\0\0\0\0\1e\7example\0\0\x10\0\1"
    assert with_edns == without[:11] + b"\1" + without[12:] + b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


# -- whose answer it is -----------------------------------------------------------------------------------------------


def test_an_answer_repeats_the_question_in_any_case() -> None:
    question = asked("e.example")
    assert wire.is_reply_to(question, packet(question))
    assert wire.is_reply_to(question, packet(question).replace(b"example", b"eXAMPLe"))
    assert wire.identifier(packet(question)) == 7


@pytest.mark.parametrize(
    "other", [asked("f.example"), asked("e.example", Type.AAAA), asked("e.example.example"), asked("x.e.example")]
)
def test_an_answer_to_another_question_is_not_ours(other: Question) -> None:
    assert not wire.is_reply_to(asked("e.example"), packet(other))


@pytest.mark.parametrize("data", [b"", b"\0" * 11, b"\0" * 12, wire.packet(asked(), 7)])
def test_what_is_short_or_a_question_has_no_identifier(data: bytes) -> None:
    assert wire.identifier(data) is None


@pytest.mark.parametrize(("rcode", "is_ours"), [(0, False), (1, True), (2, False), (3, False)])
def test_only_a_format_error_comes_without_a_question(rcode: int, *, is_ours: bool) -> None:
    """RFC 6891 section 7: a server from before EDNS may send the bare header."""
    bare = struct.pack("!HHHHHH", 7, 0x8180 | rcode, 0, 0, 0, 0)
    assert wire.is_reply_to(asked(), bare) is is_ours
    assert not wire.is_reply_to(asked(), bare + b"\0")


@pytest.mark.parametrize("owner", [POINTER, name("E.EXAMPLE"), b"\1E\xc0\x0e"])
def test_a_record_may_name_its_owner_in_any_way(owner: bytes) -> None:
    question = asked()
    found = wire.parse(question, packet(question, (rr(Type.A, b"\xc0\0\2\1", owner=owner),)))
    assert found == Answer(Status.DATA, (b"\xc0\0\2\1",), 300)


# -- answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rdtype", "data", "record"),
    [
        (Type.A, b"\xc0\0\2\1", b"\xc0\0\2\1"),
        (Type.AAAA, bytes(range(16)), bytes(range(16))),
        (Type.MX, b"\0\x0a" + name("Mail.example"), (10, "mail.example")),
        (Type.MX, b"\0\x0a\4mail\xc0\x0e", (10, "mail.example")),
        (Type.MX, b"\0\0\0", (0, "")),  # RFC 7505: no mail here
        (Type.PTR, name("m.example"), "m.example"),
        (Type.PTR, POINTER, "e.example"),
        (Type.PTR, b"\3a.b\7example\0", r"a\046b.example"),
        (Type.PTR, b"\3a\\b\2\xff \0", r"a\092b.\255\032"),
        (Type.TXT, b"", b""),
        (Type.TXT, b"\0", b""),
        (Type.TXT, b"\3abc", b"abc"),
        (Type.TXT, b"\3v=s\0\3pf1", b"v=spf1"),
        (Type.TXT, b"\2\xff\x00", b"\xff\x00"),
    ],
)
def test_a_record_is_read(rdtype: Type, data: bytes, record: RecordData) -> None:
    question = asked("e.example", rdtype)
    answer = wire.parse(question, packet(question, (rr(rdtype.value, data),)))
    assert answer == Answer(Status.DATA, (record,), 300)


def test_a_record_without_strings_does_not_hide_the_others() -> None:
    """RFC 1035 section 3.3.14 forbids it, real zones have it, and dnspython throws the whole answer away for it."""
    question = asked("e.example", Type.TXT)
    answer = wire.parse(question, packet(question, (rr(16, b""), rr(16, b"\6v=spf1"))))
    assert isinstance(answer, Answer)
    assert answer.records == (b"", b"v=spf1")


def test_records_of_other_names_and_types_are_left_out() -> None:
    question = asked()
    others = (rr(1, b"\1\1\1\1", owner=name("x.example")), rr(OTHER, b"signature"), rr(28, bytes(16)))
    assert wire.parse(question, packet(question, (*others, rr(1, b"\2\2\2\2")))) == Answer(
        Status.DATA, (b"\2\2\2\2",), 300
    )


def test_a_record_of_another_class_is_none() -> None:
    """RFC 1034 section 3.6: CHAOS is another tree of names. The alias and the SOA are no better."""
    question = asked(rdtype=Type.TXT)
    chaos = rr(16, b"\6v=spf1", rdclass=3)
    answer = wire.parse(question, packet(question, (chaos, rr(16, b"\1x"))))
    assert answer == Answer(Status.DATA, (b"x",), 300)
    alias, start = rr(CNAME, name("other.example"), rdclass=3), soa(30, 20).replace(b"\0\6\0\1", b"\0\6\0\3")
    answer = wire.parse(question, packet(question, (chaos, alias), (start,)))
    assert answer == Answer(Status.NO_DATA, ttl=60)  # as without an SOA


def test_the_shortest_life_counts() -> None:
    question = asked()
    answers = (rr(1, b"\1\1\1\1", ttl=60), rr(1, b"\2\2\2\2", ttl=30), rr(1, b"\3\3\3\3", ttl=90))
    found = wire.parse(question, packet(question, answers))
    assert isinstance(found, Answer)
    assert found.ttl == 30


def test_a_ttl_with_its_first_bit_set_is_zero() -> None:
    """RFC 2181 section 8."""
    question = asked()
    found = wire.parse(question, packet(question, (rr(1, b"\1\1\1\1", ttl=2**31),)))
    assert isinstance(found, Answer)
    assert found.ttl == 0


def test_a_chain_of_aliases_is_followed_in_any_order() -> None:
    question = asked()
    answers = (
        rr(1, b"\1\1\1\1", owner=name("c.example"), ttl=100),
        rr(CNAME, name("C.example"), owner=name("B.example"), ttl=50),
        rr(CNAME, name("b.example"), ttl=70),
    )
    assert wire.parse(question, packet(question, answers)) == Answer(Status.DATA, (b"\1\1\1\1",), 50)


def test_a_chain_that_leads_out_of_the_packet_dangles() -> None:
    question = asked()
    found = wire.parse(question, packet(question, (rr(CNAME, name("far.example"), ttl=20),)))
    assert found == Dangling((b"far", b"example"), 20, 1)


@pytest.mark.parametrize("length", [1, 2, 10])
def test_a_loop_of_aliases_holds_nothing(length: int) -> None:
    question = asked("n0.example")
    links = tuple(rr(CNAME, name(f"n{(n + 1) % length}.example"), owner=name(f"n{n}.example")) for n in range(length))
    found = wire.parse(question, packet(question, links))
    assert isinstance(found, Answer)
    assert found.status is Status.NO_DATA


@pytest.mark.parametrize(("links", "status"), [(10, Status.DATA), (11, Status.NO_DATA)])
def test_ten_aliases_are_followed(links: int, status: Status) -> None:
    question = asked("n0.example")
    chain = [rr(CNAME, name(f"n{n + 1}.example"), owner=name(f"n{n}.example")) for n in range(links)]
    found = wire.parse(question, packet(question, (*chain, rr(1, b"\1\1\1\1", owner=name(f"n{links}.example")))))
    assert isinstance(found, Answer)
    assert found.status is status


@pytest.mark.parametrize(
    ("rcode", "authority", "expected"),
    [
        (0, (soa(600, 60),), Answer(Status.NO_DATA, ttl=60)),
        (3, (soa(30, 60),), Answer(Status.NO_NAME, ttl=30)),
        (3, (rr(2, name("ns.example")), soa(600, 90)), Answer(Status.NO_NAME, ttl=90)),
        (0, (), Answer(Status.NO_DATA, ttl=60)),
        (3, (), Answer(Status.NO_NAME, ttl=60)),
    ],
)
def test_a_negative_answer_lives_as_its_soa_says(rcode: int, authority: tuple[bytes, ...], expected: Answer) -> None:
    """RFC 2308 section 5: the smaller of the SOA's own life and its minimum."""
    question = asked()
    assert wire.parse(question, packet(question, (), authority, flags=0x8180 | rcode)) == expected


def test_an_alias_to_nothing_is_negative() -> None:
    question = asked()
    found = wire.parse(
        question, packet(question, (rr(CNAME, name("x.example"), ttl=9),), (soa(600, 60),), flags=0x8183)
    )
    assert found == Answer(Status.NO_NAME, ttl=9)


@pytest.mark.parametrize(
    ("rcode", "word"), [(1, "FORMERR"), (2, "SERVFAIL"), (4, "NOTIMP"), (5, "REFUSED"), (9, "RCODE 9")]
)
def test_an_error_is_a_failed_lookup(rcode: int, word: str) -> None:
    question = asked()
    assert wire.parse(question, packet(question, flags=0x8180 | rcode)) == Answer(Status.FAILED, failure=word)


NS, OPT = 2, 41


def test_a_referral_is_a_failed_lookup() -> None:
    """RFC 2308 section 2.2: a server that does not recurse knows nothing of whether there is a record."""
    question, elsewhere = asked(), rr(NS, name("ns.example"), owner=name("example"))
    referral = Answer(Status.FAILED, failure="a referral")
    assert wire.parse(question, packet(question, (), (elsewhere, elsewhere), flags=0x8100)) == referral
    alias = rr(CNAME, name("x.example"))
    assert wire.parse(question, packet(question, (alias,), (elsewhere,), flags=0x8100)) == referral
    assert wire.parse(question, packet(question, (), (elsewhere, soa(9, 9)))) == Answer(Status.NO_DATA, ttl=9)
    assert wire.parse(question, packet(question, (), (elsewhere,), flags=0x8183)) == Answer(Status.NO_NAME, ttl=60)


@pytest.mark.parametrize(("extended", "failure"), [(1, "BADVERS"), (2, "RCODE 32")])
def test_an_error_that_only_edns_can_tell_is_a_failed_lookup(extended: int, failure: str) -> None:
    """RFC 6891 section 6.1.3: the upper bits of the RCODE stand in the OPT record's TTL, and its class is a size."""
    question, other = asked(), rr(1, b"\1\1\1\1", owner=name("ns.example"))
    opt = rr(OPT, b"", owner=b"\0", ttl=extended << 24, rdclass=1232)
    assert wire.parse(question, packet(question, (), (), (other, opt))) == Answer(Status.FAILED, failure=failure)
    usual = rr(OPT, b"", owner=b"\0", ttl=0x8000)  # DO
    assert wire.parse(question, packet(question, (), (), (other, usual))) == Answer(Status.NO_DATA, ttl=60)


def test_of_an_answer_of_too_many_records_the_first_are_read() -> None:
    question = asked()
    few, many = (packet(question, (rr(1, b"\1\1\1\1"),) * count, (soa(9, 9),)) for count in (500, 501))
    assert wire.parse(question, few) == Answer(Status.DATA, (b"\1\1\1\1",) * 500, 300)
    assert wire.parse(question, many) == Answer(Status.DATA, (b"\1\1\1\1",) * 500, 300, cut=True)


def test_a_record_behind_too_many_others_is_not_reported_as_missing() -> None:
    question, alias = asked(), rr(CNAME, name("x.example"))
    for records in ((rr(OTHER, b"x"),) * 500 + (rr(1, b"\1\1\1\1"),), (alias, *(rr(OTHER, b"x"),) * 500)):
        assert wire.parse(question, packet(question, records)) == Answer(Status.FAILED, failure="more than 500 records")


def test_a_truncated_answer_says_so() -> None:
    question = asked()
    with pytest.raises(TruncatedError):
        wire.parse(question, packet(question, flags=0x8380))


LONG = b"\x3f" + b"x" * 63
MALFORMED = {
    "a record that is announced and missing": (Type.A, b""),
    "an address of three bytes": (Type.A, rr(1, b"\1\2\3")),
    "an address of five bytes": (Type.A, rr(1, b"\1\2\3\4\5")),
    "a v6 address of four bytes": (Type.AAAA, rr(28, b"\1\2\3\4")),
    "data that is cut off": (Type.A, rr(1, b"\1\2\3\4")[:-1]),
    "a string longer than its record": (Type.TXT, rr(16, b"\5abc")),
    "more strings than are read": (Type.TXT, rr(16, b"\0" * 2001)),
    "an exchange without a name": (Type.MX, rr(15, b"\0\1")),
    "an exchange with something behind": (Type.MX, rr(15, b"\0\1\0x")),
    "a pointer to itself": (Type.PTR, rr(12, b"\xc0\x27")),
    "a pointer forward": (Type.PTR, rr(12, b"\xc0\xff")),
    "a pointer that is cut off": (Type.PTR, rr(12, b"\xc0")),
    "a label of the unused kinds": (Type.PTR, rr(12, b"\x40a\0")),
    "a label that is cut off": (Type.PTR, rr(12, b"\5abc")),
    "a name that does not end": (Type.PTR, rr(12, b"\1a")),
    "a name of 257 bytes": (Type.PTR, rr(12, LONG * 4 + b"\0")),
    "a name of 256 bytes with a pointer": (Type.PTR, rr(12, LONG * 3 + b"\x34" + b"y" * 52 + POINTER)),
    "pointers without end": (
        Type.PTR,
        rr(12, POINTER + b"".join(struct.pack("!H", 0xC027 + 2 * n) for n in range(150))),
    ),
}


@pytest.mark.parametrize(("rdtype", "record"), MALFORMED.values(), ids=MALFORMED.keys())
def test_what_cannot_be_read_is_malformed(rdtype: Type, record: bytes) -> None:
    question = asked("e.example", rdtype)
    with pytest.raises(MalformedError):
        wire.parse(question, packet(question, (record,)))


def test_many_records_share_a_long_name() -> None:
    """The name is read once, and is the same each time."""
    long = ".".join(["x"] * 100) + ".example"
    question = asked(long, Type.MX)
    records = tuple(rr(15, struct.pack("!H", n) + b"\1y" + POINTER) for n in range(5))
    found = wire.parse(question, packet(question, records))
    assert isinstance(found, Answer)
    assert found.records == tuple((n, f"y.{long}") for n in range(5))


@pytest.mark.parametrize(
    ("rdtype", "record", "text"),
    [
        (Type.A, b"\xc0\0\2\1", "192.0.2.1"),
        (Type.AAAA, bytes(15) + b"\1", "::1"),
        (Type.MX, (10, "m.example"), "10 m.example"),
        (Type.MX, (0, ""), "0 ."),
        (Type.PTR, "m.example", "m.example"),
        (Type.TXT, b"four", "four"),
        (Type.TXT, b"sixteen letters.", "sixteen letters."),
        (Type.TXT, b"\xff", "\\xff"),
    ],
)
def test_records_are_shown_as_their_type_is(rdtype: Type, record: bytes | str | tuple[int, str], text: str) -> None:
    """Also a text that happens to be as long as an address."""
    assert Answer(Status.DATA, (record,)).texts(rdtype) == (text,)
