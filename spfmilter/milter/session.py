"""One connection from the MTA: the client's facts, and the state of the message that is under way.

Knows the order of events (connect, HELO, then any number of messages) and what each leads to; knows no libmilter, no
clock, and does no I/O: it is given a function that evaluates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from spfmilter import headers, policy, reply
from spfmilter.addresses import client_of, parse_address, parse_reverse_path
from spfmilter.model import (
    Action,
    Check,
    Client,
    Edits,
    Facts,
    Identity,
    Plan,
    Removal,
    ReversePath,
    Transaction,
    Verdict,
)
from spfmilter.reply import NOTHING, Extras, Reply
from spfmilter.settings import Settings

Evaluate = Callable[[Check], Verdict]
Expect = Callable[[Sequence[Check]], None]
FindExtras = Callable[[Verdict, Facts], Extras]


def _unprepared(_checks: Sequence[Check]) -> None:
    """Nothing can be done ahead."""


def _no_extras(_verdict: Verdict, _facts: Facts) -> Extras:
    return NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Macros:
    """What the MTA tells beside MAIL FROM; empty where it does not."""

    queue_id: str = ""  # i
    authenticated: str = ""  # {auth_authen}
    hostname: str = ""  # j
    client_address: str = ""  # {client_addr}
    mail_address: str = ""  # {mail_addr}: the sender as the MTA has understood it


@dataclass(slots=True)
class _Message:
    """The message between MAIL FROM and its end."""

    facts: Facts
    plan: Plan
    verdicts: tuple[Verdict, ...]
    action: Action
    queue_id: str
    counts: dict[str, int]  # of each field name that we watch, in lower case
    forged: list[Removal]


class Session:
    """The state of one connection; settings are those with which it began.

    ``extras`` is asked for what a notice holds beyond the verdict, and only where a message is refused.
    """

    def __init__(self, settings: Settings, hostname: str, *, extras: FindExtras = _no_extras) -> None:
        self._settings, self._hostname, self._extras = settings, hostname, extras
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
        if self._client is None or not (self._helo and Identity.HELO in self._settings.policy.check):
            return ()
        nobody = ReversePath(local="", domain="")
        facts = Facts(client=self._client, helo=self._helo, reverse_path=nobody, hostname=self._hostname)
        return tuple(replace(check, null_sender=False) for check in policy.plan(facts, self._settings).checks)

    def mail(
        self, sender: str, parameters: Sequence[str], macros: Macros, evaluate: Evaluate, expect: Expect = _unprepared
    ) -> tuple[Action, Reply | None, Transaction | None]:
        """MAIL FROM: what to do, what to say, and the finished transaction where the message ends here.

        ``expect`` is told of all the checks before ``evaluate`` is asked for the first.
        """
        self._message = None
        facts = Facts(
            client=self._client_or_macro(macros),
            helo=self._helo,
            reverse_path=_reverse_path(sender, macros),
            authenticated=macros.authenticated,
            smtputf8=any(parameter.upper() == "SMTPUTF8" for parameter in parameters),
            hostname=macros.hostname or self._hostname,
        )
        planned = policy.plan(facts, self._settings)
        expect(planned.checks)
        verdicts, action = policy.judge(planned, evaluate, self._settings)
        self._message = _Message(facts, planned, verdicts, action, macros.queue_id, {}, [])
        answer = self._reply(action, facts)
        return action, answer, self._end("refused") if answer is not None else None

    def _reply(self, action: Action, facts: Facts) -> Reply | None:
        """What to say where the message is refused."""
        if not action.disposition.refuses:
            return None
        extras = NOTHING if action.verdict is None else self._extras(action.verdict, facts)
        return reply.reply_for(action, facts, self._settings, extras)

    def header(self, name: str, value: str) -> None:
        """One field of the message; forged ones are remembered."""
        message = self._message
        if message is None or message.plan.trusted:
            return
        key = name.rstrip().lower()
        if key not in self._watched:
            return
        message.counts[key] = message.counts.get(key, 0) + 1
        own = headers.authserv_id(message.facts, self._settings)
        if headers.is_forged(key, value, own, self._settings):
            message.forged.append(Removal(name=name, index=message.counts[key]))

    def end_of_message(self, queue_id: str) -> tuple[Edits, Transaction | None]:
        """The message has been taken: how to change it."""
        message = self._message
        if message is None:
            return Edits(), None
        message.queue_id = queue_id or message.queue_id
        edits = headers.edits(message.action, message.verdicts, message.facts, self._settings, message.forged)
        return edits, self._end("message")

    def abandon(self) -> Transaction | None:
        """RSET, QUIT, a lost connection, or a refusal by somebody else: the message that was under way, if any."""
        return self._end("abandoned")

    def _end(self, how: str) -> Transaction | None:
        message, self._message = self._message, None
        if message is None:
            return None
        return Transaction(
            facts=message.facts,
            plan=message.plan,
            verdicts=message.verdicts,
            action=message.action,
            queue_id=message.queue_id,
            ended=how,
            removed=len(message.forged),
        )

    def _client_or_macro(self, macros: Macros) -> Client:
        """The client as connected; where that event got lost (a name that is not UTF-8), the MTA's macro tells."""
        if self._client is not None:
            return self._client
        return Client(address=parse_address(macros.client_address))


def _reverse_path(sender: str, macros: Macros) -> ReversePath:
    """The address in MAIL FROM, or what the MTA makes of one without a domain.

    Postfix takes ``alice%example.com`` and ``example.com!alice`` for alice@example.com (allow_percent_hack,
    swap_bangpath), and delivers it under that name: without this, that would be a way around SPF.
    """
    path = parse_reverse_path(sender)
    if path.domain or path.null:
        return path
    understood = parse_reverse_path(macros.mail_address)
    return understood if understood.domain else path
