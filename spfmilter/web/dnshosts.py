"""List the largest DNS hosts: their nameservers, and the words of the panel in which a record is changed.

Pure: takes the names of nameservers, returns an entry. Knows nothing of a record. What comes from the DNS is
only compared with the table, and never shown.

The letters behind each entry are its sources, read in November 2026:

- H: the host's own documentation (the address in the entry, or the page that is named).
- M: Microsoft's steps for the host (MicrosoftDocs/microsoft-365-docs, ``microsoft-365/admin/dns``).
- F: the table of hosts by nameserver in forwardemail/forwardemail.net.
- L: two or more lists of nameservers, or DNS answers, in public repositories.

An entry without a menu or field names has none in these sources. Left out: ``googledomains.com`` (Google Cloud DNS and
Squarespace share it), and ``nsone.net`` (NS1 and Netlify).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

_MAX_SERVERS = 20  # of a zone: the largest hosts name eight


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsHost:
    """A DNS host, with the words of its panel as the panel writes them."""

    name: str
    servers: re.Pattern[str]  # the whole name of one of its nameservers, in lower case
    menu: tuple[str, ...] = ()  # what to open or to press, in this order; empty if unknown
    name_field: str = ""  # of the form for a record: the field with the record's name; empty if unknown
    value_field: str = ""  # the field with the text of a TXT record; empty if unknown
    apex: str | None = None  # what to enter in ``name_field`` for the zone's own name; "" to leave it empty
    quoted: bool = False  # the text has to be put in double quotes
    link: str = ""  # the address of its documentation, or of its panel; empty if unknown

    @property
    def site(self) -> str:
        """Return the host name in ``link``, so that a visitor knows where it leads."""
        return urlsplit(self.link).hostname or ""


def _host(
    name: str, servers: str, link: str = "", menu: str = "", fields: str = "", *, quoted: bool = False
) -> DnsHost:
    """Return an entry.

    Args:
        name: as its users know it.
        servers: a regular expression; a nameserver is named so, or has more labels in front.
        link: see ``DnsHost``.
        menu: its words, divided by " > ".
        fields: the two fields and what the first one holds for the zone's own name: "Name=@, Value".
        quoted: see ``DnsHost``.
    """
    named, _, value = fields.partition(", ")
    field, known, apex = named.partition("=")
    return DnsHost(
        name=name,
        servers=re.compile(rf"(?:.+\.)?(?:{servers})"),
        menu=tuple(menu.split(" > ")) if menu else (),
        name_field=field,
        value_field=value,
        apex=apex if known else None,
        quoted=quoted,
        link=link,
    )


_HOSTS = (
    _host(  # H, M, F, L
        "Cloudflare",
        r"ns\.cloudflare\.com|foundationdns\.(?:com|net|org)",
        "https://developers.cloudflare.com/dns/manage-dns-records/how-to/create-dns-records/",
        "DNS > Records > Add record",
        "Name=@, Content",
    ),
    _host(  # H, M, F, L
        "GoDaddy",
        r"domaincontrol\.com",
        "https://www.godaddy.com/help/add-a-txt-record-19232",
        "Domain Portfolio > DNS > Add New Record",
        "Name=@, Value",
    ),
    _host(  # M, F, L
        "Namecheap",
        r"registrar-servers\.com",
        "https://www.namecheap.com/support/knowledgebase/article.aspx/317/2237/"
        "how-do-i-add-txtspfdkimdmarc-records-for-my-domain/",
        "Domain List > Manage > Advanced DNS > Add New Record",
        "Host=@, Value",
    ),
    _host(  # H, M, F, L
        "Amazon Route 53",
        r"awsdns-[0-9]+\.(?:com|net|org|co\.uk)",
        "https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-creating.html",
        "Hosted zones > Create record",
        "Record name=, Value",
    ),
    _host(  # M, F, L
        "Azure DNS",
        r"azure-dns\.(?:com|net|org|info)",
        "https://learn.microsoft.com/azure/dns/dns-getstarted-portal",
        "DNS zones > + Record set",
        "Name=@, Value",
    ),
    _host(  # H, F, L
        "IONOS",
        r"ui-dns\.(?:com|org|de|biz)",
        "https://www.ionos.com/help/domains/configuring-mail-servers-and-other-related-records/"
        "using-an-spf-record-to-prevent-spam/",
        "Domains & SSL > DNS",
        "Host name, Value",
    ),
    _host(  # M, F, L
        "OVHcloud",
        r"ovh\.(?:net|ca)|anycast\.me",
        "https://help.ovhcloud.com/csm/en-dns-edit-dns-zone?id=kb_article_view&sysparm_article=KB0051682",
        "DNS zone > Add an entry > TXT",
        "Sub-domain=, TXT Value",
    ),
    _host(  # H (helpdesk.gandi.net, What is an SPF record?), F, L
        "Gandi",
        r"gandi\.net",
        "https://docs.gandi.net/en/domain_names/common_operations/dns_records.html",
        fields="Name=@",
    ),
    _host(  # H, F, L
        "DigitalOcean",
        r"digitalocean\.com",
        "https://docs.digitalocean.com/products/networking/dns/how-to/manage-records/",
        "Networking > Domains",
        "Hostname=@",
    ),
    _host(  # F, L
        "Hetzner",
        r"ns\.hetzner\.(?:com|de)|first-ns\.de|second-ns\.(?:com|de)|your-server\.de",
        "https://docs.hetzner.com/dns-console/dns/general/dns-overview/",
    ),
    _host(  # F, L
        "Squarespace",
        r"squarespacedns\.com",
        "https://support.squarespace.com/hc/en-us/articles/"
        "360002101888-Adding-custom-DNS-records-to-your-Squarespace-domain",
        fields="Host=@",
    ),
    _host("Wix", r"wixdns\.net", "", "My Domains > Edit DNS > TXT > + Add another", "Host Name=, Value"),  # M, F, L
    _host(  # H (What Is the SPF Record for Hostinger Email?), L
        "Hostinger",
        r"dns-parking\.com|main-hosting\.eu",
        "https://support.hostinger.com/en/articles/1583227-how-to-manage-my-dns-records-on-hpanel",
        fields="Host=@, TXT value",
    ),
    _host(  # L
        "Porkbun",
        r"porkbun\.com",
        "https://kb.porkbun.com/article/68-how-to-add-edit-or-delete-dns-records",
        "Domain Management > DNS Records",
        "Host=, Answer",
    ),
    _host("Name.com", r"name\.com", fields="Host="),  # F, L
    _host("Dynadot", r"dynadot\.com", fields="Subdomain="),  # L
    _host(  # M, F, L
        "Network Solutions",
        r"worldnic\.com",
        "https://www.networksolutions.com/support/how-to-manage-advanced-dns-records/",
        "Edit DNS > Manage Advanced DNS Records > Edit TXT Records",
        "Host=@, Text",
    ),
    _host(  # H, L
        "阿里云 (Alibaba Cloud)",
        r"hichina\.com|alidns\.com",
        "https://www.alibabacloud.com/help/en/alidns-intl/latest/record-types",
        "Basic DNS > Configure > Add Record",
        "主机记录 (Host)=@, 记录值 (Value)",
    ),
    _host(  # H (cloud.tencent.com/document/product/457/56180), F, L
        "腾讯云 DNSPod (Tencent Cloud)",
        r"dnspod\.net|dnsv[2-5]\.com|iidns\.com",
        "https://console.cloud.tencent.com/cns",
        "解析",
        "主机记录=@, 记录值",
    ),
    _host(  # H (support.huaweicloud.com, 添加TXT类型记录集), L
        "华为云 (Huawei Cloud)",
        r"(?:huaweicloud-dns|hwclouds-dns)\.(?:com|cn|net|org)",
        "https://console.huaweicloud.com/dns/",
        "云解析服务 > 公网解析 > 添加记录集",
        "主机记录, 值",
        quoted=True,
    ),
    _host("西部数码 (West.cn)", r"myhostadmin\.net"),  # L
    _host("新网 (Xinnet)", r"xincache\.com|xinnet\.(?:com|cn)"),  # L
    _host("お名前.com", r"dnsv\.jp", fields="ホスト名, VALUE"),  # L
    _host("エックスサーバー (Xserver)", r"xserver\.jp", "https://www.xserver.ne.jp/support/"),  # L
    _host("さくらインターネット (Sakura)", r"dns\.ne\.jp", "https://help.sakura.ad.jp/"),  # L
    _host(
        "ムームーDNS", r"muumuu-domain\.com", menu="ドメイン操作 > ムームーDNS > 変更 > 設定2"
    ),  # H (support.heteml.jp), L
    _host("가비아 (Gabia)", r"gabia\.(?:co\.kr|net)"),  # L
    _host("카페24 (Cafe24)", r"cafe24\.com"),  # L
    _host("REG.RU", r"reg\.ru"),  # L
    _host("RU-CENTER", r"nic\.ru"),  # L
    _host("Timeweb", r"timeweb\.(?:ru|org)"),  # L
    _host("Registro.br", r"(?:auto|sec)\.dns\.br", "https://registro.br", "DNS > Editar zona"),  # L
    _host("Locaweb", r"locaweb\.com\.br"),  # L
    _host("Aruba", r"technorail\.com|arubadns\.(?:net|cz)"),  # L
    _host("TransIP", r"transip\.(?:net|nl)"),  # L
    _host("Infomaniak", r"infomaniak\.(?:ch|com)"),  # L
    _host("STRATO", r"rzone\.de"),  # L
    _host("deSEC", r"desec\.(?:io|org)"),  # L
    _host(  # H, F, L
        "DNS Made Easy",
        r"dnsmadeeasy\.com",
        "https://help.dnsmadeeasy.com/managed-dns/dns-record-types/txt-record/",
        fields="Name=, Value",
    ),
    _host(  # L
        "Bluehost",
        r"bluehost\.com",
        "https://www.bluehost.com/help/article/dns-management-add-edit-or-delete-dns-entries",
        fields="Host Record=@",
    ),
    _host(  # L
        "DreamHost",
        r"dreamhost\.com",
        "https://help.dreamhost.com/hc/en-us/articles/360035516812-Adding-custom-DNS-records",
        fields="Name=",
    ),
    _host(  # F, L
        "Hover",
        r"hover\.com",
        "https://help.hover.com/hc/en-us/articles/217282457-Managing-DNS-records",
    ),
    _host("Vercel", r"vercel-dns\.com", "https://vercel.com/dashboard/domains"),  # F, L
    _host("WordPress.com", r"wordpress\.com", "https://wordpress.com/support/domains/custom-dns/"),  # F, L
)


def host_of(nameservers: Iterable[str]) -> DnsHost | None:
    """Return the host that runs all of a zone's nameservers; None if it is unknown, or if there are several.

    Args:
        nameservers: their names, untrusted.
    """
    names = [name.lower().removesuffix(".") for name in nameservers]
    if not names or len(names) > _MAX_SERVERS:
        return None
    found = [host for host in _HOSTS if all(host.servers.fullmatch(name) for name in names)]
    return found[0] if found else None
