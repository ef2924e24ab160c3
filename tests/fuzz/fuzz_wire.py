"""Any packet is an answer, malformed, truncated or not for us; what comes out of it is clean."""

import struct

from spfmilter.dns import wire
from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.wire import Dangling, MalformedError, TruncatedError

QUESTIONS = [wire.question("e.example", rdtype) for rdtype in Type]


def one_input(data: bytes) -> None:
    """The first byte chooses the question, and whether the rest is a packet or what follows a proper beginning."""
    choice = data[0] if data else 0
    asked = QUESTIONS[choice % len(QUESTIONS)]
    assert asked is not None
    packet = data[1:]
    if choice & 0x80:
        counts = packet[:3].ljust(3, b"\0")
        head = struct.pack("!HBBHHHH", 7, 0x81, counts[0] & 0x8F, 1, counts[1] % 16, counts[2] % 4, 0)
        packet = head + asked.wire + packet[3:]
    if wire.identifier(packet) is None or not wire.is_reply_to(asked, packet):
        return
    try:
        found = wire.parse(asked, packet)
    except (MalformedError, TruncatedError):
        return
    if isinstance(found, Dangling):
        assert sum(map(len, found.target)) + len(found.target) <= 254
        assert 0 <= found.ttl <= wire.MAX_TTL
        wire.packet(wire.from_labels(found.target, asked.type), 1)
        return
    _clean(found, asked.type)


def _clean(answer: Answer, rdtype: Type) -> None:
    assert 0 <= answer.ttl <= wire.MAX_TTL
    assert bool(answer.records) == (answer.status is Status.DATA)
    assert bool(answer.failure) == (answer.status is Status.FAILED)
    for record in answer.records:
        match rdtype:
            case Type.A | Type.AAAA:
                assert isinstance(record, bytes)
                assert len(record) == (4 if rdtype is Type.A else 16)
            case Type.TXT:
                assert isinstance(record, bytes)
            case Type.MX:
                assert isinstance(record, tuple)
                assert 0 <= record[0] < 65536
                _name(record[1])
            case Type.PTR:
                assert isinstance(record, str)
                _name(record)
    assert all(text.isascii() for text in answer.texts(rdtype))


def _name(name: str) -> None:
    """A name is what people can read, and no byte of a label makes a dot."""
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name
    assert len(name) < 1100
