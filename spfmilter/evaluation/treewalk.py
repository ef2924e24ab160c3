"""DMARC records, and the walk up the tree of the DNS that finds them (RFC 9989 sections 4.7 and 4.10).

Knows which record applies to a domain and which policy it asks for, by RFC 9989 and by RFC 7489: filters of both are in
use. Where they differ, the milder reading counts, so every filter acts on the policy. Knows no channel: the caller
passes a function that makes the lookups. Does not evaluate DMARC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from spfmilter.dns.answer import Answer, RecordData, Status, Type
from spfmilter.model import DmarcPolicy

Ask = Callable[[str, Type], Answer]

_MAX_LABELS = 8  # of a name that is walked label by label: so there are eight lookups at most (section 4.10)
_MAX_RECORD = 4096  # bytes
_MILDEST_FIRST = ("none", "quarantine", "reject")
_TESTED = {"reject": "quarantine", "quarantine": "none", "none": "none"}  # t=y (section 4.7)

_VERSION = re.compile(r"\s*[vV]\s*=\s*DMARC1\s*")
_TAG = re.compile(r"[a-z0-9_-]+")
_POLICY = re.compile("none|quarantine|reject")
# Filters differ about any other value: some ignore the tag, others the whole record.
_VALUES = {
    "p": _POLICY,
    "sp": _POLICY,
    "np": _POLICY,
    "psd": re.compile("[ynu]"),
    "t": re.compile("[yn]"),
    "pct": re.compile("0*(?:[0-9]{1,2}|100)"),
    "adkim": re.compile("[rs]"),
    "aspf": re.compile("[rs]"),
    "fo": re.compile("[01ds](?::[01ds])*"),
    "rf": re.compile("afrf"),
    "ri": re.compile("[0-9]{1,9}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DmarcRecord:
    """A DMARC record: the policies that it asks for, for its own domain and for the domains below."""

    p: str = "none"  # none, quarantine or reject; the same words for the next two
    sp: str = "none"  # for domains below it that exist
    np: str = "none"  # for domains below it that do not exist
    psd: str = "u"  # y: a public suffix, n: an organizational domain, u: unknown
    reason: str = ""  # why the policy is milder than p=; empty if it is not


def walk(domain: str) -> tuple[str, ...]:
    """Return the names of the walk, the domain first: eight at most, without ``_dmarc``."""
    labels = domain.split(".")
    parents = labels[1:] if len(labels) <= _MAX_LABELS else labels[1 - _MAX_LABELS :]
    return (domain, *(".".join(parents[place:]) for place in range(len(parents))))


def place_of(name: str) -> str:
    """Return the name in the DNS under which a domain publishes its DMARC record."""
    return f"_dmarc.{name}"


def read(records: Iterable[RecordData]) -> DmarcRecord | None:
    """Return the DMARC record among the TXT records of a name; None if there is none.

    Several records must be ignored. RFC 7489 ends the search there, RFC 9989 continues, so they count as policy none.
    """
    found = [each for record in records if isinstance(record, bytes) and (each := parse(record)) is not None]
    return found[0] if len(found) == 1 else DmarcRecord(reason="several records") if found else None


def parse(text: bytes) -> DmarcRecord | None:
    """Return the DMARC record in a TXT record; None if it is no DMARC record.

    A record with an error counts as policy none: some filters ignore the tag, others the record. So does one with
    ``pct=0``, which RFC 9989 no longer knows.
    """
    head, *parts = text[:_MAX_RECORD].decode("ascii", "replace").rstrip("; \t").split(";")
    if _VERSION.fullmatch(head) is None:
        return None
    tags, reason = {"v": "DMARC1"}, "its length" if len(text) > _MAX_RECORD else ""
    for part in parts:
        name, equals, content = (each.strip().lower() for each in part.partition("="))
        known = _VALUES.get(name)
        if not equals or _TAG.fullmatch(name) is None:
            reason = reason or "a syntax error"
        elif name in tags or (known is not None and known.fullmatch(content) is None):
            reason = reason or f"an error in {name}=" if known is not None else "a repeated tag"
        else:
            tags[name] = content
    if not reason and "p" not in tags:
        reason = "no p="
    if not reason and int(tags.get("pct", "100")) == 0:
        reason = "pct=0"
    psd = tags.get("psd", "u")
    if reason:
        return DmarcRecord(psd=psd, reason=reason)
    p = tags["p"]
    sp = tags.get("sp", p)
    asked = (p, sp, tags.get("np", sp))
    if tags.get("t") == "y":
        asked, reason = (_TESTED[asked[0]], _TESTED[asked[1]], _TESTED[asked[2]]), "t=y"
    return DmarcRecord(p=asked[0], sp=asked[1], np=asked[2], psd=psd, reason=reason)


def policy(domain: str, ask: Ask) -> DmarcPolicy | None:
    """Return the policy for mail from a domain (section 4.10.1); None if there is none, or a lookup fails."""
    own = _records((domain,), ask)
    if own is None:
        return None
    if domain in own:
        return DmarcPolicy(domain=domain, policy=own[domain].p, reason=own[domain].reason)
    records = _records(walk(domain)[1:], ask)
    if not records:
        return None
    new, old = _by_rfc9989(domain, records), _by_rfc7489(domain, records)
    if new is None:
        return None
    if old is None:
        return DmarcPolicy(domain=new, policy="none", reason="its place: filters of RFC 7489 do not look there")
    asked = {name: _for_below(records[name], domain, ask) for name in dict.fromkeys((new, old))}
    name = min(asked, key=lambda name: _MILDEST_FIRST.index(asked[name]))
    return DmarcPolicy(domain=name, policy=asked[name], reason=records[name].reason)


def organizational(domain: str, ask: Ask) -> str:
    """Return the organizational domain (section 4.10.2): the domain itself if there is no record, or a lookup fails.

    The record of a top-level domain counts only with ``psd=y``. Without it, it would look like an organization's.
    """
    records = _records(walk(domain), ask) or {}
    return _organizational(domain, {name: found for name, found in records.items() if "." in name or found.psd == "y"})


def _records(names: Iterable[str], ask: Ask) -> dict[str, DmarcRecord] | None:
    """Return the records at these names, in their order; None if a lookup fails."""
    found: dict[str, DmarcRecord] = {}
    for name in names:
        answer = ask(place_of(name), Type.TXT)
        if answer.status is Status.FAILED:
            return None
        record = read(answer.records)
        if record is not None:
            found[name] = record
    return found


def _organizational(domain: str, records: dict[str, DmarcRecord]) -> str:
    for name, found in records.items():  # the longest first
        if found.psd == "n":
            return name
        if found.psd == "y" and name != domain:
            return _below(name, domain)
    return next(reversed(records), domain)  # the shortest


def _by_rfc9989(domain: str, records: dict[str, DmarcRecord]) -> str | None:
    """Return the domain whose record applies: the organizational domain, else the public suffix above it."""
    owner = _organizational(domain, records)
    return owner if owner in records else _suffix(records)


def _by_rfc7489(domain: str, records: dict[str, DmarcRecord]) -> str | None:
    """Return the domain whose record applies by RFC 7489; None if no record applies.

    RFC 7489 finds the organizational domain by the public suffix list. Without the list, the shortest name with a
    record counts as the organizational domain, unless a record above it marks a public suffix. A top-level domain never
    counts.
    """
    suffix = _suffix(records)
    if suffix is not None:
        owner = _below(suffix, domain)
        return owner if owner in records else None
    return next((name for name in reversed(records) if "." in name), None)


def _suffix(records: dict[str, DmarcRecord]) -> str | None:
    """Return the longest name that calls itself a public suffix."""
    return next((name for name, found in records.items() if found.psd == "y"), None)


def _below(name: str, domain: str) -> str:
    """Return the name that is one label longer, on the way to the domain."""
    return ".".join(domain.split(".")[-name.count(".") - 2 :])


def _for_below(found: DmarcRecord, domain: str, ask: Ask) -> str:
    """Return a record's policy for a domain below. RFC 7489 knows no np=, so the milder of sp= and np= counts."""
    milder = min(found.sp, found.np, key=_MILDEST_FIRST.index)
    return milder if milder == found.sp or not _exists(domain, ask) else found.sp


def _exists(domain: str, ask: Ask) -> bool:
    """Return whether a domain has an address or an MX: of the definitions of np=, this is the milder one."""
    return any(ask(domain, rdtype).status is Status.DATA for rdtype in (Type.A, Type.AAAA, Type.MX))
