"""Decide whether a page shows the DNS host of a record's zone, and what to enter in its panel.

Pure. All untrusted input passes the sanitizer here. Knows no HTML.
"""

from __future__ import annotations

from dataclasses import dataclass

from spfmilter.reply.advice import Advice, Audience, audience_of
from spfmilter.text import unicode_line
from spfmilter.web.dnshosts import DnsHost, host_of
from spfmilter.zones import Delegation


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Where and how a record is changed."""

    host: DnsHost
    zone: str
    name: str | None  # what to enter as the record's name; "" to leave it empty; None: unknown


def panel_for(advised: Advice, domain: str, delegation: Delegation | None) -> Panel | None:
    """Return the panel in which a record can be changed; None if there is nothing to change, or the host is unknown.

    Args:
        advised: the advice about the record.
        domain: whose record has to be changed; it is a name in the zone, unless it is another domain's.
        delegation: the zone that holds the record of the domain that was checked, if known.
    """
    if delegation is None or domain != advised.domain or Audience.DOMAIN not in map(audience_of, advised.remedies):
        return None
    host = host_of(delegation.nameservers)
    if host is None:
        return None
    name = host.apex if domain == delegation.zone else domain.removesuffix("." + delegation.zone)
    return Panel(host=host, zone=unicode_line(delegation.zone), name=unicode_line(name) if name is not None else None)
