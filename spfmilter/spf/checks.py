"""The makers of ``Check``: the arguments of check_host() (RFC 7208 section 4.1) for each kind of identity.

Knows what stands in the place of a missing local part, and of a HELO that names no domain. Pure, and without pyspf.
"""

from __future__ import annotations

from spfmilter.addresses import dns_domain
from spfmilter.model import Check, Identity, IPAddress, ReversePath

_POSTMASTER = "postmaster"  # the local part where the identity has none (RFC 7208 sections 2.3, 2.4 and 4.3)
_UNKNOWN = "unknown"  # what the macro %{h} expands to where HELO names no domain


def helo_check(address: IPAddress, helo: str) -> Check:
    """Return the check of the HELO identity (RFC 7208 section 2.3).

    Args:
        address: the client's.
        helo: the name as the client sent it; empty where it sent none.
    """
    return _helo_check(address, helo, null_sender=False)


def null_sender_check(address: IPAddress, helo: str) -> Check:
    """Return the check of an empty reverse-path, whose MAIL FROM identity is postmaster@HELO (RFC 7208 section 2.4)."""
    return _helo_check(address, helo, null_sender=True)


def mail_from_check(address: IPAddress, path: ReversePath, helo: str, *, record: str) -> Check:
    """Return the check of the MAIL FROM identity (RFC 7208 section 2.4).

    Args:
        address: the client's.
        path: the reverse-path, not an empty one.
        helo: the name as the client sent it; empty where it sent none.
        record: the administrator's record for the domain; empty: evaluate the published one.
    """
    return Check(
        identity=Identity.MAILFROM,
        address=address,
        local=path.local or _POSTMASTER,
        domain=dns_domain(path.domain),
        helo=dns_domain(helo) or _UNKNOWN,
        as_sent=str(path),
        record=record,
    )


def domain_check(address: IPAddress, domain: str, helo: str, *, record: str) -> Check:
    """Return the check whether an address may send for a domain, as for a MAIL FROM of its postmaster.

    Args:
        address: the address to look for.
        domain: the domain, which the DNS can hold.
        helo: the name to use as HELO; empty where none is known.
        record: the administrator's record for the domain; empty: evaluate the published one.
    """
    return Check(
        identity=Identity.MAILFROM,
        address=address,
        local=_POSTMASTER,
        domain=domain,
        helo=dns_domain(helo) or _UNKNOWN,
        as_sent=domain,
        record=record,
    )


def recorded_check(  # noqa: PLR0913 - what the journal has of a check
    identity: Identity, address: IPAddress, local: str | None, domain: str, helo: str, *, null_sender: bool, record: str
) -> Check:
    """Return a check that was made before, from what was recorded of it.

    Args:
        identity: which name was checked.
        address: the client's.
        local: the local part of MAIL FROM; None: it was not kept, and the stand-in takes its place.
        domain: the domain that was looked up.
        helo: the name as the client sent it; empty where it sent none.
        null_sender: whether it stood for an empty reverse-path.
        record: the administrator's record that was evaluated; empty: the published one was.
    """
    if identity is Identity.HELO:
        local, as_sent = None, helo
    else:
        as_sent = f"{local}@{domain}" if local else domain
    return Check(
        identity=identity,
        address=address,
        local=local or _POSTMASTER,
        domain=domain,
        helo=dns_domain(helo) or _UNKNOWN,
        as_sent=as_sent,
        null_sender=null_sender,
        record=record,
    )


def _helo_check(address: IPAddress, helo: str, *, null_sender: bool) -> Check:
    domain = dns_domain(helo)
    return Check(
        identity=Identity.HELO,
        address=address,
        local=_POSTMASTER,
        domain=domain,
        helo=domain or _UNKNOWN,
        as_sent=helo,
        null_sender=null_sender,
    )
