"""Write questions as DNS packets, and read Answers from packets.

Knows RFC 1035's format for a few record types. Knows no sockets and no servers. Reads with dnspython's
parser, which checks all bounds. dnspython's own messages take thirty times as long, and refuse a whole answer for one
TXT record without strings (docs/decisions/0004-dns.md).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import dns.exception
import dns.wire

from spfmilter.dns.answer import Answer, RecordData, Status, Type
from spfmilter.value import value

_LENGTHS = [bytes((length,)) for length in range(64)]  # the byte before a label
EDNS_SIZE = 1232  # bytes: fits every path without fragments (DNS flag day 2020)
_OPT = struct.pack("!BHHIH", 0, 41, EDNS_SIZE, 0, 0)  # root name, type OPT, our size, no flags, no options
_HEADER = 12  # bytes before the question
_FIXED = struct.Struct("!HHIH")  # type, class, TTL and length of a record (RFC 1035 section 3.2.1)
_CNAME, _SOA, _EDNS, _CLASS_IN = 5, 6, 41, 1
_ENDS = {rdtype: b"\0" + struct.pack("!HH", rdtype, _CLASS_IN) for rdtype in Type}  # the end of a question
_MAX_CNAMES = 10  # in one chain, as in pyspf; RFC 7208's other limits are ten as well
_NEGATIVE_TTL = 60  # seconds, for a negative answer without an SOA; RFC 2308 section 5 would not cache it at all
MAX_TTL = 2**31 - 1  # RFC 2181 section 8
# Limits on the records of one answer, and on the strings of its TXT records. Real answers have a few hundred. 64 KB
# could hold 5000, which take 5 us each to read, and an SPF record may ask for a hundred such answers.
MAX_RECORDS = 500
_MAX_STRINGS = 2000
_MAX_BESIDE = 20  # records that are read of each other section
_MAX_POINTERS = 127  # in one name: it has at most 127 labels
_HOST_NAME = re.compile(rb"[!-\[\]-~]*")  # without the backslash; a dot inside a label is found by counting
RCODES = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED", 16: "BADVERS"}
_RCODE = "RCODE "
_REFERRAL = "a referral"  # of a server that does not recurse


# Tells whether a CNAME must not be followed, given its owner and its target as labels.
Forbidden = Callable[[tuple[bytes, ...], tuple[bytes, ...]], bool]


class MalformedError(Exception):
    """The packet cannot be read: it is garbage, cut off, or the answer to another question."""


class TruncatedError(Exception):
    """The answer is truncated (flag TC): ask again over TCP (RFC 7766)."""


@value(kw_only=False)
class Question:
    """A question with its form in a packet, with which answers are compared."""

    name: tuple[bytes, ...]  # labels in lower case, without the root
    type: Type
    wire: bytes


def question(name: str, rdtype: Type) -> Question | None:
    """Return the question for a name in text, or None if no packet can hold the name.

    The labels are taken literally: no escapes, no IDNA, no search list. A label has at most 63 bytes, and a name 255
    (RFC 1035 section 2.3.4).
    """
    if not name.isascii():
        return None
    labels = tuple(name.lower().removesuffix(".").encode().split(b"."))
    if not all(labels) or max(map(len, labels)) > 63 or sum(map(len, labels)) + len(labels) > 254:
        return None
    return from_labels(labels, rdtype)


def from_labels(labels: tuple[bytes, ...], rdtype: Type) -> Question:
    """Return the question for labels that are known to be valid."""
    name = b"".join([_LENGTHS[len(label)] + label for label in labels])
    return Question(labels, rdtype, name + _ENDS[rdtype])


# The question of a probe. The root has no address, and every nameserver can say so.
PROBE = from_labels((), Type.A)


def packet(asked: Question, ident: int, *, edns: bool = True) -> bytes:
    """Return the packet that asks a recursive server, with or without EDNS (RFC 6891)."""
    header = struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 1 if edns else 0)
    return header + asked.wire + (_OPT if edns else b"")


def identifier(data: bytes) -> int | None:
    """Return the id of a packet; None if it is not a response (flag QR) or is too short."""
    return int.from_bytes(data[:2], "big") if len(data) >= 12 and data[2] & 0x80 else None


def is_reply_to(asked: Question, data: bytes) -> bool:
    """Tell whether the packet repeats our question (RFC 5452 section 9.1).

    A FORMERR without a question counts as well: old servers that do not know EDNS send only the header (RFC 6891
    section 7).
    """
    if data[4:6] != b"\0\1":
        return len(data) == 12 and data[3] & 0x0F == 1
    end = 12 + len(asked.wire)
    return data[12:end].lower() == asked.wire.lower()


def is_no_error(data: bytes) -> bool:
    """Tell whether a reply is an answer: records, or that there are none (NOERROR, NXDOMAIN)."""
    return data[3] & 0x0F in {0, 3}


def marked_truncated(data: bytes) -> bytes:
    """Return the packet with TC set, for one of which only the beginning is here."""
    return data[:2] + bytes((data[2] | 0x02,)) + data[3:]


@value(kw_only=False)
class Dangling:
    """A CNAME chain that leads out of the packet: its target has to be asked for."""

    target: tuple[bytes, ...]
    ttl: int
    followed: int


def parse(asked: Question, data: bytes, forbidden: Forbidden = lambda _, __: False) -> Answer | Dangling:
    """Return the answer in a packet for which ``is_reply_to`` holds.

    Args:
        asked: the question.
        data: the packet.
        forbidden: tells whether a CNAME must not be followed; the answer is then ``Status.PRIVATE``.

    Raises:
        MalformedError: the packet cannot be read.
        TruncatedError: the answer is truncated.
    """
    if data[2] & 0x02:
        raise TruncatedError
    rcode = data[3] & 0x0F
    if rcode not in {0, 3}:
        return _failure(rcode)
    try:
        return _Reader(asked, data, forbidden).answer(no_name=rcode == 3)
    except (dns.exception.DNSException, struct.error, ValueError, IndexError) as error:
        raise MalformedError(str(error) or type(error).__name__) from None


def _failure(rcode: int) -> Answer:
    return Answer(Status.FAILED, failure=RCODES.get(rcode, f"{_RCODE}{rcode}"))


def is_error(answer: Answer) -> bool:
    """Return whether a nameserver has refused the question: with an RCODE, or because it does not recurse."""
    failure = answer.failure
    return failure in RCODES.values() or failure == _REFERRAL or failure.startswith(_RCODE)


class _Reader:
    """Read one packet, from its first record to the last."""

    def __init__(self, asked: Question, data: bytes, forbidden: Forbidden) -> None:
        self.asked, self.forbidden = asked, forbidden
        _, _, _, self.answers, self.authority, self.additional = struct.unpack_from("!HHHHHH", data)
        # Skip the question, which ``is_reply_to`` has compared. Records point back to its name.
        self.parser = dns.wire.Parser(data, _HEADER + len(asked.wire))
        self.names = {_HEADER: asked.name}  # by the offset that compression pointers lead to
        self.strings = 0

    def answer(self, *, no_name: bool) -> Answer | Dangling:
        wanted: dict[tuple[bytes, ...], tuple[int, list[RecordData]]] = {}
        aliases: dict[tuple[bytes, ...], tuple[int, tuple[bytes, ...]]] = {}
        for _ in range(min(self.answers, MAX_RECORDS)):
            owner, rdtype, ttl, rdlength = self._record()
            end = self.parser.current + rdlength
            if rdtype == self.asked.type.value:
                known_ttl, records = wanted.setdefault(owner, (ttl, []))
                records.append(self._data(rdlength))
                wanted[owner] = (min(known_ttl, ttl), records)
            elif rdtype == _CNAME:
                aliases[owner] = (ttl, self._labels())
            else:
                self.parser.seek(end)
            if self.parser.current != end:  # the parser's restrict_to() would take as long as reading an address
                raise dns.exception.FormError
        return self._follow(wanted, aliases, no_name=no_name)

    def _follow(
        self,
        wanted: dict[tuple[bytes, ...], tuple[int, list[RecordData]]],
        aliases: dict[tuple[bytes, ...], tuple[int, tuple[bytes, ...]]],
        *,
        no_name: bool,
    ) -> Answer | Dangling:
        """Follow the CNAME chain from our question, and return the records at its end (RFC 1034 section 3.6.2)."""
        name, ttl, seen = self.asked.name, MAX_TTL, 0
        while name not in wanted and name in aliases:
            seen += 1
            if seen > _MAX_CNAMES:
                return Answer(Status.NO_DATA, ttl=_NEGATIVE_TTL)  # a loop, or far too long
            source, (alias_ttl, name) = name, aliases[name]
            ttl = min(ttl, alias_ttl)
            if self.forbidden(source, name):
                return Answer(Status.PRIVATE, ttl=ttl)
        if name in wanted:
            records_ttl, records = wanted[name]
            return Answer(Status.DATA, tuple(records), min(ttl, records_ttl), cut=self.answers > MAX_RECORDS)
        if self.answers > MAX_RECORDS:  # the wanted record may be among those that were not read
            return Answer(Status.FAILED, failure=f"more than {MAX_RECORDS} records")
        if seen and not no_name and not self.authority:
            return Dangling(name, ttl, seen)
        return self._negative(ttl, no_name=no_name)

    def _record(self) -> tuple[tuple[bytes, ...], int, int, int]:
        owner = self._labels()
        at = self.parser.current
        self.parser.seek(at + _FIXED.size)
        rdtype, rdclass, ttl, rdlength = _FIXED.unpack_from(self.parser.wire, at)
        # Another class is another tree of names (RFC 1034 section 3.6). In EDNS the class is a size.
        known = rdclass == _CLASS_IN or rdtype == _EDNS
        return owner, rdtype if known else 0, ttl if ttl <= MAX_TTL else 0, rdlength

    def _labels(self) -> tuple[bytes, ...]:
        data, at = self.parser.wire, self.parser.current
        if data[at] == 0xC0 and data[at + 1] == _HEADER:  # fast path: nearly all records belong to the asked name
            self.parser.seek(at + 2)
            return self.asked.name
        labels, end = _name(data, at, self.names)
        self.parser.seek(end)
        return labels

    def _data(self, rdlength: int) -> RecordData:
        match self.asked.type:
            case Type.A | Type.AAAA:
                return self.parser.get_bytes(4 if self.asked.type is Type.A else 16)
            case Type.MX:
                return (self.parser.get_uint16(), _text(self._labels()))
            case Type.PTR | Type.NS:
                return _text(self._labels())
            case Type.TXT:
                return self._strings(rdlength)

    def _strings(self, rdlength: int) -> bytes:
        """Return the joined character-strings of a TXT record (RFC 7208 section 3.3); it may have none."""
        data, at = self.parser.get_bytes(rdlength), 0
        strings: list[bytes] = []
        while at < rdlength and len(strings) <= _MAX_STRINGS:
            end = at + 1 + data[at]
            if end > rdlength:
                raise dns.exception.FormError
            strings.append(data[at + 1 : end])
            at = end
        self.strings += len(strings)
        if self.strings > _MAX_STRINGS:
            raise ValueError(f"more than {_MAX_STRINGS} strings")
        return b"".join(strings)

    def _negative(self, ttl: int, *, no_name: bool) -> Answer:
        """Return a negative answer with the least of ``ttl`` and the SOA's two values (RFC 2308 section 5).

        Without an SOA, the packet may be a referral, or an error with an extended RCODE.
        """
        status, refers = Status.NO_NAME if no_name else Status.NO_DATA, False
        for _ in range(min(self.authority, _MAX_BESIDE)):
            _, rdtype, own_ttl, rdlength = self._record()
            with self.parser.restrict_to(rdlength):
                if rdtype == _SOA:
                    self._labels()
                    self._labels()
                    *_, minimum = self.parser.get_struct("!IIIII")
                    return Answer(status, ttl=min(ttl, own_ttl, minimum))
                refers = refers or rdtype == Type.NS.value
                self.parser.get_remaining()
        if refers and not no_name:  # RFC 2308 section 2.2: a server that does not recurse
            return Answer(Status.FAILED, failure=_REFERRAL)
        extended = self._extended_rcode() if self.authority <= _MAX_BESIDE else 0
        return _failure(extended | 3 * no_name) if extended else Answer(status, ttl=min(ttl, _NEGATIVE_TTL))

    def _extended_rcode(self) -> int:
        """Return the upper bits of an extended RCODE (RFC 6891 section 6.1.3); 0 without EDNS."""
        for _ in range(min(self.additional, _MAX_BESIDE)):
            _, rdtype, ttl, rdlength = self._record()
            with self.parser.restrict_to(rdlength):
                self.parser.get_remaining()
            if rdtype == _EDNS:
                return ttl >> 24 << 4
        return 0


def _name(
    data: bytes, at: int, known: dict[int, tuple[bytes, ...]], pointers: int = 0
) -> tuple[tuple[bytes, ...], int]:
    """Return the labels of a name in a packet, in lower case, and where it ends (RFC 1035 section 4.1.4).

    A pointer must lead to a place before the labels that it follows, so reading always ends. ``known`` remembers the
    labels at each place: thousands of records may share one name of 127 labels.

    Raises:
        ValueError: the name is malformed or too long.
        IndexError: the packet is cut off.
    """
    labels: list[bytes] = []
    start = at
    while 0 < (count := data[at]) < 64:
        labels.append(data[at + 1 : at + 1 + count].lower())
        at += 1 + count
    if count >= 192:
        target = (count & 0x3F) << 8 | data[at + 1]
        if target >= start or pointers >= _MAX_POINTERS:
            raise ValueError("a compression pointer that does not lead back")
        if target not in known:
            known[target], _ = _name(data, target, known, pointers + 1)
        if not labels:
            return known[target], at + 2
        labels += known[target]
        at += 1
    elif count:
        raise ValueError("an unknown kind of label")
    if sum(map(len, labels)) + len(labels) > 254:
        raise ValueError("a name that is too long")
    return tuple(labels), at + 1


def _text(labels: tuple[bytes, ...]) -> str:
    r"""Return a name as text. Write bytes that occur in no host name as ``\ddd``, among them dots inside a label."""
    plain = b".".join(labels)
    if _HOST_NAME.fullmatch(plain) and plain.count(b".") < max(len(labels), 1):
        return plain.decode()
    return ".".join(
        "".join(chr(b) if 0x20 < b < 0x7F and b not in b".\\" else f"\\{b:03d}" for b in label) for label in labels
    )
