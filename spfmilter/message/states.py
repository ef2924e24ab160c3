"""The states of a message: what each does at a step of the conversation.

``begin`` chooses the state. It stays the same until the message has ended. Each cell is a method of the state's class:

| state        | chosen where                    | MAIL FROM        | RCPT TO                     |
| ------------ | ------------------------------- | ---------------- | --------------------------- |
| Decided      | `reject_at = mail`, or exempt   | decide, refuse   | nothing                     |
| AtRecipients | `reject_at = rcpt`              | evaluate         | decide for its kind, refuse |
| AtEnd        | `reject_at = message`           | evaluate         | keep it, or separate it     |
| BehindRelay  | the client is a relay of ours   | nothing          | keep it, or separate it     |

| state        | header field (``read``) | end of message (``action_now``)             | ``abandon``             |
| ------------ | ----------------------- | ------------------------------------------- | ----------------------- |
| Decided      | keep Subject            | as decided                                  | abandoned               |
| AtRecipients | keep Subject            | combine the recipients that were taken      | refused, if by all      |
| AtEnd        | keep From as well       | combine all recipients                      | abandoned               |
| BehindRelay  | and Received as well    | find the client, evaluate, combine all; tag | abandoned               |
|              |                         | instead of refusing, unless `refuse` is set |                         |

*Separate*: the recipient is told that it needs a message of its own, because the end has one answer for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from spfmilter import headers, policy, relays, reply
from spfmilter.headers import NotRemoved
from spfmilter.message.message import CARRY_ON, Context, Message, Outcome
from spfmilter.model import NO_OWN_RULES, Action, Addressee, Disposition, Facts, Plan, Rule, Transaction
from spfmilter.settings.schema import RejectAt

_MAX_RECEIVED = 50  # Received fields that are kept for finding a client behind our relays: more is a loop
_MAX_NAMED = 5  # recipients that a transaction names
_MAX_REFUSED = 50  # refused ones, where the settings want them named
_MAX_AUTHORS = 2  # From fields that are kept: of more than one, none is believed


@dataclass(eq=False)
class Decided(Message):
    """Decided at MAIL FROM, or exempt from all checks."""

    action: Action = field(init=False)

    def mail(self) -> Outcome:
        """Evaluate and decide; the message ends here where it is refused."""
        self.verdicts, self.action = policy.decide_at_mail(self.plan, self.context.evidence, self.context.settings)
        answer = self._reply(self.action)
        return CARRY_ON if answer is None else self._ended("refused", self.action, answer)

    def recipient(self, address: str, understood: str) -> Outcome:  # noqa: ARG002 - no recipient has a say
        """Change nothing."""
        return CARRY_ON

    def action_now(self) -> Action:
        """Return what was decided at MAIL FROM."""
        return self.action

    def abandon(self) -> Outcome:
        """End the message as abandoned: the client, the MTA or another filter has given it up."""
        return self._ended("abandoned", self.action)


@dataclass(eq=False)
class Undecided(Message):
    """Decided after MAIL FROM: what the states have in common in which recipients have a say."""

    stage: ClassVar[RejectAt] = RejectAt.MESSAGE  # where the message's recipients, or all of it, are refused

    recipients: list[tuple[str, Addressee]] = field(default_factory=list)  # with what the settings say of each
    actions: dict[Addressee, Action] = field(default_factory=dict)  # what recipients of each kind call for

    def mail(self) -> Outcome:
        """Evaluate all checks: a recipient's own rules may want each of them."""
        self._evaluate()
        return CARRY_ON

    def action_now(self) -> Action:
        """Combine what the recipients call for, or the general policy if they are not known."""
        return self._in_force(self._combined())

    def abandon(self) -> Outcome:
        """End the message as abandoned: nothing was decided."""
        return self._ended("abandoned", Action(disposition=Disposition.ACCEPT, rule=self._rule_to_wait()))

    def _rule_to_wait(self) -> Rule:
        """Return the line of the settings that lets the message go on undecided."""
        return self.context.settings.rule("policy", "reject_at")

    def _evaluate(self) -> None:
        evidence = self.context.evidence
        self.verdicts = tuple(evidence.verdict(check) for check in self.plan.checks)

    def _author(self) -> str:
        """Return the domain of the From field, where it is known and can matter; else empty."""
        return ""

    def _decide_for(self, kind: Addressee, author: str) -> Action:
        settings, evidence = self.context.settings, self.context.evidence
        return policy.decide_for(self.plan, self.verdicts, settings, evidence, kind, author)

    def _called_for(self, kind: Addressee) -> Action:
        """Return what recipients of a kind call for, before the mode applies; worked out once."""
        action = self.actions.get(kind)
        if action is None:
            action = self.actions[kind] = self._decide_for(kind, self._author())
        return action

    def _combined(self) -> Action:
        kinds = dict.fromkeys(kind for _, kind in self.recipients) or (NO_OWN_RULES,)
        mode = self.context.settings.policy.mode
        return policy.combine_recipients([self._called_for(kind) for kind in kinds], self.stage, mode)

    def _transaction(self, how: str, action: Action) -> Transaction:
        """Return it with the recipients whose own rules had a say."""
        ended = super()._transaction(how, action)
        if len({action.disposition for action in self.actions.values()}) > 1:
            named = [address for address, kind in self.recipients if kind != NO_OWN_RULES]
            ended = replace(ended, recipients=tuple(named[:_MAX_NAMED]))
        if self.context.settings.log.refused_recipients:
            ended = replace(ended, refused_recipients=tuple(self._refused(action)[:_MAX_REFUSED]))
        return ended

    def _refused(self, action: Action) -> list[str]:
        """Return the recipients that the message was refused for; in monitor mode, would have been."""
        if not (action.would or action.disposition).refuses:
            return []
        for_all = self.not_removed is not None  # forged fields
        return [address for address, kind in self.recipients if for_all or self.actions[kind].disposition.refuses]


@dataclass(eq=False)
class AtRecipients(Undecided):
    """Decided for each recipient when it is named."""

    stage = RejectAt.RCPT

    answers: dict[Addressee, Outcome] = field(default_factory=dict)  # to recipients of each kind

    def recipient(self, address: str, understood: str) -> Outcome:
        """Decide for recipients of this kind, and refuse this one where they would be."""
        kind = policy.addressee(address, self.context.settings, understood)
        answer = self.answers.get(kind)
        if answer is None:
            refusal = self._reply(policy.apply_mode(self._called_for(kind), self.context.settings))
            answer = self.answers[kind] = CARRY_ON if refusal is None else Outcome(reply=refusal)
        self.recipients.append((address, kind))
        return answer

    def abandon(self) -> Outcome:
        """End the message as refused where all of its recipients were, else as abandoned."""
        if not self.recipients:
            return super().abandon()
        action = policy.apply_mode(self._combined(), self.context.settings)
        return self._ended("refused" if action.disposition.refuses else "abandoned", action)

    def _refused(self, action: Action) -> list[str]:
        """Return the recipients whose kind is refused; all of them, if forged fields refused the message at its end."""
        for_all = self.not_removed is not None and (action.would or action.disposition).refuses
        return [address for address, kind in self.recipients if for_all or self.actions[kind].disposition.refuses]

    def _transaction(self, how: str, action: Action) -> Transaction:
        """Return it with the number of recipients that were refused."""
        refused = sum(self.answers[kind].reply is not None for _, kind in self.recipients)
        ended = super()._transaction(how, action)
        return replace(ended, refused=refused) if refused else ended


@dataclass(eq=False)
class AtEnd(Undecided):
    """Decided at the end of the message, for all recipients together."""

    expected: dict[Addressee, Action] = field(default_factory=dict)  # what each kind calls for, as known at RCPT
    separated: int = 0  # recipients that were told to come in a message of their own
    authors: list[str] = field(default_factory=list)  # From fields

    def recipient(self, address: str, understood: str) -> Outcome:
        """Keep the recipient, unless it needs a message of its own."""
        kind = policy.addressee(address, self.context.settings, understood)
        first = self.recipients[0][1] if self.recipients else kind
        # Nothing is asked unless the settings distinguish the two.
        if kind != first and policy.separates(self.context.settings) and self._part_ways(first, kind):
            self.separated += 1
            return Outcome(reply=reply.separate_message(self.facts, self.context.settings))
        self.recipients.append((address, kind))
        return CARRY_ON

    def read(self, name: str, text: str) -> None:
        """Keep From as well, for ``yield_to_dmarc``."""
        if name != "from":
            super().read(name, text)
        elif len(self.authors) < _MAX_AUTHORS:
            self.authors.append(text)
            if author := self._author():
                self.context.evidence.expect_dmarc(author)

    def _author(self) -> str:
        return headers.author_domain(self.authors) if policy.may_yield(self.verdicts, self.context.settings) else ""

    def _part_ways(self, first: Addressee, kind: Addressee) -> bool:
        """Return whether the message would be refused for recipients of one kind and taken for the other."""
        for each in (first, kind):
            if each not in self.expected:
                self.expected[each] = self._decide_for(each, author="")
        return policy.part_ways(self.expected[first], self.expected[kind])

    def _transaction(self, how: str, action: Action) -> Transaction:
        """Return it with the number of recipients that need another message."""
        ended = super()._transaction(how, action)
        return replace(ended, separated=self.separated) if self.separated else ended


@dataclass(eq=False)
class BehindRelay(AtEnd):
    """Handed on by a relay of ours: the client to be checked stands in the Received fields."""

    received: list[str] = field(default_factory=list)

    def mail(self) -> Outcome:
        """Evaluate nothing: the client is not known."""
        return CARRY_ON

    def read(self, name: str, text: str) -> None:
        """Keep Received as well."""
        if name != "received":
            super().read(name, text)
        elif len(self.received) < _MAX_RECEIVED:
            self.received.append(text)

    def action_now(self) -> Action:
        """Find the client, evaluate, and combine what the recipients call for."""
        settings, evidence = self.context.settings, self.context.evidence
        found = relays.originating_client(
            self.received,
            self.facts.client,
            settings.relays.trusted,
            evidence.addresses_of,
            self.facts.helo,
            nat64=settings.policy.nat64_prefixes,
        )
        client, helo = (found.client, found.helo) if found is not None else (None, None)
        self.facts, self.plan = policy.plan_behind(self.facts, client, helo, settings)
        if self.plan.trusted:
            self.forged, self.not_removed = [], None
        evidence.expect(self.plan.checks)
        self._evaluate()
        return super().action_now()

    def _rule_to_wait(self) -> Rule:
        return self.context.settings.rule("relays", "trusted")

    def _part_ways(self, first: Addressee, kind: Addressee) -> bool:
        """Return whether they would at some result: which one it will be is not known."""
        settings = self.context.settings
        return settings.relays.refuse and policy.could_part_ways(first, kind, settings)

    def _in_force(self, action: Action) -> Action:
        """Return the action, tagged where the relay could only bounce the message."""
        if not self.context.settings.relays.refuse:
            action = policy.downgrade(action, "but the relay would have to bounce it")
        return super()._in_force(action)


_STATES: Mapping[RejectAt, type[Message]] = {
    RejectAt.MAIL: Decided,
    RejectAt.RCPT: AtRecipients,
    RejectAt.MESSAGE: AtEnd,
}


def begin(facts: Facts, sender: str, queue_id: str, context: Context) -> Message:
    """Return the message that begins with MAIL FROM, in its state; nothing has been evaluated yet.

    Args:
        facts: what is known of it.
        sender: the address in MAIL FROM, as the client sent it: the MTA writes it into Return-Path.
        queue_id: the MTA's name for the message; empty where it has none yet.
        context: what it has in common with others.
    """
    settings = context.settings
    if policy.awaits_header(facts, settings):
        message: Message = BehindRelay(context, facts, Plan(), queue_id)
    else:
        planned = policy.plan(facts, settings)
        context.evidence.expect(planned.checks)
        state = Decided if planned.skip is not None else _STATES[settings.policy.reject_at]
        message = state(context, facts, planned, queue_id)
    if not message.plan.trusted and headers.hides(sender, settings):
        message.not_removed = NotRemoved.HIDDEN
    return message
