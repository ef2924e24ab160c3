"""Recipients: which rules are theirs, and what becomes of one message whose recipients are treated differently.

Knows that there is one copy of the message: refused, it is lost for all; held or tagged, it is so for all. So at the
end of the message, recipients who would refuse it and recipients who would take it must not share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spfmilter.addresses import is_plain, parse_recipient
from spfmilter.model import ANYBODY, CONDITIONS, Action, Addressee, Condition, Disposition, Result
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode, PolicyEntries, RejectAt


def addressee(recipient: str, settings: Settings, understood: str) -> Addressee:
    """What the settings say of an address in RCPT TO.

    Args:
        recipient: the address as the client wrote it.
        settings: the patterns.
        understood: what the MTA makes of it; empty where it does not say.
    """
    exempt, own = settings.exempt.recipients, settings.recipients
    if not exempt and not own:
        return ANYBODY
    addresses = [parse_recipient(text) for text in _readings(recipient, understood)]
    patterns = [  # the most particular first
        pattern
        for ways in zip(*(_patterns(local, domain) for local, domain in addresses), strict=True)
        for pattern in ways
    ]
    section = next((pattern for pattern in patterns if pattern in own), "")
    return Addressee(exempt=any(pattern in exempt for pattern in patterns), section=section)


def _readings(recipient: str, understood: str) -> list[str]:
    """Whose rules the client cannot choose by the way in which it writes an address; none where that cannot be told.

    Postfix delivers ``bob%example.net`` and, where lists.example is its own, ``bob%example.net@lists.example`` to
    bob@example.net, Sendmail ``@x(:postmaster@):bob%example.net``. So what is written counts only where it is plain; it
    does then, because a table of the MTA's may have led elsewhere. Of a user of its host Sendmail tells just the name.
    """
    if is_plain(recipient):
        return [understood, recipient] if "@" in understood else [recipient]
    return [understood] if understood else []


def _patterns(local: str, domain: str) -> tuple[str, str, str]:
    """What can stand for an address, the most particular first."""
    return f"{local}@{domain}", f"@{domain}", f"{local}@"


def separates(settings: Settings) -> bool:
    """Return whether a recipient may be told that it needs a message of its own.

    It is where a refusal at the end of the message has to be for all recipients, and the settings distinguish them.
    """
    return settings.policy.mode is Mode.ENFORCE and bool(settings.exempt.recipients or settings.recipients)


def part_ways(one: Action, other: Action) -> bool:
    """Return whether one recipient would have the message refused, now or for good, and the other would take it."""
    return one.disposition.refuses != other.disposition.refuses


def could_part_ways(one: Addressee, other: Addressee, settings: Settings) -> bool:
    """Return whether two kinds of recipients would part ways at some result, for a message whose result is unknown."""
    general = [settings.table(identity) for identity in settings.policy.check]
    tables: list[tuple[PolicyEntries, ...]] = [*((table,) for table in general)]
    tables += [(domain, table) for domain in settings.domains.values() for table in general]
    cases = [*((result,) for result in Result), *((condition, result) for result, condition in CONDITIONS.items())]
    return one != other and any(
        _refuses(one, keys, sections, settings) != _refuses(other, keys, sections, settings)
        for sections in tables
        for keys in cases
    )


def _refuses(
    kind: Addressee, keys: tuple[Result | Condition, ...], sections: tuple[PolicyEntries, ...], settings: Settings
) -> bool:
    """Return whether the first row that speaks refuses; in each section, a condition before its result."""
    own = (settings.recipients[kind.section],) if kind.section else ()
    entries = (entries.entry(key) for entries in (*own, *sections) for key in keys)
    speaks = next((entry for entry in entries if entry is not None), None)
    return not kind.exempt and speaks is not None and speaks.refuses


def combine_recipients(actions: Sequence[Action], stage: RejectAt) -> Action:
    """What becomes of the message, given what its recipients (at least one) call for.

    Args:
        actions: one for each recipient.
        stage: whether those that refuse have been refused at RCPT, or are part of the message still.
    """
    if all(action.disposition.refuses for action in actions):
        return min(actions, key=_severity)  # not lost for the one whose rules would have it come again
    kept = [action for action in actions if not action.disposition.refuses]
    if stage is RejectAt.MESSAGE:
        kept += [downgrade(action, "but other recipients take it") for action in actions if action.disposition.refuses]
    return severest(*kept)


def downgrade(action: Action, remark: str) -> Action:
    """Tagged, where it would be refused and cannot."""
    if not action.disposition.refuses:
        return action
    remark = f"{action.rule.remark}, {remark}" if action.rule.remark else remark
    return replace(action, disposition=Disposition.TAG, rule=replace(action.rule, remark=remark))


def severest(*actions: Action) -> Action:
    """The first of those that call for the most, monitor mode or not."""
    return max(actions, key=_severity)


def _severity(action: Action) -> int:
    return (action.would or action.disposition).severity
