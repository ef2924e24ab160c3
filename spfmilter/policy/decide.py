"""What is done with a message: the most severe of what its verdicts call for, unless it is pardoned.

Knows how verdicts are brought together, and the modes; the rows are found in ``rows``, the pardons in ``pardons``.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from spfmilter.model import ANYBODY, Action, Addressee, Disposition, Pardon, Plan, Rule, Verdict
from spfmilter.policy.evidence import NOTHING, Evidence
from spfmilter.policy.pardons import pardon
from spfmilter.policy.rows import Treatment, on_fault, treatments
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode


def judge(planned: Plan, evidence: Evidence, settings: Settings) -> tuple[tuple[Verdict, ...], Action]:
    """Evaluate the planned checks until the message's fate is settled at MAIL FROM, and decide.

    RFC 7208 section 2.3: where HELO alone decides, MAIL FROM need not be looked up. Monitor mode looks at everything.
    """
    if planned.skip is not None:
        return (), decide(planned, (), settings)
    verdicts: list[Verdict] = []
    called_for: list[Treatment] = []
    for place, check in enumerate(planned.checks, start=1):
        verdicts.append(evidence.verdict(check))
        called_for += treatments(verdicts[-1], settings, evidence)
        if place < len(planned.checks) and called_for[_most_severe(called_for)].disposition is Disposition.REJECT:
            action = withhold(_decided(called_for, settings, evidence), settings)
            if action.disposition is Disposition.REJECT:  # neither pardoned nor withheld
                return tuple(verdicts), action
    return tuple(verdicts), withhold(_decided(called_for, settings, evidence), settings)


def decide(
    planned: Plan,
    verdicts: Sequence[Verdict],
    settings: Settings,
    evidence: Evidence = NOTHING,
    addressee: Addressee = ANYBODY,
    author: str = "",
) -> Action:
    """What is done with the message; monitor mode takes it, and keeps what it has withheld."""
    return withhold(treat(planned, verdicts, settings, evidence, addressee, author), settings)


def with_condition(verdicts: Sequence[Verdict], action: Action) -> tuple[Verdict, ...]:
    """The verdicts, the one that decided with the condition that somebody had to look for to find its row."""
    deciding = action.verdict
    if deciding is None or deciding.condition is None:
        return tuple(verdicts)
    return tuple(deciding if verdict.check is deciding.check else verdict for verdict in verdicts)


def withhold(action: Action, settings: Settings) -> Action:
    """What is left of an action in this mode."""
    if settings.policy.mode is Mode.MONITOR and action.disposition is not Disposition.ACCEPT:
        return replace(action, disposition=Disposition.ACCEPT, withheld=action.disposition)
    return action


def treat(
    planned: Plan,
    verdicts: Sequence[Verdict],
    settings: Settings,
    evidence: Evidence = NOTHING,
    addressee: Addressee = ANYBODY,
    author: str = "",
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
        evidence.note("exempt", "recipients", settings.exempt.recipients, "the recipient is among them", applied=True)
        rule = settings.rule("exempt", "recipients", settings.exempt.recipients)
        return Action(disposition=Disposition.ACCEPT, rule=rule)
    called_for = [found for verdict in verdicts for found in treatments(verdict, settings, evidence, addressee)]
    return _decided(called_for, settings, evidence, author)


def _decided(called_for: Sequence[Treatment], settings: Settings, evidence: Evidence, author: str = "") -> Action:
    """The most severe of what is called for that nothing pardons."""
    if not called_for:
        return Action(disposition=Disposition.ACCEPT, rule=settings.rule("policy", "check", settings.policy.check))
    pardons: dict[int, Pardon] = {}  # by the place of what they pardon
    while True:
        place = _most_severe(called_for, pardons)
        chosen = called_for[place]
        if place in pardons:
            found = pardons[place]
            return Action(disposition=Disposition.ACCEPT, rule=found.rule, verdict=chosen.verdict, pardon=found)
        excuse = pardon(chosen, settings, evidence, author)
        if excuse is None:
            return Action(disposition=chosen.disposition, rule=chosen.rule(settings), verdict=chosen.verdict)
        pardons[place] = excuse


def _most_severe(called_for: Sequence[Treatment], pardons: Container[int] = ()) -> int:
    """The place of the most severe.

    Of equally severe ones MAIL FROM's is named, since it is what people look for; but HELO's where both refuse, since
    HELO's refusal does not wait for MAIL FROM to be looked up (see ``judge``). What is pardoned counts as accepted,
    and is named before what was accepted anyway.
    """
    best, most = 0, -1
    for place, treatment in enumerate(called_for):
        # Twice, so that there is a place between two for what is pardoned.
        rank = 2 * treatment.disposition.severity if place not in pardons else 1
        if rank > most or (rank == most and not treatment.disposition.refuses):
            best, most = place, rank
    return best


def on_error(settings: Settings) -> tuple[Disposition, Rule]:
    """What is done with a message for which spfmilter itself has failed; monitor mode refuses none here either."""
    if settings.policy.mode is Mode.MONITOR:
        return Disposition.ACCEPT, settings.rule("policy", "mode", settings.policy.mode)
    return on_fault(settings)
