"""Decide again about a message of the journal, with other settings: by the policy itself, from what was recorded.

Pure. Nothing asks the DNS: where a question cannot be answered from the record, both answers are tried. If they lead to
different dispositions, the message cannot be judged, and the reason says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import NamedTuple

from spfmilter import policy
from spfmilter.addresses import parse_address
from spfmilter.exemptions.exemption import Exemption
from spfmilter.exemptions.inforce import NONE_IN_FORCE, InForce, pack, unpack
from spfmilter.model import (
    NO_OWN_RULES,
    Check,
    Client,
    Condition,
    Disposition,
    DmarcPolicy,
    Facts,
    Identity,
    IPAddress,
    OverrideType,
    Plan,
    Problem,
    ProblemKind,
    Result,
    ReversePath,
    SkipReason,
    Verdict,
)
from spfmilter.policy import NoEvidence
from spfmilter.settings import Settings
from spfmilter.settings.schema import Mode, RejectAt

_FOREVER = float("inf")  # seconds
# A name that no section of the settings has: neither the local part nor HELO's name matters once the results are known.
_SOMEBODY = "somebody"


class Recorded(NamedTuple):
    """What the journal has of a message, as far as it decides; named as the columns (``journal.rows``)."""

    client: str | None
    client_name: str | None
    relay: str | None
    sender_domain: str | None
    authenticated: int
    mailfrom_result: str | None
    mailfrom_condition: str | None
    mailfrom_problem: str | None
    helo_result: str | None
    helo_condition: str | None
    helo_problem: str | None
    skip: str | None
    override: str | None
    override_by: str | None
    action: str
    would: str | None
    rule: str
    recipient_rules: int
    ended: str


class Unjudged(Exception):  # noqa: N818 - it is no error: the journal does not say
    """A message cannot be judged; the text says why, as a phrase for a list."""


@dataclass(frozen=True, slots=True)
class Redecision:
    """What was done with a message, and what other settings would have done."""

    before: Disposition
    now: Disposition
    rule: str = ""  # the line that decides now
    assumed: frozenset[str] = frozenset()  # what was assumed, because the journal does not say


def redecide(recorded: Recorded, settings: Settings) -> Redecision:
    """Return what was done with a message, and what these settings would have done.

    With ``mode = monitor`` nothing is refused, so what enforce mode would have done is compared.

    Raises:
        Unjudged: the record does not tell.
    """
    _refuse_foreign(recorded)
    try:
        before = Disposition(recorded.action)
        if settings.policy.mode is Mode.MONITOR and recorded.would:
            before = Disposition(recorded.would)
        evidence = _RecordedEvidence(recorded)
        changes = [_decided(recorded, settings, evidence, before)]
        if evidence.unknown:
            evidence.assumption = True
            changes.append(_decided(recorded, settings, evidence, before))
    except ValueError:  # a word that this version does not know
        raise Unjudged("the row cannot be read by this version") from None
    if len({change.now for change in changes}) > 1:
        raise Unjudged(next(iter(evidence.unknown)))
    return changes[0]


def _refuse_foreign(recorded: Recorded) -> None:
    """Raise for messages that were decided by something that the journal does not record."""
    if recorded.recipient_rules or recorded.rule.startswith(("[exempt] recipients", "[recipient:")):
        raise Unjudged("rules of recipients took part, and recipients are not recorded")
    if recorded.rule.startswith("[headers]"):
        raise Unjudged("header fields decided, which are not recorded")
    if recorded.rule.startswith("[milter] on_error"):
        raise Unjudged("spfmilter itself failed")


def _decided(recorded: Recorded, settings: Settings, evidence: _RecordedEvidence, before: Disposition) -> Redecision:
    facts, planned = _plan(recorded, settings)
    verdicts, missing = _verdicts(planned, evidence)
    if settings.policy.reject_at is RejectAt.MAIL and not missing and facts.relay is None:
        verdicts, action = policy.decide_at_mail(planned, evidence, settings)
    else:
        action = policy.decide_for(planned, verdicts, settings, evidence, NO_OWN_RULES, evidence.author)
    if not evidence.author and policy.may_yield(verdicts, settings):
        evidence.assumed.add("no From domain has a strict DMARC policy, unless recorded")
    if facts.relay is not None and not settings.relays.refuse:
        action = policy.downgrade(action, "but the relay would have to bounce it")
    if missing and (action.disposition is not Disposition.REJECT or settings.exempt.senders.any_if_pass):
        raise Unjudged(_unevaluated(missing))
    return Redecision(
        before=before,
        now=action.would or action.disposition,
        rule=str(action.rule),
        assumed=frozenset(evidence.assumed),
    )


def _plan(recorded: Recorded, settings: Settings) -> tuple[Facts, Plan]:
    """Return the facts and the plan of these settings.

    Raises:
        Unjudged: these settings read the client from other header fields.
    """
    address = parse_address(recorded.client) if recorded.client else None
    relay = parse_address(recorded.relay) if recorded.relay else None
    client = Client(
        address=address, name=recorded.client_name or "", local=recorded.skip == SkipReason.LOCAL and address is None
    )
    facts = Facts(
        client=client,
        helo=None,
        reverse_path=_reverse_path(recorded),
        authenticated=_SOMEBODY if recorded.authenticated else "",
        relay=Client(address=relay) if relay is not None else None,
    )
    if relay is not None:
        if not settings.relays.trusted.covers(relay):
            raise Unjudged("its relay is not in [relays] trusted any more")
        return facts, policy.plan(facts, settings)
    if policy.awaits_header(facts, settings):
        if recorded.skip != SkipReason.RELAY:
            raise Unjudged("its client is in [relays] trusted now, and Received fields are not recorded")
        return policy.plan_behind(facts, None, None, settings)
    planned = policy.plan(facts, settings)
    if recorded.skip == SkipReason.RELAY and planned.skip is None:
        raise Unjudged("its relay is not in [relays] trusted any more")
    return facts, planned


def _reverse_path(recorded: Recorded) -> ReversePath:
    """Return the sender. An empty domain is a null sender, unless MAIL FROM was evaluated, or had a domain."""
    if recorded.sender_domain is None and recorded.mailfrom_result is None:
        return ReversePath(local="", domain="")
    return ReversePath(local=_SOMEBODY, domain=recorded.sender_domain or "")


def _verdicts(planned: Plan, evidence: _RecordedEvidence) -> tuple[tuple[Verdict, ...], list[Identity]]:
    """Return the verdicts that are recorded, and the identities of the others.

    Raises:
        Unjudged: the settings have a record of their own for the domain.
    """
    verdicts, missing = [], []
    for check in planned.checks:
        if check.record:
            raise Unjudged("its domain has a pinned record, which would have to be evaluated")
        if evidence.result_of(check.identity) is None:
            missing.append(check.identity)
        else:
            verdicts.append(evidence.verdict(check))
    if missing and not verdicts:
        was = f"it was not checked ({evidence.recorded.skip})" if evidence.recorded.skip else _unevaluated(missing)
        raise Unjudged(was)
    return tuple(verdicts), missing


def _unevaluated(missing: Sequence[Identity]) -> str:
    return f"{missing[0]} was not evaluated"


@dataclass(slots=True)
class _RecordedEvidence(NoEvidence):
    """The answers that a row of the journal has. The policy asks only what can change the action."""

    recorded: Recorded
    assumption: bool = False  # the answer to what is not recorded, and can be tried either way
    unknown: dict[str, None] = field(default_factory=dict)  # why there was such a question
    assumed: set[str] = field(default_factory=set)  # what was taken for no

    @property
    def author(self) -> str:
        """Return a domain of the From field that has the recorded DMARC policy; empty: none is recorded."""
        return self._overridden_by(OverrideType.DMARC).partition(" p=")[0]

    def _overridden_by(self, kind: OverrideType) -> str:
        return (self.recorded.override_by or "") if self.recorded.override == kind else ""

    def _of(self, identity: Identity) -> tuple[str | None, str | None, str | None]:
        row = self.recorded
        if identity is Identity.HELO:
            return row.helo_result, row.helo_condition, row.helo_problem
        return row.mailfrom_result, row.mailfrom_condition, row.mailfrom_problem

    def result_of(self, identity: Identity) -> str | None:
        """Return the recorded result; None: it was not evaluated."""
        return self._of(identity)[0]

    def verdict(self, check: Check) -> Verdict:
        """Return the recorded verdict, or for a forwarder's domain whether it was the reason to accept the message."""
        result, condition, problem = self._of(check.identity)
        if self._is_forwarder(check):
            if check.domain == self._overridden_by(OverrideType.TRUSTED_FORWARDER):
                return Verdict(check=check, result=Result.PASS)
            self.assumed.add("no domain of forwarder_spf lets the client send, unless recorded")
            return Verdict(check=check, result=Result.NONE)
        return Verdict(
            check=check,
            result=Result(result or Result.NONE),
            problem=Problem(kind=ProblemKind(problem), text="") if problem else None,
            condition=Condition(condition) if condition else None,
        )

    def _is_forwarder(self, check: Check) -> bool:
        """Return whether a check is not the message's: ``forwarder_check`` has the domain as HELO, too."""
        return check.identity is Identity.MAILFROM and check.helo == check.domain != ""

    def holds(self, condition: Condition, verdict: Verdict) -> bool:
        """Return whether a condition is recorded. One that needs lookups may not have been looked up."""
        if verdict.condition is condition:
            return True
        if condition is Condition.NO_MAIL or (verdict.problem and verdict.problem.kind is ProblemKind.NO_DOMAIN):
            return False
        self.unknown[f"whether it is {condition} is not recorded"] = None
        return self.assumption

    def host_name(self, address: IPAddress, wanted: Callable[[str], bool]) -> str | None:  # noqa: ARG002 - the protocol's
        """Return the recorded name of a forwarder, or that of the MTA for the client."""
        names = (self._overridden_by(OverrideType.TRUSTED_FORWARDER), self.recorded.client_name or "")
        found = next((name for name in names if name and wanted(name)), None)
        if found is None:
            self.assumed.add("a client has no other confirmed name than the MTA's")
        return found

    def exemptions(self) -> InForce:
        """Return the temporary exemption that was the reason to accept the message: no setting says more of it."""
        identity = self._overridden_by(OverrideType.EXEMPTION)
        address = parse_address(self.recorded.client or "")
        if not identity or address is None:
            return NONE_IN_FORCE
        recorded = Exemption(id=identity, network=ip_network(address), added=0, until=None)
        return InForce(exemptions=unpack(pack([recorded])), now=0.0)

    def dmarc(self, domain: str) -> DmarcPolicy | None:
        """Return the recorded policy."""
        _, _, strict = self._overridden_by(OverrideType.DMARC).partition(" p=")
        return DmarcPolicy(domain=domain, policy=strict) if strict else None

    def deferred_for(self, key: str) -> float:  # noqa: ARG002 - the protocol's
        """Return that the message was deferred for long enough, if that was the reason to accept it."""
        if self.recorded.override == OverrideType.DEFER_AT_MOST:
            return _FOREVER
        self.assumed.add("a deferral was not long enough, unless recorded")
        return 0.0
