"""Find the names of an address and the addresses of a name, confirmed by the DNS in both directions; and a name's zone.

Knows the limits of RFC 7208 section 5.5. A lookup that fails counts as one that finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address

from spfmilter.dns.answer import Answer, Status, Type
from spfmilter.dns.channel import Channel
from spfmilter.dns.private import Guarded
from spfmilter.evaluation.trace import lookup_step
from spfmilter.model import IPAddress, LookupStep
from spfmilter.spf.record import MAX_HOSTS
from spfmilter.zones import Delegation

_MAX_CUTS = 5  # names that are asked for a zone: the name itself, and those above it

Ask = Callable[[str, Type], Answer]  # one lookup


def names_of(address: IPAddress, ask: Ask) -> list[str]:
    """Return the first ten names of an address in the reverse DNS (section 5.5), in lower case."""
    answer = ask(address.reverse_pointer, Type.PTR)
    return [str(name).lower().removesuffix(".") for name in answer.records[:MAX_HOSTS]]


def has_address(name: str, address: IPAddress, ask: Ask) -> bool:
    """Tell whether the name has the address."""
    return address.packed in ask(name, _type(address)).records


def confirmed_name(channel: Channel, address: IPAddress, wanted: Callable[[str], bool], deadline: float) -> str | None:
    """Return the first wanted name of an address in the reverse DNS that also has the address; or None.

    The owner of an address can claim any name in its reverse DNS. Only the owner of the name can point it back.
    """

    def ask(name: str, rdtype: Type) -> Answer:
        return channel.ask(name, rdtype, deadline)

    chosen = [name for name in names_of(address, ask) if wanted(name)]
    for name in chosen:
        channel.start(name, _type(address))
    return next((name for name in chosen if has_address(name, address, ask)), None)


def confirmed_names(channel: Channel, guarded: Guarded, address: IPAddress, deadline: float) -> tuple[str, ...] | None:
    """Return the names of an address in the reverse DNS that also have the address; None: the DNS did not answer.

    Args:
        channel: asks for the address, which may be private.
        guarded: asks for the names, which the owner of the address chooses.
        address: the address.
        deadline: when lookups have to end, on the clock.
    """
    answer = channel.ask(address.reverse_pointer, Type.PTR, deadline)
    if answer.status is Status.FAILED:
        return None
    names = names_of(address, lambda _name, _type: answer)
    for name in names:
        guarded.start(name, _type(address))
    return tuple(
        name for name in names if has_address(name, address, lambda host, kind: guarded.ask(host, kind, deadline))
    )


def reverse_lookups(
    channel: Channel, guarded: Guarded, address: IPAddress, deadline: float, clock: Callable[[], float]
) -> Iterator[LookupStep]:
    """Yield the lookup of an address in the reverse DNS, then one for each of the names, for people.

    Args:
        channel: asks for the address, which may be private.
        guarded: asks for the names, which the owner of the address chooses.
        address: the address.
        deadline: when lookups have to end, on the clock.
        clock: returns the time, in seconds.
    """

    def ask(lookups: Channel | Guarded, name: str, rdtype: Type) -> tuple[Answer, LookupStep]:
        start = clock()
        answer = lookups.ask(name, rdtype, deadline)
        return answer, lookup_step(name, rdtype, answer, clock() - start)

    answer, step = ask(channel, address.reverse_pointer, Type.PTR)
    yield step
    for name in names_of(address, lambda _name, _type: answer):
        yield ask(guarded, name, _type(address))[1]


def _type(address: IPAddress) -> Type:
    return Type.A if address.version == 4 else Type.AAAA


def addresses_of(channel: Channel, host: str, deadline: float) -> frozenset[IPAddress]:
    """Return all addresses of a host name."""
    for rdtype in (Type.A, Type.AAAA):
        channel.start(host, rdtype)
    answers = [channel.ask(host, rdtype, deadline) for rdtype in (Type.A, Type.AAAA)]
    return frozenset(ip_address(a) for answer in answers for a in answer.records if isinstance(a, bytes))


def exchanges_of(lookups: Guarded, domain: str, deadline: float) -> tuple[str, ...]:
    """Return the names of a domain's MX hosts, best first; none if they do not come in time."""
    records = lookups.ask(domain, Type.MX, deadline).records
    return tuple(host for _, host in sorted(record for record in records if isinstance(record, tuple)))


def delegation_of(lookups: Guarded, domain: str, deadline: float) -> Delegation | None:
    """Return the zone that holds the records of a domain (RFC 1034 section 4.2); None if it is not found in time.

    The zone is the first name with NS records, from the domain upwards. A failed lookup ends the search, because there
    may be a zone cut at that name. A top-level domain is not asked for.
    """
    labels = domain.split(".")
    names = [".".join(labels[count:]) for count in range(len(labels) - 1)][:_MAX_CUTS]
    for name in names:
        lookups.start(name, Type.NS)
    for name in names:
        answer = lookups.ask(name, Type.NS, deadline)
        if answer.status is Status.DATA:
            return Delegation(zone=name, nameservers=tuple(host for host in answer.records if isinstance(host, str)))
        if answer.status not in {Status.NO_DATA, Status.NO_NAME}:
            return None
    return None
