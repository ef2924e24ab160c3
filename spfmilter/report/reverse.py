"""Confirm the names of likely forwarders in the DNS, now: their owners chose them, and the MTA may not have looked.

Knows how many questions are asked, and for how long.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from spfmilter.addresses import parse_address
from spfmilter.evaluation import hosts
from spfmilter.evaluation.engine import CLIENT_TIME, Engine
from spfmilter.hostname import usable_name
from spfmilter.report.forwarders import Forwarder
from spfmilter.settings.schema import DnsSection

_TIME = 10.0  # seconds for all together
_HOSTS = 3  # addresses of each finding


def confirmed(forwarders: Sequence[Forwarder], settings: DnsSection) -> list[Forwarder]:
    """Return the findings with the names that the DNS confirms; as they were where it did not answer in time."""
    inquiry = Engine(settings).inquiry()
    deadline = inquiry.clock() + _TIME
    seen = []
    try:
        for forwarder in forwarders:
            answers = []
            for host in forwarder.hosts[:_HOSTS]:
                address = parse_address(host)
                now = inquiry.clock()
                if address is None or now >= deadline:
                    continue
                until = min(now + CLIENT_TIME, deadline)
                found = hosts.confirmed_names(inquiry.channel, inquiry.guarded, address, until)
                if found is not None:
                    answers.append([name for name in found if usable_name(name, host)])
            names = dict.fromkeys(name for answer in answers for name in answer)
            seen.append(dataclasses.replace(forwarder, confirmed=tuple(names)) if answers else forwarder)
    finally:
        inquiry.close()
    return seen
