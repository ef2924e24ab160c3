"""Define the outcome of one lookup as a value. The evaluation sees nothing else of the DNS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from enum import Enum, IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from spfmilter.value import value


class Type(IntEnum):
    """The record types that are asked for, with their numbers (RFC 1035 section 3.2.2, RFC 3596).

    SPF needs all but NS, by which the help page finds out where a record can be changed.

    An IntEnum, because integers hash fast: each question causes a dozen look-ups in tables by type and name.
    """

    A = 1
    NS = 2
    PTR = 12
    MX = 15
    TXT = 16
    AAAA = 28


class Status(Enum):
    """How a lookup ended."""

    DATA = "data"
    NO_DATA = "no data"  # the name exists, but not with this type
    NO_NAME = "no such name"  # NXDOMAIN
    PRIVATE = "a private name"  # never looked up for untrusted input
    NOT_ASKED = "not a DNS name"  # no packet can hold it: an empty or too long label, non-ASCII
    FAILED = "failed"  # timeout, SERVFAIL, REFUSED ...: RFC 7208 section 2.6.6 calls it temperror


# A tuple: it compares members, while a set would hash them, which takes longer for an Enum.
_VOID = (Status.NO_DATA, Status.NO_NAME, Status.PRIVATE)

# A: the address as 4 bytes; AAAA: 16 bytes; PTR and NS: the name; MX: (preference, exchange); TXT: its strings joined.
RecordData = bytes | str | tuple[int, str]
# A nameserver's address, and what it said: ``ANSWERED``, an error such as "SERVFAIL", or nothing (empty).
Heard = tuple[str, str]
ANSWERED = "answered"
OUT_OF_TIME = "no time left"  # the failure of a question for which an evaluation has had no time
# Bytes in memory, roughly: of a lookup without its records, and of each record beside its content. The name of an MX
# host is part of its overhead.
_OVERHEAD_LOOKUP, _OVERHEAD_RECORD, _OVERHEAD_MX = 350, 60, 300


@value(kw_only=False)
class Answer:
    """The outcome of one lookup, CNAMEs already followed."""

    status: Status
    records: tuple[RecordData, ...] = ()
    ttl: int = 0  # seconds: the shortest of the CNAME chain; for negative answers the SOA's (RFC 2308 section 5)
    failure: str = ""  # for FAILED: the reason, such as "timeout" or "SERVFAIL"
    local_failure: bool = False  # for FAILED: none of our nameservers answers any question
    cut: bool = False  # the answer has more records than were read
    # Who said so, and how long it took: two equal answers may differ in these.
    heard: tuple[Heard, ...] = field(default=(), compare=False)  # the nameservers that were asked; empty: none was
    took: float = field(default=0.0, compare=False)  # seconds from the question to the answer

    @property
    def void(self) -> bool:
        """Tell whether this is a void lookup (RFC 7208 section 4.6.4)."""
        return self.status in _VOID

    def lasting(self, ttl: int) -> Answer:
        """Return the same answer with another TTL, in seconds."""
        return self if ttl == self.ttl else self.told(ttl, self.heard, self.took)

    def told(self, ttl: int, heard: tuple[Heard, ...], took: float) -> Answer:
        """Return the same answer with its TTL in seconds, the nameservers that were asked, and the seconds it took."""
        return Answer(self.status, self.records, ttl, self.failure, self.local_failure, self.cut, heard, took)

    def texts(self, rdtype: Type) -> tuple[str, ...]:
        """Return the records as text for people. ``rdtype`` is their type."""
        return tuple(_text(record, rdtype) for record in self.records)


def _text(record: RecordData, rdtype: Type) -> str:
    if isinstance(record, tuple):
        return f"{record[0]} {record[1] or '.'}"
    if isinstance(record, str):
        return record
    if rdtype is Type.TXT:
        return record.decode("ascii", "backslashreplace")
    return str(IPv4Address(record) if rdtype is Type.A else IPv6Address(record))


class Lookups(Protocol):
    """Answers questions to the DNS; see ``channel.Channel``."""

    def ask(self, name: str, rdtype: Type, deadline: float) -> Answer:
        """Return the answer, by the deadline at the latest. The clock is that of ``time.monotonic``.

        After the deadline, return an answer that has arrived, else a failure, without waiting.
        """
        ...


# A lookup of an evaluation: the name, the type, and the answer. A plain tuple, because each lookup makes one.
Asked = tuple[str, Type, Answer]


def weight(asked: Sequence[Asked]) -> int:
    """Return roughly the bytes that lookups take in memory, beside their names."""
    total = _OVERHEAD_LOOKUP * len(asked)
    for _, rdtype, answer in asked:
        if records := answer.records:
            each = _OVERHEAD_MX if rdtype is Type.MX else _OVERHEAD_RECORD
            total += each * len(records) + sum(map(len, records))
    return total
