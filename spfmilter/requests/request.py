"""One request of a refused sender, as a value: the case, what the sender says, and what the administrator answered.

Knows its fields and their limits, and reads a row of a store as untrusted input. Knows no store and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network

from spfmilter import caseid
from spfmilter.addresses import dns_domain, parse_address, parse_reverse_path
from spfmilter.exemptions.exemption import Exemption
from spfmilter.exemptions.when import utc
from spfmilter.model import Identity, IPAddress, Result
from spfmilter.settings.names import domain_or_subdomains
from spfmilter.stores.rows import NAME_LIMIT, Row, read, text_of, time_of
from spfmilter.stores.rows import valid as valid_rows
from spfmilter.text import is_dot_atom, unicode_line

SENTENCE_LIMIT = 500  # characters of what a sender says, and of an answer
ADDRESS_LIMIT = 254  # characters of an email address (RFC 5321 section 4.5.3.1.3, without the angle brackets)
MOST = 500  # open requests: more than an administrator reads
MOST_OF_DOMAIN = 3  # of them about one domain
MOST_OF_NETWORK = 3  # of them about servers in one network
KEPT = 86400  # seconds for which a request is kept at least: a link may expire soon after the request
_PREFIXES = {4: 24, 6: 48}


class State(StrEnum):
    """What has become of a request."""

    OPEN = "open"
    GRANTED = "granted"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderRequest:
    """What a refused sender asks, about which case, and the answer."""

    case_id: str
    asked: int  # Unix seconds
    ends: int  # Unix seconds: when it is forgotten
    address: IPAddress  # of the refused client
    identity: Identity
    domain: str  # ASCII and lower case
    result: Result  # at the refusal
    sentence: str
    answer_to: str  # an email address
    language: str  # the tag of the page's language
    mailed: int | None = None  # Unix seconds: when it was in a digest
    state: State = State.OPEN
    answered: int | None = None  # Unix seconds
    answered_by: str = ""
    answer: str = ""  # a sentence for the sender
    until: int = 0  # Unix seconds: when a granted exemption ends
    exemption: str = ""  # its id


COLUMNS = tuple(SenderRequest.__dataclass_fields__)


def read_address(text: str) -> str:
    """Return an email address to which an answer can be sent; its domain is in ASCII.

    Raises:
        ValueError: it is no such address.
    """
    sender = parse_reverse_path(text.strip())
    domain = dns_domain(sender.domain)
    found = f"{sender.local}@{domain}"
    if "@" not in text or not is_dot_atom(sender.local) or "." not in domain or len(found) > ADDRESS_LIMIT:
        raise ValueError(f"{text[:ADDRESS_LIMIT]!a} is no email address")
    return found


def one_line(text: str) -> str:
    """Return what a person has written as one line, sanitized. It may still be too long."""
    return unicode_line(" ".join(text.split()), max(len(text), 3))


def is_crowded(present: Iterable[SenderRequest], address: IPAddress, domain: str) -> bool:
    """Return whether there are too many open requests for another one about this server and domain.

    Args:
        present: all requests that the store has.
        address: of the refused client.
        domain: of the refused sender.
    """
    there = [one for one in present if one.state is State.OPEN]
    network = ip_network((address, _PREFIXES[address.version]), strict=False)
    near = sum(one.address.version == address.version and one.address in network for one in there)
    same = sum(one.domain == domain for one in there)
    return len(there) >= MOST or near >= MOST_OF_NETWORK or same >= MOST_OF_DOMAIN


def request_of(row: Row) -> SenderRequest:
    """Return the request of a store's row.

    Raises:
        ValueError: the row is none; the message says why, on one line of printable characters.
    """
    return read(row, _request_of)


def valid(rows: Iterable[object], refused: Callable[[Row, str], None]) -> Iterator[SenderRequest]:
    """Yield the requests of a store's rows. ``refused`` is told of each row that is none, and why."""
    return valid_rows(rows, request_of, refused)


def _request_of(row: Row) -> SenderRequest:
    address, asked, ends = parse_address(text_of(row, "address", 64)), time_of(row, "asked"), time_of(row, "ends")
    if address is None or asked is None or ends is None:
        raise ValueError("its address or its times are missing")
    domain = dns_domain(text_of(row, "domain")).lower()
    if not domain:
        raise ValueError("its domain is none")
    return SenderRequest(
        case_id=caseid.read(text_of(row, "case_id")),
        asked=asked,
        ends=ends,
        address=address,
        identity=Identity(text_of(row, "identity")),
        domain=domain,
        result=Result(text_of(row, "result")),
        sentence=one_line(text_of(row, "sentence", SENTENCE_LIMIT)),
        answer_to=read_address(text_of(row, "answer_to", ADDRESS_LIMIT)),
        language=unicode_line(text_of(row, "language", 35)),
        mailed=time_of(row, "mailed"),
        state=State(text_of(row, "state")),
        answered=time_of(row, "answered"),
        answered_by=unicode_line(text_of(row, "answered_by"), NAME_LIMIT),
        answer=one_line(text_of(row, "answer", SENTENCE_LIMIT)),
        until=time_of(row, "until") or 0,
        exemption=unicode_line(text_of(row, "exemption", 16)),
    )


def row_of(request: SenderRequest) -> dict[str, str | int | None]:
    """Return a request as a store keeps it: texts, whole numbers, and None for what is not set."""
    row = {name: getattr(request, name) or None for name in COLUMNS}
    texts = {name: str(row[name]) for name in ("address", "identity", "result", "state")}
    return {**row, **texts}


def json_of(request: SenderRequest) -> dict[str, object]:
    """Return a request for programs."""
    row: dict[str, object] = dict(row_of(request))
    for name in ("asked", "ends", "mailed", "answered", "until"):
        row[name] = utc(getattr(request, name)) if row[name] is not None else None
    return row


def exemption_for(request: SenderRequest, *, identity: str, now: int, until: int, by: str, because: str) -> Exemption:
    """Return the narrowest exemption that lets the sender of a request in: mail of its domain from its client.

    For a refused HELO the link holds no sender domain, so the exemption is for the client's address alone. The same
    goes for a name that the DNS can hold and an exemption cannot.

    Args:
        request: an open one.
        identity: the exemption's id.
        now: Unix seconds.
        until: Unix seconds: when it ends.
        by: who grants it.
        because: why.
    """
    domain = request.domain if request.identity is Identity.MAILFROM else ""
    return Exemption(
        id=identity,
        network=ip_network(request.address),
        domain=domain if _is_writable(domain) else "",
        added=now,
        until=until,
        added_by=by,
        because=because,
    )


def _is_writable(domain: str) -> bool:
    try:
        return domain_or_subdomains(domain) == domain
    except ValueError:
        return False
