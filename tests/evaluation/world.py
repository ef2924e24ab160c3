"""A DNS in memory, and two readers of it: our Evaluator and the stock class of pyspf, for the same zone data.

The entries are those of `lab.dnszone` as far as they need no packets: {TYPE: value}, {'TTL': n}, {'RCODE': name},
'TIMEOUT' (bare, or as a type's value). It knows no sockets and no time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from unittest import mock

import spf

from spfmilter.dns import wire
from spfmilter.dns.answer import Answer, RecordData, Status, Type
from spfmilter.evaluation.evaluator import Evaluator
from spfmilter.evaluation.limits import Limits
from spfmilter.model import Check, Identity, Verdict

Zone = Mapping[str, Sequence[Any]]
CLIENT = "192.0.2.1"
CLIENT6 = "2001:db8::1"


class World:
    """All the names there are; answers, and counts who asked what."""

    def __init__(self, zone: Zone, *, ttl: int = 300) -> None:
        self._zone = {name.lower(): entries for name, entries in zone.items()}
        self._ttl = ttl
        self._answers: dict[tuple[str, Type], Answer] = {}
        self.asked: Counter[tuple[str, str]] = Counter()

    def ask(self, name: str, rdtype: Type, deadline: float = 0.0) -> Answer:  # noqa: ARG002 - no time passes here
        """The answer, as `Channel.ask` would give it."""
        if wire.question(name, rdtype) is None:
            return Answer(Status.NOT_ASKED)
        name = name.lower().removesuffix(".")
        self.asked[name, rdtype.name] += 1
        if (name, rdtype) not in self._answers:
            self._answers[name, rdtype] = self._answer(name, rdtype)
        return self._answers[name, rdtype]

    def start(self, name: str, rdtype: Type) -> None:
        """Send nothing ahead."""

    def _answer(self, name: str, rdtype: Type) -> Answer:
        entries = self._zone.get(name)
        if entries is None:
            return Answer(Status.NO_NAME, ttl=self._ttl)
        specials = {key: value for key, value in self._pairs(entries) if key in {"TTL", "RCODE", "*"}}
        ttl = int(specials.get("TTL", self._ttl))
        found = [value for key, value in self._pairs(entries) if key == rdtype.name]
        if "RCODE" in specials:
            return Answer(Status.FAILED, failure=str(specials["RCODE"]))
        if "TIMEOUT" in found or ("*" in specials and not found):
            return Answer(Status.FAILED, failure="timeout")
        return Answer(Status.DATA if found else Status.NO_DATA, tuple(_data(rdtype, v) for v in found), ttl)

    def _pairs(self, entries: Sequence[Any]) -> Iterator[tuple[str, Any]]:
        for entry in entries:
            yield from [("*", entry)] if isinstance(entry, str) else entry.items()


def _data(rdtype: Type, value: Any) -> RecordData:
    match rdtype:
        case Type.A:
            return IPv4Address(value).packed
        case Type.AAAA:
            return IPv6Address(value).packed
        case Type.MX:
            return (value[0], value[1])
        case Type.TXT:
            return value if isinstance(value, bytes) else str(value).encode()
        case Type.PTR | Type.NS:
            return str(value)


def check(
    domain: str = "e.example",
    *,
    local: str = "user",
    client: str = CLIENT,
    helo: str = "mail.e.example",
) -> Check:
    """A check of MAIL FROM, as `policy.plan` makes it."""
    return Check(
        identity=Identity.MAILFROM,
        address=ip_address(client),
        local=local,
        domain=domain,
        helo=helo,
        as_sent=f"{local}@{domain}",
    )


def ours(
    world: World | Zone, checked: Check | None = None, *, limits: Limits | None = None, trace: bool = False
) -> Verdict:
    """The verdict of our Evaluator."""
    lookups = world if isinstance(world, World) else World(world)
    verdict = Evaluator(limits).evaluate(checked or check(), lookups, trace=trace)
    assert verdict.fault is None, verdict.fault
    return verdict


class Stock:
    """What the unchanged class of pyspf makes of a check: its result, explanation, and counters.

    Only the module's DNSLookup, by which its `dns` asks the network, is replaced: `dns` itself holds pyspf's own
    counting of void lookups, which is one of the things to be compared.
    """

    def __init__(
        self, world: World | Zone, *, sender: str = "user@e.example", client: str = CLIENT, helo: str = "mail.e.example"
    ) -> None:
        lookups = world if isinstance(world, World) else World(world)

        def lookup(name: str, qtype: str, *_: object) -> list[tuple[tuple[str, str], Any]]:
            answer = lookups.ask(name, Type[qtype])
            if answer.status is Status.FAILED:
                raise spf.TempError("DNS " + answer.failure)
            return [((name, qtype), _for_pyspf(record, qtype)) for record in answer.records]

        with mock.patch.object(spf, "DNSLookup", lookup):
            self.query = spf.query(i=client, s=sender, h=helo)
            self.result, _, self.explanation = self.query.check()


def _for_pyspf(record: RecordData, qtype: str) -> Any:
    if qtype in {"A", "AAAA"}:
        return str(ip_address(record))  # type: ignore[arg-type]
    return (record,) if qtype == "TXT" else record
