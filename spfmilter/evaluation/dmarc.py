"""Look up the DMARC policy of a From domain. If it is strict, spfmilter can leave the decision to the DMARC filter.

Knows where the record is (RFC 7489 section 6.6.3) and its tags p, sp and pct. Does not evaluate DMARC.
"""

from __future__ import annotations

from spfmilter.dns.answer import Status, Type
from spfmilter.dns.private import Guarded
from spfmilter.evaluation.organization import organizational
from spfmilter.model import DmarcPolicy

_POLICIES = frozenset({"none", "quarantine", "reject"})
_MAX_RECORD = 4096  # bytes


def expect(channel: Guarded, domain: str) -> None:
    """Send the questions of ``policy_of`` early."""
    for name in _places(domain):
        channel.start(f"_dmarc.{name}", Type.TXT)


def policy_of(channel: Guarded, domain: str, deadline: float) -> DmarcPolicy | None:
    """Return the DMARC policy of a domain: its own, else the one of its organizational domain for subdomains.

    Return None if there is no policy, or a lookup fails: SPF then decides alone.
    """
    expect(channel, domain)
    for name in _places(domain):
        answer = channel.ask(f"_dmarc.{name}", Type.TXT, deadline)
        if answer.status is Status.FAILED:
            return None
        found = [tags for record in answer.records if isinstance(record, bytes) and (tags := _tags(record))]
        if len(found) == 1:
            policy = found[0].get("sp" if name != domain else "p") or found[0].get("p", "")
            if not (found[0].get("pct") or "100").strip("0"):
                policy = "none"  # pct=0 is a test: no filter applies the policy
            return DmarcPolicy(domain=name, policy=policy) if policy in _POLICIES else None
        if found:
            return None  # several records count as none
    return None


def _places(domain: str) -> tuple[str, ...]:
    owner = organizational(domain)
    return (domain,) if owner is None or owner == domain else (domain, owner)


def _tags(record: bytes) -> dict[str, str]:
    """Return the tags of a DMARC record; empty for any other record. ``v=DMARC1`` comes first (section 6.4)."""
    pairs = [part.partition("=") for part in record[:_MAX_RECORD].decode("ascii", "replace").split(";")]
    tags: dict[str, str] = {}
    for name, _, value in pairs:
        tags.setdefault(name.strip().lower(), value.strip().lower())
    first, _, version = pairs[0]
    return tags if first.strip().lower() == "v" and version.strip() == "DMARC1" else {}
