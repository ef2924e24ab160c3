"""The decision about a message: the most severe disposition that its verdicts call for, unless an override applies.

Knows how to combine verdicts, and the modes. ``rules`` finds the policy entries, ``overrides`` the overrides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from spfmilter.model import NO_OWN_RULES, Action, Addressee, Disposition, Override, Plan, Rule, Verdict
from spfmilter.policy.evidence import Evidence
from spfmilter.policy.overrides import override
from spfmilter.policy.rules import AppliedEntry, applied_entries, on_fault
from spfmilter.policy.senders import may_be_exempt_by_pass
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode


def decide_at_mail(planned: Plan, evidence: Evidence, settings: Settings) -> tuple[tuple[Verdict, ...], Action]:
    """Evaluate the planned checks at MAIL FROM until one of them rejects the message, and decide.

    If HELO alone rejects it, no lookup for MAIL FROM is needed (RFC 7208 section 2.3), unless its pass would exempt the
    message. Monitor mode evaluates all checks.

    Returns:
        The verdicts on the checks that were evaluated, and the action.
    """
    if planned.skip is not None:
        return (), decide(planned, (), settings, evidence, NO_OWN_RULES, author="")
    verdicts: list[Verdict] = []
    called_for: list[AppliedEntry] = []
    for place, check in enumerate(planned.checks, start=1):
        verdicts.append(evidence.verdict(check))
        called_for += applied_entries(verdicts[-1], settings, evidence, NO_OWN_RULES)
        if may_be_exempt_by_pass(planned.checks[place:], settings):
            continue
        if place < len(planned.checks) and called_for[_most_severe(called_for, {})].disposition is Disposition.REJECT:
            action = apply_mode(_decided(planned, called_for, settings, evidence, author=""), settings)
            if action.disposition is Disposition.REJECT:  # not overridden, and not in monitor mode
                return tuple(verdicts), action
    return tuple(verdicts), apply_mode(_decided(planned, called_for, settings, evidence, author=""), settings)


def decide(
    planned: Plan,
    verdicts: Sequence[Verdict],
    settings: Settings,
    evidence: Evidence,
    addressee: Addressee,
    author: str,
) -> Action:
    """Return the action in the mode of the settings. The arguments are those of ``decide_for``."""
    return apply_mode(decide_for(planned, verdicts, settings, evidence, addressee, author), settings)


def apply_mode(action: Action, settings: Settings) -> Action:
    """Return the action in the mode of the settings; monitor mode accepts, and keeps the disposition as ``would``."""
    if settings.policy.mode is Mode.MONITOR and action.disposition is not Disposition.ACCEPT:
        return replace(action, disposition=Disposition.ACCEPT, would=action.disposition)
    return action


def decide_for(
    planned: Plan,
    verdicts: Sequence[Verdict],
    settings: Settings,
    evidence: Evidence,
    addressee: Addressee,
    author: str,
) -> Action:
    """Return the action of the policy, before the mode applies.

    Args:
        planned: the checks, or the reason to make none.
        verdicts: the verdicts on the checks.
        settings: the policy tables and the exemptions.
        evidence: answers questions, where an answer can change the action.
        addressee: the kind of the recipient; NO_OWN_RULES if the recipient is unknown.
        author: the domain of the From field; empty: unknown, or not exactly one.
    """
    if planned.skip is not None and planned.rule is not None:
        return Action(disposition=Disposition.ACCEPT, rule=planned.rule)
    if addressee.exempt:
        evidence.note("exempt", "recipients", "the recipient is among them", applied=True)
        return Action(disposition=Disposition.ACCEPT, rule=settings.rule("exempt", "recipients", addressee.entry))
    called_for = [found for verdict in verdicts for found in applied_entries(verdict, settings, evidence, addressee)]
    return _decided(planned, called_for, settings, evidence, author)


def _decided(
    planned: Plan, called_for: Sequence[AppliedEntry], settings: Settings, evidence: Evidence, author: str
) -> Action:
    """Return the action of the most severe entry to which no override applies."""
    if not called_for:
        return Action(disposition=Disposition.ACCEPT, rule=settings.rule("policy", "check"))
    overrides: dict[int, Override] = {}  # by the place of the entry to which they apply
    while True:
        place = _most_severe(called_for, overrides)
        chosen = called_for[place]
        if place in overrides:
            applied = overrides[place]
            return Action(
                disposition=applied.disposition,
                rule=applied.rule,
                verdict=chosen.verdict,
                override=applied,
                condition=chosen.condition,
            )
        found = override(planned, chosen, called_for, settings, evidence, author)
        if found is None:
            return Action(
                disposition=chosen.disposition,
                rule=chosen.rule(settings),
                verdict=chosen.verdict,
                condition=chosen.condition,
            )
        overrides[place] = found


def _most_severe(called_for: Sequence[AppliedEntry], overrides: Mapping[int, Override]) -> int:
    """Return the place of the most severe entry.

    Of two equally severe entries MAIL FROM's wins, since people look for it first. HELO's wins if both refuse, since
    its refusal does not wait for the lookups of MAIL FROM (see ``decide_at_mail``). An overridden entry has the
    severity of its override. If the override accepts, the entry wins over one that accepts by itself.

    Args:
        called_for: the entries, HELO's first.
        overrides: those of the overridden entries, by place.
    """
    best, most = 0, -1
    for place, applied in enumerate(called_for):
        disposition = overrides[place].disposition if place in overrides else applied.disposition
        # Doubled, so that an overridden entry has a rank between accept (0) and tag (2).
        rank = 2 * disposition.severity or int(place in overrides)
        if rank > most or (rank == most and not disposition.refuses):
            best, most = place, rank
    return best


def on_error(settings: Settings) -> tuple[Disposition, Rule]:
    """Return the disposition of a message after a fault of spfmilter, and the rule. Monitor mode accepts it."""
    if settings.policy.mode is Mode.MONITOR:
        return Disposition.ACCEPT, settings.rule("policy", "mode")
    return on_fault(settings)
