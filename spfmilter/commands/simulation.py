"""Judge one message by hand: with the daemon's own functions, in the daemon's order, but without an MTA.

Knows what an MTA would have told the daemon by the end of the message. What the caller does not give is unknown, as for
the daemon. Nothing is remembered: no deferral, and no DNS answer after the message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from spfmilter import headers, policy, relays, reply
from spfmilter.addresses import author_domain
from spfmilter.commands.explain import Explained
from spfmilter.evaluation.engine import Engine, Inquiry
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import Refusals, open_signer
from spfmilter.model import ANYBODY, Action, Addressee, Consideration, Edits, Facts, Plan, SkipReason
from spfmilter.reply import Extras
from spfmilter.settings import Settings
from spfmilter.settings.schema import RejectAt

_SUBJECT = "..."  # stands for the subject of the message

# Why an exemption applies, and why it does not.
_WHY = {
    SkipReason.LOCAL: ("the client came over the MTA's unix socket", "the client came over the network"),
    SkipReason.NETWORK: ("the client is in one of them", "the client is in none of them"),
    SkipReason.AUTHENTICATED: ("the client has logged in", "the client has not logged in, or this is off"),
    SkipReason.UNKNOWN_CLIENT: ("the client's address is not known", "the client's address is known"),
    SkipReason.PRIVATE: ("the client's address is private", "the client's address is public, or this is off"),
    SkipReason.SENDER: ("the domain in MAIL FROM is one of them", "the domain in MAIL FROM is none of them"),
    SkipReason.TRUSTED_FOR_DOMAIN: (
        "the client is in one of them",
        "the client is in none of them",
    ),
}


def simulate(
    facts: Facts,
    settings: Settings,
    *,
    rcpt: str = "",
    author: str = "",
    warn: Callable[[str], None] = lambda _: None,
) -> Explained:
    """Return what the daemon would do with a message.

    Args:
        facts: what is known at MAIL FROM.
        settings: the daemon's settings.
        rcpt: the recipient; empty: not known, as with ``reject_at = mail``.
        author: the value of the From field; empty: the message has none.
        warn: called with a text if a given value has no effect, or if the link cannot be signed.
    """
    # Without prefetching, so the tree shows the time of each lookup.
    dns = settings.dns.model_copy(update={"prefetch": False})
    receiver = headers.authserv_id(facts, settings)
    inquiry = Engine(dns, receiver=receiver, own_addresses=settings.policy.own_addresses).inquiry()
    inquiry.trace, inquiry.notes = True, []
    inquiry.until = time.monotonic() + dns.timeout.seconds  # all lookups for a message share this limit
    stage = settings.policy.reject_at
    if rcpt and stage is RejectAt.MAIL:
        warn("the recipient is not known, and so has no effect, with [policy] reject_at = mail")
    if author and stage is not RejectAt.MESSAGE:
        warn(f"the From field is not known, and so has no effect, with [policy] reject_at = {stage}")
    kind = ANYBODY if stage is RejectAt.MAIL or not rcpt else policy.addressee(rcpt, settings)
    planned = _plan(facts, settings, inquiry)
    if stage is RejectAt.MAIL or planned.skip is not None:
        verdicts, action = policy.decide_at_mail(planned, inquiry, settings)
    else:
        verdicts = tuple(inquiry.verdict(check) for check in planned.checks)
        domain = author_domain([author]) if stage is RejectAt.MESSAGE and author else ""
        action = policy.decide(planned, verdicts, settings, inquiry, kind, domain)
    extras = _extras(inquiry, action, facts, settings, warn)
    inquiry.close()
    considered = _considered(facts, planned, settings, inquiry, kind if rcpt and stage is not RejectAt.MAIL else None)
    answer = reply.reply_for(action, facts, settings, extras)
    edits = Edits()
    if answer is None:
        edits = headers.edits(action, verdicts, facts, settings, skip=planned.skip, subject_fields=[(1, _SUBJECT)])
    return Explained(
        facts=facts,
        plan=planned,
        verdicts=policy.with_condition(verdicts, action),
        action=action,
        reply=answer,
        edits=edits,
        considered=considered,
    )


def _extras(inquiry: Inquiry, action: Action, facts: Facts, settings: Settings, warn: Callable[[str], None]) -> Extras:
    """Return the extras for the notice of a refusal. If the link cannot be signed here, keep it as configured."""
    if not action.disposition.refuses or action.verdict is None:
        return reply.NOTHING
    url, path, signer = settings.reply.help_url, settings.web.secret_file, None
    # Do not create a missing file: it would belong to this user, and the daemon could not read it.
    if url is not None and os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a folder may not be entered
        try:
            signer = open_signer(settings)
        except SecretError as error:
            warn(str(error))
    found = Refusals(settings, signer).extras(inquiry, action.verdict, facts)
    if url is None or signer is not None:
        return found
    warn(f"{path}: without it the link is not signed here")
    return replace(found, link=str(url))


def _plan(facts: Facts, settings: Settings, inquiry: Inquiry) -> Plan:
    if not policy.awaits_header(facts, settings):
        return policy.plan(facts, settings)
    # There is no header here. To check the client behind a relay, the caller gives that client in place of the relay.
    found = relays.originating_client((), facts.client, settings.relays.trusted, inquiry.addresses_of)
    client, helo = (found.client, found.helo) if found is not None else (None, None)
    return policy.plan_behind(facts, client, helo, settings)[1]


def _considered(
    facts: Facts, planned: Plan, settings: Settings, inquiry: Inquiry, kind: Addressee | None
) -> tuple[Consideration, ...]:
    """Return the lines of the settings that were considered, in order, each once."""
    found = [*_exemptions(facts, planned, settings)]
    if kind is not None and not kind.exempt and planned.skip is None:
        rule = settings.rule("exempt", "recipients", settings.exempt.recipients)
        found.append(Consideration(rule=rule, applied=False, why="the recipient is none of them"))
    for section, key, value, applied, why in inquiry.notes or ():
        found.append(Consideration(rule=settings.rule(section, key, value), applied=applied, why=why))
    return tuple(dict.fromkeys(found))


def _exemptions(facts: Facts, planned: Plan, settings: Settings) -> list[Consideration]:
    if planned.skip is SkipReason.RELAY and planned.rule is not None:
        why = "the client is one of them, and there is no header that tells who is behind it"
        return [Consideration(rule=planned.rule, applied=True, why=why)]
    found = []
    for reason in policy.EXEMPTIONS:
        fits, fits_not = _WHY[reason]
        applied = reason is planned.skip
        rule = policy.exemption(reason, facts, settings)
        if rule.section != "domain:":  # the domain in MAIL FROM has no section
            found.append(Consideration(rule=rule, applied=applied, why=fits if applied else fits_not))
        if applied:
            break
        if reason is SkipReason.LOCAL:  # the daemon considers relays next: see ``policy.awaits_header``
            relay = policy.exemption(SkipReason.RELAY, facts, settings)
            found.append(Consideration(rule=relay, applied=False, why="the client is none of them"))
    return found
