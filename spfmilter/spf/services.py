"""List the mail services that many domains send through, with the ``include:`` of each.

Knows how each service names its servers, and which record it publishes for its customers. Names prove nothing: only
that record tells whether an address is the service's. The names say whose record is worth evaluating.

The first word of each entry says where its ``include:`` was found:

====  =======================================================================  ==========
key   source                                                                   looked up
====  =======================================================================  ==========
DC    the service's template in github.com/Domain-Connect/Templates            2026-08-20
DOC   the service's own documentation                                          2026-11-29
PUB   records of customers, and setups, in several public repositories         2026-11-29
LIST  lists of services that others keep; the service itself was not found     2026-11-29
====  =======================================================================  ==========

Not listed, because one ``include:`` does not fit all customers: HubSpot and Proofpoint (a record for each customer),
Resend (Amazon SES under a name of the customer's), ZeptoMail (its sources contradict each other). DingTalk's was found
nowhere a second time. An administrator can add others: ``[service:NAME]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MAX_PROVIDERS = 2  # whose records are asked for one refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service with the domain of its published record."""

    name: str  # as its users know it
    include: str  # what its documentation tells customers to include
    hosts: tuple[str, ...]  # its servers are called so, or end so: in the reverse DNS, in HELO, as its customers' MX
    provider: str  # who runs it: a provider may have several services, whose servers have names in common
    source: str = ""  # where ``include`` was found, see above; empty: the administrator says so

    @property
    def term(self) -> str:
        """Return the term for a customer's record."""
        return f"include:{self.include}"

    def runs(self, host: str) -> bool:
        """Tell whether a host name, in lower case and without a final dot, is one of the service's."""
        return self.fits(host) > 0

    def fits(self, host: str) -> int:
        """Return the length of the longest of ``hosts`` in which the host name ends; 0 if there is none."""
        return max((len(name) for name in self.hosts if host == name or host.endswith("." + name)), default=0)


def _service(source: str, name: str, include: str, *hosts: str, of: str = "") -> Service:
    return Service(name=name, include=include, hosts=hosts, provider=of or name, source=source)


# Of several records of a provider, the one that new customers are told comes first.
SERVICES = (
    _service("DC", "Google Workspace", "_spf.google.com", "google.com", "googlemail.com", "smtp.goog"),
    _service("DC", "Microsoft 365", "spf.protection.outlook.com", "outlook.com", "office365.com", of="Microsoft"),
    _service("DC", "Outlook.com", "outlook.com", "hotmail.com", "outlook.com", of="Microsoft"),
    _service(
        "DOC", "Microsoft 365 (21Vianet)", "spf.protection.partner.outlook.cn", "partner.outlook.cn", of="Microsoft"
    ),
    _service("DC", "Amazon SES", "amazonses.com", "amazonses.com", "awsapps.com"),
    # China
    _service("DOC", "Tencent Exmail", "spf.mail.qq.com", "qq.com", of="Tencent"),
    _service("DOC", "Tencent Cloud SES", "qcloudmail.com", "qcloudmail.com", of="Tencent"),
    _service("PUB", "NetEase Mail", "spf.qiye.163.com", "163.com", "126.com", "yeah.net", "netease.com"),
    _service("DOC", "Alibaba Mail", "spf.qiye.aliyun.com", "aliyun.com", "alibaba.com", "mxhichina.com", of="Alibaba"),
    _service("PUB", "Alibaba Mail", "spf.mxhichina.com", "mxhichina.com", "aliyun.com", "alibaba.com", of="Alibaba"),
    _service("DOC", "Alibaba DirectMail", "spf1.dm.aliyun.com", "dm.aliyun.com", "aliyun.com", of="Alibaba"),
    _service("PUB", "Feishu Mail", "_netblocks.m.feishu.cn", "feishu.cn"),
    _service("DC", "SendCloud", "spf.sendcloud.org", "sendcloud.org", "sendcloud.net"),
    # Elsewhere
    _service("PUB", "Apple iCloud Mail", "icloud.com", "icloud.com", "me.com", "apple.com"),
    _service("LIST", "Aruba", "_spf.aruba.it", "aruba.it"),
    _service("PUB", "Atlassian", "_spf.atlassian.net", "atlassian.net"),
    _service("PUB", "Barracuda", "spf.ess.barracudanetworks.com", "barracudanetworks.com", "barracuda.com"),
    _service(
        "DC", "Bluehost and HostGator", "websitewelcome.com", "websitewelcome.com", "bluehost.com", "hostgator.com"
    ),
    _service("DC", "Brevo", "spf.brevo.com", "brevo.com", "sendinblue.com", "mailin.fr"),
    _service("PUB", "Campaign Monitor", "_spf.createsend.com", "createsend.com", "cmail1.com", "cmail2.com"),
    _service("LIST", "Constant Contact", "spf.constantcontact.com", "constantcontact.com", "ccsend.com"),
    _service("PUB", "Daum", "_spf.daum.net", "daum.net", "hanmail.net"),
    _service("PUB", "Fastmail", "spf.messagingengine.com", "messagingengine.com"),
    _service("DC", "Forward Email", "spf.forwardemail.net", "forwardemail.net"),
    _service("PUB", "Gandi", "_mailcust.gandi.net", "gandi.net"),
    _service("DC", "GoDaddy", "secureserver.net", "secureserver.net"),
    _service("PUB", "Hostinger", "_spf.mail.hostinger.com", "hostinger.com"),
    _service("DC", "ImprovMX", "spf.improvmx.com", "improvmx.com"),
    _service("PUB", "Infomaniak", "spf.infomaniak.ch", "infomaniak.ch"),
    _service("PUB", "IONOS (Europe)", "_spf-eu.ionos.com", "kundenserver.de", of="IONOS"),
    _service("PUB", "IONOS (America)", "_spf-us.ionos.com", "perfora.net", of="IONOS"),
    _service("PUB", "Locaweb", "_spf.locaweb.com.br", "locaweb.com.br"),
    _service("DC", "MailChannels", "relay.mailchannels.net", "mailchannels.net"),
    _service("PUB", "Mailchimp", "servers.mcsv.net", "mcsv.net", "mcdlv.net", "rsgsv.net"),
    _service("PUB", "Mailchimp Transactional", "spf.mandrillapp.com", "mandrillapp.com"),
    _service("PUB", "MailerLite", "_spf.mlsend.com", "mlsend.com"),
    _service("PUB", "MailerSend", "_spf.mailersend.net", "mailersend.net"),
    _service("DC", "Mailgun", "mailgun.org", "mailgun.org", "mailgun.net"),
    _service("DC", "Mailjet", "spf.mailjet.com", "mailjet.com"),
    _service("PUB", "Mail.ru for business", "_spf.mail.ru", "mail.ru"),
    _service("PUB", "Mimecast", "_netblocks.mimecast.com", "mimecast.com"),
    _service("PUB", "Namecheap Private Email", "spf.privateemail.com", "privateemail.com"),
    _service("PUB", "NAVER WORKS", "spf.worksmobile.com", "worksmobile.com", "naver.com"),
    _service("DOC", "OVHcloud", "mx.ovh.com", "ovh.net", "ovh.com"),
    _service("DC", "Postmark", "spf.mtasv.net", "mtasv.net"),
    _service("PUB", "Proton Mail", "_spf.protonmail.ch", "protonmail.ch", "proton.ch"),
    _service("PUB", "Rackspace Email", "emailsrvr.com", "emailsrvr.com"),
    _service("PUB", "Salesforce", "_spf.salesforce.com", "salesforce.com"),
    _service("LIST", "Salesforce Marketing Cloud", "cust-spf.exacttarget.com", "exacttarget.com", of="Salesforce"),
    _service("DOC", "SendGrid", "sendgrid.net", "sendgrid.net"),
    _service("PUB", "SMTP2GO", "spf.smtp2go.com", "smtp2go.com"),
    _service("DC", "SparkPost", "_spf.sparkpostmail.com", "sparkpostmail.com"),
    _service("DC", "Titan", "spf.titan.email", "titan.email"),
    _service("PUB", "Xserver", "spf.sender.xserver.jp", "xserver.jp"),
    _service("PUB", "Yandex 360", "_spf.yandex.net", "yandex.net", "yandex.ru", "yandex.com"),
    _service("DC", "Zendesk", "mail.zendesk.com", "zendesk.com", "zdsys.com"),
    _service("PUB", "Zoho Mail", "zohomail.com", "zoho.com", "zohomail.com", of="Zoho"),
    _service("PUB", "Zoho Mail (Europe)", "zohomail.eu", "zoho.eu", "zohomail.eu", of="Zoho"),
    _service("PUB", "Zoho Mail (India)", "zoho.in", "zoho.in", "zohomail.in", of="Zoho"),
)


def hinted(hosts: Iterable[str], own: Sequence[Service] = ()) -> tuple[Service, ...]:
    """Return the services to which host names point, of two providers at most.

    Args:
        hosts: names, the most telling one first. They are untrusted and prove nothing.
        own: the administrator's services, which come before the others with an equally long name.
    """
    found: dict[Service, None] = {}
    for host in hosts:
        name = host.lower().removesuffix(".")
        fitting = [service for service in (*own, *SERVICES) if service.runs(name)]
        found |= dict.fromkeys(sorted(fitting, key=lambda service: -service.fits(name)))
    providers = list(dict.fromkeys(service.provider for service in found))[:_MAX_PROVIDERS]
    return tuple(service for service in found if service.provider in providers)


def included(domains: Iterable[str], own: Sequence[Service] = ()) -> tuple[Service, ...]:
    """Return the services whose records are among these domains, in their order."""
    known = {service.include: service for service in (*SERVICES, *own)}
    return tuple(known[domain] for domain in dict.fromkeys(domains) if domain in known)
