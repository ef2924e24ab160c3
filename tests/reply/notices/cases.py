"""A case for every text: each result of each identity in each situation, and each problem that a record can have."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spfmilter.model import Condition, Disposition, Identity, Problem, ProblemKind, Result, Verdict
from spfmilter.reply import Extras
from spfmilter.spf.clues import Clues
from spfmilter.spf.flaws import Flaw, FlawKind
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
    disposition: Disposition = Disposition.REJECT
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
    yield Case(title="fail of an accepted message", verdict=verdict(Result.FAIL), disposition=Disposition.TAG)
    bounce = check(domain="mail.example.com", null_sender=True)
    yield Case(title="fail of the null sender", verdict=verdict(Result.FAIL, check=bounce))
    yield from freemail()
    yield from clues()
    yield from flaws()


def freemail() -> Iterator[Case]:
    """Of users who cannot change any record."""
    for domain, name in (
        ("163.com", ""),
        ("gmail.com", "mail.hotel.example"),
        ("web.de", ""),
        ("proton.me", ""),
        ("163.com", "m12-18.163.com"),
        ("qq.com", "out.qq.com"),
    ):
        extras = Extras(clues=Clues(client_name=name))
        title = f"fail of {domain}, from {name or 'an unknown host'}"
        yield Case(title=title, verdict=verdict(Result.FAIL, check=check(domain=domain)), extras=extras)
    yield Case(title="none of 163.com", verdict=verdict(Result.NONE, check=check(domain="163.com")))


def clues() -> Iterator[Case]:
    """With what was looked up about the client."""
    by_term: dict[str, Any] = {"term": "-ip4:203.0.113.0/24", "term_domain": "example.com"}
    by_redirect: dict[str, Any] = {"term": "-all", "term_domain": "_spf.provider.example"}
    bulk, own = Clues(client_name="smtp30.bulk.example"), Clues(client_name="mail.example.com")
    microsoft = next(service for service in SERVICES if service.include == "spf.protection.outlook.com")
    for found, title in (
        (verdict(Result.FAIL), "fail"),
        (verdict(Result.FAIL, **by_redirect), "fail by a redirect"),
        (verdict(Result.FAIL, **by_term), "fail by a term"),
    ):
        yield Case(title=f"{title}, from another organization", verdict=found, extras=Extras(clues=bulk))
        yield Case(title=f"{title}, from a server of the domain", verdict=found, extras=Extras(clues=own))
        google = Extras(clues=Clues(service=GOOGLE, listed=(microsoft,)))
        yield Case(title=f"{title}, from a service beside a listed one", verdict=found, extras=google)


def flaws() -> Iterator[Case]:
    """With what is wrong in a record that is valid, or is none because of it."""
    for kind, term, instead in (
        (FlawKind.BEHIND_ALL, "ip4:203.0.113.7", ""),
        (FlawKind.REDIRECT_BESIDE_ALL, "redirect=_spf.example.com", ""),
        (FlawKind.UNKNOWN_MODIFIER, "ip4=203.0.113.7", "ip4:203.0.113.7"),
        (FlawKind.NEAR_MISS, "ip4: 203.0.113.7", "ip4:203.0.113.7"),
        (FlawKind.NEAR_MISS, "~all;", ""),
        (FlawKind.PRESENT, "ip4:203.0.113.7", ""),
    ):
        extras = Extras(clues=Clues(flaws=(Flaw(kind=kind, term=term, domain="example.com", instead=instead),)))
        yield Case(title=f"fail with {kind}: {term}", verdict=verdict(Result.FAIL), extras=extras)


def nameless(identity: Identity) -> Verdict:
    """Of an identity that names no domain."""
    said = "alice@localhost" if identity is MAILFROM else "[203.0.113.7]"
    return verdict(Result.NONE, check=check(identity, domain="", as_sent=said), problem=NO_DOMAIN)


def problems(identity: Identity, owner: str) -> Iterator[Case]:
    """What can be wrong with a record, and with looking it up."""
    macro = Problem(kind=ProblemKind.VOID_LOOKUP_LIMIT, text="...", term="include:%{i}.spf.example", domain=owner)
    yield Case(title=f"permerror of {identity}: a macro", verdict=verdict(Result.PERMERROR, identity, problem=macro))
    included = "inc.example"
    elsewhere = Problem(kind=ProblemKind.BAD_ADDRESS, text="no IPv4 address", term="ip4:1.2.3", domain=included)
    found = verdict(Result.PERMERROR, identity, problem=elsewhere)
    yield Case(title=f"permerror of {identity}: in an included record", verdict=found)
    for kind, (text, term) in BROKEN.items():
        problem = Problem(kind=kind, text=text.replace("{owner}", owner), term=term, domain=owner)
        yield Case(
            title=f"permerror of {identity}: {kind}", verdict=verdict(Result.PERMERROR, identity, problem=problem)
        )
    slow = Problem(kind=ProblemKind.TIME_LIMIT, text="the lookups took longer than 20 s", domain=included)
    yield Case(title=f"temperror of {identity}: elsewhere", verdict=verdict(Result.TEMPERROR, identity, problem=slow))
    for kind, text in SILENT.items():
        problem = Problem(kind=kind, text=text.replace("{owner}", owner), domain=owner)
        found = verdict(Result.TEMPERROR, identity, problem=problem)
        for disposition in (Disposition.DEFER, Disposition.REJECT):
            yield Case(title=f"temperror of {identity}: {kind}, {disposition}", verdict=found, disposition=disposition)
