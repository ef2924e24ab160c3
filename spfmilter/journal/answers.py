"""Pack the DNS answers that a message's verdicts were made from, and unpack them: the last column of a decision.

Knows the format, and what is left out of it. A worker packs; ``spfmilter why`` unpacks, and evaluates again. What is
unpacked is untrusted input: several hosts and programs may write to the database.

The first octet is the format. ``1``: the rest is JSON, compressed (RFC 1950). It is a list with an element for each
evaluation: identity, domain, 1 for an empty MAIL FROM, the administrator's record, and the lookups in their order. A
lookup is a list: the number of the type, the name, the outcome (``Status``), the TTL in seconds, the time in tenths of
a millisecond, the failure, 1 for a failure of our own nameservers, 1 for an answer with more records than were read,
the nameservers with what each said, the records, and how many records are left out. ``0``: the rest is the reason why
there are no answers.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from spfmilter.dns.answer import Answer, Asked, Heard, RecordData, Status, Type
from spfmilter.model import Check, Identity, IPAddress, Transaction, Verdict
from spfmilter.spf.checks import recorded_check

MAX_PACKED = 16_000  # octets
_MAX_UNPACKED = 1 << 20  # octets of JSON: compressed to ``MAX_PACKED``, it could be 16 MB
_MAX_RECORDS = 1 << 16  # of one answer: no packet holds more
_MAX_TTL = 1 << 31
_MAX_TOOK = 10**8  # tenths of a millisecond: almost three hours
_NONE, _JSON = 0, 1
# 48 kB of memory in place of 256 kB, which the system would hand out and take back for each message.
_WINDOW, _MEMORY = 13, 5
_POSTMASTER = "postmaster"  # stands for a missing local part (RFC 7208 section 4.3)
_VERSIONED = re.compile(rb"\s*v\s*=", re.IGNORECASE)  # SPF and DMARC records, and what looks like them
_PIECES = re.compile(r"[a-z0-9]+")


class NotKept(StrEnum):
    """Why a row has no answers; the values are stored."""

    TOO_LARGE = "too-large"
    LOCAL_PART = "local-part"  # a name holds the sender's local part, and [journal] local_parts is off


_WHY_NOT = {
    NotKept.TOO_LARGE: "there were too many of them to be kept",
    NotKept.LOCAL_PART: "they hold the sender's local part, which [journal] local_parts = no leaves out",
}


class AnswersError(ValueError):
    """There are no answers, or they cannot be read; the message says why, in one clause without untrusted input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One evaluation of a message: what it was about, and its lookups."""

    identity: Identity
    domain: str
    null_sender: bool
    record: str  # the administrator's, which was evaluated in place of the published one
    asked: tuple[Asked, ...]

    def check(self, address: IPAddress, local: str | None, helo: str) -> Check:
        """Return the check, with the values that other columns hold.

        Args:
            address: the client's.
            local: the local part of MAIL FROM; None: it was not kept.
            helo: the client's name in HELO; empty: it sent none.
        """
        return recorded_check(
            self.identity, address, local, self.domain, helo, null_sender=self.null_sender, record=self.record
        )


def packed(ended: Transaction, *, local_parts: bool = False) -> bytes | None:
    """Return the answers of a message's verdicts, ``MAX_PACKED`` octets at most; None for a plain accept.

    Args:
        ended: the message.
        local_parts: whether the local part of the sender may be kept.
    """
    if ended.action.plain or not ended.verdicts:
        return None
    if not local_parts and any(map(_tells_local_part, ended.verdicts)):
        return _not_kept(NotKept.LOCAL_PART)
    parts: list[object] = []
    for verdict in ended.verdicts:
        if verdict.asked is None:
            return _not_kept(NotKept.TOO_LARGE)
        check = verdict.check
        lookups = [_lookup(*asked) for asked in verdict.asked]
        parts.append([check.identity, check.domain, int(check.null_sender), check.record, lookups])
    deflate = zlib.compressobj(1, zlib.DEFLATED, _WINDOW, _MEMORY)
    data = bytes([_JSON]) + deflate.compress(json.dumps(parts, separators=(",", ":")).encode()) + deflate.flush()
    return data if len(data) <= MAX_PACKED else _not_kept(NotKept.TOO_LARGE)


def _not_kept(why: NotKept) -> bytes:
    return bytes([_NONE]) + why.encode()


def _tells_local_part(verdict: Verdict) -> bool:
    """Return whether a name that was looked up may hold part of the sender's local part.

    A macro may take any of its parts (RFC 7208 section 7.3), so each run of letters and digits in it counts.
    """
    check = verdict.check
    if check.identity is Identity.HELO or not verdict.letters & {"l", "s"} or check.local == _POSTMASTER:
        return False
    pieces = _PIECES.findall(check.local.lower()) or [""]
    own = {check.domain.lower()}
    names = {name.lower() for name, _, _ in verdict.asked or ()} - own
    return any(piece in name for piece in pieces for name in names)


def _lookup(name: str, rdtype: Type, answer: Answer) -> list[object]:
    records = answer.records
    shown = records
    if rdtype is Type.TXT and len(records) > 1:  # proofs of ownership for other services: the evaluation skips them
        shown = tuple(text for text in records if isinstance(text, bytes) and _VERSIONED.match(text))
    return [
        int(rdtype),
        name,
        answer.status.value,
        answer.ttl,
        min(round(answer.took * 10_000), _MAX_TOOK),
        answer.failure,
        int(answer.local_failure),
        int(answer.cut),
        answer.heard,
        [_record(record, rdtype) for record in shown],
        len(records) - len(shown),
    ]


def _record(record: RecordData, rdtype: Type) -> object:
    if not isinstance(record, bytes):
        return record
    return record.decode("latin-1") if rdtype is Type.TXT else record.hex()


# -- unpacking ---------------------------------------------------------------------------------------------------------


def unpack(data: bytes | None) -> tuple[Evaluation, ...]:
    """Return the evaluations of a row, with their lookups.

    Raises:
        AnswersError: the row has none, or they cannot be read.
    """
    if not data:
        raise AnswersError("none were kept for this message")
    if data[0] == _NONE:
        raise AnswersError(_why_not(data[1:]))
    if data[0] != _JSON:
        raise AnswersError(f"they are in format {data[0]}, which this version cannot read")
    if len(data) > MAX_PACKED:
        raise AnswersError(f"they have more than {MAX_PACKED} octets")
    try:
        return tuple(map(_evaluation, _list(json.loads(_inflated(data[1:])))))
    except AnswersError:
        raise
    except (zlib.error, ValueError, RecursionError, OverflowError):
        raise AnswersError("they are damaged") from None


def _why_not(reason: bytes) -> str:
    try:
        return _WHY_NOT[NotKept(reason.decode("ascii"))]
    except ValueError:
        return "none were kept, for a reason that this version does not know"


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj()
    text = inflate.decompress(data, _MAX_UNPACKED)
    return text if inflate.eof and not inflate.unused_data else _damaged()


def _evaluation(found: object) -> Evaluation:
    identity, domain, null_sender, record, lookups = _list(found, 5)
    return Evaluation(
        identity=Identity(_text(identity)),
        domain=_text(domain),
        null_sender=bool(_number(null_sender, 1)),
        record=_text(record),
        asked=tuple(map(_asked, _list(lookups))),
    )


def _asked(found: object) -> Asked:
    number, name, status, ttl, took, failure, local, cut, heard, records, hidden = _list(found, 11)
    rdtype = Type(_number(number, 1 << 16))
    shown = [_data(record, rdtype) for record in _list(records)]
    left_out = _number(hidden, _MAX_RECORDS)
    if left_out and rdtype is not Type.TXT:
        _damaged()
    answer = Answer(
        Status(_text(status)),
        (*shown, *[b""] * left_out),
        _number(ttl, _MAX_TTL),
        _text(failure),
        bool(_number(local, 1)),
        bool(_number(cut, 1)),
        tuple(map(_heard, _list(heard))),
        _number(took, _MAX_TOOK) / 10_000,
    )
    return _text(name), rdtype, answer


def _heard(found: object) -> Heard:
    server, said = _list(found, 2)
    return _text(server), _text(said)


def _data(found: object, rdtype: Type) -> RecordData:
    match rdtype:
        case Type.MX:
            preference, exchange = _list(found, 2)
            return _number(preference, 1 << 16), _text(exchange)
        case Type.PTR | Type.NS:
            return _text(found)
        case Type.TXT:
            return _text(found).encode("latin-1")
        case Type.A | Type.AAAA:
            address = bytes.fromhex(_text(found))
            return address if len(address) == (4 if rdtype is Type.A else 16) else _damaged()


def _list(found: object, length: int | None = None) -> list[object]:
    return found if isinstance(found, list) and length in {None, len(found)} else _damaged()


def _text(found: object) -> str:
    return found if isinstance(found, str) else _damaged()


def _number(found: object, most: int) -> int:
    return found if isinstance(found, int) and 0 <= found <= most else _damaged()


def _damaged() -> NoReturn:
    raise AnswersError("they are damaged")
