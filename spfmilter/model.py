"""The values of one SMTP transaction, frozen, in the order in which they arise.

Knows the words of the field (identity, result, disposition ...) and nothing else: no I/O, no clock, no settings.
``Facts -> Plan -> Check -> Verdict -> Action``; the reply, the header fields and the log line are rendered from these.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from spfmilter.dns.answer import Asked, Heard
from spfmilter.value import value

IPAddress = IPv4Address | IPv6Address


class Identity(StrEnum):
    """Which name of the SMTP conversation was checked (RFC 7208 section 2); the values are the header field's words."""

    HELO = "helo"
    MAILFROM = "mailfrom"


class Result(StrEnum):
    """An SPF result (RFC 7208 section 2.6); the values are the wire's words."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - a result, no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Disposition(StrEnum):
    """What to do with the message, from the mildest to the most severe (``severity``)."""

    ACCEPT = "accept"
    TAG = "tag"
    QUARANTINE = "quarantine"
    DEFER = "defer"
    REJECT = "reject"

    @property
    def severity(self) -> int:
        """Return the place in the order accept, tag, quarantine, defer, reject, from 0."""
        return _SEVERITY[self]

    @property
    def refuses(self) -> bool:
        """Return whether the client is told that the message is not accepted, for now or for good."""
        return self in {Disposition.DEFER, Disposition.REJECT}


_SEVERITY = {disposition: place for place, disposition in enumerate(Disposition)}


class Condition(StrEnum):
    """A special case of a result; the values are keys of policy entries in the INI file."""

    UNREACHABLE = "unreachable"  # of none: the domain can receive no mail, so no mailbox there can have sent any
    WIDE_OPEN = "wide_open"  # of pass: the record authorizes every address
    NO_MAIL = "no_mail"  # of fail: the domain says that it sends no mail at all


CONDITIONS = {
    Result.NONE: Condition.UNREACHABLE,
    Result.PASS: Condition.WIDE_OPEN,
    Result.FAIL: Condition.NO_MAIL,
}


class ProblemKind(StrEnum):
    """The reason for a permerror, a temperror or a none; the key under which a notice explains it."""

    NO_DOMAIN = "no-domain"  # the identity names no DNS domain: null HELO, address literal, single label
    SYNTAX = "syntax"
    UNKNOWN_MECHANISM = "unknown-mechanism"
    BAD_DOMAIN = "bad-domain"
    BAD_MACRO = "bad-macro"
    BAD_ADDRESS = "bad-address"
    BAD_PREFIX = "bad-prefix-length"
    DUPLICATE_MODIFIER = "duplicate-modifier"
    TOO_LONG = "too-long"
    SEVERAL_RECORDS = "several-records"
    MISSING_RECORD = "missing-record"  # of an include or a redirect
    NOT_ASCII = "not-ascii"
    LOOKUP_LIMIT = "lookup-limit"
    VOID_LOOKUP_LIMIT = "void-lookup-limit"
    HOST_LIMIT = "host-limit"  # more than ten MX hosts
    DNS_FAILURE = "dns-failure"
    OWN_RESOLVER = "own-resolver"  # none of our nameservers answers anything
    TIME_LIMIT = "time-limit"
    INTERNAL = "internal"  # our own fault


@value
class Problem:
    """Why an evaluation did not reach a plain result."""

    kind: ProblemKind
    text: str  # one English clause, already safe to show, without a full stop
    domain: str | None = None  # whose record, or which name in the DNS
    term: str | None = None  # the term at fault, as published


@value
class Client:
    """The SMTP client, as the MTA reports it."""

    address: IPAddress | None  # None: unknown, or a client on a unix socket; IPv4-mapped addresses are IPv4 here
    name: str = ""  # the MTA's name for the address (PTR); untrusted input
    local: bool = False  # connected to the MTA over a unix socket, or not over the network at all


@value
class ReversePath:
    """The address in MAIL FROM (RFC 5321 section 4.1.2), without its angle brackets."""

    local: str
    domain: str  # after the last @, as sent; empty where there is none

    @property
    def null(self) -> bool:
        """Whether this is the empty reverse-path, ``<>``."""
        return not self.local and not self.domain

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}" if self.domain else self.local


@value
class Facts:
    """All that is known of a transaction at MAIL FROM."""

    client: Client
    helo: str | None  # None: the client has sent no HELO, or none that can be read
    reverse_path: ReversePath
    authenticated: str = ""  # the login of an authenticated client, else empty
    smtputf8: bool = False  # MAIL FROM carried the SMTPUTF8 parameter (RFC 6531)
    hostname: str = ""  # the MTA's own name (macro j)
    relay: Client | None = None  # our own server that connected, where ``client`` was read from the Received fields


@value
class Check:
    """One evaluation to make: check_host() of RFC 7208 section 4.1 with its arguments."""

    identity: Identity
    address: IPAddress
    local: str  # local part of the sender, ``postmaster`` where the identity has none
    domain: str  # ASCII; empty where the identity names no domain that DNS could hold
    helo: str
    as_sent: str  # the identity as the client sent it, for people and header fields; untrusted input
    null_sender: bool = False  # stands for an empty reverse-path (RFC 7208 section 2.4)
    record: str = ""  # the administrator's record, evaluated in place of the published one

    @property
    def sender(self) -> str:
        """The <sender> argument: local part, @, domain."""
        return f"{self.local}@{self.domain}"


class SkipReason(StrEnum):
    """The reason to check nothing of a message; the values are the log's words."""

    NETWORK = "exempt-network"
    PRIVATE = "private-client"
    AUTHENTICATED = "authenticated"
    LOCAL = "local-client"
    UNKNOWN_CLIENT = "unknown-client"
    SENDER = "exempt-sender"
    TRUSTED_FOR_DOMAIN = "trusted-for-domain"
    RELAY = "relay"  # handed on by a trusted relay, whose Received fields do not tell from where


@value
class Plan:
    """The checks to make for a message, or the reason to make none."""

    checks: tuple[Check, ...] = ()
    skip: SkipReason | None = None
    rule: Rule | None = None  # the line that exempts the message; None: nothing does, or no line
    sender_domain: str = ""  # of MAIL FROM, as the DNS has it; empty: the null sender, or no domain

    @property
    def trusted(self) -> bool:
        """Return whether the message comes from our own side, so that its header fields are left alone."""
        return self.skip in {SkipReason.NETWORK, SkipReason.LOCAL}


@value
class LookupStep:
    """One DNS lookup of a traced evaluation."""

    name: str
    type: str
    outcome: str  # "3 answers", "no data", "no such name", "timeout" ...
    answers: tuple[str, ...] = ()
    elapsed: float = 0.0  # seconds
    heard: tuple[Heard, ...] = ()  # the nameservers that were asked, and what each said


@value
class TermStep:
    """One term of a traced evaluation, in the order of evaluation."""

    text: str
    matched: bool | None  # None: not reached, or it raised the problem that ended the evaluation
    lookups: tuple[LookupStep, ...] = ()
    record: RecordStep | None = None  # what an include or redirect led to
    target: str | None = None  # the domain-spec after macro expansion, where it differs

    @property
    def redirects(self) -> bool:
        """Return whether this is a ``redirect=`` (RFC 7208 section 6.1), so that the record it led to decides."""
        return self.text.lower().startswith("redirect=")


@value
class RecordStep:
    """One SPF record of a traced evaluation."""

    domain: str
    text: str | None  # None: there is no record, or no single one that could be read
    unread: ProblemKind | None = None  # why it could not be read; None: it was read, or there is no record
    lookups: tuple[LookupStep, ...] = ()
    terms: tuple[TermStep, ...] = ()


@value
class Verdict:
    """The outcome of one Check."""

    check: Check
    result: Result
    term: str | None = None  # the directive that matched at the top level, as published; None: default, or no record
    term_domain: str | None = None  # whose record holds it: the checked domain, or where a redirect led
    problem: Problem | None = None
    explanation: str | None = None  # the domain's own exp= text, macro-expanded; untrusted input
    lookups: int = 0  # terms that cost a lookup (RFC 7208 section 4.6.4)
    void_lookups: int = 0
    elapsed: float = 0.0  # seconds
    ttl: int | None = None  # seconds that the shortest-lived answer used may be kept; None: no DNS was asked
    letters: frozenset[str] = frozenset()  # the macro letters that the evaluation has used, and so depends on
    condition: Condition | None = None  # as far as the record itself shows it; unreachable takes lookups of its own
    fault: str | None = None  # traceback of our own error; the policy then follows on_error, not the result's entry
    trace: RecordStep | None = None  # only where it was asked for
    # The lookups that the verdict was made from, in their order, for the journal; None: too many to be kept. They say
    # nothing that the other fields do not depend on already.
    asked: tuple[Asked, ...] | None = field(default=(), compare=False, repr=False)
    asked_size: int = field(default=0, compare=False, repr=False)  # bytes that they take in memory, roughly


EXEMPTION = "exemption"  # in place of a section: a temporary exemption, which is not in the INI file


@value
class Rule:
    """The line of the settings that decided."""

    section: str  # empty: built in, no setting; EXEMPTION: no setting either, and ``key`` is its id
    key: str
    value: str
    line: int | None = None  # in the file; None: no file sets it
    remark: str = ""  # why the entry was not followed exactly
    # A list file, or one of conf.d, from the INI file's folder on; without a line an environment variable; empty: the
    # INI file.
    file: str = ""

    @property
    def place(self) -> str:
        """Return the line, with its file unless that is the INI file, or the variable; empty: it is the default."""
        line = f"line {self.line}" if self.line is not None else ""
        return f"{self.file} {line}".strip()

    def __str__(self) -> str:
        if not self.section:
            return f"built in: {self.key}"
        if self.section == EXEMPTION:
            return f"exemption {self.key}: {self.value}" if self.key else self.value
        place = f" ({self.place})" if self.place else ""
        remark = f", {self.remark}" if self.remark else ""
        return f"[{self.section}] {self.key} = {self.value or '(empty)'}{place}{remark}"


@value
class Consideration:
    """One line of the settings that was considered for a decision."""

    rule: Rule
    applied: bool
    why: str  # one English clause


class OverrideType(StrEnum):
    """Which kind of exception accepted a message; the values are the log's words, the first one is DMARC's, too."""

    TRUSTED_FORWARDER = "trusted_forwarder"  # [exempt] forwarders, forwarder_spf
    EXEMPT_SENDER = "exempt_sender"  # [exempt] senders, by an entry that needs a pass
    DMARC = "dmarc"  # [policy] yield_to_dmarc: a DMARC filter decides
    DEFER_AT_MOST = "defer_at_most"  # deferred for as long as [policy] defer_at_most allows
    OWN_RESOLVER = "own_resolver"  # none of our nameservers answers
    EXEMPTION = "exemption"  # a temporary one, by ``spfmilter exempt add``


@value
class Override:
    """The reason to accept a message that the policy table would tag, hold or refuse, or to treat it more mildly."""

    rule: Rule
    type: OverrideType
    by: str = ""  # a forwarder's host or domain, an exempt domain, a DMARC policy with its domain, an exemption's id
    disposition: Disposition = Disposition.ACCEPT  # in place of the entry's


@value
class Addressee:
    """A kind of recipient: equal for all recipients to which the settings apply the same rules."""

    exempt: bool = False  # by [exempt] recipients
    entry: int | None = field(default=None, compare=False)  # the place of the entry there that exempts it
    section: str = ""  # the pattern of the [recipient:...] section that fits; empty: none


NO_OWN_RULES = Addressee()  # a recipient without rules of its own, or one that is not known


@value
class DmarcPolicy:
    """The DMARC policy that a domain publishes (RFC 9989 section 4.7), as far as every DMARC filter acts on it."""

    domain: str  # the domain that publishes it: that of the From field, or one above it
    policy: str  # none, quarantine or reject
    reason: str = ""  # why that is less than the record says, such as "t=y"; empty if it is not


@value
class Action:
    """What to do with the message, and why."""

    disposition: Disposition
    rule: Rule
    verdict: Verdict | None = None  # the one that decided; None: nothing was checked
    would: Disposition | None = None  # monitor mode: the disposition in enforce mode
    override: Override | None = None
    condition: Condition | None = None  # the condition whose entry applied to the verdict; None: its plain result's

    @property
    def plain(self) -> bool:
        """Return whether the message is simply accepted: no entry called for more, so there is no case."""
        return self.disposition is Disposition.ACCEPT and self.would is None and self.override is None

    @property
    def notice(self) -> bool:
        """Return whether the message gets the notice in a header field: tagged, held, or spared by monitor mode."""
        return self.would is not None or self.disposition in {Disposition.TAG, Disposition.QUARANTINE}


@value
class Transaction:
    """One MAIL FROM, from the first fact to its end, as the log, the journal and the metrics report it."""

    facts: Facts
    plan: Plan
    verdicts: tuple[Verdict, ...]
    action: Action
    queue_id: str = ""
    ended: str = "message"  # how it ended: message (end of data), refused, abandoned (RSET, QUIT, lost connection)
    removed: int = 0  # forged header fields
    untagged: int = 0  # Subject fields that could not be tagged
    recipients: tuple[str, ...] = ()  # those whose own rules mattered, as the client wrote them; untrusted input
    refused: int = 0  # recipients that were refused while the message was accepted
    refused_recipients: tuple[str, ...] = ()  # if the settings want them, as the client wrote them; untrusted input
    separated: int = 0  # recipients that were told to come in a message of their own
    case: str = ""  # the case id (``caseid``); empty for a message that was simply accepted
