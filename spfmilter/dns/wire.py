"""DNS packets: a question out, an Answer in.

Knows RFC 1035's format for the few record types that SPF needs, over dnspython's bounds-checked parser, and reads any
packet without raising anything but ``MalformedError``. Knows no sockets and no servers. (dnspython's own messages cost
thirty times as much, and refuse a whole answer for one TXT record with no strings; docs/decisions/0004-dns.md.)
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

import dns.exception
import dns.wire

from spfmilter.dns.answer import Answer, RecordData, Status, Type
from spfmilter.value import value

_LENGTHS = [bytes((length,)) for length in range(64)]  # as they stand before a label
EDNS_SIZE = 1232  # bytes: fits every path without fragments (DNS flag day 2020)
_OPT = struct.pack("!BHHIH", 0, 41, EDNS_SIZE, 0, 0)  # root name, type OPT, our size, no flags, no options
_HEADER = 12  # bytes before the question
_FIXED = struct.Struct("!HHIH")  # type, class, TTL and length of a record (RFC 1035 section 3.2.1)
_NS, _CNAME, _SOA, _EDNS, _CLASS_IN = 2, 5, 6, 41, 1
_ENDS = {rdtype: b"\0" + struct.pack("!HH", rdtype, _CLASS_IN) for rdtype in Type}  # what follows a question's labels
_MAX_CNAMES = 10  # in one chain; as pyspf, by analogy with RFC 7208's other limits of ten
_NEGATIVE_TTL = 60  # seconds, for a negative answer that carries no SOA; RFC 2308 section 5 would not keep it at all
MAX_TTL = 2**31 - 1  # RFC 2181 section 8
# Records of one answer, and strings of its TXT records: some hundreds occur; 64 KB hold 5000, at 5 us each, and a
# record may ask for a hundred such answers.
MAX_RECORDS = 500
_MAX_STRINGS = 2000
_MAX_BESIDE = 20  # records of the other sections that are looked through
_MAX_POINTERS = 127  # in one name, which has at most as many labels
_HOST_NAME = re.compile(rb"[!-\[\]-~]*")  # no backslash; dots are told by counting
RCODES = {1: "FORMERR", 2: "SERVFAIL", 4: "NOTIMP", 5: "REFUSED", 16: "BADVERS"}


# Whether an alias must not be followed: the name that is one, and the name that it stands for, as labels.
Forbidden = Callable[[tuple[bytes, ...], tuple[bytes, ...]], bool]


class MalformedError(Exception):
    """The packet is no answer to the question: garbage, cut off, or the answer to another one."""


class TruncatedError(Exception):
    """The answer did not fit (TC): ask again over TCP (RFC 7766)."""


@value(kw_only=False)
class Question:
    """A question as it stands in a packet; answers are compared with it."""

    name: tuple[bytes, ...]  # labels in lower case, without the root
    type: Type
    wire: bytes


def question(name: str, rdtype: Type) -> Question | None:
    """Return the question for a name in text, or None if no packet can hold the name.

    The labels are taken literally: no escapes, no IDNA, no search list. RFC 1035 section 2.3.4: at most 63 bytes a
    label, 255 the name.
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


def packet(asked: Question, ident: int, *, edns: bool = True) -> bytes:
    """Return the packet that asks a recursive server, with or without EDNS (RFC 6891)."""
    header = struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 1 if edns else 0)
    return header + asked.wire + (_OPT if edns else b"")


def identifier(data: bytes) -> int | None:
    """Return the id of a packet that could be an answer, else None."""
    return int.from_bytes(data[:2], "big") if len(data) >= 12 and data[2] & 0x80 else None


def is_reply_to(asked: Question, data: bytes) -> bool:
    """Tell whether the packet repeats our question (RFC 5452 section 9.1).

    A FORMERR may come without one: old servers that do not know EDNS answer with the bare header (RFC 6891 section 7).
    """
    if data[4:6] != b"\0\1":
        return len(data) == 12 and data[3] & 0x0F == 1
    end = 12 + len(asked.wire)
    return data[12:end].lower() == asked.wire.lower()


@value(kw_only=False)
class Dangling:
    """A CNAME chain that leads out of the packet: the rest has to be asked for."""

    target: tuple[bytes, ...]
    ttl: int
    followed: int


def parse(asked: Question, data: bytes, forbidden: Forbidden = lambda _, __: False) -> Answer | Dangling:
    """Return the answer in a packet for which ``is_reply_to`` holds.

    Args:
        asked: the question.
        data: the packet.
        forbidden: whether the alias from the one name to the other is not followed: there is nothing at its end.

    Raises:
        MalformedError: the packet cannot be read.
        TruncatedError: the answer did not fit.
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
    return Answer(Status.FAILED, failure=RCODES.get(rcode, f"RCODE {rcode}"))


class _Reader:
    """One walk through a packet."""

    def __init__(self, asked: Question, data: bytes, forbidden: Forbidden) -> None:
        self.asked, self.forbidden = asked, forbidden
        _, _, _, self.answers, self.authority, self.additional = struct.unpack_from("!HHHHHH", data)
        # The question has been compared with ours already, and need not be read again; answers point to its name.
        self.parser = dns.wire.Parser(data, _HEADER + len(asked.wire))
        self.names = {_HEADER: asked.name}  # by the offset that a compression pointer led to
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
            if self.parser.current != end:  # as the parser's restrict_to(), which costs as much as an address
                raise dns.exception.FormError
        return self._follow(wanted, aliases, no_name=no_name)

    def _follow(
        self,
        wanted: dict[tuple[bytes, ...], tuple[int, list[RecordData]]],
        aliases: dict[tuple[bytes, ...], tuple[int, tuple[bytes, ...]]],
        *,
        no_name: bool,
    ) -> Answer | Dangling:
        """Return the records at the end of the CNAME chain of our question (RFC 1034 section 3.6.2)."""
        name, ttl, seen = self.asked.name, MAX_TTL, 0
        while name not in wanted and name in aliases:
            seen += 1
            if seen > _MAX_CNAMES:
                return Answer(Status.NO_DATA, ttl=_NEGATIVE_TTL)  # a loop: nothing at its end
            source, (alias_ttl, name) = name, aliases[name]
            ttl = min(ttl, alias_ttl)
            if self.forbidden(source, name):
                return Answer(Status.PRIVATE, ttl=ttl)
        if name in wanted:
            records_ttl, records = wanted[name]
            return Answer(Status.DATA, tuple(records), min(ttl, records_ttl), cut=self.answers > MAX_RECORDS)
        if self.answers > MAX_RECORDS:  # the record may stand among those that were not read
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
        if data[at] == 0xC0 and data[at + 1] == _HEADER:  # nearly all records are about the name in the question
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
            case Type.PTR:
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
        """Return a negative answer, kept no longer than ``ttl`` and the SOA say (RFC 2308 section 5).

        Without an SOA, the packet may mean something else.
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
                refers = refers or rdtype == _NS
                self.parser.get_remaining()
        if refers and not no_name:  # RFC 2308 section 2.2: that server does not recurse
            return Answer(Status.FAILED, failure="a referral")
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

    A pointer must lead backwards from where the piece that holds it began, so that the walk ends. Where it leads is
    remembered in ``known``: thousands of records may share one name of 127 labels.
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
    r"""A name from the DNS as text; bytes that are not part of host names become ``\ddd``, so that no dot is forged."""
    plain = b".".join(labels)
    if _HOST_NAME.fullmatch(plain) and plain.count(b".") < max(len(labels), 1):
        return plain.decode()
    return ".".join(
        "".join(chr(b) if 0x20 < b < 0x7F and b not in b".\\" else f"\\{b:03d}" for b in label) for label in labels
    )
