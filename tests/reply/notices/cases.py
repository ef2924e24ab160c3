"""A case for every text: each result of each identity in each situation, and each problem that a record can have."""

from collections.abc import Iterator
from dataclasses import dataclass

from spfmilter.model import Condition, Identity, Problem, ProblemKind, Result, Verdict
from spfmilter.reply import Extras
from spfmilter.spf.clues import Clues
from spfmilter.spf.services import SERVICES
from tests.values import CASE, NO_EXTRAS, check, verdict

HELO, MAILFROM = Identity.HELO, Identity.MAILFROM
GOOGLE = next(service for service in SERVICES if service.include == "_spf.google.com")
NO_DOMAIN = Problem(kind=ProblemKind.NO_DOMAIN, text="the identity names no domain that can be looked up")
LINK = "https://mx.example.net/spf/AbCd"

# What the evaluation says of each kind of problem: its text, and the term at fault.
BROKEN: dict[ProblemKind, tuple[str, str | None]] = {
    ProblemKind.SYNTAX: ("neither a mechanism nor a modifier", "-"),
    ProblemKind.UNKNOWN_MECHANISM: ("ipv4 is no mechanism", "ipv4:192.0.2.1"),
    ProblemKind.BAD_DOMAIN: ("include needs a domain", "include:"),
    ProblemKind.BAD_MACRO: ("not a macro", "exists:%{x}.example.com"),
    ProblemKind.BAD_ADDRESS: ("not an IPv4 address", "ip4:192.0.2"),
    ProblemKind.BAD_PREFIX: ("a prefix length of more than 32", "ip4:192.0.2.0/33"),
    ProblemKind.DUPLICATE_MODIFIER: ("redirect= appears more than once", "redirect=b.example"),
    ProblemKind.TOO_LONG: ("the record has 5000 characters, more than 4096", None),
    ProblemKind.SEVERAL_RECORDS: ("{owner} has more than one SPF record", None),
    ProblemKind.MISSING_RECORD: ("gone.example has no SPF record", "include:gone.example"),
    ProblemKind.NOT_ASCII: ("the record of {owner} holds characters that are not ASCII", None),
    ProblemKind.LOOKUP_LIMIT: ("more than 10 terms that need a DNS lookup", "include:eleventh.example"),
    ProblemKind.VOID_LOOKUP_LIMIT: (
        "more than 2 terms whose lookup finds nothing (the last: gone.example)",
        "a:gone.example",
    ),
    ProblemKind.HOST_LIMIT: ("many.example has more than 10 MX hosts", "mx:many.example"),
}
SILENT: dict[ProblemKind, str] = {
    ProblemKind.DNS_FAILURE: "DNS lookup of {owner} (TXT) failed: timeout",
    ProblemKind.OWN_RESOLVER: "DNS lookup of {owner} (TXT) failed: no nameserver answers",
    ProblemKind.TIME_LIMIT: "the lookups took longer than 20 s",
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One notice."""

    title: str
    verdict: Verdict
    extras: Extras = NO_EXTRAS
    condition: Condition | None = None
    own: bool = False  # the domain is the receiver's


def cases() -> Iterator[Case]:
    """All of them."""
    for identity in (MAILFROM, HELO):
        owner = "example.com" if identity is MAILFROM else "mail.example.com"
        elsewhere = {"term_domain": "_spf.provider.example"}
        for result, all_term, term in (
            (Result.FAIL, "-all", "-ip4:203.0.113.0/24"),
            (Result.SOFTFAIL, "~all", "~ip4:203.0.113.0/24"),
            (Result.NEUTRAL, "?all", "?ip4:203.0.113.0/24"),
        ):
            name = f"{result} of {identity}"
            yield Case(title=name, verdict=verdict(result, identity, term=all_term, term_domain=owner))
            yield Case(title=f"{name}, by a redirect", verdict=verdict(result, identity, term=all_term, **elsewhere))
            yield Case(title=f"{name}, by a term", verdict=verdict(result, identity, term=term, term_domain=owner))
        yield Case(title=f"none of {identity}", verdict=verdict(Result.NONE, identity))
        yield Case(title=f"none of {identity}, no domain", verdict=nameless(identity))
        yield Case(title=f"pass of {identity}", verdict=verdict(Result.PASS, identity, term="+all", term_domain=owner))
        yield from problems(identity, owner)
    ours = Extras(clues=Clues(service=GOOGLE), link=LINK, case=CASE)
    title = "fail of a service's customer, with a link and a case id"
    yield Case(title=title, verdict=verdict(Result.FAIL), extras=ours)
    customer = Extras(clues=Clues(service=GOOGLE))
    yield Case(title="none of a service's customer", verdict=verdict(Result.NONE), extras=customer)
    yield Case(
        title="fail of a service's customer, by a term",
        verdict=verdict(Result.FAIL, term="-ip4:203.0.113.0/24", term_domain="example.com"),
        extras=customer,
    )
    yield Case(title="fail with the domain's explanation", verdict=verdict(Result.FAIL, explanation="Use our servers."))
    yield Case(title="fail of a domain that sends no mail", verdict=verdict(Result.FAIL), condition=Condition.NO_MAIL)
    for identity in (MAILFROM, HELO):
        wide = verdict(Result.PASS, identity, term="+all", term_domain=check(identity).domain)
        yield Case(title=f"pass of {identity} for everybody", verdict=wide, condition=Condition.WIDE_OPEN)
    yield Case(
        title="pass of mailfrom for everybody, by another term",
        verdict=verdict(Result.PASS, term="mx", term_domain="example.com"),
        condition=Condition.WIDE_OPEN,
    )
    yield Case(
        title="fail of a host that sends no mail", verdict=verdict(Result.FAIL, HELO), condition=Condition.NO_MAIL
    )
    yield Case(
        title="none of a domain that takes no mail", verdict=verdict(Result.NONE), condition=Condition.UNREACHABLE
    )
    pinned = check(record="v=spf1 ip4:192.0.2.0/24 -all")
    yield Case(title="fail by a record of the receiver's own", verdict=verdict(Result.FAIL, check=pinned))
    yield Case(title="softfail by a record of the receiver's own", verdict=verdict(Result.SOFTFAIL, check=pinned))
    yield Case(title="fail of a domain of the receiver's own", verdict=verdict(Result.FAIL), own=True)
    termless = Problem(kind=ProblemKind.SYNTAX, text="odd", domain="example.com")
    yield Case(title="permerror at an unknown term", verdict=verdict(Result.PERMERROR, problem=termless))
    yield Case(title="fail over IPv6", verdict=verdict(Result.FAIL, check=check(address="2001:db8::7")))


def nameless(identity: Identity) -> Verdict:
    """Of an identity that names no domain."""
    said = "alice@localhost" if identity is MAILFROM else "[203.0.113.7]"
    return verdict(Result.NONE, check=check(identity, domain="", as_sent=said), problem=NO_DOMAIN)


def problems(identity: Identity, owner: str) -> Iterator[Case]:
    """What can be wrong with a record, and with looking it up."""
    for kind, (text, term) in BROKEN.items():
        problem = Problem(kind=kind, text=text.replace("{owner}", owner), term=term, domain=owner)
        yield Case(
            title=f"permerror of {identity}: {kind}", verdict=verdict(Result.PERMERROR, identity, problem=problem)
        )
    for kind, text in SILENT.items():
        problem = Problem(kind=kind, text=text.replace("{owner}", owner), domain=owner)
        yield Case(
            title=f"temperror of {identity}: {kind}", verdict=verdict(Result.TEMPERROR, identity, problem=problem)
        )
