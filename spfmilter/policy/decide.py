"""What is done with a message: the most severe of what its verdicts call for, unless it is pardoned.

Knows how verdicts are brought together, and the modes; the rows are found in ``entries``, the pardons in ``overrides``.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from spfmilter.model import ANYBODY, Action, Addressee, Disposition, Override, Plan, Rule, Verdict
from spfmilter.policy.evidence import Evidence
from spfmilter.policy.overrides import override
from spfmilter.policy.rules import AppliedEntry, applied_entries, on_fault
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode


def decide_at_mail(planned: Plan, evidence: Evidence, settings: Settings) -> tuple[tuple[Verdict, ...], Action]:
    """Evaluate the planned checks until the message's fate is settled at MAIL FROM, and decide.

    RFC 7208 section 2.3: where HELO alone decides, MAIL FROM need not be looked up. Monitor mode looks at everything.
    """
    if planned.skip is not None:
        return (), decide(planned, (), settings, evidence, ANYBODY, author="")
    verdicts: list[Verdict] = []
    called_for: list[AppliedEntry] = []
    for place, check in enumerate(planned.checks, start=1):
        verdicts.append(evidence.verdict(check))
        called_for += applied_entries(verdicts[-1], settings, evidence, ANYBODY)
        if place < len(planned.checks) and called_for[_most_severe(called_for, ())].disposition is Disposition.REJECT:
            action = apply_mode(_decided(called_for, settings, evidence, author=""), settings)
            if action.disposition is Disposition.REJECT:  # neither pardoned nor withheld
                return tuple(verdicts), action
    return tuple(verdicts), apply_mode(_decided(called_for, settings, evidence, author=""), settings)


def decide(
    planned: Plan,
    verdicts: Sequence[Verdict],
    settings: Settings,
    evidence: Evidence,
    addressee: Addressee,
    author: str,
) -> Action:
    """What is done with the message; monitor mode takes it, and keeps what it has withheld."""
    return apply_mode(decide_for(planned, verdicts, settings, evidence, addressee, author), settings)


def apply_mode(action: Action, settings: Settings) -> Action:
    """What is left of an action in this mode."""
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
    """What the policy says of the message, whatever the mode.

    Args:
        planned: what was to be checked.
        verdicts: what came out of it.
        settings: the tables.
        evidence: asked only where the answer can matter.
        addressee: the recipient, where it is known who that is.
        author: the domain of the From field, where it is known; empty: unknown, or not a single one.
    """
    if planned.skip is not None and planned.rule is not None:
        return Action(disposition=Disposition.ACCEPT, rule=planned.rule)
    if addressee.exempt:
        evidence.note("exempt", "recipients", "the recipient is among them", applied=True)
        return Action(disposition=Disposition.ACCEPT, rule=settings.rule("exempt", "recipients"))
    called_for = [found for verdict in verdicts for found in applied_entries(verdict, settings, evidence, addressee)]
    return _decided(called_for, settings, evidence, author)


def _decided(called_for: Sequence[AppliedEntry], settings: Settings, evidence: Evidence, author: str) -> Action:
    """The most severe of what is called for that nothing pardons."""
    if not called_for:
        return Action(disposition=Disposition.ACCEPT, rule=settings.rule("policy", "check"))
    overrides: dict[int, Override] = {}  # by the place of what they pardon
    while True:
        place = _most_severe(called_for, overrides)
        chosen = called_for[place]
        if place in overrides:
            found = overrides[place]
            return Action(
                disposition=Disposition.ACCEPT,
                rule=found.rule,
                verdict=chosen.verdict,
                override=found,
                condition=chosen.condition,
            )
        excuse = override(chosen, settings, evidence, author)
        if excuse is None:
            return Action(
                disposition=chosen.disposition,
                rule=chosen.rule(settings),
                verdict=chosen.verdict,
                condition=chosen.condition,
            )
        overrides[place] = excuse


def _most_severe(called_for: Sequence[AppliedEntry], overrides: Container[int]) -> int:
    """The place of the most severe.

    Of equally severe ones MAIL FROM's is named, since it is what people look for; but HELO's where both refuse, since
    HELO's refusal does not wait for MAIL FROM to be looked up (see ``decide_at_mail``). A message that
    an override accepts counts as accepted, and is named before what was accepted anyway.
    """
    best, most = 0, -1
    for place, applied in enumerate(called_for):
        # Twice, so that there is a place between two for what is pardoned.
        rank = 2 * applied.disposition.severity if place not in overrides else 1
        if rank > most or (rank == most and not applied.disposition.refuses):
            best, most = place, rank
    return best


def on_error(settings: Settings) -> tuple[Disposition, Rule]:
    """What is done with a message for which spfmilter itself has failed; monitor mode refuses none here either."""
    if settings.policy.mode is Mode.MONITOR:
        return Disposition.ACCEPT, settings.rule("policy", "mode")
    return on_fault(settings)
