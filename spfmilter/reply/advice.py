"""The advice: what a sender can do about a verdict, and in whose DNS, as a value that replies and pages put into words.

Knows which remedies fit which verdict. They are always about the *sender domain's own* record or server. Knows no
words. Untrusted input is kept as it came; the code that shows it must sanitize it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from spfmilter.hostname import usable_name
from spfmilter.model import CONDITIONS, Condition, Identity, IPAddress, Problem, ProblemKind, Result, Verdict
from spfmilter.organization import organization
from spfmilter.spf.clues import Clues
from spfmilter.spf.flaws import HARMLESS, Flaw
from spfmilter.spf.providers import Provider, provider_of
from spfmilter.spf.services import Service


class Situation(StrEnum):
    """How the verdict came about, as far as the words depend on it."""

    UNLISTED = "unlisted"  # nothing in the record fits the address but all, or the record's end
    REDIRECTED = "redirected"  # so says the record of another domain, to which redirect= led
    DENIED = "denied"  # a term other than all fits the address, and does not allow it
    PINNED = "pinned"  # the receiver has a record of its own for the domain, which is not in the DNS
    NO_MAIL = "no-mail"  # the record says that the domain sends none at all
    WIDE_OPEN = "wide-open"  # the record allows the address, as it allows every other
    UNREACHABLE = "unreachable"  # there is no record, and the domain can receive no answer
    NO_RECORD = "no-record"
    NO_DOMAIN = "no-domain"  # the identity names none that the DNS could hold
    ALLOWED = "allowed"  # refused although the record allows it
    BROKEN = "broken"  # the record, or one that it leads to, is in error
    SILENT = "silent"  # the record could not be looked up
    OUR_FAULT = "our-fault"  # the same, because the receiving server's own resolver does not answer


class Audience(StrEnum):
    """The person who can do something about a refusal."""

    USER = "user"  # who only uses the address
    DOMAIN = "domain"  # who can change the domain's record
    SERVER = "server"  # who can configure the sending server
    FORWARDER = "forwarder"  # whose server forwarded the message
    FORM = "form"  # who runs a web form or a device that sends


class Remedy(StrEnum):
    """One thing that a sender can do; several are alternatives, the most likely one first."""

    ADD = "add"  # add ``Advice.add`` to the record
    ADD_BEFORE = "add-before"  # put it before ``Advice.term``, behind which it would never be reached; or change that
    PUBLISH = "publish"  # publish a record, with ``Advice.add`` in it
    NARROW = "narrow"  # let the record name servers in place of ``Advice.term``
    FIX = "fix"  # correct what ``Advice.problem`` says
    ADD_INCLUDE = "add-include"  # add the include: that ``Advice.other_organization`` documents for its customers
    LIST_SERVERS = "list-servers"  # the record says that the domain sends no mail: if it does, list its servers
    MEND_FLAW = "mend-flaw"  # correct ``Advice.flaws``
    SUBMIT = "submit"  # send through the webmail or the SMTP server of the domain, or of a service that it lists
    USE_PROVIDER = "use-provider"  # the same, for a freemail user: through ``Advice.provider``
    TELL_PROVIDER = "tell-provider"  # tell the freemail provider, whose record or server it is
    FORWARDED = "forwarded"  # ask the recipient for their final address; the forwarder needs SRS
    FROM_OWN_DOMAIN = "from-own-domain"  # let the form or device send from a domain of its own
    OWN_NAME = "own-name"  # let the server greet with its own host name
    OTHER_SENDER = "other-sender"  # send with an address in a domain that has a record
    LATER = "later"  # send again later
    ASK = "ask"  # ask the receiver, whose own record it is
    LOG_IN = "log-in"  # send through the domain's own mail server, after a login


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is wrong with a message's identity, and what the sender can do."""

    result: Result
    identity: Identity
    situation: Situation
    remedies: tuple[Remedy, ...]
    address: IPAddress
    domain: str  # that was checked; empty where the identity names none
    record_domain: str  # whose record decided, or is in error: what is changed, is changed in its DNS
    term: str | None  # that decided, as published; None: the record's end, or no record
    add: str  # the term that allows the address: ip4, ip6 or a service's include
    service: Service | None = None  # whose servers ``add`` stands for
    problem: Problem | None = None
    provider: Provider | None = None  # of free mailboxes, if the domain is one of its own
    provider_fault: bool = False  # the client's confirmed name is the provider's, or below the domain
    listed: tuple[Service, ...] = ()  # well-known services that the record lists already
    client_name: str = ""  # the client's confirmed host name; empty: unknown
    other_organization: str = ""  # that ``client_name`` belongs to, if not to the sender's; empty: the same, or unknown
    flaws: tuple[Flaw, ...] = ()
    names_host: bool = False  # the name of a server was checked (HELO, or for the null sender): no user has chosen it


NO_CLUES = Clues()
_AUDIENCES = {
    Remedy.ADD: Audience.DOMAIN,
    Remedy.ADD_BEFORE: Audience.DOMAIN,
    Remedy.ADD_INCLUDE: Audience.DOMAIN,
    Remedy.PUBLISH: Audience.DOMAIN,
    Remedy.LIST_SERVERS: Audience.DOMAIN,
    Remedy.NARROW: Audience.DOMAIN,
    Remedy.FIX: Audience.DOMAIN,
    Remedy.MEND_FLAW: Audience.DOMAIN,
    Remedy.OWN_NAME: Audience.SERVER,
    Remedy.FORWARDED: Audience.FORWARDER,
    Remedy.FROM_OWN_DOMAIN: Audience.FORM,
}
_ALL = "all"
# Where a user who did not log in is the likeliest cause.
_OF_OWN_USERS = frozenset({
    Situation.UNLISTED, Situation.REDIRECTED, Situation.DENIED, Situation.PINNED, Situation.NO_MAIL,
    Situation.NO_RECORD,
})  # fmt: skip
# Where another server can make the message pass.
_BY_SERVER = frozenset({Situation.UNLISTED, Situation.REDIRECTED, Situation.DENIED})
# Where only a change of the record can.
_BY_CHANGE = frozenset({
    Situation.BROKEN, Situation.NO_RECORD, Situation.UNREACHABLE, Situation.WIDE_OPEN, Situation.NO_MAIL,
})  # fmt: skip
_BY_RECORD = frozenset({Result.FAIL, Result.SOFTFAIL, Result.NEUTRAL, Result.PERMERROR})
_ALWAYS = {
    Situation.WIDE_OPEN: (Remedy.NARROW,),
    Situation.UNREACHABLE: (Remedy.PUBLISH,),
    Situation.NO_DOMAIN: (Remedy.OTHER_SENDER,),
    Situation.SILENT: (Remedy.LATER,),
    Situation.OUR_FAULT: (Remedy.LATER,),
    Situation.PINNED: (Remedy.ASK, Remedy.SUBMIT),
    Situation.ALLOWED: (),
}
_CONDITIONS = {
    Condition.NO_MAIL: Situation.NO_MAIL,
    Condition.WIDE_OPEN: Situation.WIDE_OPEN,
    Condition.UNREACHABLE: Situation.UNREACHABLE,
}


def advice(
    verdict: Verdict, clues: Clues = NO_CLUES, condition: Condition | None = None, *, own: bool = False
) -> Advice:
    """Return the advice on a verdict.

    Args:
        verdict: the outcome of a check.
        clues: what was looked up about the client.
        condition: the condition whose policy entry applied; None: that of the plain result.
        own: the receiver's own users have this domain. Their address at home does not belong into its record.
    """
    check, problem, service = verdict.check, verdict.problem, clues.service
    flaws = tuple(flaw for flaw in clues.flaws if flaw.kind not in HARMLESS)
    situation = _situation(verdict, condition)
    if situation is Situation.NO_MAIL and flaws:
        situation = Situation.UNLISTED  # a slip such as ip4= leaves -all alone: its owner did mean to list servers
    # A name that is made of the address is a subscriber's line, and not a server of the provider's.
    host = usable_name(clues.client_name, str(check.address))
    where = problem.domain if problem is not None and verdict.result is Result.PERMERROR else verdict.term_domain
    found = Advice(
        result=verdict.result,
        identity=check.identity,
        situation=situation,
        remedies=(),
        address=check.address,
        domain=check.domain,
        record_domain=where or check.domain,
        term=verdict.term,
        add=service.term if service is not None else f"ip{check.address.version}:{check.address}",
        service=service,
        problem=problem,
        provider=provider_of(check.domain),
        provider_fault=_is_own_host(clues.client_name, check.domain),
        listed=clues.listed,
        client_name=clues.client_name,
        other_organization=_other_organization(host, check.domain),
        flaws=flaws,
        names_host=check.identity is Identity.HELO or check.null_sender,
    )
    if found.names_host:
        return replace(found, remedies=_for_host(found))
    if own and situation in _OF_OWN_USERS:
        return replace(found, remedies=(Remedy.LOG_IN,))
    return replace(found, remedies=_for_provider(found) or _remedies(found))


def audience_of(remedy: Remedy) -> Audience:
    """Return the person who can apply a remedy."""
    return _AUDIENCES.get(remedy, Audience.USER)


def is_all(term: str) -> bool:
    """Return whether a term is ``all``, which fits every address."""
    return term.lstrip("+-~?").lower() == _ALL


def _is_own_host(name: str, domain: str) -> bool:
    """Tell whether a host's name is below the domain, or one of the domain's freemail provider."""
    provider = provider_of(domain)
    if not name or not domain:
        return False
    return name == domain or name.endswith("." + domain) or (provider is not None and provider.runs(name))


def _other_organization(name: str, domain: str) -> str:
    """Return the organization of a host, if it is not the domain's."""
    owner = organization(name)
    return "" if not domain or _is_own_host(name, domain) or owner == organization(domain) else owner


def _situation(verdict: Verdict, condition: Condition | None) -> Situation:
    if verdict.check.record and verdict.result in _BY_RECORD:
        return Situation.PINNED
    if condition is not None and CONDITIONS.get(verdict.result) is condition:
        return _CONDITIONS[condition]
    # Whether or not a policy entry names the condition: no server may be added to such a record without a thought.
    if verdict.result is Result.FAIL and verdict.condition is Condition.NO_MAIL:
        return Situation.NO_MAIL
    match verdict.result:
        case Result.PASS:
            return Situation.ALLOWED
        case Result.PERMERROR:
            return Situation.BROKEN
        case Result.TEMPERROR:
            ours = verdict.problem is not None and verdict.problem.kind is ProblemKind.OWN_RESOLVER
            return Situation.OUR_FAULT if ours else Situation.SILENT
        case Result.NONE:
            named = verdict.problem is None or verdict.problem.kind is not ProblemKind.NO_DOMAIN
            return Situation.NO_RECORD if named else Situation.NO_DOMAIN
    if verdict.term_domain not in {None, verdict.check.domain}:
        return Situation.REDIRECTED
    return Situation.DENIED if verdict.term is not None and not is_all(verdict.term) else Situation.UNLISTED


def _for_host(found: Advice) -> tuple[Remedy, ...]:
    """Return the remedies where a host name was checked.

    A wrong name is the server's mistake more often than the record's, and a freemail provider's own domain always is.
    """
    if found.situation in _BY_SERVER:
        change = (*_mending(found), *_adding(found))
    elif found.situation is Situation.NO_MAIL:
        change = (Remedy.LIST_SERVERS,)
    elif found.situation is Situation.NO_DOMAIN or (found.provider is not None and found.situation in _BY_CHANGE):
        change = ()
    else:
        return _remedies(found)
    return (Remedy.OWN_NAME, *(change if found.provider is None else ()))


def _for_provider(found: Advice) -> tuple[Remedy, ...]:
    """Return the remedies of a freemail user, who cannot change any record; empty: the same as for all others."""
    if found.provider is None:
        return ()
    if found.situation in _BY_SERVER and not found.provider_fault:
        return (Remedy.USE_PROVIDER, Remedy.FROM_OWN_DOMAIN, Remedy.FORWARDED)
    return (Remedy.TELL_PROVIDER,) if found.situation in _BY_SERVER | _BY_CHANGE else ()


def _remedies(found: Advice) -> tuple[Remedy, ...]:
    """Return the remedies where the sender can change the record, or knows who can."""
    match found.situation:
        case Situation.UNLISTED | Situation.REDIRECTED | Situation.DENIED:
            return _where_listing_helps(found)
        case Situation.NO_MAIL:
            return (Remedy.OTHER_SENDER, Remedy.LIST_SERVERS)
        case Situation.NO_RECORD:
            return _mending(found) or (Remedy.PUBLISH,)
        case Situation.BROKEN:
            return (*_mending(found), Remedy.FIX)
        case _:
            return _ALWAYS[found.situation]


def _where_listing_helps(found: Advice) -> tuple[Remedy, ...]:
    """Return the remedies where the record does not allow the client.

    The likeliest cause comes first: a mistake in the record; a server of the domain itself, or a service that it uses,
    which the record forgot; or else a message that went through a wrong server.
    """
    mending, adding = _mending(found), _adding(found)
    if found.provider_fault:
        return (*mending, *adding, Remedy.SUBMIT)
    is_forgotten = found.service is not None and not found.listed
    order = (*adding, Remedy.SUBMIT) if is_forgotten else (Remedy.SUBMIT, *adding)
    return (*mending, *order, Remedy.FORWARDED, Remedy.FROM_OWN_DOMAIN)


def _mending(found: Advice) -> tuple[Remedy, ...]:
    return (Remedy.MEND_FLAW,) if found.flaws else ()


def _adding(found: Advice) -> tuple[Remedy, ...]:
    """Return what adds the client to the record; nothing if the record has the term already, or a slip of it."""
    if any(flaw.present for flaw in found.flaws):
        return ()
    add = Remedy.ADD_BEFORE if found.situation is Situation.DENIED else Remedy.ADD
    # A mail service has many servers, and they change. Its include: lists them all.
    by_include = found.other_organization and found.service is None and not found.names_host
    return (Remedy.ADD_INCLUDE, add) if by_include else (add,)
