"""Reasons to accept a message that the policy would tag, hold or refuse, or to do something milder.

Consulted only for such messages. Knows the overrides and their order. The cheapest come first: a temporary exemption of
a client or domain, which asks nothing. Before all that ask the DNS comes our own resolver's failure: while it lasts, no
further question can help.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from spfmilter.exemptions.inforce import Match
from spfmilter.model import (
    EXEMPTION,
    Check,
    Condition,
    Disposition,
    DmarcPolicy,
    Identity,
    IPAddress,
    Override,
    OverrideType,
    Plan,
    ProblemKind,
    Result,
    Rule,
    Verdict,
)
from spfmilter.policy.evidence import Evidence
from spfmilter.policy.rules import AppliedEntry
from spfmilter.policy.senders import exempt_by
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode
from spfmilter.spf.checks import domain_check

# Addresses of this network count as one sender: a server often tries again from another address of its network.
_NEIGHBOURS = {4: 24, 6: 64}
_STRICT = frozenset({"quarantine", "reject"})


def override(
    planned: Plan,
    applied: AppliedEntry,
    called_for: Sequence[AppliedEntry],
    settings: Settings,
    evidence: Evidence,
    author: str,
) -> Override | None:
    """Return the reason to accept the message, or to do something milder than the entry calls for; None: there is none.

    Args:
        planned: of the message.
        applied: the entry.
        called_for: all entries that apply to the message.
        settings: which overrides there are.
        evidence: answers questions, where an override needs an answer.
        author: the domain of the From field; empty: unknown, or not exactly one.
    """
    if applied.disposition is Disposition.ACCEPT:
        return None
    found = _exemption(planned, applied, evidence)
    if found is not None or applied.own_fault:
        return found  # an exemption depends on no result, so that it helps against a fault, too
    found = _own_resolver(applied, settings, evidence)
    if found is None and settings.exempt.senders:
        found = _exempt_sender(called_for, settings, evidence)
    if found is None and applied.verdict.result is not Result.PASS:
        # Mail that passes comes from the domain itself and was not forwarded: the entry is meant for it.
        found = _exempt_forwarder(applied.verdict, settings, evidence)
        if found is None:
            found = _forwarder(applied.verdict, settings, evidence)
    if found is None:
        found = _dmarc(applied, settings, evidence, author)
    if found is None:
        found = _deferred_enough(applied, settings, evidence)
    return found


# -- temporary exemptions ----------------------------------------------------------------------------------------------


def _exemption(planned: Plan, applied: AppliedEntry, evidence: Evidence) -> Override | None:
    """Return the override for a client or a sender domain that is exempt for a time."""
    exemptions = evidence.exemptions()
    if not exemptions:
        return None
    found = exemptions.find(planned.sender_domain, applied.verdict.check.address)
    if found is None:
        evidence.note(EXEMPTION, "", "none is for this client or this domain", applied=False)
        return None
    return _by_exemption(found, evidence)


def _exempt_forwarder(verdict: Verdict, settings: Settings, evidence: Evidence) -> Override | None:
    """Return the override for a forwarder that is exempt for a time: see ``_forwarder``."""
    exemptions, address = evidence.exemptions(), verdict.check.address
    if not exemptions:
        return None
    if exemptions.has_forwarders():
        host = evidence.host_name(address, lambda name: exemptions.forwarder(name) is not None)
        found = exemptions.forwarder(host) if host is not None else None
        if found is not None:
            return _by_exemption(found, evidence, why=f"the client is {host}")
    domains = {found.subject.forwarder_spf: found for found in exemptions.by_spf()}
    checks = [forwarder_check(domain, address, settings) for domain in domains]
    evidence.expect(checks)
    for check, found in zip(checks, domains.values(), strict=True):
        if evidence.verdict(check).result is Result.PASS:
            return _by_exemption(found, evidence, why=f"the client may send for {check.domain}")
    return None


def _by_exemption(found: Match, evidence: Evidence, why: str = "") -> Override:
    why = f"{why}, which is exempt: {found}" if why else f"it is for {found}"
    evidence.note(EXEMPTION, found.id, why, applied=True)
    rule = Rule(section=EXEMPTION, key=found.id, value=str(found))
    return Override(rule=rule, type=OverrideType.EXEMPTION, by=found.id)


# -- our own resolver, and senders with a pass -------------------------------------------------------------------------


def _own_resolver(applied: AppliedEntry, settings: Settings, evidence: Evidence) -> Override | None:
    """Return the override if none of our nameservers answers: our own fault is no reason to refuse mail."""
    problem = applied.verdict.problem
    if problem is None or problem.kind is not ProblemKind.OWN_RESOLVER or not applied.disposition.refuses:
        return None
    remark = "but our own resolver does not answer"
    evidence.note(applied.section, applied.key, remark, applied=False)
    return Override(rule=applied.rule(settings, remark), type=OverrideType.OWN_RESOLVER)


def _exempt_sender(called_for: Sequence[AppliedEntry], settings: Settings, evidence: Evidence) -> Override | None:
    """Return the override for a sender domain that is exempt if SPF passes, and does pass.

    A pass of a record that allows every host does not count, if the settings look for such records (``wide_open``).
    """
    senders = settings.exempt.senders
    if not senders.any_if_pass:
        return None
    passes = [
        applied.verdict.check
        for applied in called_for
        if applied.verdict.result is Result.PASS and applied.condition is not Condition.WIDE_OPEN
    ]
    for check in passes:
        place = exempt_by(check.domain, check.address, settings, if_pass=True)
        if place is not None and check.identity is Identity.MAILFROM:
            found = senders[place]
            evidence.note("exempt", "senders", f"MAIL FROM has a pass, and {found} is among them", applied=True)
            rule = settings.rule("exempt", "senders", place)
            return Override(rule=rule, type=OverrideType.EXEMPT_SENDER, by=found.domain)
    evidence.note("exempt", "senders", "MAIL FROM has no pass that exempts the message", applied=False)
    return None


# -- forwarders --------------------------------------------------------------------------------------------------------


def _forwarder(verdict: Verdict, settings: Settings, evidence: Evidence) -> Override | None:
    """Return the override for a forwarder, known by its confirmed host name or by the SPF record of its domain."""
    names, domains = settings.exempt.forwarders, settings.exempt.forwarder_spf
    address = verdict.check.address
    if names:
        host = evidence.host_name(address, lambda name: names.match(name) is not None)
        why = f"the client is {host}" if host is not None else "no confirmed name of the client is among them"
        evidence.note("exempt", "forwarders", why, applied=host is not None)
        if host is not None:
            rule = settings.rule("exempt", "forwarders", names.match(host))
            return Override(rule=rule, type=OverrideType.TRUSTED_FORWARDER, by=host)
    if domains:
        checks = [forwarder_check(domain, address, settings) for domain in domains]
        evidence.expect(checks)
        passed = next((check.domain for check in checks if evidence.verdict(check).result is Result.PASS), None)
        why = f"the client may send for {passed}" if passed is not None else "the client may send for none of them"
        evidence.note("exempt", "forwarder_spf", why, applied=passed is not None)
        if passed is not None:
            rule = settings.rule("exempt", "forwarder_spf", domains.find(passed))
            return Override(rule=rule, type=OverrideType.TRUSTED_FORWARDER, by=passed)
    return None


def forwarder_check(domain: str, address: IPAddress, settings: Settings) -> Check:
    """Return a check of an address for a forwarder's domain, as if its server had that domain as HELO."""
    pinned = settings.domains.get(domain)
    return domain_check(address, domain, helo=domain, record=pinned.record if pinned is not None else "")


# -- DMARC -------------------------------------------------------------------------------------------------------------


def may_yield(verdicts: Iterable[Verdict], settings: Settings) -> bool:
    """Return whether the DMARC policy of the From field's domain can matter for these verdicts."""
    return settings.policy.yield_to_dmarc and any(_is_dmarcs(verdict) for verdict in verdicts)


def _is_dmarcs(verdict: Verdict) -> bool:
    """Return whether DMARC uses this fail: of MAIL FROM, or of HELO for a bounce (RFC 7489 section 3.1.2)."""
    check = verdict.check
    return verdict.result is Result.FAIL and (check.identity is Identity.MAILFROM or check.null_sender)


def _dmarc(applied: AppliedEntry, settings: Settings, evidence: Evidence, author: str) -> Override | None:
    if not (settings.policy.yield_to_dmarc and _is_dmarcs(applied.verdict)):
        return None
    policy = evidence.dmarc(author) if author else None
    strict = policy is not None and policy.policy in _STRICT
    evidence.note("policy", "yield_to_dmarc", _why_dmarc(author, policy), applied=strict)
    if policy is None or not strict:
        return None
    rule = settings.rule("policy", "yield_to_dmarc")
    return Override(rule=rule, type=OverrideType.DMARC, by=f"{policy.domain} p={policy.policy}")


def _why_dmarc(author: str, policy: DmarcPolicy | None) -> str:
    if not author:
        return "no From field is known in which all readers see the same one domain"
    if policy is None:
        return f"{author} publishes no policy"
    if policy.reason and policy.policy not in _STRICT:
        return f"not every DMARC filter acts on the policy of {policy.domain}, because of {policy.reason}"
    return f"{policy.domain} publishes p={policy.policy}"


# -- time --------------------------------------------------------------------------------------------------------------


def _deferred_enough(applied: AppliedEntry, settings: Settings, evidence: Evidence) -> Override | None:
    """Return the override for mail that was deferred for as long as ``[policy] defer_at_most`` allows.

    Without it, mail of a domain whose entry says ``defer`` would never arrive: only temperror changes by waiting.
    Monitor mode does not ask: it defers no message, so there is no first deferral.
    """
    bound = settings.policy.defer_at_most
    if applied.disposition is not Disposition.DEFER:
        return None
    if not bound.seconds or settings.policy.mode is Mode.MONITOR:
        return None
    enough = evidence.deferred_for(deferral_key(applied.verdict.check)) >= bound.seconds
    why = "it has been deferred for longer" if enough else "it is not known to have been deferred for that long"
    evidence.note("policy", "defer_at_most", why, applied=enough)
    if not enough:
        return None
    rule = settings.rule("policy", "defer_at_most")
    return Override(rule=rule, type=OverrideType.DEFER_AT_MOST, disposition=applied.afterwards)


def deferral_key(check: Check) -> str:
    """Return the key under which retries of a message are counted: the domain, and the network of the client."""
    prefix = _NEIGHBOURS[check.address.version]
    return f"{check.domain.lower()} {ip_network((check.address, prefix), strict=False)}"
