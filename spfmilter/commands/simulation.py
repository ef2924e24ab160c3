"""One message by hand: drive the daemon's own Session as an MTA would, and collect the settings that it considered.

Knows what an MTA would tell, and why each exemption applies or does not. The Session has the order of steps and makes
all decisions. No deferral is remembered, and no answer beyond the message.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from spfmilter import policy
from spfmilter.addresses import is_private
from spfmilter.commands.explain import Explained
from spfmilter.commands.forwarder import forwarder_advice
from spfmilter.evaluation.engine import Engine, Inquiry
from spfmilter.evaluation.evidence import ConnectionEvidence, Note
from spfmilter.exemptions import saved
from spfmilter.exemptions.inforce import NO_EXEMPTIONS, Exemptions, choose, pack, unpack
from spfmilter.exemptions.store import place
from spfmilter.helplink.secretfile import SecretError
from spfmilter.helplink.signing import Refusals, open_signer
from spfmilter.message import Outcome
from spfmilter.model import (
    EXEMPTION,
    Addressee,
    Consideration,
    Facts,
    IPAddress,
    Rule,
    SkipReason,
    Transaction,
    Verdict,
)
from spfmilter.reply import Extras
from spfmilter.session import Macros, Session
from spfmilter.settings import Settings
from spfmilter.settings.schema import RejectAt

_SUBJECT = "..."  # stands for the subject of the message

# Why an exemption applies, and why it does not.
_WHY = {
    SkipReason.LOCAL: ("the client came over the MTA's unix socket", "the client came over the network"),
    SkipReason.NETWORK: ("the client is in one of them", "the client is in none of them"),
    SkipReason.AUTHENTICATED: ("the client has logged in", "the client has not logged in"),
    SkipReason.UNKNOWN_CLIENT: ("the client's address is not known", "the client's address is known"),
    SkipReason.PRIVATE: ("the client's address is private", "the client's address is public"),
    SkipReason.SENDER: (
        "an entry exempts this domain and client",
        "no entry exempts this domain and client without a check",
    ),
    SkipReason.TRUSTED_FOR_DOMAIN: (
        "the client is in one of them",
        "the client is in none of them",
    ),
}

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What the client says, and what the MTA knows about the client."""

    address: IPAddress
    helo: str
    sender: str  # in MAIL FROM, with or without angle brackets
    recipient: str = ""  # in RCPT TO; empty: a recipient without rules of their own
    author: str = ""  # the value of the From field; empty: there is none
    login: str = ""
    smtputf8: bool = False
    hostname: str  # the MTA's own


def simulate(said: Conversation, settings: Settings, *, explain: bool, warn: Warn) -> Explained:
    """Return what the daemon would do with a message, and why.

    Args:
        said: the message.
        settings: the daemon's.
        explain: whether to find out as well what could be set for a forwarder, which takes further lookups.
        warn: is told of what has no effect here.
    """
    stage = settings.policy.reject_at
    if said.recipient and stage is RejectAt.MAIL:
        warn("the recipient is not known, and so has no effect, with [policy] reject_at = mail")
    if said.author and stage is not RejectAt.MESSAGE:
        warn(f"the From field is not known, and so has no effect, with [policy] reject_at = {stage}")
    # One lookup after the other, so that the tree shows the time of each.
    dns = settings.dns.model_copy(update={"prefetch": False})
    receiver = settings.headers.own_id or said.hostname
    inquiry = Engine(dns, receiver=receiver).inquiry()
    exemptions = _temporary(settings, warn)
    evidence = ConnectionEvidence(
        inquiry,
        own_addresses=settings.policy.own_addresses,
        deferred_since=None,
        exemptions=lambda: exemptions,
        explain=True,
    )
    evidence.budget.start(dns.timeout.seconds)
    session = Session(
        settings,
        said.hostname,
        evidence,
        extras=lambda verdict, facts, _case: _extras(inquiry, verdict, facts, settings, warn),
        new_case=str,  # a trial has none
    )
    outcome, ended = _converse(session, said)
    advice = forwarder_advice(inquiry, ended, settings) if explain else None
    inquiry.close()
    return Explained(
        facts=ended.facts,
        plan=ended.plan,
        verdicts=ended.verdicts,
        action=ended.action,
        reply=outcome.reply,
        edits=outcome.edits,
        considered=_considered(said, ended, settings, evidence.notes),
        forwarder=advice,
    )


def _temporary(settings: Settings, warn: Warn) -> Exemptions:
    """Return the temporary exemptions that the daemon of this host has written down."""
    try:
        known = saved.load(settings.state.folder, place(settings))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        warn(f"{settings.state.folder}/{saved.FILE}: {reason}; so temporary exemptions have no effect here")
        return NO_EXEMPTIONS
    return unpack(pack(choose(known, time.time())))


def _converse(session: Session, said: Conversation) -> tuple[Outcome, Transaction]:
    """Return how the message ends, and its transaction."""
    session.connect("", (str(said.address), 0))
    session.hello(said.helo)
    macros = Macros(authenticated=said.login, hostname=said.hostname)
    outcome = session.mail(said.sender, ("SMTPUTF8",) if said.smtputf8 else (), macros)
    if outcome.reply is None:
        outcome = session.recipient(said.recipient)
        if outcome.reply is None:
            if said.author:
                session.header("From", said.author)
            session.header("Subject", _SUBJECT)
            outcome = session.end_of_message("")
    # A client gives up a message whose only recipient was refused.
    ended = outcome.ended or session.abandon().ended
    assert ended is not None, "MAIL FROM has begun a message"  # noqa: S101 - for the type checker
    return outcome, ended


def _extras(inquiry: Inquiry, verdict: Verdict, facts: Facts, settings: Settings, warn: Warn) -> Extras:
    """Return what a notice contains beside the verdict; the link as configured if it cannot be signed here."""
    url, path, signer = settings.reply.help_url, settings.web.secret_file, None
    # Do not create a missing file: it would belong to this user, and the daemon could not read it.
    if url is not None and os.path.exists(path):  # noqa: PTH110 - Path.exists raises where a folder may not be entered
        try:
            signer = open_signer(settings)
        except SecretError as error:
            warn(str(error))
    found = Refusals(settings, signer).extras(inquiry, verdict, facts, case="")
    if url is None or signer is not None:
        return found
    warn(f"{path}: without it the link is not signed here")
    return replace(found, link=str(url))


# -- the lines of the settings that were considered --------------------------------------------------------------------


def _considered(
    said: Conversation, ended: Transaction, settings: Settings, notes: Sequence[Note]
) -> tuple[Consideration, ...]:
    """Return them in their order, each once."""
    found = [*_exemptions(ended, settings)]
    kind = _addressee(said, settings)
    if kind is not None and not kind.exempt and ended.plan.skip is None:
        rule = settings.rule("exempt", "recipients")
        found.append(Consideration(rule=rule, applied=False, why="the recipient is none of them"))
    found += [Consideration(rule=_rule_of(note, settings), applied=note.applied, why=note.why) for note in notes]
    return tuple(dict.fromkeys(found))


def _rule_of(note: Note, settings: Settings) -> Rule:
    if note.section != EXEMPTION:
        return settings.rule(note.section, note.key)
    return Rule(section=EXEMPTION, key=note.key, value="spfmilter exempt" if note.key else "spfmilter exempt list")


def _addressee(said: Conversation, settings: Settings) -> Addressee | None:
    """Return the kind of the recipient; None if the recipient is unknown when the message is decided."""
    known = said.recipient and settings.policy.reject_at is not RejectAt.MAIL
    return policy.addressee(said.recipient, settings, understood="") if known else None


def _exemptions(ended: Transaction, settings: Settings) -> list[Consideration]:
    planned, facts = ended.plan, ended.facts
    if planned.skip is SkipReason.RELAY and planned.rule is not None:
        why = "the client is one of them, and there is no header that tells who is behind it"
        return [Consideration(rule=planned.rule, applied=True, why=why)]
    found = []
    for reason in policy.EXEMPTIONS:
        applied = reason is planned.skip
        rule = policy.exemption(reason, facts, settings)
        if rule is not None:
            why = _WHY[reason][0] if applied else _why_not(reason, facts)
            found.append(Consideration(rule=rule, applied=applied, why=why))
        if applied:
            break
        if reason is SkipReason.LOCAL:  # is asked next: see ``policy.awaits_header``
            relay = settings.rule("relays", "trusted")
            found.append(Consideration(rule=relay, applied=False, why="the client is none of them"))
    return found


def _why_not(reason: SkipReason, facts: Facts) -> str:
    """Return why an exemption does not apply. It may only be switched off."""
    address = facts.client.address
    if (reason is SkipReason.AUTHENTICATED and facts.authenticated) or (
        reason is SkipReason.PRIVATE and address is not None and is_private(address)
    ):
        return f"{_WHY[reason][0]}, but this is off"
    return _WHY[reason][1]
