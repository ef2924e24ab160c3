"""The names of an address and the addresses of a name, as the DNS confirms them in both directions.

Knows the bounds of RFC 7208 section 5.5, whatever the question is good for. A lookup that fails names nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from spfmilter.evaluation.answer import Type
from spfmilter.evaluation.channel import Channel
from spfmilter.evaluation.record import MAX_HOSTS
from spfmilter.model import IPAddress


def confirmed_name(channel: Channel, address: IPAddress, wanted: Callable[[str], bool], deadline: float) -> str | None:
    """The first wanted name that the reverse DNS gives to an address, and that has the address itself; or None.

    Whoever owns the address writes its reverse DNS, and can claim any name; only the name's owner can point it back.
    """
    answer = channel.ask(address.reverse_pointer, Type.PTR, deadline)
    names = [str(name).lower().removesuffix(".") for name in answer.records[:MAX_HOSTS]]
    chosen = [name for name in names if wanted(name)]
    rdtype = Type.A if address.version == 4 else Type.AAAA
    for name in chosen:
        channel.start(name, rdtype)
    packed = address.packed
    return next((name for name in chosen if packed in channel.ask(name, rdtype, deadline).records), None)


def addresses_of(channel: Channel, host: str, deadline: float) -> frozenset[IPAddress]:
    """Every address of a host name."""
    for rdtype in (Type.A, Type.AAAA):
        channel.start(host, rdtype)
    answers = [channel.ask(host, rdtype, deadline) for rdtype in (Type.A, Type.AAAA)]
    return frozenset(ip_address(a) for answer in answers for a in answer.records if isinstance(a, bytes))
