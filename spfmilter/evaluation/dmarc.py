"""Look up the DMARC policy of a From domain. If it is strict, spfmilter can leave the decision to the DMARC filter.

Knows the channel. ``treewalk`` finds and reads the record.
"""

from __future__ import annotations

from spfmilter.dns.answer import Type
from spfmilter.dns.private import Guarded
from spfmilter.evaluation import treewalk
from spfmilter.model import DmarcPolicy


def expect(channel: Guarded, domain: str) -> None:
    """Send the questions of ``policy_of``, eight at most."""
    for name in treewalk.walk(domain):
        channel.start(treewalk.place_of(name), Type.TXT)


def policy_of(channel: Guarded, domain: str, deadline: float) -> DmarcPolicy | None:
    """Return the policy for mail from a domain, on which DMARC filters act by RFC 9989 and by RFC 7489.

    Return None if there is no policy, or a lookup fails: SPF then decides alone.
    """
    expect(channel, domain)
    return treewalk.policy(domain, lambda name, rdtype: channel.ask(name, rdtype, deadline))
