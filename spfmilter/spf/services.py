"""List the mail services that many domains send through, with the ``include:`` of each.

Knows how each service names its servers, and which record it publishes for its customers. Names prove nothing: only
that record tells whether an address is the service's. The names say whose record is worth evaluating.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MAX_HINTED = 2  # whose records are asked for one refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service with the domain of its published record."""

    name: str  # as its users know it
    include: str  # what its documentation tells customers to include
    hosts: tuple[str, ...]  # its servers are called so, or end so: in the reverse DNS, in HELO, as its customers' MX

    @property
    def term(self) -> str:
        """Return the term for a customer's record."""
        return f"include:{self.include}"

    def runs(self, host: str) -> bool:
        """Tell whether a host name, in lower case and without a final dot, is one of the service's."""
        return any(host == name or host.endswith("." + name) for name in self.hosts)


def _service(name: str, include: str, *hosts: str) -> Service:
    return Service(name=name, include=include, hosts=hosts)


# As each tells its customers. One that has a record for each customer cannot stand here.
SERVICES = (
    _service("Google Workspace", "_spf.google.com", "google.com", "googlemail.com", "smtp.goog"),
    _service("Microsoft 365", "spf.protection.outlook.com", "outlook.com", "office365.com"),
    _service("Amazon SES", "amazonses.com", "amazonses.com", "awsapps.com"),
    _service("Tencent Exmail", "spf.mail.qq.com", "qq.com"),
    _service("NetEase Mail", "spf.163.com", "163.com", "126.com", "yeah.net", "netease.com"),
    _service("Alibaba Mail", "spf.mxhichina.com", "mxhichina.com", "aliyun.com", "alibaba.com"),
    _service("Alibaba Mail", "spf.qiye.aliyun.com", "mxhichina.com", "aliyun.com", "alibaba.com"),
    _service("Feishu Mail", "_netblocks.m.feishu.cn", "feishu.cn"),
    _service("Apple iCloud Mail", "icloud.com", "icloud.com", "me.com", "apple.com"),
    _service("Brevo", "spf.brevo.com", "brevo.com", "sendinblue.com", "mailin.fr"),
    _service("Campaign Monitor", "_spf.createsend.com", "createsend.com", "cmail1.com", "cmail2.com"),
    _service("Constant Contact", "spf.constantcontact.com", "constantcontact.com", "ccsend.com"),
    _service("Fastmail", "spf.messagingengine.com", "messagingengine.com"),
    _service("Gandi", "_mailcust.gandi.net", "gandi.net"),
    _service("GoDaddy", "secureserver.net", "secureserver.net"),
    _service("Hostinger", "_spf.mail.hostinger.com", "hostinger.com"),
    _service("Infomaniak", "spf.infomaniak.ch", "infomaniak.ch"),
    _service("IONOS (Europe)", "_spf-eu.ionos.com", "kundenserver.de"),
    _service("IONOS (America)", "_spf-us.ionos.com", "perfora.net"),
    _service("Mailchimp", "servers.mcsv.net", "mcsv.net", "mcdlv.net", "rsgsv.net"),
    _service("Mailchimp Transactional", "spf.mandrillapp.com", "mandrillapp.com"),
    _service("Mailgun", "mailgun.org", "mailgun.org", "mailgun.net"),
    _service("Mailjet", "spf.mailjet.com", "mailjet.com"),
    _service("Mimecast", "_netblocks.mimecast.com", "mimecast.com"),
    _service("Namecheap Private Email", "spf.privateemail.com", "privateemail.com"),
    _service("OVHcloud", "mx.ovh.com", "ovh.net", "ovh.com"),
    _service("Postmark", "spf.mtasv.net", "mtasv.net"),
    _service("Proton Mail", "_spf.protonmail.ch", "protonmail.ch", "proton.ch"),
    _service("Salesforce", "_spf.salesforce.com", "salesforce.com"),
    _service("SendGrid", "sendgrid.net", "sendgrid.net"),
    _service("SMTP2GO", "spf.smtp2go.com", "smtp2go.com"),
    _service("Yandex 360", "_spf.yandex.net", "yandex.net", "yandex.ru", "yandex.com"),
    _service("Zendesk", "mail.zendesk.com", "zendesk.com", "zdsys.com"),
    _service("Zoho Mail", "zohomail.com", "zoho.com", "zohomail.com"),
    _service("Zoho Mail (Europe)", "zohomail.eu", "zoho.eu", "zohomail.eu"),
)


def hinted(hosts: Iterable[str]) -> tuple[Service, ...]:
    """Return the services, two at most, to which host names point. The names are untrusted and prove nothing."""
    names = [host.lower().removesuffix(".") for host in hosts]
    return tuple(dict.fromkeys(service for name in names for service in SERVICES if service.runs(name)))[:_MAX_HINTED]
