"""One connection from the MTA: the client, its HELO, and the message that is under way.

Knows the order of events: connect, HELO, then any number of messages, one after the other. What a message leads to is
its own affair (``message``). Knows no libmilter and no clock, and does no I/O: it is given what answers its questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spfmilter import headers, policy
from spfmilter.addresses import client_of, dns_domain, embedded_ip4, is_plain, parse_address, parse_reverse_path
from spfmilter.message import CARRY_ON, Context, Decided, FindExtras, Message, Outcome, begin
from spfmilter.model import Check, Client, Facts, ReversePath
from spfmilter.policy import Evidence
from spfmilter.settings import Settings
from spfmilter.value import value

_NOBODY = ReversePath(local="", domain="")  # before MAIL FROM


@value
class Macros:
    """What the MTA tells beside MAIL FROM; empty where it does not."""

    queue_id: str = ""  # i
    authenticated: str = ""  # {auth_authen}
    hostname: str = ""  # j
    client_address: str = ""  # {client_addr}
    mail_address: str | None = None  # {mail_addr}: the sender as the MTA has understood it; None: not told


class Session:
    """One connection, and the message that is under way.

    The shell calls ``connect`` and ``hello``, then for each message ``mail``, ``recipient``, ``header`` and
    ``end_of_message``, and ``abandon`` where a message ends otherwise. Any of these may be missing or come twice.

    Args:
        settings: those with which the connection began; they stay in force for all of its messages.
        hostname: our own host's name, for an MTA that does not tell its own.
        evidence: answers what only the DNS or the past can tell.
        extras: finds out what a notice holds beyond the verdict.
        new_case: returns a case id that no other message has; an empty one is not shown.
    """

    def __init__(
        self,
        settings: Settings,
        hostname: str,
        evidence: Evidence,
        *,
        extras: FindExtras,
        new_case: Callable[[], str],
    ) -> None:
        self._hostname = hostname
        watched = headers.watched(settings)
        self._context = Context(settings=settings, watched=watched, evidence=evidence, extras=extras, new_case=new_case)
        self._client: Client | None = None  # None: the event did not come
        self._helo: str | None = None  # None: the client has not greeted
        self._message: Message | None = None  # None: no message is under way

    # -- the connection ----------------------------------------------------------------------------------------------

    def connect(self, name: str, hostaddr: object) -> None:
        """The client has connected; see ``addresses.client_of`` for ``hostaddr``."""
        self._client = client_of(name, hostaddr, self._context.settings.policy.nat64_prefixes)

    def hello(self, name: str) -> None:
        """HELO or EHLO, also a second one after STARTTLS."""
        self._helo = name

    def expected(self) -> tuple[Check, ...]:
        """Return the checks that any MAIL FROM will need, known since HELO; empty if that is not certain."""
        if self._client is None or not self._helo:
            return ()
        facts = Facts(client=self._client, helo=self._helo, reverse_path=_NOBODY, hostname=self._hostname)
        return policy.helo_checks(facts, self._context.settings)

    # -- the message -------------------------------------------------------------------------------------------------

    def mail(self, sender: str, parameters: Sequence[str], macros: Macros) -> Outcome:
        """MAIL FROM: a message begins, or is refused at once."""
        self._message = None
        facts = Facts(
            client=self._client_or_macro(macros),
            helo=self._helo,
            reverse_path=_reverse_path(sender, macros),
            authenticated=macros.authenticated,
            smtputf8=any(parameter.upper() == "SMTPUTF8" for parameter in parameters),
            hostname=macros.hostname or self._hostname,
        )
        message = begin(facts, sender, macros.queue_id, self._context)
        outcome = message.mail()
        if outcome.ended is None:
            self._message = message
        return outcome

    @property
    def undecided(self) -> bool:
        """Whether a message is under way that may yet need lookups."""
        return self._message is not None and not isinstance(self._message, Decided)

    def recipient(self, address: str, understood: str = "") -> Outcome:
        """RCPT TO: refuse this recipient, or not; ``understood`` is what the MTA makes of the address."""
        return self._message.recipient(address, understood) if self._message is not None else CARRY_ON

    def header(self, name: str, text: str) -> None:
        """Take in one header field of the message."""
        if self._message is not None:
            self._message.header(name, text)

    def end_of_message(self, queue_id: str) -> Outcome:
        """The message is complete: change it, or refuse it."""
        outcome = self._message.end(queue_id) if self._message is not None else CARRY_ON
        self._message = None
        return outcome

    def abandon(self) -> Outcome:
        """RSET, QUIT, a lost connection, or another filter's refusal: the message that was under way has ended."""
        message, self._message = self._message, None
        return message.abandon() if message is not None else CARRY_ON

    def _client_or_macro(self, macros: Macros) -> Client:
        """The client as connected; where that event got lost (a name that is not UTF-8), the MTA's macro tells."""
        if self._client is not None:
            return self._client
        address = parse_address(macros.client_address)
        return Client(address=address and embedded_ip4(address, self._context.settings.policy.nat64_prefixes))


def _reverse_path(sender: str, macros: Macros) -> ReversePath:
    """The address in MAIL FROM, or what the MTA makes of one that names no domain, or can be read in more than one way.

    Postfix takes ``alice%example.com``, ``example.com!alice`` (allow_percent_hack, swap_bangpath) and
    ``alice@example.com(@example.net`` for alice@example.com, ``<(alice)>`` for the empty sender, and delivers them
    under that name: without this, that would be a way around SPF. So would be ``alice@mail``, which Postfix delivers as
    alice@mail.example.com (append_dot_mydomain).
    """
    path = parse_reverse_path(sender)
    if path.null or macros.mail_address is None or (dns_domain(path.domain) and is_plain(sender)):
        return path
    understood = parse_reverse_path(macros.mail_address)
    return understood if understood.domain or understood.null else path
