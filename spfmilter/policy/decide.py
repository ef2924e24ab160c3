"""What is done with a message: the most severe of what its verdicts call for, unless it is pardoned.

Knows how verdicts are brought together, and the modes; the rows are found in ``rows``, the pardons in ``pardons``.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
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
    verdicts: list[Verdict] = []
    for check in planned.checks[:-1]:
        verdicts.append(evidence.verdict(check))
        called_for = _all(verdicts, settings, evidence, ANYBODY)
        if called_for[_most_severe(called_for)].disposition is Disposition.REJECT:
            action = decide(planned, verdicts, settings, evidence)
            if action.disposition is Disposition.REJECT:  # neither pardoned nor withheld
                return tuple(verdicts), action
    verdicts += [evidence.verdict(check) for check in planned.checks[-1:]]
    return tuple(verdicts), decide(planned, verdicts, settings, evidence)


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
        rule = settings.rule("exempt", "recipients", settings.exempt.recipients)
        return Action(disposition=Disposition.ACCEPT, rule=rule)
    called_for = _all(verdicts, settings, evidence, addressee)
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


def _all(verdicts: Iterable[Verdict], settings: Settings, evidence: Evidence, addressee: Addressee) -> list[Treatment]:
    return [found for verdict in verdicts for found in treatments(verdict, settings, evidence, addressee)]


def _most_severe(called_for: Sequence[Treatment], pardons: Container[int] = ()) -> int:
    """The place of the most severe.

    Of equally severe ones MAIL FROM's is named, since it is what people look for; but HELO's where both refuse, since
    HELO's refusal does not wait for MAIL FROM to be looked up (see ``judge``). What is pardoned counts as accepted,
    and is named before what was accepted anyway.
    """
    best, best_rank = 0, (-1, False)
    for place, treatment in enumerate(called_for):
        pardoned = place in pardons
        rank = (0 if pardoned else treatment.disposition.severity, pardoned)
        if rank > best_rank or (rank == best_rank and not treatment.disposition.refuses):
            best, best_rank = place, rank
    return best


def on_error(settings: Settings) -> tuple[Disposition, Rule]:
    """What is done with a message for which spfmilter itself has failed; monitor mode refuses none here either."""
    if settings.policy.mode is Mode.MONITOR:
        return Disposition.ACCEPT, settings.rule("policy", "mode", settings.policy.mode)
    return on_fault(settings)
