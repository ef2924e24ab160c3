"""The table of DNS hosts: which nameservers belong to whom, and what may stand in an entry."""

from urllib.parse import urlsplit

import pytest

from spfmilter.text import unicode_line
from spfmilter.web.dnshosts import _HOSTS, host_of

# Nameservers of a zone at each host, as they were found in the sources that web/dnshosts.py names.
KEPT = {
    "Cloudflare": ("kira.ns.cloudflare.com", "lou.ns.cloudflare.com"),
    "GoDaddy": ("ns41.domaincontrol.com", "ns42.domaincontrol.com"),
    "Namecheap": ("dns1.registrar-servers.com", "dns2.registrar-servers.com"),
    "Amazon Route 53": ("ns-1.awsdns-00.com", "ns-600.awsdns-11.net", "ns-1100.awsdns-09.org", "ns-1.awsdns-55.co.uk"),
    "Azure DNS": ("ns1-01.azure-dns.com", "ns2-01.azure-dns.net", "ns3-01.azure-dns.org", "ns4-01.azure-dns.info"),
    "IONOS": ("ns1023.ui-dns.de", "ns1023.ui-dns.com", "ns1023.ui-dns.org", "ns1023.ui-dns.biz"),
    "OVHcloud": ("dns15.ovh.net", "ns15.ovh.net"),
    "Gandi": ("ns-1-a.gandi.net", "ns-2-b.gandi.net", "ns-3-c.gandi.net"),
    "DigitalOcean": ("ns1.digitalocean.com", "ns2.digitalocean.com", "ns3.digitalocean.com"),
    "Hetzner": ("hydrogen.ns.hetzner.com", "oxygen.ns.hetzner.com", "helium.ns.hetzner.de"),
    "Squarespace": ("connect1.squarespacedns.com", "connect2.squarespacedns.com"),
    "Wix": ("ns10.wixdns.net", "ns11.wixdns.net"),
    "Hostinger": ("ns1.dns-parking.com", "ns2.dns-parking.com"),
    "Porkbun": ("curitiba.ns.porkbun.com", "fortaleza.ns.porkbun.com"),
    "Name.com": ("ns1abc.name.com", "ns2abc.name.com"),
    "Dynadot": ("ns1.dynadot.com", "ns2.dynadot.com"),
    "Network Solutions": ("ns1.worldnic.com", "ns2.worldnic.com"),
    "阿里云 (Alibaba Cloud)": ("dns15.hichina.com", "dns16.hichina.com"),
    "腾讯云 DNSPod (Tencent Cloud)": ("f1g1ns1.dnspod.net", "f1g1ns2.dnspod.net"),
    "华为云 (Huawei Cloud)": ("ns1.huaweicloud-dns.com", "ns1.huaweicloud-dns.cn", "ns1.huaweicloud-dns.org"),
    "西部数码 (West.cn)": ("ns1.myhostadmin.net", "ns2.myhostadmin.net"),
    "新网 (Xinnet)": ("ns11.xincache.com", "ns12.xincache.com"),
    "お名前.com": ("01.dnsv.jp", "02.dnsv.jp"),
    "エックスサーバー (Xserver)": ("ns1.xserver.jp", "ns5.xserver.jp"),
    "さくらインターネット (Sakura)": ("ns1.dns.ne.jp", "ns2.dns.ne.jp"),
    "ムームーDNS": ("dns01.muumuu-domain.com", "dns02.muumuu-domain.com"),
    "가비아 (Gabia)": ("ns.gabia.co.kr", "ns1.gabia.co.kr", "ns.gabia.net"),
    "카페24 (Cafe24)": ("ns1.cafe24.com", "ns2.cafe24.com"),
    "REG.RU": ("ns1.reg.ru", "ns2.reg.ru"),
    "RU-CENTER": ("ns3-l2.nic.ru", "ns4-l2.nic.ru"),
    "Timeweb": ("ns1.timeweb.ru", "ns3.timeweb.org"),
    "Registro.br": ("a.auto.dns.br", "b.auto.dns.br"),
    "Locaweb": ("ns1.locaweb.com.br", "ns2.locaweb.com.br"),
    "Aruba": ("dns.technorail.com", "dns2.technorail.com", "dns3.arubadns.net", "dns4.arubadns.cz"),
    "TransIP": ("ns0.transip.net", "ns1.transip.nl"),
    "Infomaniak": ("ns11.infomaniak.ch", "ns12.infomaniak.ch"),
    "STRATO": ("docks10.rzone.de", "shades01.rzone.de"),
    "deSEC": ("ns1.desec.io", "ns2.desec.org"),
    "DNS Made Easy": ("ns10.dnsmadeeasy.com", "ns11.dnsmadeeasy.com"),
    "Bluehost": ("ns1.bluehost.com", "ns2.bluehost.com"),
    "DreamHost": ("ns1.dreamhost.com", "ns2.dreamhost.com"),
    "Hover": ("ns1.hover.com", "ns2.hover.com"),
    "Vercel": ("ns1.vercel-dns.com", "ns2.vercel-dns.com"),
    "WordPress.com": ("ns1.wordpress.com", "ns2.wordpress.com"),
}


def name_of(*servers: str) -> str | None:
    host = host_of(servers)
    return host.name if host is not None else None


@pytest.mark.parametrize("name", KEPT)
def test_each_host_is_recognised_by_its_nameservers(name) -> None:
    assert name_of(*KEPT[name]) == name
    assert name_of(*(f"{server.upper()}." for server in KEPT[name])) == name


def test_the_kept_table_has_each_host_once_and_no_nameserver_has_two() -> None:
    assert sorted(KEPT) == sorted(host.name for host in _HOSTS)
    for server in (server for servers in KEPT.values() for server in servers):
        assert sum(host.servers.fullmatch(server) is not None for host in _HOSTS) == 1, server


@pytest.mark.parametrize(
    "servers",
    [
        (),
        ("ns1.example.com",),
        ("ns41.domaincontrol.com", "ns1.example.com"),
        ("ns41.domaincontrol.com", "kira.ns.cloudflare.com"),
        ("evildomaincontrol.com",),
        ("ns1.domaincontrol.com.evil.example",),
        ("ns-1.awsdns-00.evil.example",),
        ("ns-cloud-a1.googledomains.com",),
        ("a.dns.br",),
        (r"ns41\046domaincontrol.com",),
        ("",),
        ("ns41.domaincontrol.com",) * 21,
        ("." * 1000,),
        ("<script>.example", "\u202e.example", "\x1b[31m"),
    ],
)
def test_nameservers_of_nobody_in_the_table_or_of_several_name_no_host(servers) -> None:
    assert name_of(*servers) is None


@pytest.mark.parametrize("host", _HOSTS, ids=lambda host: host.name)
def test_an_entry_can_be_shown(host) -> None:
    for text in (host.name, host.name_field, host.value_field, host.apex or "", *host.menu):
        assert unicode_line(text) == text == text.strip()
    assert all(host.menu)
    assert host.apex is None or host.name_field, "a value needs its field"
    if host.link:
        address = urlsplit(host.link)
        assert (address.scheme, address.netloc) == ("https", host.site)
