"""One message from MAIL FROM to its end, as far as all of its states are alike; the states are in ``states``.

Forged header fields are noted as they come. A message whose forged fields cannot all be removed is refused at its end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from spfmilter import headers, policy, reply
from spfmilter.edits import Edits, Removal
from spfmilter.headers import NotRemoved
from spfmilter.model import Action, Disposition, Facts, Plan, Transaction, Verdict
from spfmilter.policy import Evidence
from spfmilter.reply import Extras, Reply
from spfmilter.settings import Settings
from spfmilter.value import value

_MAX_CONTENT_TYPE = 1024  # characters of a Content-Type that are read
_MAX_SUBJECTS = 10  # Subject fields that are tagged: RFC 5322 section 3.6 allows one
_READ = frozenset({"content-type", "from", "received", "subject"})  # fields that are read for their values
_NO_EDITS = Edits()

FindExtras = Callable[[Verdict, Facts, str], Extras]  # the last is the case id


@value
class Outcome:
    """What one step of a message leads to, for the shell to perform."""

    reply: Reply | None = None  # None: the step is accepted
    edits: Edits = _NO_EDITS  # to a message that is taken, at its end
    ended: Transaction | None = None  # the finished transaction, where the message ends with this step


CARRY_ON = Outcome()


@value
class Context:
    """What all messages of a connection have in common."""

    settings: Settings
    watched: frozenset[str]  # names of header fields, see ``headers.watched``
    evidence: Evidence
    extras: FindExtras  # what a notice holds beyond the verdict; called only where a message is refused
    new_case: Callable[[], str]  # returns a case id that no other message has


@dataclass(eq=False)
class Message(ABC):
    """What all states have in common: the header fields, and how a message ends."""

    context: Context
    facts: Facts
    plan: Plan
    queue_id: str  # empty while the MTA has not told it
    verdicts: tuple[Verdict, ...] = ()
    case: str = ""  # the case id; empty until something else than a plain accept is called for
    forged: list[Removal] = field(default_factory=list)  # the topmost forged fields
    not_removed: NotRemoved | None = None  # why removing those is not enough
    subjects: list[tuple[int, str]] = field(default_factory=list)  # each with its place among them
    content_type: str = ""  # the first one; empty: there is none, or it is not needed
    counts: dict[str, int] = field(default_factory=dict)  # of each watched field so far, by its name in lower case

    # -- the cells of the table --------------------------------------------------------------------------------------

    @abstractmethod
    def mail(self) -> Outcome:
        """MAIL FROM: evaluate what can be evaluated."""

    @abstractmethod
    def recipient(self, address: str, understood: str) -> Outcome:
        """RCPT TO; ``understood`` is what the MTA makes of the address."""

    def read(self, name: str, text: str) -> None:
        """Keep a header field of ``_READ``, its name in lower case, as far as it is needed."""
        if name == "subject":
            place = self.counts[name] = self.counts.get(name, 0) + 1
            del self.subjects[_MAX_SUBJECTS - 1 :]  # the last stays: it may be the one that is shown
            self.subjects.append((place, text))
        elif name == "content-type":
            self.content_type = self.content_type or text[:_MAX_CONTENT_TYPE]

    @abstractmethod
    def action_now(self) -> Action:
        """Return what is to be done with the message, of which all is known now."""

    @abstractmethod
    def abandon(self) -> Outcome:
        """RSET, QUIT, a lost connection, or another filter's refusal."""

    # -- alike in all states -----------------------------------------------------------------------------------------

    def header(self, name: str, text: str) -> None:
        """Note a header field where it is forged, and keep what the decision or the edits need."""
        settings, key = self.context.settings, name.rstrip(" \t").lower()
        watched = key in self.context.watched
        if not watched or key in _READ:
            if headers.hides(text, settings) and not self.plan.trusted:
                self.not_removed = NotRemoved.HIDDEN
            if watched:
                self.read(key, text)
        elif not self.plan.trusted:
            place = self.counts[key] = self.counts.get(key, 0) + 1
            if headers.is_forged(key, text, headers.authserv_id(self.facts, settings), settings):
                self._note_forged(Removal(name=name, index=place))

    def _note_forged(self, removal: Removal) -> None:
        if len(self.forged) < headers.MAX_FORGED:
            self.forged.append(removal)
        elif self.not_removed is None:
            self.not_removed = NotRemoved.TOO_MANY

    def end(self, queue_id: str) -> Outcome:
        """The message is complete: change it, or refuse it."""
        self.queue_id = queue_id or self.queue_id
        action, settings = self.action_now(), self.context.settings
        answer = self._reply(action)
        if answer is None and self.not_removed is not None:
            action = policy.severest(action, self._refuse_forged(self.not_removed))
            if action.disposition.refuses:
                hidden = self.not_removed is NotRemoved.HIDDEN
                answer = reply.forged_fields(self.facts, settings, hidden=hidden, case=self._case_of(action))
        if answer is not None:
            return self._ended("refused", action, answer)
        edits = headers.edits(
            action,
            self.verdicts,
            self.facts,
            settings,
            self.forged,
            skip=self.plan.skip,
            subject_fields=self.subjects,
            content_type=self.content_type,
            case=self._case_of(action),
        )
        return self._ended("message", action, edits=edits)

    def _refuse_forged(self, why: NotRemoved) -> Action:
        """Return what is done with a message that would be taken, but has forged fields that are not removed."""
        settings = self.context.settings
        rule = settings.rule("headers", "remove_forged")
        return self._in_force(Action(disposition=Disposition.REJECT, rule=replace(rule, remark=why.value)))

    def _in_force(self, action: Action) -> Action:
        """Return what is left of an action at the end of the message."""
        return policy.apply_mode(action, self.context.settings)

    def _reply(self, action: Action) -> Reply | None:
        """Return what the client is told where the message is refused."""
        if not action.disposition.refuses:
            return None
        case = self._case_of(action)
        verdict = action.verdict
        extras = Extras(case=case) if verdict is None else self.context.extras(verdict, self.facts, case)
        return reply.reply_for(action, self.facts, self.context.settings, extras)

    def _case_of(self, action: Action) -> str:
        """Return the message's case id; empty if the action is a plain accept. All recipients have the same."""
        if not action.plain:
            self.case = self.case or self.context.new_case()
        return self.case

    def _ended(self, how: str, action: Action, answer: Reply | None = None, edits: Edits = _NO_EDITS) -> Outcome:
        ended = self._transaction(how, action)
        ended = replace(ended, untagged=edits.untagged) if edits.untagged else ended
        return Outcome(reply=answer, edits=edits, ended=ended)

    def _transaction(self, how: str, action: Action) -> Transaction:
        return Transaction(
            facts=self.facts,
            plan=self.plan,
            verdicts=self.verdicts,
            action=action,
            queue_id=self.queue_id,
            ended=how,
            removed=len(self.forged),
            case=self._case_of(action),
        )
