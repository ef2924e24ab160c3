"""A case as the page shows it: the result then and now, what each reader can do, the record to publish.

Knows which values the page needs. All untrusted input passes the sanitizer here, so a template only has to show it.
Decides nothing, and knows no HTML.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from spfmilter.evaluation.recordflaws import mended_record
from spfmilter.model import Identity, Result, Verdict
from spfmilter.organization import organization
from spfmilter.reply.advice import NO_CLUES, Advice, Audience, Remedy, Situation, advice, audience_of
from spfmilter.spf.clues import Clues
from spfmilter.spf.providers import Provider
from spfmilter.text import unicode_line
from spfmilter.web import wording
from spfmilter.web.costs import Cost, costs_of
from spfmilter.web.fixes import SuggestedRecord, suggest_record
from spfmilter.web.flaws import FlawView, flaw_views
from spfmilter.web.panel import Panel, panel_for
from spfmilter.web.tree import SHOWN_RECORD, RecordView, tree_of
from spfmilter.zones import Delegation

_SHOWN_TERM = 300  # characters
_SHOWN_EXPLANATION = 400
_SHARED_CARD = {Audience.FORM: Audience.FORWARDER}  # neither sent the message through the domain's servers
_RECORD_CHANGES = frozenset({Remedy.ADD, Remedy.ADD_BEFORE, Remedy.PUBLISH})


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalResult:
    """The result at the time when the message came, from the token."""

    result: Result
    time: int
    case: str = ""  # the case id; empty in links of an older version
    helo: str = ""  # the HELO name of that time; empty: the link does not hold it


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What one kind of reader can do."""

    audience: Audience
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """Everything that the page shows of a case."""

    identity: Identity
    situation: Situation
    address: str
    client_name: str  # the confirmed host name of the address; empty: unknown
    domain: str
    then: OriginalResult | None  # None: checked by hand
    now: Result
    title: str  # keys of the catalogue, which take address, domain, server and hostname
    lead: str
    term: str | None  # the term that decided
    term_domain: str  # whose record holds it
    record_domain: str  # the domain whose record has to be changed
    at_top: bool  # this domain is an organization's, so its panel may call it @
    problem: str | None  # a key of the catalogue
    problem_term: str | None
    explanation: str | None
    record: RecordView | None
    cards: tuple[Card, ...]  # the most likely reader first
    suggested: SuggestedRecord | None
    added: str  # the term for the address, if no whole record can be suggested
    flaws: tuple[FlawView, ...]  # of the record
    mended: str  # the record without them; empty: it cannot be given
    service: str | None  # the service whose servers ``added`` stands for
    listed: tuple[str, ...]  # services that the record lists already
    other_organization: str  # that the server belongs to, if not to the sender's; empty: the same, or unknown
    provider: Provider | None  # of free mailboxes, if the domain is its own
    provider_fault: bool  # the server is the provider's own
    costs: tuple[Cost, ...]  # of a record that needs too many lookups
    wait: int  # minutes until a change is seen
    delay: int  # minutes for which the mail server may still use a former record; 0: it does not
    lookups: int
    panel: Panel | None  # where the record is changed, if its DNS host is known
    partial: bool  # the record uses values that the link does not hold: the local part, perhaps the HELO name

    @property
    def fixed(self) -> bool:
        """Return whether the check failed then and passes now."""
        return self.then is not None and self.then.result is not Result.PASS and self.now is Result.PASS

    @property
    def remedies(self) -> frozenset[Remedy]:
        """Return those of all cards."""
        return frozenset(remedy for card in self.cards for remedy in card.remedies)

    @property
    def changes_record(self) -> bool:
        """Return whether a remedy changes a record to allow the server."""
        return not _RECORD_CHANGES.isdisjoint(self.remedies)


def build_view(  # noqa: PLR0913 - what is known of a case comes from several sides
    verdict: Verdict,
    clues: Clues = NO_CLUES,
    *,
    own: bool = False,
    then: OriginalResult | None = None,
    longest_ttl: float = 3600.0,
    refreshed: bool = False,
    delegation: Delegation | None = None,
) -> CaseView:
    """Return the view of a current verdict and of the result ``then``.

    Args:
        verdict: the current one, with its trace.
        clues: what was looked up about the client.
        own: the receiver's own users have the domain.
        then: what the token says; None for a check by hand.
        longest_ttl: seconds for which the receiving server caches an answer at most.
        refreshed: the receiving server does not use a former record any more.
        delegation: the zone that holds the record, if known.
    """
    check, problem = verdict.check, verdict.problem
    advised = advice(verdict, clues, own=own)
    # The record of a domain without mail, or of a freemail provider, is not the reader's to extend.
    extended = advised.situation is not Situation.NO_MAIL and advised.provider is None
    suggested = suggest_record(verdict, advised.add) if extended else None
    record_domain = suggested.domain if suggested is not None else advised.record_domain
    title, lead = _words(advised, then)
    return CaseView(
        identity=check.identity,
        situation=advised.situation,
        address=str(check.address),
        client_name=unicode_line(advised.client_name),
        domain=unicode_line(check.domain),
        then=then,
        now=verdict.result,
        title=title,
        lead=lead,
        term=unicode_line(verdict.term, _SHOWN_TERM) if verdict.term is not None else None,
        term_domain=unicode_line(verdict.term_domain or check.domain),
        record_domain=unicode_line(record_domain),
        at_top=organization(record_domain) == record_domain,
        problem=wording.PROBLEMS[problem.kind] if problem is not None else None,
        problem_term=unicode_line(problem.term, _SHOWN_TERM) if problem is not None and problem.term else None,
        explanation=unicode_line(" ".join(verdict.explanation.split()), _SHOWN_EXPLANATION)
        if verdict.explanation
        else None,
        record=tree_of(verdict),
        cards=_cards(advised.remedies),
        suggested=suggested,
        added=advised.add,
        flaws=flaw_views(clues.flaws),
        mended=unicode_line(mended_record(verdict, clues.flaws), SHOWN_RECORD),
        service=advised.service.name if advised.service is not None else None,
        listed=tuple(service.name for service in advised.listed),
        other_organization=unicode_line(advised.other_organization),
        provider=advised.provider,
        provider_fault=advised.provider_fault,
        costs=costs_of(verdict),
        wait=max(1, math.ceil(min(verdict.ttl or 0, longest_ttl) / 60)),
        delay=0 if refreshed else math.ceil(longest_ttl / 60),
        lookups=verdict.lookups,
        panel=panel_for(advised, record_domain, delegation),
        partial=then is not None and check.identity is Identity.MAILFROM and bool(verdict.letters & _missing(then)),
    )


def _missing(then: OriginalResult) -> set[str]:
    """Return the macro letters whose values the link does not hold (RFC 7208 section 7.2)."""
    return {"l", "s"} if then.helo else {"l", "s", "h"}


def _words(advised: Advice, then: OriginalResult | None) -> tuple[str, str]:
    """Return the title and the lead."""
    now, identity = advised.result, advised.identity
    denied = advised.situation is Situation.DENIED and identity is Identity.MAILFROM
    if then is None:
        return wording.TITLES[identity][now], wording.RULED_OUT if denied else wording.STORIES[identity][now]
    if now is Result.PASS and then.result is not Result.PASS:
        return wording.TITLE_FIXED, wording.FIXED
    told = then.result if now is Result.TEMPERROR else now  # cannot be read now: show the reason of the refusal
    title = wording.TITLE_DELAYED if told is Result.TEMPERROR else wording.TITLE_REFUSED
    if advised.situation is Situation.NO_MAIL and identity is Identity.MAILFROM:
        return title, wording.NO_MAIL
    return title, wording.DENIED if denied and told is now else wording.REFUSALS[identity][told]


def _cards(remedies: tuple[Remedy, ...]) -> tuple[Card, ...]:
    """Return the remedies by their reader, each in the order of the advice."""
    found: dict[Audience, tuple[Remedy, ...]] = {}
    for remedy in remedies:
        audience = audience_of(remedy)
        audience = _SHARED_CARD.get(audience, audience)
        found[audience] = (*found.get(audience, ()), remedy)
    return tuple(Card(audience=audience, remedies=shown) for audience, shown in found.items())
