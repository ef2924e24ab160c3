"""The names of an address and the addresses of a name, as the DNS confirms them in both directions.

Knows the bounds of RFC 7208 section 5.5, whatever the question is good for. A lookup that fails names nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from spfmilter.dns.answer import Answer, Type
from spfmilter.dns.channel import Channel
from spfmilter.model import IPAddress
from spfmilter.spf.record import MAX_HOSTS

Ask = Callable[[str, Type], Answer]  # one lookup


def names_of(address: IPAddress, ask: Ask) -> list[str]:
    """The first ten names that the reverse DNS gives to an address (section 5.5), in lower case."""
    answer = ask(address.reverse_pointer, Type.PTR)
    return [str(name).lower().removesuffix(".") for name in answer.records[:MAX_HOSTS]]


def has_address(name: str, address: IPAddress, ask: Ask) -> bool:
    """Whether a name leads back to the address."""
    return address.packed in ask(name, _type(address)).records


def confirmed_name(channel: Channel, address: IPAddress, wanted: Callable[[str], bool], deadline: float) -> str | None:
    """The first wanted name that the reverse DNS gives to an address, and that has the address itself; or None.

    Whoever owns the address writes its reverse DNS, and can claim any name; only the name's owner can point it back.
    """

    def ask(name: str, rdtype: Type) -> Answer:
        return channel.ask(name, rdtype, deadline)

    chosen = [name for name in names_of(address, ask) if wanted(name)]
    for name in chosen:
        channel.start(name, _type(address))
    return next((name for name in chosen if has_address(name, address, ask)), None)


def _type(address: IPAddress) -> Type:
    return Type.A if address.version == 4 else Type.AAAA


def addresses_of(channel: Channel, host: str, deadline: float) -> frozenset[IPAddress]:
    """Every address of a host name."""
    for rdtype in (Type.A, Type.AAAA):
        channel.start(host, rdtype)
    answers = [channel.ask(host, rdtype, deadline) for rdtype in (Type.A, Type.AAAA)]
    return frozenset(ip_address(a) for answer in answers for a in answer.records if isinstance(a, bytes))
