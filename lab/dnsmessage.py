"""DNS messages of a server: parse a query, compose its response, and corrupt it as scripted.

It knows messages (RFC 1035), EDNS sizes (RFC 6891) and the behaviours of `lab.dnszone`. `lab.dnsserver` knows the
sockets, the delays and the counters.
"""

import struct
from typing import NamedTuple

from lab.dnszone import HONEST, RCODES, Answer, Behaviour, name_to_wire

_QR_AA, _TC, _RD = 0x8400, 0x0200, 0x0100
_EDNS_SIZE = 4096
_OPT = struct.pack(">BHHLH", 0, 41, _EDNS_SIZE, 0, 0)
_WRONG_NAME = name_to_wire("wrong-question.lab.invalid")

_head = struct.Struct(">HHHHHH")


class Query(NamedTuple):
    """A received question, with everything that the answer must echo or obey."""

    ident: int
    recursion: int  # the RD bit, in place
    question: bytes  # name, type and class as sent: the answer keeps the question's case
    name: bytes  # in lower case
    qtype: int
    edns_size: int | None  # None: without EDNS


def parse_query(wire: bytes) -> Query | None:
    """Return the query; None if the datagram is not one (a response, another opcode, not one question, junk)."""
    try:
        ident, flags, questions, answers, authorities, additionals = _head.unpack_from(wire)
        if flags & 0xF800 or questions != 1 or answers or authorities:
            return None
        offset = 12
        while (length := wire[offset]) != 0:
            if length > 63:
                return None
            offset += 1 + length
        qtype, qclass = struct.unpack_from(">HH", wire, offset + 1)
        if qclass != 1:
            return None
        edns_size = None
        if additionals and wire[offset + 5] == 0:
            rtype, size = struct.unpack_from(">HH", wire, offset + 6)
            edns_size = max(size, 512) if rtype == 41 else None
    except (IndexError, struct.error):
        return None
    return Query(ident, flags & _RD, wire[12 : offset + 5], wire[12 : offset + 1].lower(), qtype, edns_size)


def compose(query: Query, answer: Answer, *, limit: int, truncate: bool = False) -> bytes:
    """Return the response on the wire. If it exceeds the limit, cut it to its question and set TC."""
    opt, extra = (_OPT, 1) if query.edns_size is not None else (b"", 0)
    flags = _QR_AA | query.recursion | answer.rcode
    size = 12 + len(query.question) + len(answer.records) + len(answer.authority) + len(opt)
    if truncate or size > limit:
        return _head.pack(query.ident, flags | _TC, 1, 0, 0, extra) + query.question + opt
    counts = _head.pack(query.ident, flags, 1, answer.record_count, 1 if answer.authority else 0, extra)
    return b"".join((counts, query.question, answer.records, answer.authority, opt))


def _raw(query: Query, wire: bytes, behaviour: Behaviour) -> list[bytes]:
    """Return the scripted bytes: those of a callable unchanged, fixed bytes with the query's id."""
    if callable(behaviour.raw):
        made = behaviour.raw(wire)
        return [] if made is None else [made]
    fixed = behaviour.raw or b""
    return [struct.pack(">H", query.ident) + fixed[2:] if len(fixed) >= 2 else fixed]


def respond(query: Query, wire: bytes, answer: Answer, *, tcp: bool) -> list[bytes]:
    """Return the messages to send for a query: usually one, none for silence, several if forged ones come first."""
    behaviour = answer.behaviour
    limit = 65535 if tcp or behaviour.oversize else query.edns_size or 512
    if behaviour is HONEST:
        return [] if answer.silent else [compose(query, answer, limit=limit)]
    if behaviour.raw is not None:
        return _raw(query, wire, behaviour)
    if answer.silent or (tcp and behaviour.tcp_only_timeout):
        return []
    if behaviour.silent_to_edns and query.edns_size is not None:
        return []
    if behaviour.formerr_on_edns and query.edns_size is not None:
        # A server without EDNS does not send an OPT record (RFC 6891 section 7).
        return [compose(query._replace(edns_size=None), Answer(rcode=RCODES["FORMERR"]), limit=limit)]
    honest = compose(query, answer, limit=limit, truncate=behaviour.truncate and not tcp)
    forged = []
    if behaviour.wrong_id:
        forged.append(compose(query._replace(ident=query.ident ^ 0xFFFF), answer, limit=limit))
    if behaviour.wrong_question:
        other = query._replace(question=_WRONG_NAME + query.question[-4:])
        forged.append(compose(other, answer, limit=limit))
    if "FIRST" in {behaviour.wrong_id, behaviour.wrong_question}:
        return [*forged, honest]
    return forged or [honest]
