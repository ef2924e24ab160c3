"""Put the findings into words, each with what speaks for it and the steps that act on it. Pure.

Used by all three forms of the report, so that they say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spfmilter.report import advice
from spfmilter.report.advice import NextStep
from spfmilter.report.forwarders import Forwarder
from spfmilter.report.partners import Partner
from spfmilter.report.period import Period
from spfmilter.report.related import network_of
from spfmilter.report.resolver import Outage
from spfmilter.report.summary import MailReport
from spfmilter.settings import Settings

_FORWARDER_DAYS, _PARTNER_DAYS = 30, 14
_COMMANDS = 3  # of one finding, for several addresses
_OUTAGES = 5


@dataclass(frozen=True, slots=True)
class Pointer:
    """One thing to look at."""

    kind: str  # forwarder, partner, resolver, unused, ending
    title: str
    facts: Sequence[str]  # sentences
    steps: Sequence[NextStep]


KINDS = {
    "forwarder": "Likely forwarders",
    "partner": "Likely misconfigured partners",
    "resolver": "Trouble with your own resolver",
    "ending": "Exceptions that end soon",
    "unused": "Exceptions that were not used",
}
ABOUT = {
    "forwarder": "One client, or one network, whose mail fails for many unrelated domains, and which is known by its "
    "name or its HELO. Senders of spam can look like that, too. Ask your users whether they forward mail from there "
    "before you let it in.",
    "partner": "A domain whose mail passed before and now fails from a few steady addresses. Its record probably "
    "misses a server. The lasting remedy is in that domain's DNS.",
    "resolver": "None of your own nameservers answered. Mail was then accepted where it would have been deferred or "
    "refused.",
    "ending": "They let mail in, and will soon no longer do so.",
    "unused": "They let in no mail in this span. A short span proves little. Entries of [exempt] recipients are not "
    "listed, because the journal keeps no recipients.",
}


def pointers(report: MailReport, settings: Settings) -> list[Pointer]:
    """Return the findings, by kind, the most important kind first."""
    return [
        *(
            _forwarder(one, case, report, settings)
            for one, case in zip(report.forwarders, report.forwarder_cases, strict=True)
        ),
        *(
            _partner(one, case, report, settings)
            for one, case in zip(report.partners, report.partner_cases, strict=True)
        ),
        *_outages(report.outages, report.period),
        *(
            Pointer("ending", one.text, (f"It ends at {report.period.shown(one.ends or 0)}.",), one.steps)
            for one in report.ending
        ),
        *(Pointer("unused", one.text, (), one.steps) for one in report.never_used),
    ]


def _because(what: str, report: MailReport) -> str:
    return f"report of {report.period.local(report.made):%Y-%m-%d}: {what}"


def _forwarder(one: Forwarder, case: str | None, report: MailReport, settings: Settings) -> Pointer:
    because = _because(f"forwards for {one.domain_count} domains", report)
    name, helo = one.trusted_name, one.helo or ""
    steps: tuple[NextStep, ...]
    if name and advice.is_name(name.removeprefix(".")):
        steps = (
            advice.exempt("--forwarder", name, days=_FORWARDER_DAYS, because=because),
            advice.listed("forwarders", name, settings),
        )
    elif helo and advice.is_name(helo):
        steps = (
            advice.exempt("--forwarder-spf", helo, days=_FORWARDER_DAYS, because=because),
            advice.listed("forwarder_spf", helo, settings),
        )
    else:
        client = one.hosts[0] if one.host_count == 1 else network_of(one.hosts[0])
        steps = (advice.exempt("--network", client, days=_FORWARDER_DAYS, because=because),)
    title = f"{one.name}: {'likely' if one.is_likely else 'possibly'} a forwarder"
    return Pointer("forwarder", title, tuple(_forwarder_facts(one, report)), (*steps, *advice.why(case)))


def _forwarder_facts(one: Forwarder, report: MailReport) -> Iterator[str]:
    refused = _refused(one.refused, report)
    yield f"{_number(one.messages, 'message')} failed for {_number(one.domain_count, 'domain')}; {refused}."
    yield f"Domains: {_listed(one.domains, one.domain_count)}."
    yield f"Addresses: {_listed(one.hosts, one.host_count)}."
    if one.confirmed:
        yield f"Names that the DNS confirms now: {', '.join(one.confirmed)}."
    elif one.confirmed is not None:
        yield "The DNS confirms no name of these addresses now."
    elif one.names:
        yield f"Names, as the mail server gave them: {', '.join(one.names)}."
    if one.helo_passes:
        yield f"HELO passes in {one.helo_passes} of {one.messages}, such as {one.helo or 'unknown'}."
    else:
        yield "HELO never passes."
    if one.passes:
        yield f"{_number(one.passes, 'message')} from the same addresses passed."


def _partner(one: Partner, case: str | None, report: MailReport, settings: Settings) -> Pointer:
    steps: list[NextStep] = []
    if advice.is_name(one.domain):
        because = _because("its record misses a server", report)
        steps = [
            advice.exempt("--domain", one.domain, "--from", address, days=_PARTNER_DAYS, because=because)
            for address in one.addresses[:_COMMANDS]
        ]
        steps.append(advice.listed("senders", f"{one.domain} from {' '.join(one.addresses)}", settings))
    steps += advice.why(case)
    return Pointer(
        "partner", f"{one.domain}: its own servers probably fail", tuple(_partner_facts(one, report)), tuple(steps)
    )


def _partner_facts(one: Partner, report: MailReport) -> Iterator[str]:
    span = f"from {report.period.shown(one.first)} to {report.period.shown(one.last)}"
    refused = _refused(one.refused, report)
    yield f"{_number(one.failures, 'message')} failed from {', '.join(one.addresses)}, {span}; {refused}."
    yield f"{_number(one.passes, 'message')} of this domain passed."
    if one.changed:
        yield f"{', '.join(one.passed_before)} passed for it before: the record has changed, or is broken."
    else:
        terms = " ".join(f"{'ip6' if ':' in address else 'ip4'}:{address}" for address in one.addresses)
        yield f"If these are its servers, its postmaster has to add {terms} to the record."


def _outages(outages: Sequence[Outage], period: Period) -> Iterator[Pointer]:
    if not outages:
        return
    facts = [
        f"{one.host or 'unknown host'}: {_number(one.messages, 'message')} "
        f"from {period.shown(one.start)} to {period.shown(one.end)}."
        for one in outages[:_OUTAGES]
    ]
    if len(outages) > _OUTAGES:
        facts.append(f"{len(outages) - _OUTAGES} earlier ones.")
    messages = sum(one.messages for one in outages)
    title = f"{_number(len(outages), 'outage')}, {_number(messages, 'message')}"
    yield Pointer(
        "resolver", title, facts, (advice.command("ask the nameservers now", "status", "--only", "resolver"),)
    )


def _refused(messages: int, report: MailReport) -> str:
    would = report.totals.would_refuse and not report.totals.refused
    return f"{messages:,} {'would have been' if would else 'were'} refused"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _listed(names: Sequence[str], count: int) -> str:
    more = count - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")
