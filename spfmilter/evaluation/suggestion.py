"""Find out about a refused message what the advice needs: the client's confirmed name, mail services, record flaws.

Knows how to find it cheaply. Names that are known already hint at a service, or one lookup does. The service's own SPF
record then confirms that the client is one of its hosts. Used for refused messages only. The answers are in the caches
that all messages share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address

from spfmilter.evaluation import hosts
from spfmilter.evaluation.engine import Inquiry
from spfmilter.evaluation.recordflaws import record_flaws, txt_records
from spfmilter.hostname import is_host, usable_name
from spfmilter.model import Check, Facts, Identity, IPAddress, Result, Verdict
from spfmilter.spf import record
from spfmilter.spf.checks import domain_check
from spfmilter.spf.clues import Clues
from spfmilter.spf.services import Service, hinted, included

# Seconds after the evaluation: the MTA waits at least this much longer than [dns] timeout.
_TIME = 1.0
_NAME_TIME = 0.4  # of these, for the client's name, whose name servers may be slow on purpose
# The limits of RFC 7208 section 4.6.4. If the advice exceeds them, it breaks the record for all mail of the domain.
_LOOKUPS, _VOID_LOOKUPS = 10, 2
_UNKNOWN_CLIENT = {4: ip_address("0.0.0.0"), 6: ip_address("::")}  # noqa: S104 - addresses that no record passes
# The results that one more term in the domain's record would change.
_FIXABLE = frozenset({Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.NONE})


def clues_of(
    verdict: Verdict, facts: Facts, inquiry: Inquiry, own: Sequence[Service] = (), *, suggest: bool = True
) -> Clues:
    """Return what is known of a refused message's record, and what the DNS tells about its client within a second.

    Args:
        verdict: the one that decided.
        facts: of the message. The client's name and HELO hint at a service; a name is confirmed before it is told.
        inquiry: makes the lookups.
        own: the administrator's services.
        suggest: whether to look anything up.
    """
    found = _looked_up(verdict, facts, inquiry, own) if suggest else Clues()
    return replace(found, flaws=record_flaws(verdict, found.service))


def _looked_up(verdict: Verdict, facts: Facts, inquiry: Inquiry, own: Sequence[Service]) -> Clues:
    """Return what lookups tell; empty where it would not help."""
    check = verdict.check
    if verdict.result not in _FIXABLE or not check.domain or check.record:
        return Clues()
    deadline = inquiry.clock() + _TIME
    name = _confirmed_name(check.address, facts.client.name, inquiry)
    if check.identity is not Identity.MAILFROM:
        return Clues(client_name=name)
    names = (name or facts.client.name, facts.helo or "")
    return Clues(
        service=_service(verdict, names, inquiry, own, deadline),
        listed=included(_includes(verdict), own),
        client_name=name,
    )


def _confirmed_name(address: IPAddress, known: str, inquiry: Inquiry) -> str:
    """Return a host name that has the address, in lower case; empty if there is none, or the DNS takes too long.

    Args:
        address: the client's.
        known: what the MTA, a relay or a link calls it. It is tried first, and proves nothing.
        inquiry: makes the lookups.
    """
    deadline = inquiry.clock() + _NAME_TIME
    name = known.lower().removesuffix(".")
    if is_host(name) and hosts.has_address(
        name, address, lambda host, rdtype: inquiry.guarded.ask(host, rdtype, deadline)
    ):
        return name
    names = hosts.confirmed_names(inquiry.channel, inquiry.guarded, address, deadline) or ()
    # One that is not made of the address tells more. The order of DNS records changes, that of the alphabet does not.
    return min(filter(is_host, names), key=lambda name: (not usable_name(name, str(address)), name), default="")


def _service(
    verdict: Verdict, names: Sequence[str], inquiry: Inquiry, own: Sequence[Service], deadline: float
) -> Service | None:
    """Return the service that a name hints at, if its published record passes the client; else None."""
    check = verdict.check
    services = hinted(names, own)
    if not services:
        services = hinted(hosts.exchanges_of(inquiry.guarded, check.domain, deadline), own)
    checks = [_check_of(service, check.address) for service in services]
    inquiry.expect(checks)
    for service, about in zip(services, checks, strict=True):
        if inquiry.evaluate_best_effort(about, deadline).result is Result.PASS and _fits(
            verdict, service, inquiry, deadline
        ):
            return service
    return None


def _includes(verdict: Verdict) -> Iterator[str]:
    """Yield the domains to which the refused record itself leads: by ``include:``, or ``redirect=``.

    An included record's own includes are left out: the domain's administrator may not know of them.
    """
    checked = verdict.check.domain.lower()
    for domain in dict.fromkeys((checked, (verdict.term_domain or checked).lower())):
        if domain != checked:
            yield domain
        for directive in _directives(verdict, domain):
            if directive.mechanism == "all":
                break
            if directive.mechanism == "include" and directive.result is Result.PASS:
                yield directive.text.partition(":")[2].lower().removesuffix(".")


def _directives(verdict: Verdict, domain: str) -> tuple[record.Directive, ...]:
    """Return the directives of a domain's record, from the lookups of the evaluation; none if they are not known."""
    try:
        text = record.only_one(txt_records(verdict.asked or (), domain), domain)
        return record.parse(text).directives if text is not None else ()
    except record.RecordError:  # its verdict is another one: an evaluation has read it since
        return ()


def _fits(verdict: Verdict, service: Service, inquiry: Inquiry, deadline: float) -> bool:
    """Tell whether the refused record has enough lookups left for the service's. Evaluate for an unknown client."""
    whole = inquiry.evaluate_best_effort(_check_of(service, _UNKNOWN_CLIENT[verdict.check.address.version]), deadline)
    return (
        whole.result not in {Result.TEMPERROR, Result.PERMERROR}
        and verdict.lookups + 1 + whole.lookups <= _LOOKUPS
        and verdict.void_lookups + whole.void_lookups <= _VOID_LOOKUPS
    )


def _check_of(service: Service, address: IPAddress) -> Check:
    """Return the check of the service's record for an address. All messages share its cached verdict."""
    return domain_check(address, service.include, helo="", record="")
