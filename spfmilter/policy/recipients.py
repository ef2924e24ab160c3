"""Recipients: which rules apply to each, and what happens to one message whose recipients have different rules.

Knows that there is one copy of the message. If it is refused, held or tagged, that is so for all its recipients. So
recipients whose rules refuse it, and those whose rules accept it, must not share it at the end of the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spfmilter.addresses import is_plain, parse_recipient
from spfmilter.model import CONDITIONS, NO_OWN_RULES, Action, Addressee, Condition, Disposition, Result
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode, PolicyEntries, RejectAt


def addressee(recipient: str, settings: Settings, understood: str) -> Addressee:
    """Return which rules the settings have for an address in RCPT TO.

    Args:
        recipient: the address as the client wrote it; untrusted input.
        settings: the patterns.
        understood: the address as the MTA has read it; empty if the MTA does not tell.
    """
    exempt, own = settings.exempt.recipients, settings.recipients
    if not exempt and not own:
        return NO_OWN_RULES
    addresses = [parse_recipient(text) for text in _readings(recipient, understood)]
    patterns = [  # the most specific first
        pattern
        for ways in zip(*(_patterns(local, domain) for local, domain in addresses), strict=True)
        for pattern in ways
    ]
    section = next((pattern for pattern in patterns if pattern in own), "")
    entry = next((place for place in map(exempt.find, patterns) if place is not None), None)
    return Addressee(exempt=entry is not None, section=section, entry=entry)


def _readings(recipient: str, understood: str) -> list[str]:
    """Return the addresses whose rules apply, so that a client cannot choose rules by its way of writing an address.

    Postfix delivers ``bob%example.net`` to bob@example.net, and ``bob%example.net@lists.example`` as well where
    lists.example is its own domain. Sendmail does so with ``@x(:postmaster@):bob%example.net``. So the written address
    counts only where it is plain. There it does count, because a table of the MTA may have rewritten it. Of a user of
    its own host Sendmail reports only the name.

    Returns:
        One or two addresses; none if the recipient is unclear.
    """
    if is_plain(recipient):
        return [understood, recipient] if "@" in understood else [recipient]
    return [understood] if understood else []


def _patterns(local: str, domain: str) -> tuple[str, ...]:
    """Return the patterns that match an address, the most specific first.

    A tag behind ``+`` names no other mailbox (RFC 5233). Otherwise a client could choose between a recipient's rules
    and the general ones.
    """
    mailbox = local.partition("+")[0] or local
    return f"{local}@{domain}", f"{mailbox}@{domain}", f"@{domain}", f"{local}@", f"{mailbox}@"


def separates(settings: Settings) -> bool:
    """Return whether the settings can ask for a separate message for a recipient.

    They can where they have rules for recipients, and where a message can be refused at all.
    """
    return settings.policy.mode is Mode.ENFORCE and bool(settings.exempt.recipients or settings.recipients)


def part_ways(one: Action, other: Action) -> bool:
    """Return whether the rules of one recipient refuse or defer the message, and those of the other accept it."""
    return one.disposition.refuses != other.disposition.refuses


def could_part_ways(one: Addressee, other: Addressee, settings: Settings) -> bool:
    """Return whether two kinds of recipients part ways at any possible result, while the result is not known."""
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
    """Return whether the entry that applies refuses; in each section, a condition goes before its result."""
    own = (settings.recipients[kind.section],) if kind.section else ()
    entries = (entries.entry(key) for entries in (*own, *sections) for key in keys)
    applied = next((entry for entry in entries if entry is not None), None)
    return not kind.exempt and applied is not None and applied.disposition.refuses


def combine_recipients(actions: Sequence[Action], stage: RejectAt, mode: Mode) -> Action:
    """Combine the actions of a message's recipients into one for the message, before the mode applies.

    Args:
        actions: one for each kind of recipient, at least one.
        stage: ``rcpt``: recipients whose rules refuse were refused already; ``message``: they still share the message.
        mode: ``monitor``: no recipient was refused or separated, so the most severe action is what there is to report.
    """
    if all(action.disposition.refuses for action in actions):
        return min(actions, key=_severity)  # a deferral comes first: that recipient's message may come again
    if mode is Mode.MONITOR:
        return severest(*actions)
    kept = [action for action in actions if not action.disposition.refuses]
    if stage is RejectAt.MESSAGE:
        kept += [downgrade(action, "but other recipients take it") for action in actions if action.disposition.refuses]
    return severest(*kept)


def downgrade(action: Action, remark: str) -> Action:
    """Return the action with a tag instead of a refusal that is not possible, and a remark that says why."""
    if not action.disposition.refuses:
        return action
    remark = f"{action.rule.remark}, {remark}" if action.rule.remark else remark
    return replace(action, disposition=Disposition.TAG, rule=replace(action.rule, remark=remark))


def severest(*actions: Action) -> Action:
    """Return the most severe action, the first of equals; in monitor mode by the action that would have been taken."""
    return max(actions, key=_severity)


def _severity(action: Action) -> int:
    return (action.would or action.disposition).severity
