"""Find what this server could set if the client of a refused message is a forwarder: its names, and who lets it send.

Knows which names and domains are tried. The checks are those of the policy. Changes no settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from spfmilter.addresses import dns_domain
from spfmilter.commands.explain import ForwarderAdvice
from spfmilter.evaluation import hosts
from spfmilter.evaluation.engine import CLIENT_TIME, Inquiry
from spfmilter.model import Condition, Disposition, ProblemKind, Result, Rule, Transaction, Verdict
from spfmilter.policy import forwarder_check
from spfmilter.settings import Settings, names

_MAX_DOMAINS = 12  # whose records are evaluated: the host names of a client have few domains


def forwarder_advice(inquiry: Inquiry, ended: Transaction, settings: Settings) -> ForwarderAdvice | None:
    """Return the client's reverse names, and the settings that would accept the message of such a forwarder.

    Args:
        inquiry: answers the questions, in a time of their own.
        ended: the message; None is returned if it was not checked.
        settings: those in force.
    """
    if not ended.verdicts:
        return None
    verdict = ended.action.verdict or ended.verdicts[-1]
    address, now = verdict.check.address, inquiry.clock()
    ptr, *found = hosts.reverse_lookups(inquiry.channel, inquiry.guarded, address, now + CLIENT_TIME, inquiry.clock)
    confirmed = [step.name for step in found if str(address) in step.answers]
    wanted = _would_help(ended, verdict)
    lines: list[Rule] = []
    if wanted:
        host = next(filter(is_writable, confirmed), None)
        candidates = [ended.facts.helo or "", *confirmed, *(step.name for step in found)]
        domain = _passing(inquiry, verdict, candidates, settings)
        named = {"forwarders": host, "forwarder_spf": domain}
        lines = [with_entry(key, name, settings) for key, name in named.items() if name is not None]
    return ForwarderAdvice(
        address=address, ptr=ptr, names=tuple(found), confirmed=frozenset(confirmed), wanted=wanted, lines=tuple(lines)
    )


def _would_help(ended: Transaction, verdict: Verdict) -> bool:
    """Return whether a listed forwarder would be a reason to accept the message: see ``policy.overrides``."""
    action = ended.action
    if (action.would or action.disposition) is Disposition.ACCEPT or verdict.result is Result.PASS:
        return False
    ours = verdict.problem is not None and verdict.problem.kind is ProblemKind.OWN_RESOLVER
    return action.verdict is not None and verdict.fault is None and not ours


def _passing(inquiry: Inquiry, verdict: Verdict, hosts_of: Sequence[str], settings: Settings) -> str | None:
    """Return the first domain whose record lets the client send; None if there is none.

    The record of a domain that lets every host pass says nothing about this client.
    """
    deadline = inquiry.clock() + settings.dns.timeout.seconds
    judged = verdict.check.domain
    domains = dict.fromkeys(
        domain for host in hosts_of for domain in _domains(host) if domain != judged and is_writable(domain)
    )
    for domain in islice(domains, _MAX_DOMAINS):
        found = inquiry.evaluate(forwarder_check(domain, verdict.check.address, settings), deadline=deadline)
        if found.result is Result.PASS and found.condition is not Condition.WIDE_OPEN:
            return domain
    return None


def _domains(host: str) -> Iterator[str]:
    """Yield the domains of a host name, the shortest first: its record is about most of the forwarder's hosts."""
    labels = dns_domain(host).lower().split(".")
    for count in range(2, len(labels) + 1):
        yield ".".join(labels[-count:])


def is_writable(name: str) -> bool:
    """Return whether the INI file takes a name as it stands: the DNS can hold commas and comment signs as well."""
    try:
        return names.domain_name(name) == name
    except ValueError:
        return False


def with_entry(key: str, name: str, settings: Settings) -> Rule:
    """Return the line of the INI file that holds a further name."""
    present = settings.rule("exempt", key)
    value = f"{present.value}, {name}" if present.value else name
    return Rule(section="exempt", key=key, value=value, line=present.line, file=present.file)
