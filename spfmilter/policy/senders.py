"""``[exempt] senders``: which entry exempts a message, by the domain in MAIL FROM, the client and the result.

Knows the conditions of an entry. An entry without ``if pass`` exempts before any check (``plan``). An entry with it
overrides what the check of HELO, or the entry of the pass itself, calls for (``overrides``).
"""

from __future__ import annotations

from collections.abc import Iterable

from spfmilter.model import Check, Identity, IPAddress
from spfmilter.settings import Settings


def exempt_by(domain: str, address: IPAddress | None, settings: Settings, *, if_pass: bool) -> int | None:
    """Return the place of the first entry for a domain and an address; None if there is none.

    Args:
        domain: the domain in MAIL FROM, as in the DNS.
        address: the client's; None: unknown.
        settings: have the entries.
        if_pass: search the entries that need a pass, instead of those that need no check.
    """
    return settings.exempt.senders.covering(domain, address, if_pass=if_pass) if domain else None


def may_be_exempt_by_pass(checks: Iterable[Check], settings: Settings) -> bool:
    """Return whether a pass of one of these checks would exempt the message."""
    return settings.exempt.senders.any_if_pass and any(
        check.identity is Identity.MAILFROM
        and exempt_by(check.domain, check.address, settings, if_pass=True) is not None
        for check in checks
    )
