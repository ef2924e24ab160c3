"""Guess which languages the sender of a refused message reads, so that the notice can be in one of them.

Knows which names tell it: the sender's domain, then its MX hosts, then the client's own name. Used for refused messages
only, and only if ``[reply] languages`` asks for it. At most one lookup, whose answer is in the cache that all messages
share.
"""

from __future__ import annotations

from spfmilter.countries import first_known
from spfmilter.evaluation import hosts
from spfmilter.evaluation.engine import Inquiry
from spfmilter.model import Facts, Identity, Verdict

_TIME = 0.5  # seconds, after the evaluation and after the search for a service, which asks for the same MX


def sender_languages(verdict: Verdict, facts: Facts, inquiry: Inquiry) -> tuple[str, ...]:
    """Return the languages as tags (BCP 47), the likeliest first; none if no name tells them."""
    check = verdict.check
    known = first_known((check.domain, facts.reverse_path.domain))
    if known:
        return known
    exchanges: tuple[str, ...] = ()
    if check.identity is Identity.MAILFROM and check.domain and not check.record:
        exchanges = hosts.exchanges_of(inquiry.guarded, check.domain, inquiry.clock() + _TIME)
    return first_known((*exchanges, facts.client.name))
