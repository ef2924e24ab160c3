"""The policy: which checks a message needs, and what is done with their verdicts.

``plan`` and ``decide`` are the whole of it, pure functions of facts, verdicts and settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spfmilter.addresses import dns_domain, is_private
from spfmilter.model import Action, Check, Disposition, Facts, Identity, IPAddress, Plan, Rule, SkipReason, Verdict
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode, OnError


def plan(facts: Facts, settings: Settings) -> Plan:
    """The checks to make for a message, in their order, or the reason why none is made."""
    skip = _skip(facts, settings)
    if skip is not None or facts.client.address is None:
        return Plan(skip=skip or SkipReason.UNKNOWN_CLIENT)
    address, helo = facts.client.address, facts.helo or ""
    wanted = settings.policy.check
    if facts.reverse_path.null:
        # RFC 7208 section 2.4: the MAIL FROM identity is then postmaster@HELO. It is one evaluation, reported as
        # HELO's; both tables look at it, see _treatments.
        return Plan(checks=(_helo_check(address, helo, null_sender=True),))
    checks = []
    if Identity.HELO in wanted:
        checks.append(_helo_check(address, helo))
    if Identity.MAILFROM in wanted:
        path = facts.reverse_path
        checks.append(
            Check(
                identity=Identity.MAILFROM,
                address=address,
                local=path.local or "postmaster",  # section 4.3
                domain=dns_domain(path.domain),
                helo=dns_domain(helo) or "unknown",
                said=str(path),
            )
        )
    return Plan(checks=tuple(checks))


def _helo_check(address: IPAddress, helo: str, *, null_sender: bool = False) -> Check:
    domain = dns_domain(helo)
    return Check(
        identity=Identity.HELO,
        address=address,
        local="postmaster",
        domain=domain,
        helo=domain or "unknown",
        said=helo,
        null_sender=null_sender,
    )


def _skip(facts: Facts, settings: Settings) -> SkipReason | None:
    exempt, address = settings.exempt, facts.client.address
    if facts.client.local:
        return SkipReason.LOCAL
    if address is not None and any(address in network for network in exempt.networks):
        return SkipReason.NETWORK
    if exempt.authenticated and facts.authenticated:
        return SkipReason.AUTHENTICATED
    if address is None:
        return SkipReason.UNKNOWN_CLIENT
    if exempt.private_clients and is_private(address):
        return SkipReason.PRIVATE
    return None


def judge(
    planned: Plan, evaluate: Callable[[Check], Verdict], settings: Settings
) -> tuple[tuple[Verdict, ...], Action]:
    """Evaluate the planned checks until the message's fate is settled, and decide.

    RFC 7208 section 2.3: where HELO alone decides, MAIL FROM need not be looked up. Monitor mode looks at everything.
    """
    verdicts: list[Verdict] = []
    for check in planned.checks[:-1]:
        verdicts.append(evaluate(check))
        action = decide(planned, verdicts, settings)
        if action.disposition is Disposition.REJECT:
            return tuple(verdicts), action
    verdicts += [evaluate(check) for check in planned.checks[-1:]]
    return tuple(verdicts), decide(planned, verdicts, settings)


def decide(planned: Plan, verdicts: Sequence[Verdict], settings: Settings) -> Action:
    """What is done with the message: the most severe of what the verdicts call for.

    Of equally severe ones MAIL FROM's is named, since it is what people look for; but HELO's where both refuse, since
    HELO's refusal does not wait for MAIL FROM to be looked up (see ``judge``).
    """
    if planned.skip is not None:
        return Action(disposition=Disposition.ACCEPT, rule=_exemption(planned.skip, settings))
    chosen: tuple[Disposition, Identity, Verdict] | None = None
    for verdict in verdicts:
        for disposition, identity in _treatments(verdict, settings):
            more = -1 if chosen is None else disposition.severity - chosen[0].severity
            if chosen is None or more > 0 or (more == 0 and not disposition.refuses):
                chosen = disposition, identity, verdict
    if chosen is None:
        return Action(disposition=Disposition.ACCEPT, rule=settings.rule("policy", "check", settings.policy.check))
    disposition, identity, verdict = chosen
    if verdict.fault is None:
        rule = settings.rule(f"policy.{identity}", verdict.result, disposition)
    else:
        _, rule = _on_fault(settings)
    if settings.policy.mode is Mode.MONITOR and disposition is not Disposition.ACCEPT:
        return Action(disposition=Disposition.ACCEPT, rule=rule, verdict=verdict, withheld=disposition)
    return Action(disposition=disposition, rule=rule, verdict=verdict)


def on_error(settings: Settings) -> tuple[Disposition, Rule]:
    """What is done with a message for which spfmilter itself has failed; monitor mode refuses none here either."""
    if settings.policy.mode is Mode.MONITOR:
        return Disposition.ACCEPT, settings.rule("policy", "mode", settings.policy.mode)
    return _on_fault(settings)


def _on_fault(settings: Settings) -> tuple[Disposition, Rule]:
    chosen = settings.milter.on_error
    disposition = Disposition.DEFER if chosen is OnError.TEMPFAIL else Disposition.ACCEPT
    return disposition, settings.rule("milter", "on_error", chosen)


def _treatments(verdict: Verdict, settings: Settings) -> list[tuple[Disposition, Identity]]:
    """What the tables say of a verdict; for a null sender those of both identities, as far as they are checked."""
    own = verdict.check.identity
    if verdict.fault is not None:
        return [(_on_fault(settings)[0], own)]
    if not verdict.check.null_sender:
        return [(settings.table(own).treatment(verdict.result), own)]
    wanted = [identity for identity in Identity if identity in settings.policy.check]  # HELO first, as in plan
    return [(settings.table(identity).treatment(verdict.result), identity) for identity in wanted]


def _exemption(skip: SkipReason, settings: Settings) -> Rule:
    exempt = settings.exempt
    match skip:
        case SkipReason.NETWORK:
            return settings.rule("exempt", "networks", exempt.networks)
        case SkipReason.PRIVATE:
            return settings.rule("exempt", "private_clients", exempt.private_clients)
        case SkipReason.AUTHENTICATED:
            return settings.rule("exempt", "authenticated", exempt.authenticated)
        case SkipReason.LOCAL | SkipReason.UNKNOWN_CLIENT:
            return Rule(section="exempt", key=skip, value="always")  # no address: there is nothing that SPF could check
