"""One connection from the MTA: the client's facts, and the state of the message that is under way.

Knows the order of events (connect, HELO, then any number of messages) and what each leads to; knows no libmilter, no
clock, and does no I/O: it is given a function that evaluates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from spfmilter import headers, policy, relays, reply
from spfmilter.addresses import author_domain, client_of, is_plain, parse_address, parse_reverse_path
from spfmilter.model import (
    ANYBODY,
    Action,
    Addressee,
    Check,
    Client,
    Disposition,
    Edits,
    Facts,
    Plan,
    Removal,
    ReversePath,
    Transaction,
    Verdict,
)
from spfmilter.policy import Evidence
from spfmilter.reply import NO_EXTRAS, Extras, Reply
from spfmilter.settings import Settings
from spfmilter.settings.schema import RejectAt
from spfmilter.value import value

_MAX_RECEIVED = 50  # Received fields that are kept for finding a client behind our relays: more is a loop
_MAX_NAMED = 5  # recipients that a transaction names
_MAX_AUTHORS = 2  # From fields that are kept: of more than one, none is believed
_MAX_SUBJECTS = 10  # Subject fields that are tagged: RFC 5322 section 3.6 allows one
_NOBODY = ReversePath(local="", domain="")  # before MAIL FROM
_NEEDED = frozenset({"from", "received", "subject"})  # fields that are read, not judged

FindExtras = Callable[[Verdict, Facts], Extras]


@value
class Macros:
    """What the MTA tells beside MAIL FROM; empty where it does not."""

    queue_id: str = ""  # i
    authenticated: str = ""  # {auth_authen}
    hostname: str = ""  # j
    client_address: str = ""  # {client_addr}
    mail_address: str | None = None  # {mail_addr}: the sender as the MTA has understood it; None: not told


@dataclass(slots=True)
class _Later:
    """What is gathered of a message whose fate is not settled at MAIL FROM."""

    stage: RejectAt  # at which its recipients, or all of it, are refused
    behind_relay: bool  # the client is read from the header; nothing has been evaluated before
    actions: dict[Addressee, Action] = field(default_factory=dict)  # what recipients of each kind call for
    replies: dict[Addressee, Reply | None] = field(default_factory=dict)  # what they were answered
    expected: dict[Addressee, Action] = field(default_factory=dict)  # what each kind calls for, as known at RCPT
    separated: int = 0  # recipients that need a message of their own
    recipients: list[tuple[str, Addressee]] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    authors: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Message:
    """The message between MAIL FROM and its end."""

    facts: Facts
    plan: Plan
    verdicts: tuple[Verdict, ...]
    action: Action  # in force, or until the stage at which it is decided: carry on
    queue_id: str
    counts: dict[str, int]  # of each field name that we watch, in lower case
    forged: list[Removal]  # the topmost
    later: _Later | None = None
    flooded: bool = False  # there are more forged fields than are removed
    hiding: bool = False  # a field that is not removed, or the sender, holds a forged one
    subjects: list[tuple[int, str]] = field(default_factory=list)  # each with its place among them


class Session:
    """The state of one connection; settings are those with which it began.

    ``extras`` is asked for what a notice holds beyond the verdict, and only where a message is refused.
    """

    def __init__(self, settings: Settings, hostname: str, evidence: Evidence, *, extras: FindExtras) -> None:
        self._settings, self._hostname, self._evidence, self._extras = settings, hostname, evidence, extras
        self._watched = headers.watched(settings)
        self._client: Client | None = None
        self._helo: str | None = None
        self._message: _Message | None = None

    def connect(self, name: str, hostaddr: object) -> None:
        """The client has connected; see ``addresses.client_of`` for ``hostaddr``."""
        self._client = client_of(name, hostaddr)

    def hello(self, name: str) -> None:
        """HELO or EHLO, also a second one after STARTTLS."""
        self._helo = name

    def expected(self) -> tuple[Check, ...]:
        """What will be evaluated whatever MAIL FROM says, known since HELO; empty where that is not sure."""
        if self._client is None or not self._helo:
            return ()
        facts = Facts(client=self._client, helo=self._helo, reverse_path=_NOBODY, hostname=self._hostname)
        return policy.helo_checks(facts, self._settings)

    def mail(
        self, sender: str, parameters: Sequence[str], macros: Macros
    ) -> tuple[Action, Reply | None, Transaction | None]:
        """MAIL FROM: what to do, what to say, and the finished transaction where the message ends here."""
        self._message = None
        facts = Facts(
            client=self._client_or_macro(macros),
            helo=self._helo,
            reverse_path=_reverse_path(sender, macros),
            authenticated=macros.authenticated,
            smtputf8=any(parameter.upper() == "SMTPUTF8" for parameter in parameters),
            hostname=macros.hostname or self._hostname,
        )
        behind_relay, stage = policy.awaits_header(facts, self._settings), self._settings.policy.reject_at
        if behind_relay:
            stage = RejectAt.MESSAGE
        planned = Plan() if behind_relay else policy.plan(facts, self._settings)
        hiding = not planned.trusted and headers.hides(sender, self._settings)  # the MTA writes it into Return-Path
        self._evidence.expect(planned.checks)
        if stage is RejectAt.MAIL or planned.skip is not None:
            verdicts, action = policy.decide_at_mail(planned, self._evidence, self._settings)
            self._message = _Message(facts, planned, verdicts, action, macros.queue_id, {}, [], hiding=hiding)
            answer = self._reply(action, facts)
            return action, answer, self._end("refused") if answer is not None else None
        verdicts = tuple(self._evidence.verdict(check) for check in planned.checks)
        rule = self._settings.rule("policy", "reject_at")
        if behind_relay:
            rule = self._settings.rule("relays", "trusted")
        action = Action(disposition=Disposition.ACCEPT, rule=rule)
        later = _Later(stage, behind_relay)
        self._message = _Message(facts, planned, verdicts, action, macros.queue_id, {}, [], later, hiding=hiding)
        return action, None, None

    @property
    def undecided(self) -> bool:
        """Whether a message is under way that may yet be refused."""
        return self._message is not None and self._message.later is not None

    def recipient(self, address: str, understood: str = "") -> Reply | None:
        """RCPT TO: what to say where this recipient is refused; ``understood`` is what the MTA makes of the address."""
        message = self._message
        if message is None or message.later is None:
            return None
        later, kind = message.later, policy.addressee(address, self._settings, understood)
        answer = None
        if later.stage is RejectAt.RCPT:
            if kind not in later.replies:
                action = policy.apply_mode(self._decide_for(message, later, kind), self._settings)
                later.replies[kind] = self._reply(action, message.facts)
            answer = later.replies[kind]
        elif self._needs_another_message(message, later, kind):
            later.separated += 1
            return reply.separate_message(message.facts, self._settings)
        later.recipients.append((address, kind))
        return answer

    def _reply(self, action: Action, facts: Facts) -> Reply | None:
        """What to say where the message is refused."""
        if not action.disposition.refuses:
            return None
        extras = NO_EXTRAS if action.verdict is None else self._extras(action.verdict, facts)
        return reply.reply_for(action, facts, self._settings, extras)

    def header(self, name: str, value: str) -> None:
        """One field of the message; forged ones are remembered, and what the decision or the edits need."""
        message = self._message
        if message is None:
            return
        key = name.rstrip(" \t").lower()
        if (key not in self._watched or key in _NEEDED) and headers.hides(value, self._settings):
            message.hiding = not message.plan.trusted
        if key not in self._watched:
            return
        if key in _NEEDED:
            self._needed(message, key, value)
            return
        if message.plan.trusted:
            return
        message.counts[key] = message.counts.get(key, 0) + 1
        own = headers.authserv_id(message.facts, self._settings)
        if not headers.is_forged(key, value, own, self._settings):
            return
        message.flooded = len(message.forged) == headers.MOST_FORGED
        if not message.flooded:
            message.forged.append(Removal(name=name, index=message.counts[key]))

    def _needed(self, message: _Message, key: str, value: str) -> None:
        later = message.later
        if key == "subject":
            place = message.counts[key] = message.counts.get(key, 0) + 1
            del message.subjects[_MAX_SUBJECTS - 1 :]  # the last stays: it may be the one that is shown
            message.subjects.append((place, value))
        elif later is not None and key == "received":
            if later.behind_relay and len(later.received) < _MAX_RECEIVED:
                later.received.append(value)
        elif later is not None and len(later.authors) < _MAX_AUTHORS:
            later.authors.append(value)
            author = author_domain(later.authors)
            if author and policy.may_yield(message.verdicts, self._settings):
                self._evidence.expect_dmarc(author)

    def end_of_message(self, queue_id: str) -> tuple[Edits, Reply | None, Transaction | None]:
        """The message is complete: how to change it, or what to say where it is refused."""
        message = self._message
        if message is None:
            return Edits(), None, None
        message.queue_id = queue_id or message.queue_id
        if message.later is not None:
            self._decide(message, message.later)
        answer = self._reply(message.action, message.facts)
        if answer is None and (message.flooded or message.hiding):
            message.action = policy.severest(message.action, self._not_removed(message))
            if message.action.disposition.refuses:
                answer = reply.forged_fields(message.facts, self._settings, hidden=message.hiding)
        if answer is not None:
            return Edits(), answer, self._end("refused")
        edits = headers.edits(
            message.action,
            message.verdicts,
            message.facts,
            self._settings,
            message.forged,
            skip=message.plan.skip,
            subject_fields=message.subjects,
        )
        return edits, None, self._end("message")

    def _not_removed(self, message: _Message) -> Action:
        """What is done with a message that would be taken, but has forged fields that are not removed."""
        rule = self._settings.rule("headers", "remove_forged")
        remark = f"and there are more than {headers.MOST_FORGED} of them"
        if message.hiding:
            remark = "and one is hidden in another field or in the sender"
        return self._in_force(message, Action(disposition=Disposition.REJECT, rule=replace(rule, remark=remark)))

    def abandon(self) -> Transaction | None:
        """RSET, QUIT, a lost connection, or a refusal by somebody else: the message that was under way, if any."""
        message = self._message
        if message is None or message.later is None or not message.later.recipients:
            return self._end("abandoned")
        later = message.later
        if later.stage is RejectAt.RCPT:
            message.action = policy.apply_mode(
                policy.combine_recipients(self._actions(message, later), later.stage), self._settings
            )
        return self._end("refused" if message.action.disposition.refuses else "abandoned")

    # -- later than MAIL FROM ----------------------------------------------------------------------------------------

    def _decide_for(self, message: _Message, later: _Later, kind: Addressee) -> Action:
        """What recipients of a kind call for, whatever the mode; worked out once."""
        action = later.actions.get(kind)
        if action is None:
            author = author_domain(later.authors) if policy.may_yield(message.verdicts, self._settings) else ""
            action = policy.decide_for(message.plan, message.verdicts, self._settings, self._evidence, kind, author)
            later.actions[kind] = action
        return action

    def _needs_another_message(self, message: _Message, later: _Later, kind: Addressee) -> bool:
        """Return whether the message would be refused for this recipient and taken for the first one, or the reverse.

        Nothing is asked unless the settings distinguish the two.
        """
        first = later.recipients[0][1] if later.recipients else kind
        if kind == first or not policy.separates(self._settings):
            return False
        if later.behind_relay:
            return self._settings.relays.refuse and policy.could_part_ways(first, kind, self._settings)
        for each in (first, kind):
            if each not in later.expected:
                treated = policy.decide_for(message.plan, message.verdicts, self._settings, self._evidence, each, "")
                later.expected[each] = treated
        return policy.part_ways(later.expected[first], later.expected[kind])

    def _actions(self, message: _Message, later: _Later) -> list[Action]:
        """What the recipients call for, or anybody where they are not known."""
        kinds = dict.fromkeys(kind for _, kind in later.recipients) or (ANYBODY,)
        return [self._decide_for(message, later, kind) for kind in kinds]

    def _decide(self, message: _Message, later: _Later) -> None:
        """Settle the fate of a message of which all is known."""
        if later.behind_relay:
            self._find_client(message, later)
        message.action = self._in_force(message, policy.combine_recipients(self._actions(message, later), later.stage))

    def _in_force(self, message: _Message, action: Action) -> Action:
        """What is left of an action at the end of the message."""
        if message.later is not None and message.later.behind_relay and not self._settings.relays.refuse:
            action = policy.downgrade(action, "but the relay would have to bounce it")
        return policy.apply_mode(action, self._settings)

    def _find_client(self, message: _Message, later: _Later) -> None:
        """The client behind our relays, from the fields that they wrote, and the verdicts on it."""
        trusted = self._settings.relays.trusted
        found = relays.originating_client(
            later.received, message.facts.client, trusted, self._evidence.addresses_of, message.facts.helo
        )
        client, helo = (found.client, found.helo) if found is not None else (None, None)
        message.facts, message.plan = policy.plan_behind(message.facts, client, helo, self._settings)
        if message.plan.trusted:
            message.forged, message.flooded, message.hiding = [], False, False
        self._evidence.expect(message.plan.checks)
        message.verdicts = tuple(self._evidence.verdict(check) for check in message.plan.checks)

    def _end(self, how: str) -> Transaction | None:
        message, self._message = self._message, None
        if message is None:
            return None
        ended = Transaction(
            facts=message.facts,
            plan=message.plan,
            verdicts=message.verdicts,
            action=message.action,
            queue_id=message.queue_id,
            ended=how,
            removed=len(message.forged),
        )
        return ended if message.later is None else self._with_recipients(ended, message.later)

    def _with_recipients(self, ended: Transaction, later: _Later) -> Transaction:
        """With the recipients on whose own rules something depended, and how many were refused at RCPT."""
        named = [address for address, kind in later.recipients if kind != ANYBODY]
        refused = 0
        if later.stage is RejectAt.RCPT:
            shown = {kind: policy.apply_mode(action, self._settings) for kind, action in later.actions.items()}
            refused = sum(shown[kind].disposition.refuses for _, kind in later.recipients if kind in shown)
        different = len({action.disposition for action in later.actions.values()}) > 1
        recipients = tuple(named[:_MAX_NAMED]) if different else ()
        return replace(ended, recipients=recipients, refused=refused, separated=later.separated)

    def _client_or_macro(self, macros: Macros) -> Client:
        """The client as connected; where that event got lost (a name that is not UTF-8), the MTA's macro tells."""
        if self._client is not None:
            return self._client
        return Client(address=parse_address(macros.client_address))


def _reverse_path(sender: str, macros: Macros) -> ReversePath:
    """The address in MAIL FROM, or what the MTA makes of one that can be read in more than one way.

    Postfix takes ``alice%example.com``, ``example.com!alice`` (allow_percent_hack, swap_bangpath) and
    ``alice@example.com(@example.net`` for alice@example.com, ``<(alice)>`` for the empty sender, and delivers them
    under that name: without this, that would be a way around SPF.
    """
    path = parse_reverse_path(sender)
    if path.null or macros.mail_address is None or (path.domain and is_plain(sender)):
        return path
    understood = parse_reverse_path(macros.mail_address)
    return understood if understood.domain or understood.null else path
