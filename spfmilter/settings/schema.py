"""Every section and key of the INI file with its kind and default; ``conf/spfmilter.ini`` explains each.

Knows names, kinds, defaults, and which features are not available yet. A test compares this file with the shipped INI
file, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from spfmilter.model import Condition, Disposition, Identity, Result
from spfmilter.settings import entries, listing, names, networks, sockets, urls
from spfmilter.settings import values as types
from spfmilter.settings.entries import PolicyEntry
from spfmilter.settings.journalurl import JournalUrl, journal_url
from spfmilter.settings.lists import ValueList, filled
from spfmilter.settings.namelist import PRIVATE_ZONES, NameList, SenderList, ZoneList
from spfmilter.settings.networklist import NetworkList
from spfmilter.settings.sockets import SocketAddress
from spfmilter.settings.values import Duration, FileMode, Line, Nameserver, Size, YesNo
from spfmilter.template import Template


class Later:
    """Marks a key whose feature is not available yet: each value but the default is an error, never ignored."""


LATER = Later()


class OnError(StrEnum):
    """The answer to the MTA when spfmilter itself fails."""

    TEMPFAIL = "tempfail"
    ACCEPT = "accept"


class Mode(StrEnum):
    """Whether the policy acts, or only reports what it would do."""

    ENFORCE = "enforce"
    MONITOR = "monitor"


class RejectAt(StrEnum):
    """The stage of the SMTP conversation at which a message is refused."""

    MAIL = "mail"
    RCPT = "rcpt"
    MESSAGE = "message"


class FieldKind(StrEnum):
    """The result fields that can be written."""

    RECEIVED_SPF = "received-spf"
    AUTHENTICATION_RESULTS = "authentication-results"


class LogLevel(StrEnum):
    """How much is logged; a transaction's line is info."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """The form of a log line."""

    TEXT = "text"
    JSON = "json"


class LogTarget(StrEnum):
    """Where the log goes."""

    AUTO = "auto"  # the journal where systemd has connected standard error with it, else standard error
    STDERR = "stderr"
    STDOUT = "stdout"
    SYSLOG = "syslog"
    JOURNAL = "journal"


_ACCEPT = PolicyEntry(Disposition.ACCEPT)
_TAG = PolicyEntry(Disposition.TAG)
_REJECT = PolicyEntry(Disposition.REJECT)
RequiredEntry = Annotated[PolicyEntry, types.reader(entries.policy_entry)]
# An entry that may be empty: the more general one then applies.
OptionalEntry = Annotated[PolicyEntry | None, types.reader(types.or_empty(entries.policy_entry))]
# The lists of addresses, networks and domains, which may be in files.
Networks = Annotated[NetworkList, listing.entries(NetworkList)]
LOOPBACK = filled(NetworkList(), ("127.0.0.0/8", "::1"))
DomainNames = Annotated[NameList, listing.entries(lambda: NameList(names.domain_or_subdomains))]
Nameservers = Annotated[
    ValueList[Nameserver], listing.entries(lambda: ValueList(types.nameserver), most=100, why=", which are all tried")
]
ReplyText = Annotated[tuple[Template, ...], types.reader(names.template_lines)]


class SectionModel(BaseModel):
    """The base of all sections: frozen, without undeclared keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)


class MilterSection(SectionModel):
    """``[milter]``: the daemon and its socket."""

    socket: Annotated[SocketAddress, types.reader(sockets.socket_address)] = SocketAddress(
        "inet", port=8890, host="127.0.0.1"
    )
    socket_mode: Annotated[FileMode, types.reader(types.file_mode)] = FileMode(0o660)
    socket_group: Annotated[str, types.reader(names.group_name)] = ""
    workers: Annotated[str, types.reader(types.workers)] = "auto"
    pin_workers: YesNo = True
    memory_limit: Annotated[Size, types.reader(types.size_between("64M", "64G"))] = Size(512 << 20)
    on_error: Annotated[OnError, types.reader(types.one_of(OnError))] = OnError.TEMPFAIL
    drain_timeout: Annotated[Duration, types.reader(types.duration_between("0s", "1h"))] = Duration(30)


class PolicySection(SectionModel):
    """``[policy]``: what to check, when to refuse, and whether to refuse at all."""

    mode: Annotated[Mode, types.reader(types.one_of(Mode))] = Mode.ENFORCE
    reject_at: Annotated[RejectAt, types.reader(types.one_of(RejectAt))] = RejectAt.RCPT
    check: Annotated[
        tuple[Identity, ...], types.list_reader(types.one_of(Identity), needed="helo, mailfrom or one of them")
    ] = (Identity.HELO, Identity.MAILFROM)
    yield_to_dmarc: YesNo = False
    # A sender's server gives up after days, not hours; a domain whose DNS is repaired at all, is repaired sooner.
    defer_at_most: Annotated[Duration, types.reader(types.duration_between("0s", "7d"))] = Duration(4 * 3600)
    own_addresses: Annotated[
        ValueList[IPv4Address | IPv6Address], listing.entries(lambda: ValueList(networks.public_address), most=1000)
    ] = ValueList(networks.public_address)
    nat64_prefixes: Annotated[
        ValueList[IPv6Network], listing.entries(lambda: ValueList(networks.nat64_prefix), most=1000)
    ] = filled(ValueList(networks.nat64_prefix), ("64:ff9b::/96",))


class PolicyEntries(SectionModel):
    """The policy entries of a section: one for each result, and for each condition, a special case of a result."""

    def entry(self, key: Result | Condition) -> PolicyEntry | None:
        """Return the entry; None: empty, so that another section or the plain result applies."""
        value: PolicyEntry | None = getattr(self, "pass_" if key is Result.PASS else key)
        return value


# The sections of the two tables.
TABLES = {identity: f"policy.{identity}" for identity in Identity}


class ResultTable(PolicyEntries):
    """A policy table, with an entry for each result; a condition without an entry counts as its result."""

    none: RequiredEntry = _ACCEPT
    unreachable: OptionalEntry = None
    neutral: RequiredEntry = _ACCEPT
    pass_: RequiredEntry = Field(default=_ACCEPT, alias="pass")
    wide_open: OptionalEntry = None
    softfail: RequiredEntry = _ACCEPT
    fail: RequiredEntry = _REJECT
    no_mail: OptionalEntry = None
    temperror: RequiredEntry = _ACCEPT
    permerror: RequiredEntry = _ACCEPT


class MailFromTable(ResultTable):
    """``[policy.mailfrom]``."""

    softfail: RequiredEntry = _TAG
    permerror: RequiredEntry = _TAG


class HeloTable(ResultTable):
    """``[policy.helo]``."""


class ExemptSection(SectionModel):
    """``[exempt]``: the messages that are not checked or not refused."""

    networks: Networks = LOOPBACK
    private_clients: YesNo = True
    authenticated: YesNo = True
    forwarders: DomainNames = NameList(names.domain_or_subdomains)
    forwarder_spf: Annotated[
        NameList,
        listing.entries(
            lambda: NameList(names.domain_name), most=100, why=", since a refusal first evaluates all of them"
        ),
    ] = NameList(names.domain_name)
    recipients: Annotated[NameList, listing.entries(lambda: NameList(names.recipient_pattern))] = filled(
        NameList(names.recipient_pattern), ("postmaster@", "abuse@")
    )
    senders: Annotated[SenderList, listing.entries(SenderList)] = SenderList()


class RelaysSection(SectionModel):
    """``[relays]``: our own servers in front of this one."""

    trusted: Networks = NetworkList()
    refuse: YesNo = False


class OptionalEntries(PolicyEntries):
    """Entries that may each be empty: the more general section then applies."""

    none: OptionalEntry = None
    unreachable: OptionalEntry = None
    neutral: OptionalEntry = None
    pass_: OptionalEntry = Field(default=None, alias="pass")
    wide_open: OptionalEntry = None
    softfail: OptionalEntry = None
    fail: OptionalEntry = None
    no_mail: OptionalEntry = None
    temperror: OptionalEntry = None
    permerror: OptionalEntry = None


class DomainSection(OptionalEntries):
    """``[domain:NAME]``: a sender domain's own rules."""

    record: Annotated[str, types.reader(names.spf_record)] = ""
    trust: Networks = NetworkList()


class RecipientSection(OptionalEntries):
    """``[recipient:PATTERN]``: a recipient's own rules."""


class ServiceSection(SectionModel):
    """``[service:NAME]``: a mail service that the notice may name, in addition to the well-known ones."""

    include: Annotated[str, types.reader(names.service_include)] = ""
    hosts: Annotated[NameList, listing.entries(lambda: NameList(names.service_host), most=20)] = NameList(
        names.service_host
    )


class ReplySection(SectionModel):
    """``[reply]``: the notice. A text per result; empty means the built-in one."""

    languages: Annotated[tuple[str, ...], types.list_reader(names.notice_language, needed="en, for example")] = (
        "en",
        "zh-Hans",
        "zh-Hant",
    )
    help_url: Annotated[Template | None, types.reader(names.help_url)] = None
    suggest_services: YesNo = True
    own_domains: DomainNames = NameList(names.domain_or_subdomains)
    contact: Annotated[Template, types.reader(names.contact_template)] = names.contact_template("postmaster@{hostname}")
    fail: ReplyText = ()
    softfail: ReplyText = ()
    neutral: ReplyText = ()
    none: ReplyText = ()
    pass_: ReplyText = Field(default=(), alias="pass")
    permerror: ReplyText = ()
    temperror: ReplyText = ()

    def owns(self, domain: str, hostname: str) -> bool:
        """Return whether a domain's users are our own, who send after a login.

        It is so for the domains of the list, and for that of the server's name: example.net for mx.example.net.
        """
        own = hostname.lower().rstrip(".")
        return ("." in domain and domain.lower() in {own, own.partition(".")[2]}) or (
            self.own_domains.match(domain) is not None
        )

    def lines(self, result: Result) -> tuple[Template, ...]:
        """Return the administrator's own text for a result; empty: use the built-in text."""
        value: tuple[Template, ...] = getattr(self, "pass_" if result is Result.PASS else result.value)
        return value


class HeadersSection(SectionModel):
    """``[headers]``: the header fields to write and to remove."""

    write: Annotated[tuple[FieldKind, ...], types.list_reader(types.one_of(FieldKind))] = (
        FieldKind.RECEIVED_SPF,
        FieldKind.AUTHENTICATION_RESULTS,
    )
    authserv_id: Annotated[tuple[str, ...], types.list_reader(names.authserv_id)] = ()
    remove_forged: YesNo = True
    tag_header: Annotated[str, types.reader(names.field_name)] = "X-SPF-Notice"
    tag_subject: Annotated[str, types.reader(names.subject_prefix)] = ""
    skipped: YesNo = False

    @property
    def own_id(self) -> str:
        """Return the authserv-id to write, the first of the list; empty: the MTA's own name."""
        return self.authserv_id[0] if self.authserv_id else ""


class DnsSection(SectionModel):
    """``[dns]``: the nameservers, and the limits of an evaluation."""

    nameservers: Nameservers = ValueList(types.nameserver)
    # The MTA waits for the verdict: Postfix 30 s by default (milter_command_timeout).
    timeout: Annotated[Duration, types.reader(types.duration_between("1s", "2m"))] = Duration(20)
    lookup_limit: Annotated[int, types.reader(types.whole_number(1, 100))] = 10
    void_lookup_limit: Annotated[int, types.reader(types.whole_number(0, 100))] = 2
    prefetch: YesNo = True
    cache_entries: Annotated[int, types.reader(types.whole_number(0, 10_000_000))] = 50_000
    cache_max_ttl: Annotated[Duration, types.reader(types.duration_between("1s", "7d"))] = Duration(3600)
    serve_stale: Annotated[Duration, types.reader(types.duration_between("0s", "7d"))] = Duration(0)
    private_zones: Annotated[ZoneList, listing.entries(ZoneList)] = PRIVATE_ZONES

    def uncached(self) -> DnsSection:
        """Return the same, for evaluations that remember no answer."""
        return self.model_copy(update={"cache_entries": 0, "serve_stale": Duration(0)})


class LogSection(SectionModel):
    """``[log]``."""

    level: Annotated[LogLevel, types.reader(types.one_of(LogLevel))] = LogLevel.INFO
    format: Annotated[LogFormat, types.reader(types.one_of(LogFormat))] = LogFormat.TEXT
    to: Annotated[LogTarget, types.reader(types.one_of(LogTarget))] = LogTarget.AUTO
    refused_recipients: YesNo = False


class StateSection(SectionModel):
    """``[state]``: where several processes or hosts keep common state."""

    folder: Annotated[str, types.reader(names.folder_path)] = "/var/lib/spfmilter"
    url: Annotated[urls.StateUrl | None, types.reader(urls.state_url)] = None


class JournalSection(SectionModel):
    """``[journal]``: the database of what was done."""

    url: Annotated[JournalUrl | None, types.reader(journal_url)] = None
    keep: Annotated[Duration, types.reader(types.duration_between("1h", "3650d"))] = Duration(30 * 86400)
    local_parts: YesNo = False


class MetricsSection(SectionModel):
    """``[metrics]``."""

    listen: Annotated[str, types.reader(types.endpoint(9890, optional=True))] = ""


class WebSection(SectionModel):
    """``[web]``: the help page."""

    listen: Annotated[str, types.reader(types.endpoint(8891))] = "127.0.0.1:8891"
    secret_file: Annotated[str, types.reader(names.file_path)] = "/var/lib/spfmilter/secret"  # noqa: S105 - a path
    token_lifetime: Annotated[Duration, types.reader(types.duration_between("1h", "365d"))] = Duration(30 * 86400)
    rate: Annotated[str, types.reader(names.rate)] = "30/minute"
    trusted_proxies: Networks = LOOPBACK
    contact: Line = ""
    name: Line = ""
    nameservers: Nameservers = ValueList(types.nameserver)
    requests: YesNo = False
    requests_mail: Annotated[str, types.reader(names.mail_address)] = ""


# INI section -> attribute of Settings and its model. The order is that of the shipped file.
SECTIONS: dict[str, tuple[str, type[SectionModel]]] = {
    "milter": ("milter", MilterSection),
    "policy": ("policy", PolicySection),
    "policy.mailfrom": ("mailfrom", MailFromTable),
    "policy.helo": ("helo", HeloTable),
    "exempt": ("exempt", ExemptSection),
    "relays": ("relays", RelaysSection),
    "reply": ("reply", ReplySection),
    "headers": ("headers", HeadersSection),
    "dns": ("dns", DnsSection),
    "log": ("log", LogSection),
    "state": ("state", StateSection),
    "journal": ("journal", JournalSection),
    "metrics": ("metrics", MetricsSection),
    "web": ("web", WebSection),
}
# Sections that carry a name after a colon: the model, the reader of the name, the attribute of Settings.
NAMED_SECTIONS: dict[str, tuple[type[SectionModel], Callable[[str], str], str]] = {
    "domain": (DomainSection, names.domain_or_subdomains, "domains"),
    "recipient": (RecipientSection, names.recipient_pattern, "recipients"),
    "service": (ServiceSection, names.service_name, "services"),
}


def key_of(model: type[SectionModel], attribute: str) -> str:
    """Return the INI key of a model's attribute (``pass`` for ``pass_``)."""
    return model.model_fields[attribute].alias or attribute


def attribute_of(model: type[SectionModel], key: str) -> str | None:
    """Return the attribute of a model for an INI key (``pass_`` for ``pass``); None: there is no such key."""
    return next((name for name in model.model_fields if key_of(model, name) == key), None)
