"""Turn zone data into the parts of DNS answers. Pure: no sockets, threads or clock.

It knows the structure of the zone data in pyspf's rfc7208-tests.yml (RFC 7208's test suite), the laboratory's own
special entries, and RFC 1035's wire format of names and records. It knows no transports, no EDNS and no message
headers: `lab.dnsserver` and `lab.dnsmessage` add those.

The wire format is written by hand. A library refuses to build half of the wanted records, such as a TXT record of zero
strings. Besides, an answer is then a byte string that can be cached.
"""

import ipaddress
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

ZoneData = Mapping[str, Sequence[Any]]
"""Owner name -> entries; an entry is a dict {TYPE: value} (or a special one) or the string 'TIMEOUT'."""

Raw = bytes | Callable[[bytes], bytes | None]
"""What to send instead of an answer: these bytes, or what this makes of the query (None: nothing)."""

TYPES: Mapping[str, int] = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "SPF": 99,
}
TYPE_NAMES: Mapping[int, str] = {number: name for name, number in TYPES.items()}
RCODES: Mapping[str, int] = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}

_TO_QUESTION = b"\xc0\x0c"  # a compression pointer to offset 12, the question's name (RFC 1035 section 4.1.4)
_CLASS_IN = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Behaviour:
    """How a name's answers are corrupted: one field for each special entry of the zone data."""

    rcode: str | None = None
    truncate: bool = False
    raw: Raw | None = None
    formerr_on_edns: bool = False
    silent_to_edns: bool = False
    oversize: bool = False
    wrong_question: bool | str = False
    wrong_id: bool | str = False
    drop_first: int = 0
    tcp_only_timeout: bool = False
    delay: float = 0.0
    ttl: int | None = None
    only: tuple[str, ...] = ()


HONEST = Behaviour()
_SPECIALS = frozenset(field.name.upper() for field in fields(Behaviour))


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The response after the question: the same bytes for all clients, independent of upper and lower case."""

    rcode: int = 0
    records: bytes = b""
    record_count: int = 0
    authority: bytes = b""  # empty, or one SOA
    silent: bool = False  # never answered
    behaviour: Behaviour = HONEST


@dataclass(frozen=True, slots=True)
class _Node:
    """The data of one owner name."""

    rdata: Mapping[str, tuple[bytes, ...]]
    timeouts: frozenset[str]  # types that are never answered
    behaviour: Behaviour
    alias: bytes | None  # the CNAME's target, as wire in lower case

    def behaves(self, rtype: str) -> Behaviour:
        """Return the node's behaviour for this type."""
        return self.behaviour if not self.behaviour.only or rtype in self.behaviour.only else HONEST


def name_to_wire(name: str) -> bytes:
    r"""Return a name as labels on the wire, taken literally: no escapes, no IDNA, and without empty labels.

    Test names hold `%`, blanks and colons, which are syntax to a master-file parser and plain octets to DNS.
    """
    labels = [label.encode() for label in name.split(".") if label]
    if any(len(label) > 63 for label in labels):
        msg = f"a label of {name!r} is longer than 63 octets"
        raise ValueError(msg)
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def name_to_text(wire: bytes) -> str:
    """Return a name from the wire as text, for people and counters. Not reversible if a label has a dot."""
    labels = []
    offset = 0
    while wire[offset]:
        length = wire[offset]
        labels.append(wire[offset + 1 : offset + 1 + length].decode("utf-8", "backslashreplace"))
        offset += 1 + length
    return ".".join(labels)


def _parents(wire: bytes) -> Iterator[bytes]:
    """Yield every proper ancestor of a name, up to the root."""
    while wire[0]:
        wire = wire[1 + wire[0] :]
        yield wire


def _text_rdata(value: object) -> bytes:
    """TXT: a str is one string, cut where it is longer than 255 octets; a list is one record of several strings.

    `[]` is a record of zero strings (RDLENGTH 0), which RFC 1035 section 3.3.14 forbids and real zones contain.
    """
    strings = [value] if isinstance(value, str | bytes) else list(value)  # type: ignore[call-overload]
    wire = b""
    for string in strings:
        octets = string if isinstance(string, bytes) else str(string).encode()
        chunks = [octets[start : start + 255] for start in range(0, len(octets), 255)] or [b""]
        wire += b"".join(bytes([len(chunk)]) + chunk for chunk in chunks)
    return wire


def _rdata(rtype: str, value: Any) -> bytes:
    """Return the RDATA of one record."""
    match rtype:
        case "A":
            return ipaddress.IPv4Address(value).packed
        case "AAAA":
            return ipaddress.IPv6Address(value).packed
        case "MX":
            preference, host = value
            return struct.pack(">H", preference) + name_to_wire(host)
        case "TXT" | "SPF":
            return _text_rdata(value)
        case "CNAME" | "PTR" | "NS":
            return name_to_wire(value)
    msg = f"unknown record type {rtype!r}"
    raise ValueError(msg)


def _flatten(entries: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the entries as (TYPE, value), in order; the bare 'TIMEOUT' as ('*', 'TIMEOUT').

    As in pyspf's own test driver: SPF entries are TXT records too where the name has no TXT entry (those come last,
    behind a bare TIMEOUT, which thus hides them), and the value NONE is no record but counts as such an entry.
    """
    has_text = False
    generated: list[tuple[str, Any]] = []
    for entry in entries:
        if entry == "TIMEOUT":
            yield "*", entry
            continue
        for rtype, value in entry.items():
            if rtype in _SPECIALS:
                continue
            has_text = has_text or rtype == "TXT"
            if rtype == "SPF":
                generated.append(("TXT", value))
            if value != "NONE":
                yield rtype, value
    if not has_text:
        yield from generated


def _behaviour(entries: Sequence[Any]) -> Behaviour:
    """Return the behaviour that the special entries of a name describe."""
    found: dict[str, Any] = {}
    for entry in entries:
        if isinstance(entry, Mapping):
            found |= {key.lower(): value for key, value in entry.items() if key in _SPECIALS}
    if found.get("rcode", "NOERROR") not in RCODES:
        msg = f"unknown RCODE {found['rcode']!r}"
        raise ValueError(msg)
    if isinstance(found.get("only"), str):
        found["only"] = (found["only"],)
    return replace(HONEST, **found) if found else HONEST


def _node(entries: Sequence[Any]) -> _Node:
    """Parse the entries of one owner name."""
    rdata: dict[str, list[bytes]] = {}
    timeouts: set[str] = set()
    alias: bytes | None = None
    closed = False  # after a bare TIMEOUT nothing that was not seen before it is answered
    for rtype, value in _flatten(entries):
        if rtype == "*":
            closed = True
        elif value == "TIMEOUT":
            timeouts.add(rtype)
        elif not closed:
            rdata.setdefault(rtype, []).append(_rdata(rtype, value))
            alias = name_to_wire(value).lower() if rtype == "CNAME" else alias
    if closed:
        timeouts |= TYPES.keys() - rdata.keys() | {"*"}
    return _Node({k: tuple(v) for k, v in rdata.items()}, frozenset(timeouts), _behaviour(entries), alias)


class Zone:
    """All names of the zone data, with an answer for every question. Does not change once loaded."""

    def __init__(self, data: ZoneData, *, ttl: int = 300, negative_ttl: int = 300) -> None:
        self._ttl = ttl
        self._nodes: dict[bytes, _Node] = {}
        for name, entries in data.items():
            try:
                self._nodes[name_to_wire(str(name)).lower()] = _node(entries)
            except (ValueError, TypeError, AttributeError) as error:
                msg = f"zone data of {name!r}: {error}"
                raise ValueError(msg) from error
        self._ancestors = {parent for name in self._nodes for parent in _parents(name)}
        # The root owns the SOA: it is above every name, so that any resolver takes it for the negative TTL.
        timers = struct.pack(">5L", 1, 3600, 600, 86400, negative_ttl)
        names = name_to_wire("ns.lab.invalid") + name_to_wire("hostmaster.lab.invalid")
        self._soa = _record(b"\0", "SOA", negative_ttl, names + timers)

    def answer(self, qname: bytes, qtype: int) -> Answer:
        """Return the answer to a question. The name must be in lower case."""
        rtype = TYPE_NAMES.get(qtype, f"TYPE{qtype}")
        asked = self._nodes.get(qname)
        behaviour = asked.behaves(rtype) if asked else HONEST
        chain: list[bytes] = []
        seen = set()
        owner, name = _TO_QUESTION, qname
        while name not in seen:
            seen.add(name)
            node = self._nodes.get(name)
            if node is None:
                return self._missing(name, chain, behaviour)
            rcode = node.behaves(rtype).rcode
            if rcode is not None:
                return self._close(RCODES[rcode], chain, behaviour)
            if rtype in node.timeouts or (rtype not in node.rdata and "*" in node.timeouts):
                return Answer(silent=True, behaviour=behaviour)
            ttl = self._ttl if node.behaviour.ttl is None else node.behaviour.ttl
            if rtype in node.rdata:
                chain += [_record(owner, rtype, ttl, rdata) for rdata in node.rdata[rtype]]
                return Answer(records=b"".join(chain), record_count=len(chain), behaviour=behaviour)
            if node.alias is None:
                return self._close(RCODES["NOERROR"], chain, behaviour)
            chain.append(_record(owner, "CNAME", ttl, node.rdata["CNAME"][0]))
            owner = name = node.alias
        return Answer(records=b"".join(chain), record_count=len(chain), behaviour=behaviour)  # a loop of aliases

    def _missing(self, name: bytes, chain: Sequence[bytes], behaviour: Behaviour) -> Answer:
        """Answer for a name without entries: no data if it has descendants (RFC 8020), silence for `error.`."""
        if name.startswith(b"\x05error"):
            return Answer(silent=True, behaviour=behaviour)
        return self._close(RCODES["NOERROR" if name in self._ancestors else "NXDOMAIN"], chain, behaviour)

    def _close(self, rcode: int, chain: Sequence[bytes], behaviour: Behaviour) -> Answer:
        """Return an answer without records of the type, with the SOA if it is a negative one."""
        negative = rcode in {RCODES["NOERROR"], RCODES["NXDOMAIN"]}
        return Answer(
            rcode=rcode,
            records=b"".join(chain),
            record_count=len(chain),
            authority=self._soa if negative else b"",
            behaviour=behaviour,
        )


def _record(owner: bytes, rtype: str, ttl: int, rdata: bytes) -> bytes:
    """Return one resource record on the wire (RFC 1035 section 3.2.1)."""
    return owner + struct.pack(">HHLH", TYPES[rtype], _CLASS_IN, ttl, len(rdata)) + rdata
