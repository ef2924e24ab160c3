"""A short run of the whole daemon's fuzzer, the same each time; `make fuzz` plays others, for as long as it is told."""

from lab.milterwire import packet
from tests.fuzz import oracle
from tests.fuzz.grammar import play
from tests.fuzz.process import Era, names


def test_sessions_of_an_odd_mta_leave_the_daemon_as_it_was() -> None:
    """Each reply is one of ours, each session ends, no worker dies, nothing is held, and no line of the log is a fault.

    To repeat a session: python -m tests.fuzz.process --play ERA/NUMBER
    """
    for name in ("test.0", "test.1"):
        era = Era(name)
        era.run([play(each) for each in names(name, 120)])
        assert era.findings == []
        assert era.sessions == 120


def test_the_same_seed_is_the_same_session() -> None:
    first, second = play("test.0/7"), play("test.0/7")
    assert (first.packets, first.stream, first.offer) == (second.packets, second.stream, second.offer)
    assert first.packets != play("test.0/8").packets


REFUSED = b"550-5.7.23 one\r\n550 5.7.23 two\0"


def test_the_oracle_accepts_correct_replies() -> None:
    right = [(b"O", bytes(12)), (b"c", b""), (b"y", REFUSED), (b"i", b"\0\0\0\0A\0b\n c\0"), (b"c", b"")]
    assert list(oracle.objections(right, commands=4, utf8=False)) == []


def test_the_oracle_objects_to_wrong_ones() -> None:
    for text in (
        b"550 4.7.1 a class of its own\0",
        b"554 5.7.1 a code of others\0",
        b"550 5.7.1 two\nlines\0",
        b"550 5.7.1 an octet \xff\0",
        b"550 5.7.1 100 % of it\0",
        b"550-5.7.1 it goes on, and ends\0",
        b"550 5.7.1 no end",
        b"550 5.7.1 " + b"x" * 600 + b"\0",
    ):
        assert list(oracle.reply(text, utf8=False)), text
    for packets in (
        [(b"t", b"")],
        [(b"a", b"")],
        [(b"c", b""), (b"c", b"")],
        [(b"i", b"\0\0\0\0A\0b\nc\0"), (b"c", b"")],
        [(b"i", b"\0\0\0\0A\0b\0"), (b"y", REFUSED)],
        [(b"m", b"\0\0\0\1A\0\0")],
    ):
        assert list(oracle.objections(packets, commands=1, utf8=False)), packets


def test_lengths_are_read_as_libmilter_reads_them() -> None:
    zero, negative = b"\0\0\0\0E", b"\xff\xff\xff\xffK"
    found, rest = oracle.packets_of(packet(b"M", b"<>\0") + zero + negative + b"\0\0\0\x09R")
    assert found == [(b"M", b"<>\0"), (b"E", b""), (b"K", b"")]
    assert rest == b"\0\0\0\x09R"
